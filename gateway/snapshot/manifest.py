"""What a version of a snapshot is made of: one file, written when all that it names is on the disk.

The first line is JSON and has no secrets: what a list of versions shows, and which packs must stay as long as the
version does. After it comes the index (zstd of JSON, sealed like everything else): which pieces make up the context
document and the profile, and the digest of the first line. Pure.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import zstandard

from gateway.snapshot.archive import File, Folder, Tree
from gateway.snapshot.packs import LEVEL, Damaged, Piece
from gateway.snapshot.seal import Sealer

FORMAT = 2
MAX_INDEX = 256 << 20  # bytes
UNLIKE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)  # raised by JSON of another shape


@dataclass(frozen=True)
class SnapshotInfo:
    """A saved version. `bytes` is what all of it takes on the disk, `added` what no older version had.

    `kind` of the browser: `chromium` or `headless-shell`. `fence`: the incarnation that saved it.
    """

    session_id: str
    version: int
    created_at: str  # ISO 8601, UTC, ms
    bytes: int
    reason: str
    kind: str
    sealed: bool
    has_profile: bool = False
    added: int = 0
    checkpoint: bool = False
    fence: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Without the session's id."""
        return {
            "version": self.version,
            "createdAt": self.created_at,
            "bytes": self.bytes,
            "added": self.added,
            "reason": self.reason,
            "browser": self.kind,
            "profile": self.has_profile,
            "checkpoint": self.checkpoint,
            "sealed": self.sealed,
            "fence": self.fence,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """What changes on its own in a context document: `name` is `cookies`, `rest`, an origin, or empty for a tab."""

    name: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """A context document in pieces; see `parts.py`."""

    rest: Part
    cookies: Part
    origins: tuple[Part, ...]
    tabs: tuple[Part, ...]

    def __iter__(self) -> Iterator[Part]:
        yield from (self.rest, self.cookies, *self.origins, *self.tabs)

    @property
    def without_storage(self) -> "Parts":
        """But what origins have stored, which may be much."""
        return replace(self, origins=())


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: the version, and which packs it needs, with the label of the key of each."""

    info: SnapshotInfo
    packs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read; `pieces` are all that it needs, each once."""

    header: Header
    document: Parts
    pieces: tuple[Piece, ...]
    rows: Mapping[str, Any] | None  # the profile as it was read: whoever does not ask for it does not wait for it

    def profile(self) -> Tree | None:
        """Raises Damaged."""
        if self.rows is None:
            return None
        try:
            files = []
            for path, modified, places in self.rows["files"]:
                pieces = tuple([self.pieces[place] for place in places])
                files.append(File(path, modified, sum([piece.size for piece in pieces]), pieces))
            return Tree(tuple(Folder(path, modified) for path, modified in self.rows["folders"]), tuple(files))
        except UNLIKE as error:
            raise Damaged("its manifest is damaged") from error


def pieces_of(document: Parts, profile: Tree | None) -> Iterator[Piece]:
    """All that these need; some more than once."""
    for part in document:
        yield from part.pieces
    for file in profile.files if profile else ():
        yield from file.pieces


def write_manifest(header: Header, document: Parts, profile: Tree | None, sealer: Sealer, name: str) -> bytes:
    """The whole file; `name` is the snapshot's, to which it is bound."""
    line = json.dumps({"format": FORMAT, **header.info.to_json(), "packs": dict(header.packs)})
    table = _Table(header.packs)
    index = {
        "header": hashlib.sha256(line.encode()).hexdigest(),
        "document": {
            "rest": table.add(document.rest.pieces),
            "cookies": table.add(document.cookies.pieces),
            "origins": [[part.name, table.add(part.pieces)] for part in document.origins],
            "tabs": [table.add(part.pieces) for part in document.tabs],
        },
        "profile": None
        if profile is None
        else {
            "folders": [[folder.path, folder.modified] for folder in profile.folders],
            "files": [[file.path, file.modified, table.add(file.pieces)] for file in profile.files],
        },
        "pieces": table.rows,
    }
    data = json.dumps(index, separators=(",", ":")).encode()
    target = io.BytesIO()
    target.write(line.encode() + b"\n")
    with sealer.writing(target, name) as sealed:
        sealed.write(zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(data))
    return target.getvalue()


class _Table:
    """Pieces as rows of numbers, each once, referred to by their place."""

    def __init__(self, packs: Iterable[str]) -> None:
        self.rows: list[list[Any]] = []
        self._packs = {name: number for number, name in enumerate(packs)}
        self._places: dict[Piece, int] = {}

    def add(self, pieces: Sequence[Piece]) -> list[int]:
        return [self._place(piece) for piece in pieces]

    def _place(self, piece: Piece) -> int:
        place = self._places.setdefault(piece, len(self.rows))
        if place == len(self.rows):
            pack = self._packs[piece.pack]
            self.rows.append([piece.digest.hex(), piece.size, pack, piece.number, piece.offset, piece.stored])
        return place


def read_header(line: bytes, session_id: str, version: int) -> Header:
    """Raises Damaged."""
    try:
        fields = json.loads(line)
        if fields["format"] != FORMAT or fields["version"] != version:
            raise Damaged("its manifest is one of another version")
        info = SnapshotInfo(
            session_id=session_id,
            version=version,
            created_at=str(fields["createdAt"]),
            bytes=int(fields["bytes"]),
            reason=str(fields["reason"]),
            kind=str(fields["browser"]),
            sealed=bool(fields["sealed"]),
            has_profile=bool(fields["profile"]),
            added=int(fields["added"]),
            checkpoint=bool(fields["checkpoint"]),
            fence=None if fields["fence"] is None else int(fields["fence"]),
        )
        return Header(info, {str(name): str(label) for name, label in fields["packs"].items()})
    except Damaged:
        raise
    except UNLIKE as error:
        raise Damaged("its manifest is damaged") from error


def read_manifest(data: bytes, session_id: str, version: int, sealer: Sealer, name: str) -> Manifest:
    """What `write_manifest` wrote. Raises Damaged, GatewayError(SNAPSHOT_UNREADABLE)."""
    line, _, sealed = data.partition(b"\n")
    header = read_header(line, session_id, version)
    with sealer.reading(io.BytesIO(sealed), name) as stream:
        frame = stream.read()
    try:
        index = json.loads(zstandard.ZstdDecompressor().decompress(frame, max_output_size=MAX_INDEX))
        if index["header"] != hashlib.sha256(line).hexdigest():
            raise Damaged("its manifest is damaged")
        packs = list(header.packs)
        pieces = [
            Piece(bytes.fromhex(digest), size, packs[pack], number, offset, stored)
            for digest, size, pack, number, offset, stored in index["pieces"]
        ]

        def some(places: Sequence[int]) -> tuple[Piece, ...]:
            return tuple(pieces[place] for place in places)

        document = index["document"]
        parts = Parts(
            rest=Part("rest", some(document["rest"])),
            cookies=Part("cookies", some(document["cookies"])),
            origins=tuple(Part(origin, some(places)) for origin, places in document["origins"]),
            tabs=tuple(Part("", some(places)) for places in document["tabs"]),
        )
        return Manifest(header, parts, tuple(pieces), index["profile"])
    except Damaged:
        raise
    except (zstandard.ZstdError, *UNLIKE) as error:
        raise Damaged("its manifest is damaged") from error
