"""A fleet of nodes that Redis knits: the same promises as on one machine, over all of them.

Every process of a node has an epoch, larger than that of any before it. Its heartbeats renew the node, and a lease for
each of its sessions, which says who has it; whoever is silent for LIFE of `node_timeout` has nothing any more. What has
to happen in one step is a Lua script (`lua/*.lua`), and the only clock is Redis' own. While Redis is away every node
keeps what it has, and nobody takes anything.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from browser_pool.tasks import Start, crew, running
from gateway.cluster.fleet import Elsewhere, Follower, Lease
from gateway.cluster.heartbeat import BEATS, Heartbeat
from gateway.cluster.hop import granted, take_grant
from gateway.cluster.leases import Held, Token, lease_of, new_nonce
from gateway.cluster.membership import View
from gateway.cluster.placement import Capacity, Outcome, Pressure
from gateway.cluster.scripts import Scripts
from gateway.cluster.waiting import Waiting, Wish, listening
from gateway.errors import Code, GatewayError
from gateway.records import SessionId, SessionRecord, Tenant, new_session_id
from gateway.store.connection import Connection

log = structlog.get_logger()
LIFE = 0.75  # of `node_timeout`: the rest is for noticing that a node is gone, and for putting right what it had
PATIENCE = 5.0  # seconds at the end for what was begun for others


class Cluster:
    """This node's part in the fleet (see `Fleet`). Made by `joined`; no session is placed here before `open`."""

    def __init__(
        self,
        scripts: Scripts,
        start: Start,
        waiting: Waiting,
        heartbeat: Heartbeat,
        view: View,
        held: Held,
        *,
        name: str,
        capacity: Callable[[], Capacity],
    ) -> None:
        self.hand_over = False  # at the end keep the leases for the process of this node that follows
        self._node = name
        self._scripts = scripts
        self._start = start
        self._waiting = waiting
        self._heartbeat = heartbeat
        self._view = view
        self._held = held
        self._capacity = capacity

    @property
    def name(self) -> str:
        """See Fleet."""
        return self._node

    @property
    def others(self) -> bool:
        """See Fleet."""
        return len(self._view.nodes) > 1

    # --- this node ---

    @property
    def follower(self) -> Follower | None:
        """Who is told what happens; to be set before `open`."""
        return self._heartbeat.follower

    @follower.setter
    def follower(self, follower: Follower | None) -> None:
        self._heartbeat.follower = follower

    @property
    def epoch(self) -> int:
        """Of this process: larger than that of any process of a node before it."""
        return self._heartbeat.epoch

    @property
    def held(self) -> list[Lease]:
        """The leases that this node renews."""
        return list(self._held)

    @property
    def queued(self) -> int:
        """How many who asked here have no place yet."""
        return self._waiting.count

    @property
    def connected(self) -> bool:
        """The last heartbeat reached Redis."""
        return self._view.connected

    @property
    def outdated(self) -> bool:
        """A later process has this node's name: this one has lost everything, and should end."""
        return self._heartbeat.outdated

    async def open(self) -> None:
        """From now on sessions may be placed here."""
        self._heartbeat.capacity = self._capacity
        await self.announce()

    async def announce(self) -> None:
        """Tell the fleet now what this node can take. If Redis is away, the next heartbeat that reaches it does."""
        await self._heartbeat.beat()

    # --- the others ---

    @property
    def nodes(self) -> frozenset[str]:
        """Nodes that are there, this one among them, as the last heartbeat saw it."""
        return self._view.nodes

    @property
    def trusted(self) -> bool:
        """Whether a node that is not seen is gone, or perhaps only Redis was."""
        return self._view.trusted(asyncio.get_running_loop().time())

    def named_by(self, tag: str) -> str | None:
        """The node whose name's SHA-256 begins with these six hexadecimal digits (`tenancy/capability.py`)."""
        return self._view.named_by(tag)

    def gone(self, name: str) -> asyncio.Event:
        """Set when the node of that name has died or left."""
        return self._view.gone(name)

    async def there(self, record: SessionRecord) -> bool:
        """See Fleet. No question to Redis where the node was seen at the last heartbeat."""
        node = record.node
        if node is None or node == self._node:
            return False
        if node in self._view.nodes:
            return True
        alive, unbroken = await self._scripts.run("there", node=node)
        if not alive and unbroken < self._scripts.life:
            raise GatewayError(
                Code.STORE_UNAVAILABLE, "nobody can tell yet whether the session's node is gone", retry_after=1
            )
        return bool(alive)

    # --- sessions ---

    def new_id(self) -> SessionId:
        """See Fleet."""
        grant = granted()
        return new_session_id() if grant is None else grant.session

    async def place(
        self, session: SessionId, tenant: str, *, again: bool = False, name: str | None = None, here: bool = False
    ) -> Lease:
        """See Fleet. STORE_UNAVAILABLE also where `again` while it is not clear who has what: Redis was just away."""
        grant = take_grant(session)
        nonce = new_nonce() if grant is None else Token.read(grant.token).nonce
        try:
            self._require_part(again)
            answer = await self._waiting(Wish(session, tenant, nonce, name or "", again, here), self.epoch)
        except BaseException:  # a cancel too: the place that the request brought is nobody's then
            if grant is not None:
                self._start(self.release(grant), f"release-{session}")
            raise
        if answer.outcome is Outcome.ELSEWHERE:
            raise Elsewhere(answer.node)
        lease = lease_of(session, answer.lease)
        if lease.node != self._node:
            raise Elsewhere(lease.node, lease)
        self._held.add(lease)
        return lease

    async def adopt(self, session: SessionId, tenant: str, name: str | None = None) -> Lease | None:
        """The lease of a session whose browser runs here already, whatever the limits are.

        One of an earlier process of this node, or that nobody has; None if another node has it. May raise
        STORE_UNAVAILABLE.
        """
        token = await self._scripts.run(
            "adopt", session=session, tenant=tenant, name=name or "", me=self._node, epoch=self.epoch, nonce=new_nonce()
        )
        if token is None:
            return None
        lease = lease_of(session, token.decode())
        self._held.add(lease)
        return lease

    async def release(self, lease: Lease) -> None:
        """See Fleet. While Redis is away it is not waited for: the lease runs out, as nobody renews it any more."""
        self._held.remove(lease)
        if not self._view.connected:
            self._heartbeat.give(lease)
            return
        try:
            await self._scripts.release([lease])
        except GatewayError as error:
            log.info("release_put_off", session=lease.session, error=error.message)
            self._heartbeat.give(lease)

    async def charge(self, tenant: str, rate: int, count: int = 1) -> float:
        """`count` creates of a tenant that may make `rate` a minute, over all nodes (`tenancy/quota.py`).

        0, or in how many seconds there will be as many; then none is counted. Raises STORE_UNAVAILABLE.
        """
        wait = await self._scripts.run("charge", repeat=False, tenant=tenant, rate=rate, count=count)
        return int(wait) / 1000

    async def pressure(self) -> Pressure:
        """How much the whole fleet has to do: one command, that takes longer the more nodes there are.

        May raise STORE_UNAVAILABLE.
        """
        return Pressure.read(await self._scripts.read("pressure"))

    # --- within ---

    def _require_part(self, again: bool) -> None:
        if self._heartbeat.outdated:
            raise GatewayError(
                Code.STORE_UNAVAILABLE, "another process has this node's place in the fleet", retry_after=1
            )
        if again and self._view.recovering:
            # Who has this session may not have had the time to say so.
            raise GatewayError(
                Code.STORE_UNAVAILABLE,
                "Redis was away: the nodes have to say first what they have",
                retry_after=max(1, math.ceil(self._scripts.life / 1000)),
            )

    async def _leave(self) -> None:
        if self.hand_over or self._heartbeat.outdated:
            return
        try:
            await self._scripts.run("leave", me=self._node, epoch=self.epoch)
        except GatewayError as error:
            log.warning("fleet_not_left", node=self._node, error=error.message)


