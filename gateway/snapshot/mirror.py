"""One session's directory on this node and its blobs in the shared storage, made equal. Blocking.

`fetching.py` has the way from there to here; this is the way back. A pack goes only when a listing has no manifest that
names it, taken after the manifests that did were removed. Who puts a manifest looks afterwards whether each pack that
it took over is still named by another one there; if not, somebody may be removing it, and it is put again as another
copy. So no removal hits what a version needs, however late it comes.
"""

import io
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from gateway.snapshot.blobs import Blobs, BlobsAway
from gateway.snapshot.claims import Copy, Stored, orphans, write_claim
from gateway.snapshot.fetching import SHARED, Fetching
from gateway.snapshot.folder import MANIFEST, SessionFolder
from gateway.snapshot.packs import Damaged

log = structlog.get_logger()
SENT = 6 * 3600.0  # seconds that a copy of a pack is relied on that no manifest names yet; they are swept after a day


class Overtaken(Exception):
    """A later incarnation, `fence`, has claimed the session."""

    def __init__(self, fence: int) -> None:
        super().__init__(fence)
        self.fence = fence


class Mirror(Fetching):
    """`sent` is kept by whoever has several: copies of packs that this process has put, with when, by pack."""

    def __init__(self, folder: SessionFolder, blobs: Blobs, aside: Path, sent: dict[str, tuple[str, float]]) -> None:
        super().__init__(folder, blobs, aside)
        self._sent = sent

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
