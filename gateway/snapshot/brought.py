"""A vault whose directory is a cache of a common storage: what others have saved is brought over when it is wanted."""

import asyncio
import contextvars
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from gateway.errors import Code, GatewayError
from gateway.snapshot.blobs import Blobs, BlobsAway
from gateway.snapshot.cache import Cache
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import SessionFolder
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.mirror import Mirror
from gateway.snapshot.seal import Sealer
from gateway.snapshot.uses import Uses
from gateway.snapshot.vault import Vault

log = structlog.get_logger()
CACHE = 20 << 30  # bytes of sessions on this node's disk
THREADS = 16  # that wait for the storage at once
SIZED = 60.0  # seconds that a size is relied on
RETRY = 5  # seconds that a caller is told to wait
T = TypeVar("T")


class BroughtVault(Vault):
    """The half of a shared vault that reads (`shared.py` has the other). Raises STORE_UNAVAILABLE, too."""

    def __init__(
        self,
        directory: Path,
        sealer: Sealer,
        blobs: Blobs,
        *,
        keep: int,
        max_age: float | None,
        cache: int,
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

    def close(self) -> None:
        """Wait for what is on its way, and give up the storage's connections. Blocking."""
        self._threads.shutdown()
        self._blobs.close()

    async def _thread(self, do: Callable[..., T], *about: Any) -> T:
        """In threads of its own: they wait for the storage, and shall not keep others' work waiting."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(context.run, do, *about))

    async def list(self, session_id: str) -> tuple[SnapshotInfo, ...]:
        return await self._thread(self._listed, self._folder(session_id))

    async def size(self, session_id: str) -> int:
        """Bytes that it takes in the shared storage, as of some seconds ago."""
        return await self._thread(self._size, self._folder(session_id))

    # --- in threads ---

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

    def _forget(self, session: str) -> None:
        """Nothing of it is here any more."""
        self._claims.pop(session, None)
        self._sent.pop(session, None)
        self._sizes.pop(session, None)
        self._mending = {mark for mark in self._mending if mark[0] != session}
