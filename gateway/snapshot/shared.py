"""The vault of a node that shares snapshots with others: its directory is a cache of a common storage.

What a save has written is in the shared storage when it returns. What others have saved is brought over by whoever asks
for it. `claims.py` has the rules by which of two nodes the one that was taken over changes nothing; `mirror.py` how one
session's directory and its blobs are made equal.
"""

import asyncio
import contextvars
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import structlog

from gateway.errors import Code, GatewayError
from gateway.snapshot.blobs import LEFT, Blobs, BlobsAway
from gateway.snapshot.cache import Cache
from gateway.snapshot.claims import stored
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import SessionFolder, instant
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.mirror import Mirror, Overtaken
from gateway.snapshot.packs import Damaged
from gateway.snapshot.seal import Sealer
from gateway.snapshot.uses import Uses
from gateway.snapshot.vault import Vault, is_session

log = structlog.get_logger()
CACHE = 20 << 30  # bytes of sessions on this node's disk
THREADS = 16  # that wait for the storage at once
ROUND = 3000.0  # seconds: within that one node of all looks at everything that is stored
SIZED = 60.0  # seconds that a size is relied on
ROUNDS = ".rounds"
RETRY = 5  # seconds that a caller is told to wait
T = TypeVar("T")


class SharedVault(Vault):
    """As `Vault`, over what all nodes share; raises beside what that does STORE_UNAVAILABLE where it cannot be asked.

    When it cannot be reached, a save raises SAVE_FAILED with details `{"savedHere": version}`: the version is on this
    node's disk, and the next save brings it over. `close` it at the end.
    """

    def __init__(
        self,
        directory: Path,
        sealer: Sealer,
        blobs: Blobs,
        *,
        keep: int = 3,
        max_age: float | None = None,
        cache: int = CACHE,
    ) -> None:
        super().__init__(directory, sealer, keep=keep, max_age=max_age)
        self._blobs = blobs
        self._threads = ThreadPoolExecutor(THREADS, "snapshots")
        self._uses = Uses()
        self._cache = Cache(directory, cache, self._uses, self._may_go, self._forget)
        self._claims: dict[str, int] = {}  # fences that this process has claimed, and nobody since, as far as it knows
        self._sent: dict[str, dict[str, tuple[str, float]]] = {}
        self._sizes: dict[str, tuple[int, float]] = {}
        self._mending: set[tuple[str, int]] = set()
        self._left: set[str] = set()  # sessions with something that could not be shared
        self._round = False

    def close(self) -> None:
        """Wait for what is on its way, and give up the storage's connections. Blocking."""
        self._threads.shutdown()
        self._blobs.close()

    # --- what differs from the vault ---

    async def _thread(self, do: Callable[..., T], *about: Any) -> T:
        """In threads of its own: they wait for the storage, and shall not keep others' work waiting."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(context.run, do, *about))

    async def list(self, session_id: str) -> tuple[SnapshotInfo, ...]:
        return await self._thread(self._listed, self._folder(session_id))

    async def size(self, session_id: str) -> int:
        """Bytes that it takes in the shared storage, as of some seconds ago."""
        return await self._thread(self._size, self._folder(session_id))

    async def sessions(self) -> tuple[str, ...]:
        """All that something is stored of, if it was this node's turn to look after them when `expire` was called."""
        return await self._thread(self._sessions)

    def sweep(self) -> int:
        """As the vault's; and what an earlier process of this node could not share is shared now."""
        done = super().sweep()
        try:
            done += self._blobs.sweep()
            for folder in self._folders():
                if not self._mirror(folder).settled():
                    self._share(folder)
        except BlobsAway as error:
            log.error("snapshots_not_shared", error=str(error))
        self._cache.trim(self._folders())
        return done

    async def share(self) -> int:
        for session in tuple(self._left):
            try:
                await self._thread(self._share, self._folder(session))
            except BlobsAway:
                break
        return len(self._left)

    def _share(self, folder: SessionFolder) -> None:
        """What is here alone; what cannot be shared ever is told. Raises BlobsAway."""
        with self._alone_in(folder) as mirror:
            fence = folder.fence() or 0
            try:
                if fence:
                    mirror.claim(fence)
                else:
                    mirror.refresh(claimed=False)
                mirror.push(fence, clear=False)
            except (Overtaken, Damaged, OSError) as error:
                log.warning("snapshot_not_shared", session=folder.session_id, error=str(error) or "taken over")
            self._left.discard(folder.session_id)

    def _save(
        self,
        folder: SessionFolder,
        draft: SnapshotInfo,
        document: ContextDocument,
        profile: Path | None,
        beside: int | None,
    ) -> SnapshotInfo:
        session, fence = folder.session_id, draft.fence
        with self._alone_in(folder) as mirror, self._told(folder, fence):
            away: BlobsAway | None = None
            named = fence or 0
            if not draft.checkpoint or self._claims.get(session) != fence or not folder.versions():
                try:
                    named = self._ready(mirror, session, fence)
                    if beside is not None:
                        mirror.bring(beside)
                except BlobsAway as error:
                    if fence is None:
                        raise
                    away = error
                except Damaged:
                    beside = None  # then there is none to go along
            info = super()._save(folder, draft, document, profile, beside)
            try:
                if away is not None:
                    raise away
                mirror.push(named, thorough=not draft.checkpoint)
            except (BlobsAway, OSError) as error:
                self._left.add(session)
                why = f"snapshot {folder.name(info.version)} is saved on this node alone, and not yet shared: {error}"
                raise GatewayError(Code.SAVE_FAILED, why, details={"savedHere": info.version}) from error
            except Damaged as error:
                why = f"snapshot {folder.name(info.version)} cannot be shared: {error}"
                raise GatewayError(Code.SAVE_FAILED, why) from error
            self._left.discard(session)
            return info

    def _ready(self, mirror: Mirror, session: str, fence: int | None) -> int:
        """Before a save: what others have saved is known. Returns the fence under which it is shared."""
        if fence is None:
            return mirror.refresh(claimed=False)[0].owner
        if self._claims.get(session) != fence:
            mirror.claim(fence)
            self._claims[session] = fence
        else:
            there, _ = mirror.refresh(claimed=True)
            if there.highest > fence:
                raise Overtaken(there.highest)
        return fence

    def _claim(self, folder: SessionFolder, fence: int) -> None:
        with self._alone_in(folder) as mirror, self._told(folder, fence):
            mirror.claim(fence)
            self._claims[folder.session_id] = fence
            super()._claim(folder, fence)
        self._cache.now_and_then(self._folders())

    @contextmanager
    def _told(self, folder: SessionFolder, fence: int | None) -> Iterator[None]:
        """GatewayErrors for whoever writes."""
        session = folder.session_id
        try:
            yield
        except Overtaken as error:
            self._claims.pop(session, None)
            if folder.path.is_dir():
                folder.set_fence(error.fence)
            why = f"session {session} was taken over: incarnation {fence} may not save it, {error.fence} may"
            raise GatewayError(Code.FENCED, why) from None
        except (BlobsAway, OSError) as error:
            why = f"session {session} cannot be saved to the shared storage: {error}"
            raise GatewayError(Code.SAVE_FAILED, why, retry_after=RETRY) from error

    def _load(self, folder: SessionFolder, version: int | None, storage: bool) -> ContextDocument:
        with self._uses.reading(folder.session_id):
            self._seen(folder, version)
            return super()._load(folder, version, storage)

    def _unpack(self, folder: SessionFolder, version: int, into: Path, late: bool | None) -> bool:
        with self._uses.reading(folder.session_id):
            self._seen(folder, version)
            return super()._unpack(folder, version, into, late)

    def _usable(self, folder: SessionFolder) -> tuple[SnapshotInfo, tuple[str, ...]]:
        with self._uses.reading(folder.session_id):
            self._seen(folder)
            return super()._usable(folder)

    def _listed(self, folder: SessionFolder) -> tuple[SnapshotInfo, ...]:
        with self._uses.reading(folder.session_id):
            self._seen(folder)
            return folder.infos()

    def _seen(self, folder: SessionFolder, version: int | None = None) -> None:
        """What counts is known here. A version that was shared once never changes: of it nobody is asked."""
        if version is not None and self._mirror(folder).shared(version):
            return
        session = folder.session_id
        with self._alone_in(folder) as mirror:
            claim = self._claims.get(session)
            try:
                there, _ = mirror.refresh(claimed=claim is not None)
            except (BlobsAway, OSError) as error:
                if claim is None:
                    raise self._unavailable(error) from error
                log.warning("shared_storage_away", session=session, error=str(error))  # what it has came from here
                return
            if claim is not None and there.highest > claim:
                self._claims.pop(session, None)

    def _bring(self, folder: SessionFolder, version: int) -> None:
        if folder.is_old(version):
            return
        try:
            brought = self._mirror(folder).bring(version)
        except (BlobsAway, OSError) as error:
            raise self._unavailable(error) from error
        if brought:
            self._cache.now_and_then(self._folders())

    def _mended(self, folder: SessionFolder, version: int) -> bool:
        """What is not whole here may have been removed by others, or be whole there: once it is brought again."""
        mark, claimed = (folder.session_id, version), folder.session_id in self._claims
        with self._alone_in(folder) as mirror:
            if not mirror.shared(version):
                return False
            try:
                mirror.refresh(claimed=claimed)
                if not folder.has(version) or mark in self._mending:
                    return False
                self._mending.add(mark)
                mirror.forget(version)
                mirror.refresh(claimed=claimed)
            except (BlobsAway, OSError) as error:
                log.warning("snapshot_not_mended", session=folder.session_id, version=version, error=str(error))
                return False
        return folder.has(version)

    def _unavailable(self, error: Exception) -> GatewayError:
        why = f"the shared storage of snapshots cannot be read: {error}"
        return GatewayError(Code.STORE_UNAVAILABLE, why, retry_after=RETRY)

    def _erase(self, folder: SessionFolder) -> None:
        with self._alone_in(folder) as mirror:
            try:
                mirror.erase()
            except BlobsAway as error:
                raise self._unavailable(error) from error
            super()._erase(folder)
            self._forget(folder.session_id)

    def _forget(self, session: str) -> None:
        self._claims.pop(session, None)
        self._left.discard(session)
        self._sent.pop(session, None)
        self._sizes.pop(session, None)
        self._mending = {mark for mark in self._mending if mark[0] != session}

    def _drop(self, folder: SessionFolder, version: int) -> bool:
        with self._alone_in(folder) as mirror:
            try:
                mirror.refresh(claimed=folder.session_id in self._claims)
                dropped = super()._drop(folder, version)
                if dropped:
                    mirror.clear(*mirror.look(), mine=False)
                return dropped
            except BlobsAway as error:
                why = f"snapshot {folder.name(version)} cannot be removed: {error}"
                raise GatewayError(Code.SAVE_FAILED, why) from error

    # --- all sessions ---

    def _size(self, folder: SessionFolder) -> int:
        size, at = self._sizes.get(folder.session_id, (0, -SIZED))
        if time.monotonic() - at < SIZED:
            return size
        try:
            with self._alone_in(folder) as mirror:
                mirror.look()
                return mirror.size
        except BlobsAway:
            return size or folder.size()

    def _expire(self, since: str) -> int:
        """The same in the shared storage, by one node of all; and packs that a save has left which was never ended."""
        done = 0
        try:
            self._round = self._turn()
            if not self._round:
                return 0
            for session, listed in itertools.groupby(self._blobs.list(""), lambda blob: blob.name.partition("/")[0]):
                if not is_session(session):
                    continue
                blobs = list(listed)
                there = stored(blobs, session)
                if any(instant(blob.modified) < since for blob in blobs) and len(there.copies) > 1:
                    done += self._expired(self._folder(session), since)
                elif not there.copies and all(blob.modified < time.time() - LEFT for blob in blobs):
                    packs = [name for copies in there.packs.values() for name in copies]
                    self._blobs.delete(f"{session}/{name}" for name in packs)
        except BlobsAway as error:
            raise self._unavailable(error) from error
        return done

    def _turn(self) -> bool:
        last = max((blob.modified for blob in self._blobs.list(ROUNDS) if blob.name == ROUNDS), default=0.0)
        if abs(time.time() - last) < ROUND:
            return False
        self._blobs.put(ROUNDS, BytesIO())
        return True

    def _expired(self, folder: SessionFolder, since: str) -> int:
        with self._alone_in(folder) as mirror:
            there, _ = mirror.refresh(claimed=folder.session_id in self._claims)
            infos = folder.infos()
            old = [info.version for info in infos[:-1] if info.created_at < since]
            if old and not mirror.whole(infos[-1].version, there):
                return 0  # who was taken over while it saved may have left it so: those before are needed
            for version in old:
                folder.drop(version)
            if old:
                folder.tidy()
                mirror.clear(*mirror.look(), mine=False)
            return len(old)

    def _sessions(self) -> tuple[str, ...]:
        if not self._round:
            return ()
        try:
            names = {blob.name.partition("/")[0] for blob in self._blobs.list("") if "/" in blob.name}
        except BlobsAway as error:
            raise self._unavailable(error) from error
        return tuple(sorted(filter(is_session, names)))

    # --- one at a time ---

    def _mirror(self, folder: SessionFolder) -> Mirror:
        return Mirror(folder, self._blobs, self._directory, self._sent.setdefault(folder.session_id, {}))

    @contextmanager
    def _alone_in(self, folder: SessionFolder) -> Iterator[Mirror]:
        """No other thread writes to the session's directory for this block."""
        session = folder.session_id
        with self._uses.alone(session):
            mirror = self._mirror(folder)
            try:
                yield mirror
            finally:
                if mirror.size:
                    self._sizes[session] = (mirror.size, time.monotonic())
                for version in mirror.fetched:  # another than that which could not be read
                    self._damaged.pop((session, version), None)

    def _may_go(self, folder: SessionFolder) -> bool:
        return self._mirror(folder).settled() and not any(map(folder.is_old, folder.versions()))
