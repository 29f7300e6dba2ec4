"""Session records in Redis, for the nodes of a fleet.

A record is one key, `cdpg:session:ID`, without an end: what it says must be found when all nodes have gone. What it is
found by besides is in `places.py`; nothing ever goes through all keys.
"""

import json
import secrets

from gateway.errors import Code, GatewayError
from gateway.records import Identity, Kind, SessionId, SessionRecord
from gateway.store import places
from gateway.store.base import IDEMPOTENCY_LIFE, Fenced, Page, Query
from gateway.store.codec import Codec
from gateway.store.connection import PREFIX, Connection, script
from gateway.store.filed import Filed, Put, Sheet
from gateway.store.redis_jobs import RedisJobs
from gateway.store.redis_profiles import RedisProfiles

SAVED = 5  # that `saved_as` gives
ONCE = script("gateway.store", "once")
LEADS = script("gateway.store", "leads")


class RedisStore:
    """The Store protocol for one node. `node` is its name: it is Fenced from sessions that others have a lease on.

    `codec` seals what is secret in a record.
    """

    def __init__(self, connection: Connection, node: str | None = None, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()
        self._redis = connection
        self._filed = Filed(connection, "session")
        self._node = node or ""
        self._leader = node or secrets.token_hex(8)
        self.jobs = RedisJobs(connection, node)
        self.profiles = RedisProfiles(connection, self._codec)

    # --- one record ---

    async def insert(self, record: SessionRecord) -> None:
        """See Store."""
        if not await self._filed.add(self._sheet(record), places.numbered(record.created_at)):
            words = f"session records cannot be written: there is a session {record.id} already"
            raise GatewayError(Code.STORE_UNAVAILABLE, words)

    async def put_back(self, record: SessionRecord) -> bool:
        """See Store."""
        among = (places.listed(places.part(record.spec.tenant)), places.RUNNING)
        return await self._filed.add(self._sheet(record), places.numbered(record.created_at), among, self._node)

    async def get(self, session: SessionId) -> SessionRecord | None:
        """See Store."""
        text = await self._filed.get(session)
        return None if text is None else self._codec.read_record(text)

    async def update(self, record: SessionRecord) -> None:
        """See Store."""
        done = await self._filed.put(self._sheet(record), self._node)
        if done is Put.LATE:
            raise Fenced(f"session {record.id}: incarnation {record.incarnation} is not the last, or it was erased")
        if done is Put.FOREIGN:
            raise Fenced(f"session {record.id}: another node has it")

    async def delete(self, session: SessionId) -> None:
        """See Store."""
        await self._filed.drop(session)

    # --- many ---

    async def page(self, query: Query) -> Page:
        """See Store."""
        sets = places.sets(*places.wanted(query))
        found = await self._filed.page(places.part(query.tenant), query.cursor, query.limit + 1, sets)
        if found is None:
            raise GatewayError(Code.BAD_REQUEST, f"cursor: there is no session {query.cursor}")
        records = self._records(found[: query.limit])
        return Page(tuple(records), records[-1].id if len(found) > query.limit else None)

    async def running(self, node: str | None = None) -> list[SessionRecord]:
        """See Store."""
        return [self._codec.read_record(text) async for text in self._filed.every(places.running(node))]

    async def saved_as(self, tenant: str, name: str) -> list[SessionRecord]:
        """See Store."""
        where = places.saved(places.part(tenant), name)
        return self._records(await self._filed.range(where, "+inf", "-inf", limit=SAVED, highest=True))

    async def due(self, now: float) -> list[SessionRecord]:
        """See Store."""
        return self._records(await self._filed.range(places.DUE, "-inf", repr(float(now))))

    async def ended_before(self, instant: float, kind: Kind) -> list[SessionRecord]:
        """See Store."""
        return self._records(await self._filed.range(places.ended(kind), "-inf", f"({float(instant)!r}"))

    # --- what is claimed ---

    async def once(self, tenant: str, key: str, fingerprint: str, session: SessionId) -> tuple[SessionId, str]:
        """See Store."""
        args = (json.dumps([session, fingerprint]), round(IDEMPOTENCY_LIFE * 1000))
        earlier, its_print = json.loads(await self._redis.run(ONCE, (_once(tenant, key),), args))
        return SessionId(earlier), its_print

    async def unclaim(self, tenant: str, key: str) -> None:
        """See Store."""
        await self._redis.call("DEL", _once(tenant, key))

    async def leads(self, what: str, seconds: float) -> bool:
        """See Store."""
        args = (self._leader, max(1, round(seconds * 1000)))
        return bool(await self._redis.run(LEADS, (f"{PREFIX}leads:{what}",), args) == 1)

    # --- identities: what would say otherwise the second time is not sent twice ---

    async def add_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """See Store."""
        text = self._codec.identity(identity, tenant, name)
        return bool(await self._redis.call("HSETNX", _identities(tenant), name, text, repeat=False))

    async def put_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """See Store."""
        text = self._codec.identity(identity, tenant, name)
        return bool(await self._redis.call("HSET", _identities(tenant), name, text, repeat=False))

    async def identity(self, tenant: str, name: str) -> Identity | None:
        """See Store."""
        text = await self._redis.call("HGET", _identities(tenant), name)
        return None if text is None else self._codec.read_identity(text, tenant, name)

    async def identities(self, tenant: str) -> list[tuple[str, Identity]]:
        """See Store."""
        flat = await self._redis.call("HGETALL", _identities(tenant))
        found = {name.decode(): text for name, text in zip(flat[::2], flat[1::2], strict=True)}
        return [(name, self._codec.read_identity(found[name], tenant, name)) for name in sorted(found)]

    async def drop_identity(self, tenant: str, name: str) -> bool:
        """See Store."""
        return bool(await self._redis.call("HDEL", _identities(tenant), name, repeat=False))

    def _sheet(self, record: SessionRecord) -> Sheet:
        line = places.line(record.spec.tenant, places.places(record))
        return Sheet(record.id, line, self._codec.record(record), record.incarnation)

    def _records(self, texts: list[bytes]) -> list[SessionRecord]:
        return [self._codec.read_record(text) for text in texts]


def _once(tenant: str, key: str) -> str:
    return f"{PREFIX}once:{places.part(tenant)}:{places.part(key)}"


def _identities(tenant: str) -> str:
    return f"{PREFIX}identities:{places.part(tenant)}"
