"""What comes of asking for a place, and how full the fleet is, as Redis tells it. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.errors import Code, GatewayError
from gateway.tenancy.queue import LONGEST, PATIENCE


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node can take: `limit` browsers at once, `warm` of them ready. Not `accepting`: it drains, or is short of
    memory, and gets no more."""

    limit: int
    warm: int
    accepting: bool


class Outcome(StrEnum):
    """Of asking for a place."""

    GRANTED = "granted"
    ELSEWHERE = "elsewhere"  # another node has the session
    QUEUED = "queued"
    FULL = "full"  # and so is the queue
    NAME = "name"  # another session runs under it


@dataclass(frozen=True, slots=True)
class Answer:
    """`lease` and `node` of a granted one, `node` of one that is elsewhere, `session` that has the name.

    Of one that is not granted: how many its tenant runs, may run (None: as many as there are places) and has waiting;
    `pace` in seconds from one place that comes back to the next; `turn` its number in the queue.
    """

    outcome: Outcome
    lease: str = ""
    node: str = ""
    session: str = ""
    turn: int = 0
    running: int = 0
    most: int | None = None
    waiting: int = 0
    pace: float | None = None

    @classmethod
    def read(cls, reply: Mapping[str, Any]) -> "Answer":
        """What the script `place` says."""
        most = int(reply.get("most", -1))
        return cls(
            Outcome(reply["status"]),
            lease=reply.get("lease", ""),
            node=reply.get("node", ""),
            session=reply.get("session", ""),
            turn=int(reply.get("turn", 0)),
            running=int(reply.get("running", 0)),
            most=None if most < 0 else most,
            waiting=int(reply.get("waiting", 0)),
            pace=reply.get("pace"),
        )

    def refusal(self, why: str) -> GatewayError:
        """What the caller is told who gets no place; as `tenancy/queue.py` does."""
        if self.most == 0:
            return GatewayError(Code.FORBIDDEN, "this gateway gives its tenant no browsers any more")
        own = self.most is not None and self.running >= self.most
        whose = f"all {self.most} browsers that this tenant may have" if own else "all browsers of this gateway"
        wait = PATIENCE if self.pace is None else math.ceil(self.pace * (self.waiting + 1))
        return GatewayError(Code.TOO_MANY_SESSIONS, f"{whose} are in use {why}", retry_after=max(1, min(wait, LONGEST)))

    def name_in_use(self, name: str) -> GatewayError:
        """The caller's session cannot have its name."""
        return GatewayError(
            Code.NAME_IN_USE,
            f"session {self.session} runs under the name {name!r}: stop it first, or join it with attach: true",
        )


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """A node that is there: its limit, the places that are taken, browsers that are ready."""

    name: str
    limit: int
    used: int
    warm: int
    accepting: bool


@dataclass(frozen=True, slots=True)
class TenantLoad:
    """What a tenant has of the fleet; `positions` are the places in the queue of its own that wait, from 1."""

    running: int
    waiting: int
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much the whole fleet has to do. `limit` is what all nodes together may run, `free` what they could take."""

    nodes: tuple[NodeLoad, ...]
    tenants: Mapping[str, TenantLoad]

    @property
    def limit(self) -> int:
        """Browsers that all nodes together may run, those that drain left out."""
        return sum(node.limit for node in self.nodes if node.accepting)

    @property
    def running(self) -> int:
        """Places that are taken."""
        return sum(node.used for node in self.nodes)

    @property
    def free(self) -> int:
        """Places that could be taken now."""
        return sum(max(0, node.limit - node.used) for node in self.nodes if node.accepting)

    @property
    def warm(self) -> int:
        """Browsers that are ready."""
        return sum(node.warm for node in self.nodes)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(tenant.waiting for tenant in self.tenants.values())

    def of(self, tenant: str) -> TenantLoad:
        """One tenant's."""
        return self.tenants.get(tenant, TenantLoad(0, 0, ()))

    @classmethod
    def read(cls, reply: Mapping[str, Any]) -> "Pressure":
        """What the script `pressure` says."""
        nodes = tuple(NodeLoad(str(name), *figures) for name, *figures in reply["nodes"])
        running = {str(tenant): int(count) for tenant, count in reply["tenants"]}
        queues = [(str(tenant), int(served), len(turns), _first(turns)) for tenant, served, turns in reply["queues"]]
        places = positions(queues)
        tenants = {
            tenant: TenantLoad(running.get(tenant, 0), len(places.get(tenant, ())), places.get(tenant, ()))
            for tenant in sorted({*running, *places})
        }
        return cls(nodes, tenants)


def positions(queues: Sequence[tuple[str, int, int, float]]) -> dict[str, tuple[int, ...]]:
    """The places of each tenant's in the whole queue as it stands, from 1; limits of tenants left out.

    `queues`: tenant, the number of its last turn, how many wait, and the ticket of its first.
    """
    left = {tenant: count for tenant, _, count, _ in queues if count}
    # Who was served longest ago is next; what was never served, in the order in which it came.
    order = {tenant: (served, first) for tenant, served, _, first in queues}
    turn = max((served for _, served, _, _ in queues), default=0)
    found: dict[str, list[int]] = {tenant: [] for tenant in left}
    place = 0
    while left:
        tenant = min(left, key=order.__getitem__)
        turn += 1
        place += 1
        order[tenant] = (turn, 0.0)
        found[tenant].append(place)
        left[tenant] -= 1
        if not left[tenant]:
            del left[tenant]
    return {tenant: tuple(places) for tenant, places in found.items()}


AGAIN = 1e12  # as in lua/common.lua


def _first(turns: Sequence[float]) -> float:
    """The first ticket, as it was numbered."""
    first = turns[0] if turns else 0.0
    return first + AGAIN if first < 0 else first
