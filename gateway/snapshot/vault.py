"""Snapshots on disk: versions per session, each whole or not there at all, and only what changed takes space.

`folder.py` has what a session's directory looks like. A save puts the parts of the document and the files of the
profile into packs, unless a version has them already, and then writes a manifest. All blocking work is done in threads.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import structlog

from gateway.errors import Code, GatewayError
from gateway.snapshot.cards import Record, put_here, write_card
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import GONE, Busy, SessionFolder, instant, is_session, remove
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.retrieval import Retrieval
from gateway.snapshot.saving import Retention, write_version
from gateway.snapshot.seal import Sealer

__all__ = ["SnapshotInfo", "Vault"]

log = structlog.get_logger()

T = TypeVar("T")


class Vault(Retrieval):
    """The snapshots of all sessions below `directory`.

    Of each the newest `keep` versions that were saved, none older than `max_age` seconds but the newest; and beside
    them the newest checkpoint, if nothing was saved since.
    """

    def __init__(self, directory: Path, sealer: Sealer, *, keep: int = 3, max_age: float | None = None) -> None:
        if keep < 1:
            raise ValueError("at least one version must be kept")
        super().__init__(sealer)
        self._directory = directory
        self._retention = Retention(keep, max_age)
        self._saving: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def save(
        self,
        session_id: str,
        document: ContextDocument,
        *,
        profile: Path | None,
        kind: str,
        reason: str,
        checkpoint: bool = False,
        fence: int | None = None,
        beside: int | None = None,
    ) -> SnapshotInfo:
        """A new version. `profile`: of a browser that has exited; `beside`: or that of this earlier version, as it is.

        A `checkpoint` takes the place of the one before, and of nothing else; one that would be the same as the newest
        version is not written, and that version returned. `fence` numbers the incarnation that writes.

        Raises GatewayError, and then all is as before: SAVE_FAILED when the disk does not take it, FENCED when a later
        incarnation has claimed the session or saved.
        """
        draft = SnapshotInfo(
            session_id, 0, instant(time.time()), 0, reason, kind, self._sealer.seals, checkpoint=checkpoint, fence=fence
        )
        return await self._alone(session_id, lambda folder: self._save(folder, draft, document, profile, beside))

    async def claim(self, session_id: str, fence: int) -> None:
        """From now on, in every process and after every restart, only incarnation `fence` and later ones may save.

        Raises GatewayError: FENCED when a later one has claimed it or saved, SAVE_FAILED.
        """
        await self._alone(session_id, lambda folder: self._claim(folder, fence))

    async def remember(self, record: Record) -> None:
        """Keep beside what one has saved what it is, so that a lost record can be made anew (`cards.py`).

        Raises GatewayError SAVE_FAILED. Of one that has nothing saved nothing is kept.
        """
        await self._alone(record.id, lambda folder: self._remember(folder, record))

    async def load_document(
        self, session_id: str, version: int | None = None, *, storage: bool = True
    ) -> ContextDocument:
        """The context of one version, the newest if none is named.

        Without `storage` its origins are there by name only: quicker, where the profile has their content.
        Raises GatewayError: NOTHING_SAVED, SNAPSHOT_UNREADABLE naming the snapshot.
        """
        return await self._thread(self._load, self._folder(session_id), version, storage)

    async def unpack_profile(self, session_id: str, version: int, into: Path, *, late: bool | None = None) -> bool:
        """Put the profile into the directory `into`; False when that version has none. Raises as `load_document`.

        With `late` False only what a browser needs to start, with True the rest, which its pages need.
        """
        return await self._thread(self._unpack, self._folder(session_id), version, into, late)

    async def usable(self, session_id: str) -> tuple[SnapshotInfo, tuple[str, ...]]:
        """The newest version that can be read, and in words why each newer one cannot.

        Checked is the context; of a profile, and of what origins have stored beside one, only that all of it is there.
        Where it turns out to be damaged on unpacking, ask again: what could not be read once is not given again.
        Raises as `load_document`.
        """
        return await self._thread(self._usable, self._folder(session_id))

    async def list(self, session_id: str) -> tuple[SnapshotInfo, ...]:
        """All versions, oldest first; one whose manifest cannot be read has the reason `unreadable`."""
        return await self._thread(self._folder(session_id).infos)

    async def size(self, session_id: str) -> int:
        """Bytes on disk that a session takes."""
        return await self._thread(self._folder(session_id).size)

    async def sessions(self) -> tuple[str, ...]:
        """All that have a directory."""
        return tuple(folder.session_id for folder in await self._thread(self._folders))

    async def erase(self, session_id: str) -> None:
        """Remove all that was saved of a session, its fence too; nothing saved is no error. Raises OSError."""
        await self._alone(session_id, self._erase)

    async def drop(self, session_id: str, version: int) -> bool:
        """Remove one version, unless it is the newest or the newest that can be read; whether it is gone.

        Raises GatewayError SAVE_FAILED.
        """
        return await self._alone(session_id, lambda folder: self._drop(folder, version))

    async def expire(self, now: float, max_age: float) -> int:
        """Remove versions older than `max_age` seconds at `now`, but the newest of each session; how many.

        A session that is being written is left for the next time. Raises OSError.
        """
        return await self._thread(self._expire, instant(now - max_age))

    async def share(self) -> int:
        """Where snapshots are shared: once more what could not be; how many sessions still have some. Never raises."""
        return 0

    def sweep(self) -> int:
        """At the start: remove what a killed process left half written or half removed. How many things."""
        left = list(self._directory.glob(f"{GONE}*"))
        for path in left:
            shutil.rmtree(path)
        return len(left) + sum(self._each_folder(SessionFolder.tidy))

    # --- in threads ---

    async def _thread(self, do: Callable[..., T], *about: Any) -> T:
        return await asyncio.to_thread(do, *about)

    def _folder(self, session_id: str) -> SessionFolder:
        if not is_session(session_id):
            raise GatewayError(Code.BAD_REQUEST, "a session id has letters, digits, - and _ only")
        return SessionFolder(self._directory / session_id)

    def _folders(self) -> Iterable[SessionFolder]:
        if not self._directory.is_dir():
            return []
        names = sorted(path.name for path in self._directory.iterdir() if path.is_dir())
        return [SessionFolder(self._directory / name) for name in names if is_session(name)]

    async def _alone(self, session_id: str, do: Callable[[SessionFolder], T]) -> T:
        """One at a time in this process without a thread that waits; `do` sees to other processes."""
        folder = self._folder(session_id)
        async with self._saving.setdefault(session_id, asyncio.Lock()):
            return await self._thread(do, folder)

    def _each_folder(self, do: Callable[[SessionFolder], int]) -> Iterable[int]:
        for folder in self._folders():
            try:
                with folder.locked(wait=False) as there:
                    yield do(folder) if there else 0
            except Busy:
                continue

    def _save(
        self,
        folder: SessionFolder,
        draft: SnapshotInfo,
        document: ContextDocument,
        profile: Path | None,
        beside: int | None,
    ) -> SnapshotInfo:
        try:
            with folder.locked(make=True):
                self._enforce(folder, draft.fence)
                doubtful = self._doubts(folder.session_id)
                info = write_version(folder, draft, document, profile, self._sealer, doubtful, beside)
                try:
                    self._retention.apply(folder, time.time())
                except OSError as error:  # the version is saved; the next save tries again
                    log.warning("snapshots_not_removed", session=folder.session_id, error=str(error))
                return info
        except OSError as error:
            why = f"the snapshot of session {draft.session_id} cannot be saved: {error.strerror or error}"
            raise GatewayError(Code.SAVE_FAILED, why) from error

    def _claim(self, folder: SessionFolder, fence: int) -> None:
        try:
            with folder.locked(make=True):
                self._enforce(folder, fence)
        except OSError as error:
            why = f"session {folder.session_id} cannot be claimed: {error.strerror or error}"
            raise GatewayError(Code.SAVE_FAILED, why) from error

    def _remember(self, folder: SessionFolder, record: Record) -> None:
        try:
            put_here(folder, write_card(record, self._sealer))
        except OSError as error:
            why = f"what {folder.session_id} is cannot be saved: {error.strerror or error}"
            raise GatewayError(Code.SAVE_FAILED, why) from error

    def _enforce(self, folder: SessionFolder, fence: int | None) -> None:
        if fence is None:
            return
        last = folder.fence()
        if last is not None and fence < last:
            why = f"session {folder.session_id} was taken over: incarnation {fence} may not save it, {last} may"
            raise GatewayError(Code.FENCED, why)
        if last != fence:
            folder.set_fence(fence)

    def _erase(self, folder: SessionFolder) -> None:
        with folder.locked() as there:
            if there:
                remove(folder.path, self._directory)
        self._forgive(folder.session_id)

    def _drop(self, folder: SessionFolder, version: int) -> bool:
        try:
            with folder.locked() as there:
                versions = folder.versions()
                if not there or version not in versions[:-1]:
                    return False
                try:
                    if self._usable(folder)[0].version == version:
                        return False
                except GatewayError:
                    return False  # none can be read: with another key perhaps this one can
                folder.drop(version)
                folder.tidy()
                return True
        except OSError as error:
            why = f"snapshot {folder.name(version)} cannot be removed: {error.strerror or error}"
            raise GatewayError(Code.SAVE_FAILED, why) from error

    def _expire(self, since: str) -> int:
        def expired(folder: SessionFolder) -> int:
            old = [info.version for info in folder.infos()[:-1] if info.created_at < since]
            for version in old:
                folder.drop(version)
            if old:
                folder.tidy()
            return len(old)

        return sum(self._each_folder(expired))
