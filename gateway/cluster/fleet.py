"""What a gateway asks of the fleet that it belongs to. `Alone` is a fleet of one; `cluster.py` one that Redis knits.

A node is known by the URL at which the others reach it (`node_address`). A session that runs, or is about to, has a
lease: which node has it, of which process of that node. It ends with `release`, or when its node has been silent for
`node_timeout`.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.records import SessionId, SessionRecord, new_session_id


@dataclass(frozen=True, slots=True)
class Lease:
    """A session's place on a node. `token` is of this lease alone: a later one of the same session has another."""

    session: SessionId
    node: str
    token: str


class Elsewhere(Exception):
    """Another node is to answer this request. With a `grant` it holds a place there for the session that is made.

    No refusal: whoever serves the request forwards it (`gateway/web/forward.py`).
    """

    def __init__(self, node: str, grant: Lease | None = None) -> None:
        super().__init__(node)
        self.node = node
        self.grant = grant


class Follower(Protocol):
    """Who is told what happens in the fleet."""

    async def lost(self, session: SessionId) -> None:
        """Another node has a session that runs here: its browser is to end, unsaved, and its clients to reconnect."""

    async def returned(self) -> None:
        """Redis was away and is back: perhaps it has forgotten what it was told before."""

    async def died(self, node: str) -> None:
        """A node is gone: what it had is to be put right. Several nodes may be told, and one several times."""


class Fleet(Protocol):
    """What the sessions of this node ask. Every call may raise GatewayError STORE_UNAVAILABLE."""

    @property
    def name(self) -> str | None:
        """This node's; None where there is but one."""

    @property
    def others(self) -> bool:
        """Whether other nodes are there."""

    def new_id(self) -> SessionId:
        """For a session that is being made: the one that a place was granted for, where this request brought one."""

    async def place(
        self, session: SessionId, tenant: str, *, again: bool = False, name: str | None = None, here: bool = False
    ) -> Lease:
        """Wait for a place on this node for a session that is to run; its lease is renewed until it is released.

        The queue is one over all nodes, and fair (`tenancy/turns.py`); `again` for a session that had a browser before.
        `name` is the tenant's own for it: no other session of that name may run. `here`: it must be on this node.
        Raises Elsewhere where another node is to have it, or has it already; GatewayError: TOO_MANY_SESSIONS (429),
        FORBIDDEN (403), NAME_IN_USE (409).
        """

    async def adopt(self, session: SessionId, tenant: str, name: str | None = None) -> Lease | None:
        """The place of a session that an earlier process of this node had; None if another node has it."""

    async def announce(self) -> None:
        """Tell the others now how much room there is here. Raises nothing."""

    async def release(self, lease: Lease) -> None:
        """Give the place back. Repeating it, or for a lease that was lost, is harmless. Raises nothing."""

    async def there(self, record: SessionRecord) -> bool:
        """Whether the node that a record names is there, and another than this.

        Raises STORE_UNAVAILABLE while nobody can tell whether it is gone.
        """


class Alone:
    """A fleet of one: there is a place for everything here, as far as there are slots (`tenancy/queue.py`)."""

    name: str | None = None
    others = False

    def new_id(self) -> SessionId:
        """See Fleet."""
        return new_session_id()

    async def place(
        self, session: SessionId, tenant: str, *, again: bool = False, name: str | None = None, here: bool = False
    ) -> Lease:
        """See Fleet."""
        return Lease(session, "", "")

    async def adopt(self, session: SessionId, tenant: str, name: str | None = None) -> Lease | None:
        """See Fleet."""
        return Lease(session, "", "")

    async def announce(self) -> None:
        """See Fleet."""

    async def release(self, lease: Lease) -> None:
        """See Fleet."""

    async def there(self, record: SessionRecord) -> bool:
        """See Fleet."""
        return False
