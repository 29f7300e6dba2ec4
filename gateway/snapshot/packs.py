"""Pieces of content in files that are written once, so that what several snapshots share is on the disk once.

A pack is the header of a box (`seal.py`) and then pieces, each a zstd frame sealed by that box. Its name is made at
random and tells nothing; what is where is in the manifests of the snapshots that use it (`manifest.py`). A pack without
a manifest is worth nothing and is removed by whoever finds it. Blocking: use a thread; any number of them.
"""

import hashlib
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import zstandard

from gateway.snapshot.seal import BOX_HEADER, Box, NoKey, Sealer

SPLIT = 1 << 20  # bytes of content in a piece, at most
LEVEL = 1  # of zstd: it has to keep up with the disk
PREFIX = "pack-"
MAX_PACKS = 16  # that a version takes over from older ones


class Damaged(ValueError):
    """What was saved is not there any more as it was saved; the message says what, in words."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a piece of content lies: `size` bytes of it, `stored` bytes from `offset` of `pack`, sealed as `number`."""

    digest: bytes  # SHA-256 of the content
    size: int
    pack: str
    number: int
    offset: int
    stored: int


def reusable(
    pieces: Iterable[Piece], sizes: Mapping[str, int], labels: Mapping[str, str], label: str
) -> dict[bytes, Piece]:
    """Of the `pieces` in use those that a new version may name too, by digest. Pure.

    `sizes` in bytes of the packs that can be used, `labels` of their keys, `label` of the newest. A piece must be whole
    and sealed by the newest key, lest the version need a key that is given up. What is left in packs of which less than
    half is in use, or in the smallest of many packs, is rather written again: so old packs come to their end.
    """
    whole = {
        piece
        for piece in pieces
        if labels.get(piece.pack) == label and piece.offset + piece.stored <= sizes.get(piece.pack, 0)
    }
    used: Counter[str] = Counter()
    for piece in whole:
        used[piece.pack] += piece.stored
    full = [pack for pack, size in used.most_common() if 2 * size >= sizes[pack] - BOX_HEADER][:MAX_PACKS]
    return {piece.digest: piece for piece in whole if piece.pack in full}


class PackWriter:
    """Takes content and gives pieces: one that is `known`, or one of a new pack below `folder`, made when needed.

    `session` is what the pack is bound to.
    """

    def __init__(self, folder: Path, session: str, sealer: Sealer, known: Mapping[bytes, Piece]) -> None:
        self.pack = f"{PREFIX}{secrets.token_hex(10)}"
        self.added = 0  # bytes on disk
        self._path = folder / self.pack
        self._box = sealer.box(f"{session}/{self.pack}")
        self._known = known
        self._new: dict[bytes, Piece] = {}
        self._file: int | None = None
        self._count = 0
        self._lock = threading.Lock()
        self._local = threading.local()

    @property
    def known(self) -> Mapping[bytes, Piece]:
        return self._known

    def put(self, content: bytes) -> Piece:
        """At most SPLIT bytes. Raises OSError."""
        digest = hashlib.sha256(content).digest()
        piece = self._known.get(digest) or self._new.get(digest)
        if piece is not None:
            return piece
        frame = self._compressor().compress(content)
        with self._lock:
            number, self._count = self._count, self._count + 1
        sealed = self._box.seal(number, frame)
        with self._lock:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                self.added = _write(self._file, self._box.header, 0)
            file, offset = self._file, self.added
            self.added += len(sealed)
        _write(file, sealed, offset)
        return self._new.setdefault(digest, Piece(digest, len(content), self.pack, number, offset, len(sealed)))

    def put_all(self, content: bytes) -> tuple[Piece, ...]:
        """Content of any length, in pieces; none for nothing. Raises OSError."""
        view = memoryview(content)
        return tuple(self.put(bytes(view[start : start + SPLIT])) for start in range(0, len(content), SPLIT))

    def finish(self) -> None:
        """All of it is on the disk; nothing can be put any more. Raises OSError."""
        if self._file is not None:
            os.fsync(self._file)
            self._close()

    def discard(self) -> None:
        """Nothing of it stays, unless the disk refuses even that. Harmless after `finish`."""
        if self._file is not None:
            self._close()
            with suppress(OSError):  # swept later
                self._path.unlink()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _compressor(self) -> zstandard.ZstdCompressor:
        try:
            found: zstandard.ZstdCompressor = self._local.compressor
        except AttributeError:
            # GCM tells damage by itself.
            found = zstandard.ZstdCompressor(level=LEVEL, write_checksum=not self._box.label)
            self._local.compressor = found
        return found


def _write(file: int, data: bytes, offset: int) -> int:
    """All of it; returns how much that is."""
    view, done = memoryview(data), 0
    while done < len(view):  # a disk that fills up takes a part first
        done += os.pwrite(file, view[done:], offset + done)
    return done


class PackReader:
    """Reads pieces out of packs that were opened before; see `reading`."""

    def __init__(self, packs: Mapping[str, tuple[int, Box]]) -> None:
        self._packs = packs
        self._local = threading.local()

    def get(self, piece: Piece) -> bytes:
        """The content. Raises Damaged."""
        file, box = self._packs[piece.pack]
        try:
            frame = box.open(piece.number, os.pread(file, piece.stored, piece.offset))
            if zstandard.get_frame_parameters(frame).content_size != piece.size:
                raise Damaged("a piece has another size than it should have")
            return self._decompressor().decompress(frame)
        except OSError as error:
            raise Damaged(f"it cannot be read: {error.strerror}") from error
        except (ValueError, zstandard.ZstdError) as error:
            raise Damaged(f"it is damaged: {error}") from error

    def get_all(self, pieces: Iterable[Piece]) -> bytes:
        """The content of one piece after the other. Raises Damaged."""
        return b"".join(map(self.get, pieces))

    def _decompressor(self) -> zstandard.ZstdDecompressor:
        try:
            found: zstandard.ZstdDecompressor = self._local.decompressor
        except AttributeError:
            found = self._local.decompressor = zstandard.ZstdDecompressor()
        return found


@contextmanager
def reading(folder: Path, session: str, sealer: Sealer, packs: Iterable[str]) -> Iterator[PackReader]:
    """All of `packs` open for this block: what is removed meanwhile can still be read. Raises Damaged."""
    files: list[int] = []
    opened: dict[str, tuple[int, Box]] = {}
    try:
        for name in packs:
            try:
                file = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError as error:
                raise Damaged("a part of it is missing") from error
            except OSError as error:
                raise Damaged(f"it cannot be read: {error.strerror}") from error
            files.append(file)
            try:
                opened[name] = (file, sealer.opened(os.pread(file, BOX_HEADER, 0), f"{session}/{name}"))
            except OSError as error:
                raise Damaged(f"it cannot be read: {error.strerror}") from error
            except NoKey as error:
                raise Damaged("it is encrypted with a key that the gateway does not have") from error
            except ValueError as error:
                raise Damaged(f"it is damaged: {error}") from error
        yield PackReader(opened)
    finally:
        for file in files:
            os.close(file)
