"""One session's directory on this node, made like what the shared storage has of it. Blocking.

Beside what `folder.py` says the directory has a file `shared`: which of its versions the storage has, under which name
and of which packs, and which packs nobody needs any more for what this node has removed.
"""

import io
import json
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.snapshot.blobs import BlobDamaged, BlobMissing, Blobs, BlobsAway
from gateway.snapshot.claims import Copy, Held, Stored, plan, read_claim, stored, token
from gateway.snapshot.folder import GONE, MANIFEST, SessionFolder
from gateway.snapshot.packs import Damaged

log = structlog.get_logger()
SHARED = "shared"
LOOKS = 5  # at what changes meanwhile


class _Changed(Exception):
    """What was listed is not there any more."""


@dataclass(slots=True)
class Marks:
    """What the file `shared` says: by version name and packs; and packs that may be unneeded."""

    versions: dict[int, tuple[str, frozenset[str]]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()

    @classmethod
    def read(cls, data: bytes) -> "Marks":
        """Of a damaged file nothing is known: what it said is found out again."""
        try:
            fields = json.loads(data)
            versions = {int(number): (str(name), frozenset(packs)) for number, (name, packs) in fields["versions"]}
            return cls(versions, frozenset(fields["gone"]))
        except (ValueError, LookupError, TypeError, AttributeError):
            return cls()

    def write(self) -> bytes:
        versions = [[number, [name, sorted(packs)]] for number, (name, packs) in sorted(self.versions.items())]
        return json.dumps({"versions": versions, "gone": sorted(self.gone)}).encode()


class Fetching:
    """`aside` is a directory on the same disk, for what is on its way."""

    def __init__(self, folder: SessionFolder, blobs: Blobs, aside: Path) -> None:
        self._folder = folder
        self._blobs = blobs
        self._aside = aside
        self._session = folder.session_id
        self.size = 0  # bytes in the shared storage, when it was last listed
        self.fetched: set[int] = set()  # versions that were brought
        self._there: Stored | None = None

    # --- what is there ---

    def look(self) -> tuple[Stored, tuple[Copy, ...]]:
        """What the shared storage has, and what of it counts. Raises BlobsAway."""
        for _ in range(LOOKS):
            there = self._there = stored(self._blobs.list(f"{self._session}/"), self._session)
            self.size = there.size
            if not there.claimed:
                return there, there.valid()
            with suppress(BlobMissing):  # a later one came, or all was erased
                return there, there.valid(self._taken(there))
        raise BlobsAway(f"what it has of session {self._session} changes all the time")

    def _taken(self, there: Stored) -> Iterable[str]:
        try:
            return read_claim(self._content(f"{there.owner}.claim"))
        except (BlobDamaged, ValueError):
            log.error("claim_unreadable", session=self._session, fence=there.owner)
            return [copy.name for copy in there.copies]  # rather too much than nothing

    def marks(self) -> Marks:
        try:
            return Marks.read((self._folder.path / SHARED).read_bytes())
        except FileNotFoundError:
            return Marks()

    def shared(self, version: int) -> bool:
        """Whether this node has that version as the shared storage has, or had it."""
        return version in self.marks().versions and self._folder.has(version)

    def whole(self, version: int, there: Stored) -> bool:
        """Whether all that a version needs is there."""
        packs = self._packs(version)
        return bool(packs) and all(pack in there.packs for pack in packs)

    def settled(self) -> bool:
        """Whether the shared storage has all that is here."""
        marks = self.marks()
        versions = self._folder.versions()
        return all(version in marks.versions or self._folder.is_old(version) for version in versions)

    # --- bringing over ---

    def refresh(self, *, claimed: bool) -> tuple[Stored, tuple[Copy, ...]]:
        """Make the list of versions here equal to what counts, which is returned. Raises BlobsAway, OSError."""
        for _ in range(LOOKS):
            there, valid = self.look()
            with suppress(_Changed):
                self._settle(there, valid, claimed)
                return there, valid
        raise BlobsAway(f"what it has of session {self._session} changes all the time")

    def _settle(self, there: Stored, valid: tuple[Copy, ...], claimed: bool) -> None:
        folder, marks = self._folder, self.marks()
        dropped = [name for version, (name, _) in marks.versions.items() if not folder.has(version)] if claimed else []
        todo = plan(valid, there.owner, self._here(marks), dropped)
        if not valid and not folder.path.is_dir():
            return
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = marks.write()
        for version in todo.drop:
            folder.drop(version)
            marks.versions.pop(version, None)
        for copy in todo.known:
            if copy.version not in marks.versions:
                marks.versions[copy.version] = (copy.name, self._packs(copy.version))
        for copy in todo.fetch:
            folder.replace(f"{copy.version}{MANIFEST}", self._manifest(copy))
            self.fetched.add(copy.version)
            marks.versions[copy.version] = (copy.name, self._packs(copy.version))
        if not claimed:  # what others have removed is gone
            kept = {version: mark for version, mark in marks.versions.items() if folder.has(version)}
            marks.versions = kept
        if marks.write() != before:
            folder.replace(SHARED, marks.write())
        if todo.drop:
            folder.tidy()
        if there.highest > (folder.fence() or 0):
            folder.set_fence(there.highest)

    def _here(self, marks: Marks) -> dict[int, Held]:
        found = {}
        for version in self._folder.versions():
            if self._folder.is_old(version):
                continue  # of an earlier gateway: it stays where it is
            path = self._folder.path / f"{version}{MANIFEST}"
            if (mark := marks.versions.get(version)) is not None:
                if path.stat().st_size:  # else it could not be read when it was brought
                    found[version] = Held(0, "", mark[0])
                continue
            fence = 0
            with suppress(Damaged):
                fence = self._folder.header(version).info.fence or 0
            found[version] = Held(fence, token(path.read_bytes()))
        return found

    def _packs(self, version: int) -> frozenset[str]:
        try:
            return frozenset(self._folder.header(version).packs)
        except Damaged:
            return frozenset()

    def _manifest(self, copy: Copy) -> bytes:
        """Nothing of one that is damaged: whoever wants to read it is told."""
        try:
            data = self._content(copy.name)
        except BlobMissing as error:
            raise _Changed from error
        except BlobDamaged:
            data = b""
        if token(data) != copy.token:
            log.error("manifest_damaged", session=self._session, version=copy.version)
            return b""
        return data

    def _content(self, name: str) -> bytes:
        into = io.BytesIO()
        self._blobs.get(f"{self._session}/{name}", into)
        return into.getvalue()

    def forget(self, version: int) -> None:
        """Have it brought once more, with its packs. Raises OSError."""
        marks = self.marks()
        _, packs = marks.versions.pop(version)
        for name in (f"{version}{MANIFEST}", *packs):
            (self._folder.path / name).unlink(missing_ok=True)
        self._folder.replace(SHARED, marks.write())

    def bring(self, version: int) -> bool:
        """The packs that this version needs and this node lacks; whether any were. Raises Damaged, BlobsAway."""
        try:
            packs = [pack for pack in self._folder.header(version).packs if not (self._folder.path / pack).exists()]
        except Damaged:
            return False  # whoever reads it is told better
        for pack in packs:
            self._bring(pack)
        return bool(packs)

    def _bring(self, pack: str) -> None:
        there, words = self._there or self.look()[0], "a part of it is missing"
        for _ in range(2):
            for name in there.packs.get(pack, ()):
                try:
                    return self._receive(name, pack)
                except BlobMissing:
                    continue
                except BlobDamaged as error:
                    words = f"a part of it cannot be had: {error}"
            there = self.look()[0]  # it may have been put anew
        raise Damaged(words)

    def _receive(self, name: str, pack: str) -> None:
        new = self._aside / f"{GONE}{secrets.token_hex(6)}"
        try:
            with new.open("xb") as file:
                new.chmod(0o600)
                self._blobs.get(f"{self._session}/{name}", file)
            new.rename(self._folder.path / pack)
        except FileNotFoundError as error:
            raise Damaged("it was removed meanwhile") from error
        finally:
            new.unlink(missing_ok=True)
