"""What the session registry asks of a store. `sqlite.py` keeps it on one machine, `redis.py` for a fleet."""

from dataclasses import dataclass
from typing import Protocol

from gateway.records import Identity, Kind, SessionId, SessionRecord, Status
from gateway.store.jobs import JobStore
from gateway.store.profiles import ProfileStore

BATCH = 500  # records that `due` and `ended_before` give, at most
IDEMPOTENCY_LIFE = 86400.0  # seconds that a key stands for the session it made


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, newest first, and where the next page begins, if there is one."""

    records: tuple[SessionRecord, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of a tenant. `cursor` is a record's id: the page begins behind it. `limit` 1 to 1000.

    `among`: those with one of these statuses; empty: with any.
    """

    tenant: str
    status: Status | None = None
    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    cursor: str | None = None
    limit: int = 100
    among: tuple[Status, ...] = ()


class Fenced(Exception):
    """A write by an incarnation that another has followed: the writer has lost the session."""


class Store(Protocol):
    """Records of sessions. Writes compare the record's incarnation: an older one raises Fenced.

    Every call may raise GatewayError STORE_UNAVAILABLE.
    """

    @property
    def jobs(self) -> JobStore:
        """Long work that is done later."""

    @property
    def profiles(self) -> ProfileStore:
        """What tenants keep for their sessions to begin with."""

    async def insert(self, record: SessionRecord) -> None:
        """A new session; its id must be new."""

    async def put_back(self, record: SessionRecord) -> bool:
        """A session that runs here and that the store has lost. It is listed where its age puts it.

        False, and nothing is changed, if there is one of that id, or another node has its lease.
        """

    async def get(self, session: SessionId) -> SessionRecord | None:
        """One record, or None."""

    async def update(self, record: SessionRecord) -> None:
        """Replace a record. Fenced: one of a later incarnation stands there, or none, or another node has its lease."""

    async def page(self, query: Query) -> Page:
        """A tenant's records, newest first, standard ones only while they run. BAD_REQUEST for an unknown cursor."""

    async def running(self, node: str | None = None) -> list[SessionRecord]:
        """Every record whose status says that it holds a browser; with `node` those whose browser is there."""

    async def saved_as(self, tenant: str, name: str) -> list[SessionRecord]:
        """A tenant's sessions of that name that have a snapshot, the one with the newest first: a few."""

    async def due(self, now: float) -> list[SessionRecord]:
        """Suspended sessions whose time is up at `now`: some hundred of them, the rest once these are written."""

    async def ended_before(self, instant: float, kind: Kind) -> list[SessionRecord]:
        """Sessions of one kind that ended before `instant`: some hundred of them, the rest once these are deleted."""

    async def delete(self, session: SessionId) -> None:
        """Forget a session. Repeating it is harmless."""

    async def once(self, tenant: str, key: str, fingerprint: str, session: SessionId) -> tuple[SessionId, str]:
        """Claim an idempotency key; the session and request fingerprint that it stands for, ours or earlier ones."""

    async def unclaim(self, tenant: str, key: str) -> None:
        """Give an idempotency key back, after a create that failed."""

    async def leads(self, what: str, seconds: float) -> bool:
        """Whether this node is the one that does `what` for the whole fleet: for `seconds` from now on no other is.

        Ask again before they are over to keep it.
        """

    async def add_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """A new identity of the tenant's; False if it has one of that name."""

    async def put_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """Replace the tenant's identity of that name, or make it; True if it was made."""

    async def identity(self, tenant: str, name: str) -> Identity | None:
        """The tenant's identity of that name, or None."""

    async def identities(self, tenant: str) -> list[tuple[str, Identity]]:
        """All identities of a tenant with their names, in the order of these."""

    async def drop_identity(self, tenant: str, name: str) -> bool:
        """Forget an identity; False if there is none of that name. Sessions that were made with it keep theirs."""