@asynccontextmanager
async def joined(
    connection: Connection,
    name: str,
    *,
    capacity: Callable[[], Capacity],
    tenant_of: Callable[[str], Tenant],
    queue_length: int,
    queue_timeout: float,
    node_timeout: float,
) -> AsyncIterator[Cluster]:
    """Be part of the fleet for this block, as the node `name` (its URL); durations in seconds.

    At the end the node is removed at once, with every lease that is left; all calls must be over by then. Who is silent
    for `node_timeout` is dead. `queue_length` is of the whole fleet. Raises STORE_UNAVAILABLE if Redis cannot be used.
    """
    if "|" in name:
        raise ValueError("a node's name has no | in it")
    life = LIFE * node_timeout
    scripts = Scripts(connection, max(1, round(life * 1000)))
    epoch = int(await scripts.run("join", me=name))
    view, held = View(name, life), Held()
    async with crew(PATIENCE) as start:
        heartbeat = Heartbeat(scripts, start, view, held, epoch=epoch, name=name, period=life / BEATS)
        waiting = Waiting(
            scripts,
            start,
            node=name,
            tenant_of=tenant_of,
            queue_length=queue_length,
            timeout=queue_timeout,
            ask_again=life / BEATS,
        )
        cluster = Cluster(scripts, start, waiting, heartbeat, view, held, name=name, capacity=capacity)
        try:
            await heartbeat.beat()
            async with listening(waiting, connection), running(heartbeat.run(), "heartbeat"):
                yield cluster
        finally:
            await cluster._leave()
