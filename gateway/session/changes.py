"""What is done to sessions that there are: changed, stopped, erased, put away, lost to another node."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import structlog

from gateway.cluster.fleet import Fleet
from gateway.errors import CloseCode, Code, GatewayError
from gateway.records import SessionId, SessionRecord, Status
from gateway.session.leaving import leaving
from gateway.session.means import Means
from gateway.session.orphans import Orphans
from gateway.session.roll import Roll, ended
from gateway.store.base import Fenced, Store
from gateway.tenancy.access import Principal

SAVING = 60.0  # seconds of a drain, at most, that saving what is left may take
log = structlog.get_logger()


class Changes(Roll):
    """The sessions of this gateway; `registry.py` makes them."""

    def __init__(self, store: Store, fleet: Fleet, means: Means) -> None:
        super().__init__(store, fleet, Orphans(store, means.vault))
        self.means = means
        self.draining = False
        # Who may bring a remembered session to life, or end it: one at a time.
        self._waking = asyncio.Lock()

    async def amend(
        self,
        principal: Principal,
        session: SessionId,
        *,
        ttl: float | None,
        keep: float | None,
        labels: tuple[tuple[str, str], ...] | None,
        idle: float | None = None,
    ) -> SessionRecord:
        """New terms; `ttl` counts from now. 410 if it has ended."""
        record = await self.find(principal, session)
        if (live := self._live.get(session)) is not None:
            await live.amend(ttl=ttl, keep=keep, labels=labels, idle=idle)
            return live.record
        if record.status.ended:
            raise ended(record)
        record = record.amended(time.time(), ttl=ttl, keep=keep, labels=labels, idle=idle)
        await self._written(record)
        return record

    async def rotate(self, principal: Principal, session: SessionId, *, disconnect: bool) -> SessionRecord:
        """From now on only URLs that are made of what this returns are good; `disconnect` ends all connections, too."""
        await self.find(principal, session)
        async with self._waking:
            record = await self.find(principal, session)  # of two at once the second brings an old secret
            if (live := self._live.get(session)) is not None:
                return await live.rotate(disconnect=disconnect)
            record = replace(record, generation=record.generation + 1)
            await self._written(record)
            return record

    async def stop(self, principal: Principal, session: SessionId, *, force: bool, purge: bool) -> SessionRecord:
        """End it; returns once its context is on disk and its browser is gone. Repeating it is harmless."""
        await self.find(principal, session)
        if (live := self._live.get(session)) is not None:
            try:
                await live.stop(force=force)
            except GatewayError as error:
                if not purge or error.code is not Code.QUOTA_EXCEEDED:  # what is to be erased need not be saved
                    raise
        async with self._waking:
            record = await self.find(principal, session)
            if record.status is not Status.STOPPED and session not in self._live:
                record = replace(
                    record, status=Status.STOPPED, reason="stopped", ended_at=record.ended_at or time.time()
                )
                await self._written(record)
            if purge:
                await self.means.vault.erase(session)
                await self.means.files.erase(session)
                if self.means.storage is not None:
                    await self.means.storage.changed(record.spec.tenant, session)
                record = replace(record, snapshot=None, snapshot_at=None)
                await self._written(record)
        return record

    async def _written(self, record: SessionRecord) -> None:
        """Write down what is not running. Raises FENCED (409) where somebody has just woken or erased it."""
        try:
            await self._store.update(record)
        except Fenced:
            words = f"session {record.id} was just woken, changed or erased by another request: repeat this one"
            raise GatewayError(Code.FENCED, words) from None

    async def forget(self, session: SessionId) -> None:
        """Erase an ended session, what it saved included."""
        await self.means.vault.erase(session)
        await self.means.files.erase(session)
        await self._store.delete(session)

    async def hand_over(self, timeout: float) -> int:
        """Put every client off and let the browsers run on for the gateway that follows; how many do.

        What is being saved or ended is waited for, `timeout` seconds at most.
        """
        self.draining = True
        words = "the gateway is being replaced: connect again in a moment"
        for session in tuple(self._live.values()):
            session.put_off(CloseCode.NODE_GONE, words)
        try:
            async with asyncio.timeout(timeout):
                for session in tuple(self._live.values()):
                    await session.calm()
        except TimeoutError:
            log.error("hand_over_incomplete", timeout=timeout)
        return len(self._live)

    async def drain(self, timeout: float) -> None:
        """Take no more sessions, save and end those that there are, within `timeout` seconds.

        In a fleet most of that is for clients to leave by themselves: see `leaving`.
        """
        self.draining = True
        if self._fleet.others:
            await self._fleet.announce()
            saving = min(timeout / 2, SAVING)
            await leaving(tuple(self._live.values()), timeout - saving)
            timeout = saving
        sessions = list(self._live.values())
        for session in sessions:
            session.drain()
        try:
            async with asyncio.timeout(timeout):
                for session in sessions:
                    await session.over.wait()
        except TimeoutError:
            left = [session.record.id for session in sessions if not session.over.is_set()]
            log.error("drain_incomplete", sessions=left, timeout=timeout)

    # --- what happens in the fleet ---

    async def lost(self, session: SessionId) -> None:
        """See Follower."""
        if (live := self._live.get(session)) is not None:
            log.warning("session_lost", session=session)
            live.lose()

    async def returned(self) -> None:
        """See Follower. What runs here is written down again, in case that it was forgotten."""
        for session in tuple(self._live.values()):
            if await self._store.put_back(session.record):
                log.warning("record_put_back", session=session.record.id)
                continue
            with suppress(Fenced):  # the heartbeat says who has it
                await session.write()  # a Redis that crashed may have kept what was said a moment before

    async def died(self, node: str) -> None:
        """See Follower."""
        if done := await self._orphans.of(node):
            log.warning("node_died", node=node, sessions=done)
