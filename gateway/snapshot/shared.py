"""The vault of a node that shares snapshots with others: its directory is a cache of a common storage.

What a save has written is in the shared storage when it returns. What others have saved is brought over by whoever asks
for it. `claims.py` has the rules by which of two nodes the one that was taken over changes nothing; `mirror.py` how one
session's directory and its blobs are made equal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from gateway.errors import Code, GatewayError
from gateway.snapshot.blobs import Blobs, BlobsAway
from gateway.snapshot.brought import CACHE, RETRY, BroughtVault
from gateway.snapshot.cards import CARD, Record, SharedCards, card_here, read_card
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import SessionFolder
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.mirror import Mirror, Overtaken
from gateway.snapshot.packs import Damaged
from gateway.snapshot.rounds import Rounds
from gateway.snapshot.seal import Sealer

log = structlog.get_logger()


class SharedVault(BroughtVault):
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
        super().__init__(directory, sealer, blobs, keep=keep, max_age=max_age, cache=cache)
        self._left: set[str] = set()  # sessions with something that could not be shared
        self._cards = SharedCards(blobs, sealer)
        self._rounds = Rounds(blobs, self._expired)

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
        for session in {*self._left, *self._cards.left}:
            try:
                await self._thread(self._share, self._folder(session))
            except BlobsAway:
                break
        return len({*self._left, *self._cards.left})

    def _share(self, folder: SessionFolder) -> None:
        """What is here alone; what cannot be shared ever is told. Raises BlobsAway."""
        with self._alone_in(folder) as mirror:
            self._take_card(folder)
            self._cards.put(folder.session_id)
            if folder.session_id not in self._left and mirror.settled():
                return
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

    def _take_card(self, folder: SessionFolder) -> None:
        """What the session was, from a time in which this gateway shared with nobody. Raises BlobsAway."""
        try:
            if (data := card_here(folder)) is None:
                return
            self._cards.keep(read_card(data, folder.session_id, self._sealer))
        except (Damaged, GatewayError, OSError) as error:
            log.warning("card_not_shared", session=folder.session_id, error=str(error))
            return
        self._cards.put(folder.session_id)
        (folder.path / CARD).unlink(missing_ok=True)

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

    def _remember(self, folder: SessionFolder, record: Record) -> None:
        with self._alone_in(folder):
            self._cards.keep(record)
            if folder.session_id in self._left:
                return  # the storage was away a moment ago: it is brought there with what was saved
            try:
                self._cards.put(folder.session_id)
            except BlobsAway as error:
                why = f"what {folder.session_id} is cannot be saved to the shared storage: {error}"
                raise GatewayError(Code.SAVE_FAILED, why) from error

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

    def _erase(self, folder: SessionFolder) -> None:
        with self._alone_in(folder) as mirror:
            try:
                mirror.erase()
            except BlobsAway as error:
                raise self._unavailable(error) from error
            super()._erase(folder)
            self._cards.forget(folder.session_id)
            self._forget(folder.session_id)

    def _forget(self, session: str) -> None:
        super()._forget(session)
        self._left.discard(session)

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

    def _expire(self, since: str) -> int:
        """The same in the shared storage, by one node of all."""
        try:
            return self._rounds.expire(since)
        except BlobsAway as error:
            raise self._unavailable(error) from error

    def _expired(self, session: str, since: str) -> int:
        folder = self._folder(session)
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
        try:
            return self._rounds.sessions()
        except BlobsAway as error:
            raise self._unavailable(error) from error
