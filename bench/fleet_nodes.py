"""Nodes of a fleet with the gateway's own registry code, and browsers that are only written down."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from bench.fleet_journal import Entry, Journal
from browser_pool.spec import LaunchSpec
from gateway.cluster.cluster import Cluster, joined
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.cluster.hop import Hop, within
from gateway.cluster.placement import Capacity
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Status, Tenant, new_session_id
from gateway.store.base import Fenced
from gateway.store.connection import Connection, open_redis
from gateway.store.redis import RedisStore

SPEC = SessionSpec("tenant", Kind.API, LaunchSpec(), ttl=86400.0, keep=3600.0, persist=True)
FORWARDED = 3  # hops that a client's request takes at most, as in the gateway

# Ask the node of that name for a session, with a place there if one was granted; whether it is there now.
Forward = Callable[[str, SessionId, str, Lease | None], Awaitable[bool]]


@dataclass
class Counts:
    """What happened, by name of what."""

    made: int = 0
    woken: int = 0
    suspended: int = 0
    ended: int = 0
    refused: int = 0  # with 429 or 503
    fenced: int = 0
    lost: int = 0  # to others, while the node lived
    settled: int = 0  # of dead nodes, by this one
    faults: list[str] = field(default_factory=list)


class SimulatedNode:
    """One node. Made by `started`; `stack` ends it."""

    def __init__(
        self,
        connection: Connection,
        cluster: Cluster,
        stack: AsyncExitStack,
        journal: Journal,
        counts: Counts,
        forward: Forward,
    ) -> None:
        self.connection = connection
        self.cluster = cluster
        self.store = RedisStore(connection, cluster.name)
        self.running: dict[SessionId, tuple[SessionRecord, Lease]] = {}
        self.dead = False
        self._busy: set[SessionId] = set()  # one thing at a time happens to a session
        self._stack = stack
        self._journal = journal
        self._counts = counts
        self._forward = forward

    @property
    def name(self) -> str:
        """Its URL."""
        return self.cluster.name

    # --- as a client asks for it ---

    async def create(self, tenant: str) -> SessionId | None:
        """A new session, here or elsewhere; None where it was refused."""
        session = new_session_id()
        return session if await self._asked(session, tenant, again=False) else None

    async def wake(self, session: SessionId) -> bool:
        """A client connects to a session that was put away."""
        try:
            record = await self.store.get(session)
        except GatewayError:
            self._counts.refused += 1
            return False
        return record is not None and await self._asked(session, record.spec.tenant, again=True)

    async def _asked(self, session: SessionId, tenant: str, *, again: bool) -> bool:
        for _ in range(FORWARDED):
            try:
                return await self.begin(session, tenant, again=again)
            except Elsewhere as away:
                try:
                    return await self._forward(away.node, session, tenant, away.grant)
                except (Elsewhere, OSError):
                    if away.grant is not None:
                        await self.cluster.release(away.grant)
        self._counts.refused += 1
        return False

    async def forwarded(self, session: SessionId, tenant: str, grant: Lease | None) -> bool:
        """The same, asked by another node. Raises Elsewhere."""
        with within(Hop("http://other", "127.0.0.1", "http", "localhost", grant=grant)):
            return await self.begin(session, tenant)

    async def begin(self, session: SessionId, tenant: str, *, again: bool = False, here: bool = False) -> bool:
        """As the registry does: a place, the record, a browser. Raises Elsewhere."""
        if session in self.running:
            return True
        if session in self._busy:
            return False
        self._busy.add(session)
        try:
            return await self._begun(session, tenant, again, here)
        finally:
            self._busy.discard(session)

    async def _begun(self, session: SessionId, tenant: str, again: bool, here: bool) -> bool:
        try:
            lease = await self.cluster.place(session, tenant, again=again, here=here)
        except GatewayError as error:
            if error.code not in (Code.TOO_MANY_SESSIONS, Code.STORE_UNAVAILABLE):
                self._counts.faults.append(error.message)
            self._counts.refused += 1
            return False
        try:
            record = await self._claimed(session, tenant)
        except (Fenced, GatewayError):
            self._counts.fenced += 1
            await self.cluster.release(lease)
            return False
        if record is None or self.dead:
            await self.cluster.release(lease)
            return False
        self.running[session] = (record, lease)
        self._write(session, began=True)
        return True

    async def _claimed(self, session: SessionId, tenant: str) -> SessionRecord | None:
        now = time.time()
        before = await self.store.get(session)
        if before is None:
            spec = replace(SPEC, tenant=tenant)
            made = SessionRecord(session, spec, Status.CONNECTED, now, now + spec.ttl, incarnation=1, node=self.name)
            await self.store.insert(made)
            self._counts.made += 1
            return made
        if before.status is not Status.SUSPENDED:
            return None  # it runs, or has ended meanwhile
        record = replace(before, status=Status.CONNECTED, incarnation=before.incarnation + 1, node=self.name)
        await self.store.update(record)
        self._counts.woken += 1
        return record

    # --- what becomes of its sessions ---

    async def suspend(self, session: SessionId) -> None:
        """Its browser is put away."""
        if (found := self._stopped(session)) is not None:
            await self._put_away(*found, Status.SUSPENDED)
            self._counts.suspended += 1

    async def end(self, session: SessionId) -> None:
        """It is over, and forgotten."""
        if (found := self._stopped(session)) is not None:
            await self._put_away(*found, Status.STOPPED)
            self._counts.ended += 1
            await self.store.delete(session)

    async def die(self) -> list[SessionId]:
        """All its browsers end with it, and nobody is told; which sessions they were."""
        self.dead = True
        sessions = list(self.running)
        for session in sessions:
            self._stopped(session)
        self.cluster.hand_over = True  # not a word to Redis
        await self._stack.aclose()
        return sessions

    async def leave(self) -> None:
        """As a node does that stops."""
        for session in list(self.running):
            self._stopped(session)
        await self._stack.aclose()

    def _stopped(self, session: SessionId) -> tuple[SessionRecord, Lease] | None:
        found = self.running.pop(session, None)
        if found is not None:
            self._write(session, began=False)
        return found

    async def _put_away(self, record: SessionRecord, lease: Lease, status: Status) -> None:
        self._busy.add(record.id)
        try:
            await self.store.update(replace(record, status=status))
        except Fenced:
            self._counts.fenced += 1
        finally:
            await self.cluster.release(lease)
            self._busy.discard(record.id)

    def _write(self, session: SessionId, *, began: bool) -> None:
        self._journal.write(Entry(time.monotonic_ns(), session, self.name, began))

    # --- Follower ---

    async def lost(self, session: SessionId) -> None:
        """See Follower."""
        self._counts.lost += 1
        self._stopped(session)

    async def returned(self) -> None:
        """See Follower."""

    async def died(self, node: str) -> None:
        """See Follower: its records say from now on that they are suspended."""
        turns = asyncio.Semaphore(4)  # as many as it has connections

        async def settle(record: SessionRecord) -> None:
            async with turns:
                try:
                    lost = replace(record, status=Status.SUSPENDED, incarnation=record.incarnation + 1)
                    await self.store.update(lost)
                    self._counts.settled += 1
                except Fenced:
                    self._counts.fenced += 1

        async with asyncio.TaskGroup() as group:
            for record in await self.store.running(node):
                group.create_task(settle(record))  # the group awaits it


async def started(
    url: str, name: str, limit: int, journal: Journal, counts: Counts, forward: Forward, *, node_timeout: float
) -> SimulatedNode:
    """A node that takes `limit` sessions."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(open_redis(url, connections=4))
        cluster = await stack.enter_async_context(
            joined(
                connection,
                name,
                capacity=lambda: Capacity(limit, 1, True),
                tenant_of=Tenant,
                queue_length=1000,
                queue_timeout=5.0,
                node_timeout=node_timeout,
            )
        )
        node = SimulatedNode(connection, cluster, stack.pop_all(), journal, counts, forward)
        cluster.follower = node
        await cluster.open()
        return node
    raise AssertionError("the block above returns")


async def together(work: list[Awaitable[object]], at_once: int) -> None:
    """Await all, so many at a time."""
    turns = asyncio.Semaphore(at_once)

    async def one(each: Awaitable[object]) -> None:
        async with turns:
            await each

    async with asyncio.TaskGroup() as group:
        for each in work:
            group.create_task(one(each))
