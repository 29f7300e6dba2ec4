"""Create, find, stop, restore: every session by its id, running or only remembered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog

from browser_pool.tasks import Start, crew
from gateway.errors import CloseCode, Code, GatewayError
from gateway.records import SessionId, SessionRecord, SessionSpec, Source, Status, new_session_id
from gateway.session.incarnation import Means
from gateway.session.recover import recover
from gateway.session.roll import Roll, ended
from gateway.session.session import Session
from gateway.session.source import chosen, last_saved
from gateway.snapshot.document import ContextDocument
from gateway.store.base import Store
from gateway.tenancy.access import Principal

log = structlog.get_logger()


class Registry(Roll):
    """All sessions of this gateway. Made by `open_registry`."""

    def __init__(self, store: Store, means: Means, start: Start) -> None:
        super().__init__(store)
        self.means = means
        self.draining = False
        self._begin = start
        # Who may bring a remembered session to life, or end it: one at a time.
        self._waking = asyncio.Lock()
        self._naming = asyncio.Lock()  # who may give a session a name
        self._chosen: set[SessionId] = set()  # ids that callers chose, while their sessions are being made

    # --- create ---

    async def create(
        self,
        spec: SessionSpec,
        context: ContextDocument | None = None,
        session: SessionId | None = None,
        *,
        admitted: bool = False,
    ) -> Session:
        """A new session whose browser is being launched. `context` is put into it before anyone connects.

        Unless it was `admitted` already, it is held to what its tenant may ask for (`Quotas.admit`). One with a name
        begins with the context that was last saved under that name, unless it is given another.
        """
        self._refuse_while_draining()
        if not admitted:
            spec = self.means.quotas.admit(spec, time.monotonic())
        if spec.name is None:
            return await self._create(spec, context, session)
        async with self._naming:
            self._refuse_second(spec.tenant, spec.name)
            if spec.persist and spec.source is None and context is None:
                source = await last_saved(spec.tenant, spec.name, self._store, self.means.vault)
                spec = replace(spec, source=source)
            return await self._create(spec, context, session)

    async def _create(self, spec: SessionSpec, context: ContextDocument | None, session: SessionId | None) -> Session:
        now = time.time()
        number = session or new_session_id()
        record = SessionRecord(number, spec, Status.STARTING, now, now + spec.ttl, generation=1)
        if context is not None:
            kind = spec.launch.mode.kind
            info = await self.means.save(record, context, profile=None, kind=kind, reason="given", fence=0)
            record = replace(record, snapshot=info.version, snapshot_at=info.created_at)
        await self._store.insert(record)
        return self._start(record)

    async def created(
        self,
        spec: SessionSpec,
        context: ContextDocument | None = None,
        number: SessionId | None = None,
        *,
        admitted: bool = False,
    ) -> Session:
        """The same, returned once its browser has answered. A session that did not get that far leaves no trace."""
        session = await self.create(spec, context, number, admitted=admitted)
        try:
            with self.means.precedence.preparing():  # until who waits for it is answered, which is next
                await session.ready.wait()
        except asyncio.CancelledError:
            await self._undo(session)  # nobody will ever know its id
            raise
        if session.failure is not None:
            await session.over.wait()
            await self.forget(session.record.id)
            raise session.failure
        return session

    async def created_as(self, number: SessionId, spec: SessionSpec, context: ContextDocument | None = None) -> Session:
        """The same under an id that the caller chose. Raises ID_IN_USE (409) before anything is kept under it.

        Profiles have such ids too; and of a session that was erased in an accident something may have stayed.
        """
        taken = GatewayError(Code.ID_IN_USE, f"the id {number} is taken, by something that runs or is remembered")
        if number in self._chosen:
            raise taken
        self._chosen.add(number)
        try:
            there = await self._store.get(number), await self._store.profiles.get(number)
            if any(there) or await self.means.vault.list(number):
                raise taken
            await self.means.files.erase(number)
            return await self.created(spec, context, number)
        finally:
            self._chosen.discard(number)

    async def forked(self, spec: SessionSpec, count: int) -> list[Session]:
        """`count` sessions of one spec, all of them or none."""
        made: list[Session] = []
        spec = self.means.quotas.admit(spec, time.monotonic(), count)
        async with AsyncExitStack() as undo:

            async def one() -> None:
                session = await self.created(spec, admitted=True)
                undo.push_async_callback(self._undo, session)
                made.append(session)

            try:
                with self.means.precedence.preparing():  # as in `created`
                    async with asyncio.TaskGroup() as group:
                        for _ in range(count):
                            group.create_task(one())  # the group awaits it
            except ExceptionGroup as failed:  # the first refusal stands for all: the others were cancelled for its sake
                raise failed.exceptions[0] from None
            undo.pop_all()
        return made

    async def created_once(
        self, spec: SessionSpec, context: ContextDocument | None, key: str, fingerprint: str
    ) -> SessionRecord:
        """The same for an idempotency key: the second request gets the first one's session.

        `fingerprint` tells whether they ask for the same; raises IDEMPOTENCY_MISMATCH (422) if not.
        """
        mine = new_session_id()
        claimed, first = await self._store.once(spec.tenant, key, fingerprint, mine)
        if first != fingerprint:
            raise GatewayError(Code.IDEMPOTENCY_MISMATCH, "this Idempotency-Key was used for another request")
        if claimed == mine:
            try:
                return (await self.created(spec, context, mine)).record
            except BaseException:  # a cancel too: the key would be claimed for a session that is not there
                await self._store.unclaim(spec.tenant, key)  # a retry may fare better
                raise
        if (live := self._live.get(claimed)) is not None:
            await live.ready.wait()
        record = await self._store.get(claimed)
        if record is None:
            raise GatewayError(
                Code.STORE_UNAVAILABLE,
                "the first request with this Idempotency-Key is not done; repeat it",
                retry_after=1,
            )
        return record.settled(time.time())

    async def source(self, principal: Principal, session: SessionId, version: int | None = None) -> Source:
        """What `session` has saved; raises NOTHING_SAVED (409)."""
        await self.find(principal, session)
        return await chosen(session, version, self.means.vault)

    # --- wake ---

    async def session(self, principal: Principal, session: SessionId) -> Session:
        """For a driver about to attach: the session, woken if its browser was put away; 410 if it has ended."""
        await self.find(principal, session)
        async with self._naming, self._waking:
            if (live := self._live.get(session)) is not None:
                return live
            record = await self.find(principal, session)
            if record.status is not Status.SUSPENDED:
                raise ended(record)
            self._refuse_while_draining()
            self._refuse_second(record.spec.tenant, record.spec.name)
            return self._start(record)

    # --- change and end ---

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
        await self._store.update(record)
        return record

    async def rotate(self, principal: Principal, session: SessionId, *, disconnect: bool) -> SessionRecord:
        """From now on only URLs that are made of what this returns are good; `disconnect` ends all connections, too."""
        await self.find(principal, session)
        async with self._waking:
            record = await self.find(principal, session)  # of two at once the second brings an old secret
            if (live := self._live.get(session)) is not None:
                return await live.rotate(disconnect=disconnect)
            record = replace(record, generation=record.generation + 1)
            await self._store.update(record)
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
                await self._store.update(record)
            if purge:
                await self.means.vault.erase(session)
                await self.means.files.erase(session)
                if self.means.storage is not None:
                    await self.means.storage.changed(record.spec.tenant, session)
                record = replace(record, snapshot=None, snapshot_at=None)
                await self._store.update(record)
        return record

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
        """Take no more sessions, save and end those that there are, within `timeout` seconds."""
        self.draining = True
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

    # --- within ---

    def adopt(self, record: SessionRecord, until: float) -> Session:
        """A session whose browser an earlier process of ours left running; it waits until that instant."""
        return self._start(record, until)

    def _start(self, record: SessionRecord, adopt: float | None = None) -> Session:
        session = Session(record, self.means, self._store, adopt=adopt)
        self._live[record.id] = session
        self._begin(self._run(session), f"session-{record.id}")
        return session

    async def _run(self, session: Session) -> None:
        structlog.contextvars.clear_contextvars()  # the request that made it ends long before the session
        try:
            await session.run(self._drop)
        except Exception:  # the outer edge of a session's task: a defect in one must not end the others
            log.exception("session_fault", session=session.record.id)
            session.fault()
            self._drop(session)
            await self._store.update(session.record)

    def _drop(self, session: Session) -> None:
        self._live.pop(session.record.id, None)

    async def _undo(self, session: Session) -> None:
        await session.stop(force=True)
        await self.forget(session.record.id)

    def _refuse_while_draining(self) -> None:
        if self.draining:
            raise GatewayError(Code.DRAINING, "the gateway is stopping and takes no new sessions", retry_after=5)

    def _refuse_second(self, tenant: str, name: str | None) -> None:
        for session in self._live.values():
            if name is not None and (session.record.spec.tenant, session.record.spec.name) == (tenant, name):
                raise GatewayError(
                    Code.NAME_IN_USE,
                    f"session {session.record.id} runs under the name {name!r}: stop it first, or join it with "
                    "attach: true",
                )


@asynccontextmanager
async def open_registry(store: Store, means: Means, *, drain_timeout: float) -> AsyncIterator[Registry]:
    """The registry, after whatever an earlier process left behind has been put right; drained at the end."""
    async with crew() as start:
        registry = Registry(store, means, start)
        try:
            await recover(store, means, registry.adopt)
            yield registry
        finally:
            await registry.drain(drain_timeout)
            # What is still there after the drain's time is ended without being saved.
            for session in tuple(registry._live.values()):
                session.abandon()
