"""Leases as they stand in Redis, and those of this node. Pure.

The value of the key `lease:SESSION` is "NODE|EPOCH|NONCE|TENANT|NAME": the node that has the session, which process of
it, what tells this lease from a later one of the same session, and whose session it is, under what name if it has one.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from gateway.cluster.fleet import Lease
from gateway.records import SessionId

BATCH = 500  # leases that one call of a heartbeat renews: Redis serves others in between


@dataclass(frozen=True, slots=True)
class Token:
    """A lease's value, taken apart."""

    node: str
    epoch: int
    nonce: str
    tenant: str
    name: str = ""

    @classmethod
    def read(cls, text: str) -> "Token":
        """Raises ValueError for what is no lease's value."""
        node, epoch, nonce, tenant, name = text.split("|", 4)
        return cls(node, int(epoch), nonce, tenant, name)

    def __str__(self) -> str:
        return f"{self.node}|{self.epoch}|{self.nonce}|{self.tenant}|{self.name}"


def lease_of(session: SessionId, token: str) -> Lease:
    """The lease that Redis has for a session. Raises ValueError."""
    return Lease(session, Token.read(token).node, token)


def new_nonce() -> str:
    """For one request for a place."""
    return secrets.token_hex(8)


class Held:
    """The leases that this node renews."""

    def __init__(self) -> None:
        self._leases: dict[SessionId, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        return iter(tuple(self._leases.values()))

    def __contains__(self, lease: Lease) -> bool:
        return self._leases.get(lease.session) == lease

    def add(self, lease: Lease) -> None:
        """Renew it from now on, instead of an earlier one of its session."""
        self._leases[lease.session] = lease

    def remove(self, lease: Lease) -> bool:
        """Renew it no more; False if it was not renewed, or another is by now."""
        if lease not in self:
            return False
        del self._leases[lease.session]
        return True

    def batches(self) -> Iterator[list[Lease]]:
        """All of them as they are now, BATCH at a time: at least one list, if an empty one."""
        every = iter(self)
        yield list(islice(every, BATCH))
        while batch := list(islice(every, BATCH)):
            yield batch
