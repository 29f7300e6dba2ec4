"""Two gateways of one fleet in the test's own process, with a Redis of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cluster.fleet import Lease
from gateway.cluster.hop import Hops
from gateway.records import SessionId
from gateway.tenancy.capability import Capabilities
from gateway.web.forward import Forwards, forwarding
from tests.inside import Inside, inside
from tests.ports import free_ports
from tests.redis_server import redis_server
from tests.web.nodes import Neighbours, World

KEY = "the-key-of-this-fleet"


@dataclass(frozen=True)
class Pair:
    """Both, and a third node that only asks: `forwards` are its own, `released` what it gave back."""

    first: Inside
    second: Inside
    forwards: Forwards
    released: list[Lease]

    @property
    def both(self) -> tuple[Inside, Inside]:
        return self.first, self.second


@asynccontextmanager
async def pair(directory: Path, **settings: str) -> AsyncIterator[Pair]:
    """They are there for this block."""
    usual = {"cluster_key": KEY, "snapshot_store": f"file:{directory / 'shared'}", "max_sessions": "4"}
    usual |= {"node_timeout": "60s", **settings}  # none is dead because the machine is busy
    async with redis_server(directory / "redis") as redis:
        ports = free_ports(2)
        given = [
            {**usual, "redis_url": redis.url, "port": str(port), "node_address": f"http://127.0.0.1:{port}"}
            for port in ports
        ]
        world = World()
        peers = Neighbours(world, "http://127.0.0.1:1")
        async with (
            inside(directory / "first", **given[0]) as first,
            inside(directory / "second", **given[1]) as second,
            forwarding(peers, Hops(KEY.encode(), "http://127.0.0.1:1"), Capabilities(bytes(32)), _nowhere) as forwards,
        ):
            yield Pair(first, second, forwards, world.released)


def _nowhere(session: SessionId) -> bool:
    return False
