"""Nodes of a fleet in the test's process: what they can take, what they are told, and how they end."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from browser_pool.spec import LaunchSpec
from gateway.cluster.cluster import Cluster, joined
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.cluster.hop import Hop, within
from gateway.cluster.placement import Capacity
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Status, Tenant, new_session_id
from gateway.store.connection import Connection, open_redis

CALM = 60.0  # seconds of node_timeout: nobody dies but those who were `missed`, however slow the machine is
BRISK = 0.8  # where time itself has to pass


@dataclass
class Told:
    """What a node was told. `fails`: so often it cannot put a dead node right. `held`: it waits before it does."""

    sessions: list[SessionId] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    returns: int = 0
    fails: int = 0
    held: asyncio.Event | None = None


class Listener:
    """The Follower of a node."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def lost(self, session: SessionId) -> None:
        """See Follower."""
        self._told.sessions.append(session)

    async def returned(self) -> None:
        """See Follower."""
        self._told.returns += 1

    async def died(self, node: str) -> None:
        """See Follower."""
        told = self._told
        told.nodes.append(node)
        if told.held is not None:
            await told.held.wait()
        if told.fails:
            told.fails -= 1
            raise LookupError("a defect")


@dataclass
class Member:
    """A node, and the connection that it has to itself."""

    cluster: Cluster
    connection: Connection
    told: Told
    capacity: Capacity
    stack: AsyncExitStack

    @property
    def name(self) -> str:
        return self.cluster.name

    async def can_take(self, limit: int, *, warm: int = 0, accepting: bool = True) -> None:
        """From now on, and the fleet knows it."""
        self.capacity = Capacity(limit, warm, accepting)
        await self.cluster.announce()

    async def leave(self) -> None:
        """As a node does that stops."""
        await self.stack.aclose()

    async def die(self) -> None:
        """From one moment to the next, without a word."""
        self.cluster.hand_over = True
        await self.stack.aclose()


class Fleet:
    """All nodes of a test on one Redis."""

    def __init__(
        self,
        url: str,
        stack: AsyncExitStack,
        tenants: Mapping[str, Tenant],
        queue_length: int,
        queue_timeout: float,
        node_timeout: float,
    ) -> None:
        self.members: list[Member] = []
        self.tenants = dict(tenants)
        self._url = url
        self._stack = stack
        self._queue = (queue_length, queue_timeout, node_timeout)
        self._numbers = itertools.count(1)

    async def add(self, limit: int, *, warm: int = 0, name: str | None = None, url: str | None = None) -> Member:
        """One more node; of that name, or a new one."""
        length, timeout, node_timeout = self._queue
        stack = AsyncExitStack()
        await self._stack.enter_async_context(stack)
        connection = await stack.enter_async_context(open_redis(url or self._url))
        made: list[Member] = []
        cluster = await stack.enter_async_context(
            joined(
                connection,
                name or f"http://10.0.0.{next(self._numbers)}:3000",
                capacity=lambda: made[0].capacity,
                tenant_of=lambda tenant: self.tenants.get(tenant, Tenant(tenant)),
                queue_length=length,
                queue_timeout=timeout,
                node_timeout=node_timeout,
            )
        )
        told = Told()
        made.append(Member(cluster, connection, told, Capacity(limit, warm, True), stack))
        cluster.follower = Listener(told)
        await cluster.open()
        self.members.append(made[0])
        return made[0]

    async def take(
        self,
        member: Member,
        tenant: str = "t",
        *,
        session: SessionId | None = None,
        again: bool = False,
        name: str | None = None,
        here: bool = False,
    ) -> Lease:
        """A place that a client gets who asks `member`: there, or at the end of the hop to another."""
        number = session or new_session_id()
        try:
            return await member.cluster.place(number, tenant, again=again, name=name, here=here)
        except Elsewhere as away:
            other = next(one for one in reversed(self.members) if one.name == away.node)
            with within(Hop(member.name, "127.0.0.1", "http", "localhost", grant=away.grant)):
                assert other.cluster.new_id() == number
                return await other.cluster.place(number, tenant, again=again, name=name)

    async def missed(self, *silent: Member) -> None:
        """As long passes as a lease lasts: all were heard but these, and are told so."""
        heard = [one for one in self.members if one not in silent]
        connection = heard[0].connection
        await connection.call("HSET", "cdpg:pulse", "since", 1)
        for one in silent:
            await connection.call("ZADD", "cdpg:nodes", "XX", 1, one.name)
        for one in heard:
            await one.cluster.announce()

    async def give(self, lease: Lease) -> None:
        """Its node releases it."""
        await next(one for one in reversed(self.members) if one.name == lease.node).cluster.release(lease)

    async def waiting(self, number: int) -> None:
        """Until so many wait in the fleet's queue."""

        async def so_many() -> bool:
            return (await self.members[0].cluster.pressure()).waiting == number

        await until(so_many)

    async def queued(self, asks: Sequence[Callable[[], Awaitable[Lease]]]) -> list[asyncio.Future[Lease]]:
        """Let them ask one after the other; each has its place in the queue before the next comes."""
        tasks: list[asyncio.Future[Lease]] = []
        there = (await self.members[0].cluster.pressure()).waiting
        for number, ask in enumerate(asks, there + 1):
            tasks.append(asyncio.ensure_future(ask()))
            await self.waiting(number)
        return tasks


@asynccontextmanager
async def fleet(
    url: str,
    *limits: int,
    tenants: Mapping[str, Tenant] | None = None,
    queue_length: int = 10,
    queue_timeout: float = 60.0,
    node_timeout: float = CALM,
) -> AsyncIterator[Fleet]:
    """Nodes with these limits, for this block."""
    async with AsyncExitStack() as stack:
        made = Fleet(url, stack, tenants or {}, queue_length, queue_timeout, node_timeout)
        for limit in limits:
            await made.add(limit)
        for member in made.members:  # each shall know all others
            await member.cluster.announce()
        yield made


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Poll: Redis tells nobody."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until_so(true: Callable[[], bool]) -> None:
    """The same for what is seen in this process."""

    async def so() -> bool:
        return true()

    await until(so)


def record(node: str | None) -> SessionRecord:
    """Of a session that runs there."""
    spec = SessionSpec("t", Kind.API, LaunchSpec(), 60, 60)
    return SessionRecord(new_session_id(), spec, Status.CONNECTED, 0, 60, node=node)
