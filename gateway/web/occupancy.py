"""How full it is where a session could be made: on this node, or in the whole fleet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.cluster.placement import Pressure
from gateway.records import Tenant
from gateway.tenancy.queue import Share, Slots


class Fleet(Protocol):
    """What is asked of the fleet here (`cluster/cluster.py`)."""

    @property
    def nodes(self) -> frozenset[str]:
        """Those that are there."""

    @property
    def connected(self) -> bool:
        """Redis answers."""

    @property
    def queued(self) -> int:
        """How many who asked here have no place yet."""

    async def pressure(self) -> Pressure:
        """Of all nodes. May raise STORE_UNAVAILABLE."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Browsers that run, that may, and those ready before they are asked for; creates that wait, and how many may.

    `shares` are those of tenants that have or wait for something, `share` that of any.
    """

    running: int
    most: int
    queued: int
    most_queued: int
    warm: int
    shares: dict[str, Share]
    share: Callable[[str], Share]

    @property
    def full(self) -> bool:
        """Nothing is free for anybody."""
        return self.running >= self.most


def of_node(slots: Slots, warm: int) -> Occupancy:
    """Of this node, which is all that there is."""
    shares = {tenant: slots.share(tenant) for tenant in slots.tenants()}
    return Occupancy(slots.used, slots.limit, slots.waiting, slots.queue_length, warm, shares, slots.share)


def of_fleet(pressure: Pressure, queue_length: int, tenant_of: Callable[[str], Tenant]) -> Occupancy:
    """Of all nodes together; those that take nothing now, since they stop or lack memory, count as full."""
    most = pressure.running + pressure.free

    def share(name: str) -> Share:
        own, tenant = pressure.of(name), tenant_of(name)
        may = most if tenant.max_sessions is None else min(tenant.max_sessions, most)
        wait = queue_length if tenant.queue_length is None else min(tenant.queue_length, queue_length)
        return Share(own.running, own.waiting, own.positions, may, wait)

    shares = {tenant: share(tenant) for tenant in pressure.tenants}
    return Occupancy(pressure.running, most, pressure.waiting, queue_length, pressure.warm, shares, share)
