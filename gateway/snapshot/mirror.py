"""One session's directory on this node and its blobs in the shared storage, made equal. Blocking.

Beside what `folder.py` says the directory has a file `shared`: which of its versions the storage has, under which name
and of which packs, and which packs nobody needs any more for what this node has removed.

A pack goes only when a listing has no manifest that names it, taken after the manifests that did were removed. Who puts
a manifest looks afterwards whether each pack that it took over is still named by another one there; if not, somebody
may be removing it, and it is put again as another copy. So no removal hits what a version needs, however late it comes.
"""

import io
import json
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from gateway.snapshot.blobs import BlobDamaged, BlobMissing, Blobs, BlobsAway
from gateway.snapshot.claims import Copy, Held, Stored, orphans, plan, read_claim, stored, token, write_claim
from gateway.snapshot.folder import GONE, MANIFEST, SessionFolder
from gateway.snapshot.packs import Damaged

log = structlog.get_logger()
SHARED = "shared"
LOOKS = 5  # at what changes meanwhile
SENT = 6 * 3600.0  # seconds that a copy of a pack is relied on that no manifest names yet; they are swept after a day


class Overtaken(Exception):
    """A later incarnation, `fence`, has claimed the session."""

    def __init__(self, fence: int) -> None:
        super().__init__(fence)
        self.fence = fence


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


class Mirror:
    """`sent` is kept by whoever has several: copies of packs that this process has put, with when, by pack."""

    def __init__(self, folder: SessionFolder, blobs: Blobs, aside: Path, sent: dict[str, tuple[str, float]]) -> None:
        self._folder = folder
        self._blobs = blobs
        self._aside = aside
        self._sent = sent
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

    # --- putting there ---

    def claim(self, fence: int) -> None:
        """From now on nobody of a lower fence saves; what counted until now is here.

        Of the first incarnation nothing is written: nobody was before it. Raises Overtaken, BlobsAway, OSError.
        """
        if fence > 1:
            self._put(f"{fence}.stop", b"")
        there, valid = self._refreshed(fence)
        if fence <= 1 and there.owner < fence and there.copies:
            self._put(f"{fence}.stop", b"")
            there, valid = self._refreshed(fence)
        if there.owner == fence or (fence <= 1 and not there.copies):
            return
        try:
            self.push(fence, clear=False)
        except Damaged as error:
            log.warning("snapshot_not_shared", session=self._session, error=str(error))
        self._put(f"{fence}.claim", write_claim(valid))

    def _refreshed(self, fence: int) -> tuple[Stored, tuple[Copy, ...]]:
        there, valid = self.refresh(claimed=False)
        if there.highest > fence:
            raise Overtaken(there.highest)
        return there, valid

    def push(self, fence: int, *, clear: bool = True, thorough: bool = False) -> None:
        """Put there what is here alone, and remove there what was removed here.

        Raises Overtaken, BlobsAway, Damaged when a version is not whole; OSError.
        """
        folder, marks = self._folder, self.marks()
        named = {pack for version, (_, packs) in marks.versions.items() if folder.has(version) for pack in packs}
        put: list[tuple[Copy, frozenset[str]]] = []
        for version in folder.versions():
            if version in marks.versions or folder.is_old(version):
                continue
            try:
                packs = frozenset(folder.header(version).packs)
                for pack in packs - named:
                    self._send(pack)
            except Damaged as error:
                if version == folder.versions()[-1]:
                    raise
                log.warning("snapshot_not_shared", session=self._session, version=version, error=str(error))
                continue
            data = (folder.path / f"{version}{MANIFEST}").read_bytes()
            copy = Copy.of(version, fence, data)
            self._put(copy.name, data)
            put.append((copy, packs))
        if not put:
            return
        there, valid = self.look()
        if there.highest > fence:
            raise Overtaken(there.highest)
        if not {copy for copy, _ in put} <= set(there.copies):
            raise BlobsAway("it does not list what was just written")
        present = {copy.name for copy in there.copies}
        relied = {pack for name, packs in marks.versions.values() if name in present for pack in packs}
        for pack in {pack for _, packs in put for pack in packs}:
            copies = there.packs.get(pack, ())
            if not copies or not (pack in relied or self._sent_as(pack) in copies):
                self._sent.pop(pack, None)
                self._send(pack)
        for copy, packs in put:
            marks.versions[copy.version] = (copy.name, packs)
            for pack in packs:
                self._sent.pop(pack, None)
        folder.replace(SHARED, marks.write())
        if clear:
            self._cleared(lambda: self.clear(there, valid, mine=fence > 0, thorough=thorough))

    def _cleared(self, do: Callable[[], Any]) -> None:
        try:
            do()
        except (BlobsAway, OSError) as error:  # all is saved; the next save tries again
            log.warning("snapshots_not_removed", session=self._session, error=str(error))

    def _send(self, pack: str) -> None:
        if self._sent_as(pack) is not None:
            return
        name = f"{pack}.{secrets.token_hex(6)}"
        try:
            with (self._folder.path / pack).open("rb") as file:
                self._blobs.put(f"{self._session}/{name}", file)
        except FileNotFoundError as error:
            raise Damaged("a part of it is missing") from error
        self._sent[pack] = (name, time.monotonic())

    def _sent_as(self, pack: str) -> str | None:
        name, at = self._sent.get(pack, ("", 0.0))
        return name if name and time.monotonic() - at < SENT else None

    def _put(self, name: str, data: bytes) -> None:
        self._blobs.put(f"{self._session}/{name}", io.BytesIO(data))

    # --- removing there ---

    def clear(self, there: Stored, valid: tuple[Copy, ...], *, mine: bool, thorough: bool = True) -> None:
        """Remove there what was removed here, with what only that needed; what does not count only if it is `mine`.

        `thorough`: at once, with another listing; else with the next save. Raises BlobsAway, OSError.
        """
        marks = self.marks()
        dropped = {
            version: mark
            for version, mark in marks.versions.items()
            if not self._folder.has(version) and not (valid and mark[0] == valid[-1].name)
        }
        present = {copy.name for copy in there.copies}
        doomed = [name for name, _ in dropped.values() if name in present]
        doomed += there.stale(valid) if mine else ()
        lost = orphans(there, dict(marks.versions.values()), None if mine else marks.gone)
        self._blobs.delete(f"{self._session}/{name}" for name in (*doomed, *lost))
        before = marks.write()
        left = {pack for pack, copies in there.packs.items() if not set(copies) <= set(lost)}
        marks.gone = (marks.gone | {pack for _, packs in dropped.values() for pack in packs}) & left
        for version in dropped:
            del marks.versions[version]
        if marks.write() != before:
            self._folder.replace(SHARED, marks.write())
        if doomed and thorough:
            self.clear(*self.look(), mine=mine, thorough=False)

    def erase(self) -> None:
        """All that the shared storage has of it: what counts first. Raises BlobsAway."""
        names = [blob.name for blob in self._blobs.list(f"{self._session}/")]
        self._blobs.delete(sorted(names, key=lambda name: (not name.endswith(".manifest"), name)))
