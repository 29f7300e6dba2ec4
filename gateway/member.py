"""A gateway as one of a fleet: the records that all share, its part in it, and what it does for nodes that are gone."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from browser_pool.tasks import to_the_end
from gateway.cluster.cluster import Cluster, joined
from gateway.cluster.placement import Capacity
from gateway.config import Config
from gateway.errors import Code, GatewayError
from gateway.pages.jobs import Jobs
from gateway.records import SessionId, Tenant
from gateway.session.registry import Registry
from gateway.snapshot.blobs import BlobsAway, open_blobs, snapshot_store
from gateway.snapshot.seal import Sealer
from gateway.snapshot.shared import SharedVault
from gateway.snapshot.vault import Vault
from gateway.store import sentinel
from gateway.store.base import Store
from gateway.store.codec import Codec
from gateway.store.connection import Connection, open_redis
from gateway.store.redis import RedisStore
from gateway.store.sqlite import open_store

log = structlog.get_logger()


@asynccontextmanager
async def remembered(config: Config) -> AsyncIterator[tuple[Store, Connection | None]]:
    """The store: of this machine, or of the fleet with the connection to its Redis. Raises STORE_UNAVAILABLE."""
    codec = Codec(Sealer(config.encryption_key))
    if config.redis_url is None:
        async with open_store(config.data_dir / "gateway.sqlite", codec) as store:
            yield store, None
        return
    async with open_redis(config.redis_url) as redis:
        about = await redis.about()
        if about.policy != "noeviction":
            log.warning("redis_may_forget", maxmemory_policy=about.policy, advice="set it to noeviction")
        if not about.logged:
            log.warning("redis_does_not_persist", advice="set appendonly yes: what is suspended is forgotten with it")
        yield RedisStore(redis, config.node, codec), redis


@asynccontextmanager
async def kept(config: Config, sealer: Sealer) -> AsyncIterator[Vault]:
    """What sessions saved: on this machine, or in what nodes share. Raises STORE_UNAVAILABLE."""
    directory, keep = config.data_dir / "snapshots", config.snapshot_versions
    if config.snapshot_store is None:
        vault = Vault(directory, sealer, keep=keep)
        await asyncio.to_thread(vault.sweep)
        yield vault
        return
    place = snapshot_store(config.snapshot_store)
    blobs = await asyncio.to_thread(open_blobs, place)
    shared = SharedVault(directory, sealer, blobs, keep=keep)
    try:
        try:
            await asyncio.to_thread(blobs.check)
        except BlobsAway as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, f"snapshot_store {place} cannot be used: {error}") from error
        await asyncio.to_thread(shared.sweep)
        yield shared
        if left := await shared.share():
            log.error("snapshots_left_here", sessions=left, store=str(place))  # the next process of ours goes on
    finally:
        await to_the_end(asyncio.to_thread(shared.close))


def member(
    config: Config, redis: Connection, tenant_of: Callable[[str], Tenant], capacity: Callable[[], Capacity]
) -> AbstractAsyncContextManager[Cluster]:
    """This node's part in the fleet, for a block."""
    return joined(
        redis,
        config.node,
        capacity=capacity,
        tenant_of=tenant_of,
        queue_length=config.queue_length,
        queue_timeout=config.queue_timeout,
        node_timeout=config.node_timeout,
    )


async def backstage(config: Config) -> frozenset[tuple[str, int]]:
    """Addresses and ports of Redis: no browser may get there, whatever its rules open.

    What its name means now: where that changes (a failover by DNS), the password is what keeps them out.
    """
    url = config.redis_url or ""
    if not sentinel.is_watched(url):
        parts = urlsplit(url)
        known = parts.scheme in ("redis", "rediss") and parts.hostname is not None
        return frozenset(await _resolved(parts.hostname or "", parts.port or 6379)) if known else frozenset()
    found: set[tuple[str, int]] = set()
    for host, port in await sentinel.addresses(sentinel.watched(url)):
        try:
            found |= await _resolved(host, port)
        except socket.gaierror:  # one of several may be gone, and its name with it
            log.warning("redis_address_not_known", host=host)
    return frozenset(found)


async def _resolved(host: str, port: int) -> set[tuple[str, int]]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return {(str(address[0]), port) for *_, address in found}


@dataclass(frozen=True, slots=True)
class Successor:
    """What happens in the fleet (`cluster/fleet.py`) is told to the parts that it concerns."""

    registry: Registry
    jobs: Jobs

    async def lost(self, session: SessionId) -> None:
        """See Follower."""
        await self.registry.lost(session)

    async def returned(self) -> None:
        """See Follower."""
        await self.registry.returned()

    async def died(self, node: str) -> None:
        """See Follower."""
        await self.registry.died(node)
        await self.jobs.inherit(node)
