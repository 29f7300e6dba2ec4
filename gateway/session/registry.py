"""Create, find, stop, restore: every session by its id, running or only remembered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog

from browser_pool.tasks import Start, crew
from gateway.cluster.fleet import Alone, Fleet, Lease
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Source, Status
from gateway.session.changes import Changes
from gateway.session.life import Role
from gateway.session.means import Means
from gateway.session.places import Places
from gateway.session.recover import recover
from gateway.session.roll import ended
from gateway.session.session import Session
from gateway.session.source import chosen, last_saved
from gateway.snapshot.document import ContextDocument
from gateway.store.base import Store
from gateway.tenancy.access import Principal

log = structlog.get_logger()


class Registry(Changes):
    """All sessions of this gateway. Made by `open_registry`."""

    def __init__(self, store: Store, fleet: Fleet, means: Means, start: Start) -> None:
        super().__init__(store, fleet, means)
        self._begin = start
        self._naming = asyncio.Lock()  # who may give a session a name
        self._places = Places(fleet)
        self._chosen: set[SessionId] = set()  # ids that callers chose, while their sessions are being made

    # --- create ---

    async def create(
        self,
        spec: SessionSpec,
        context: ContextDocument | None = None,
        session: SessionId | None = None,
        *,
        admitted: bool = False,
        here: bool = False,
    ) -> Session:
        """A new session whose browser is being launched. `context` is put into it before anyone connects.

        Of a fleet the node with the most room makes it (Elsewhere), unless it must be made `here`.

        Unless it was `admitted` already, it is held to what its tenant may ask for (`Quotas.admit`). One with a name
        begins with the context that was last saved under that name, unless it is given another.
        """
        self._refuse_while_draining(spec, here=here)
        if not admitted:
            spec = await self.means.quotas.admit(spec, time.monotonic())
        number = session or self._fleet.new_id()
        async with self._places.asked(number, spec, here=here) as lease:
            if spec.name is None:
                return await self._create(spec, context, lease)
            async with self._naming:
                self._refuse_second(spec.tenant, spec.name)
                if spec.persist and spec.source is None and context is None:
                    source = await last_saved(spec.tenant, spec.name, self._store, self.means.vault)
                    spec = replace(spec, source=source)
                return await self._create(spec, context, lease)

    async def _create(self, spec: SessionSpec, context: ContextDocument | None, lease: Lease) -> Session:
        now = time.time()
        record = SessionRecord(
            lease.session, spec, Status.STARTING, now, now + spec.ttl, generation=1, node=self._fleet.name
        )
        if context is not None:
            kind = spec.launch.mode.kind
            info = await self.means.save(record, context, profile=None, kind=kind, reason="given", fence=0)
            record = replace(record, snapshot=info.version, snapshot_at=info.created_at)
        await self._store.insert(record)
        return self._start(record, lease)

    async def created(
        self,
        spec: SessionSpec,
        context: ContextDocument | None = None,
        number: SessionId | None = None,
        *,
        admitted: bool = False,
        here: bool = False,
    ) -> Session:
        """The same, returned once its browser has answered. A session that did not get that far leaves no trace."""
        session = await self.create(spec, context, number, admitted=admitted, here=here)
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
        """`count` sessions of one spec on this node, all of them or none."""
        made: list[Session] = []
        spec = await self.means.quotas.admit(spec, time.monotonic(), count)
        async with AsyncExitStack() as undo:

            async def one() -> None:
                session = await self.created(spec, admitted=True, here=True)
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
        mine = self._fleet.new_id()
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
        if live is None and record.status is Status.STARTING:
            record = await self.placed(record)  # whoever makes it knows when it is there
        return record.settled(time.time())

    async def source(self, principal: Principal, session: SessionId, version: int | None = None) -> Source:
        """What `session` has saved; raises NOTHING_SAVED (409)."""
        await self.find(principal, session)
        return await chosen(session, version, self.means.vault)

    # --- wake ---

    async def session(self, principal: Principal, session: SessionId) -> Session:
        """For a driver about to attach: the session, woken if its browser was put away; 410 if it has ended."""
        record = await self.find(principal, session)
        if (live := self._live.get(session)) is not None:
            return live
        if record.status is not Status.SUSPENDED:
            raise ended(record)
        self._refuse_while_draining(record.spec)
        async with self._places.asked(session, record.spec, again=True) as lease, self._naming, self._waking:
            if (live := self._live.get(session)) is not None:
                return live
            record = await self.find(principal, session)
            if record.status is not Status.SUSPENDED:
                raise ended(record)
            self._refuse_second(record.spec.tenant, record.spec.name)
            return self._start(replace(record, node=self._fleet.name), lease)

    @asynccontextmanager
    async def beside(self, principal: Principal, session: SessionId) -> AsyncIterator[Session]:
        """The session with its browser, beside whoever drives it, for this block.

        Who has to revive it is its driver for so long. Raises GatewayError.
        """
        try:
            found, role = await self.awake(principal, session), Role.OBSERVER
        except GatewayError as error:
            if error.code is not Code.NOT_RUNNING:
                raise
            found, role = await self.session(principal, session), Role.DRIVER
        async with found.attach(role):
            yield found

    # --- within ---

    def adopt(self, record: SessionRecord, until: float, lease: Lease) -> Session:
        """A session whose browser an earlier process of ours left running; it waits until that instant."""
        return self._start(record, lease, until)

    def _start(self, record: SessionRecord, lease: Lease, adopt: float | None = None) -> Session:
        session = Session(record, self.means, self._store, adopt=adopt)
        self._live[record.id] = session
        self._places.keep(lease)
        self._begin(self._run(session, lease), f"session-{record.id}")
        return session

    async def _run(self, session: Session, lease: Lease) -> None:
        structlog.contextvars.clear_contextvars()  # the request that made it ends long before the session
        try:
            await session.run(self._drop)
        except Exception:  # the outer edge of a session's task: a defect in one must not end the others
            log.exception("session_fault", session=session.record.id)
            session.fault()
            self._drop(session)
            await self._store.update(session.record)
        finally:
            await self._places.give_back(lease)

    def _drop(self, session: Session) -> None:
        self._live.pop(session.record.id, None)
        self._places.leave(session.record.id)

    async def _undo(self, session: Session) -> None:
        await session.stop(force=True)
        await self.forget(session.record.id)

    def _refuse_while_draining(self, spec: SessionSpec, *, here: bool = False) -> None:
        # What another node makes is its client's for good only if the client does not need this one any more.
        elsewhere = self._fleet.others and spec.kind is Kind.API and not here
        if self.draining and not elsewhere:
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
async def open_registry(
    store: Store, means: Means, *, drain_timeout: float, fleet: Fleet | None = None
) -> AsyncIterator[Registry]:
    """The registry, after whatever an earlier process left behind has been put right; drained at the end."""
    async with crew() as start:
        fleet = fleet or Alone()
        registry = Registry(store, fleet, means, start)
        try:
            await recover(store, fleet, means, registry.adopt)
            yield registry
        finally:
            await registry.drain(drain_timeout)
            # What is still there after the drain's time is ended without being saved.
            for session in tuple(registry._live.values()):
                session.abandon()
