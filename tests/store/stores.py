"""The kinds of store that there are, each at a place of a test's own, and records to put into them."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Status, new_session_id
from gateway.store.base import Query, Store
from gateway.store.connection import Connection, open_redis
from gateway.store.redis import RedisStore
from gateway.store.sqlite import open_store

NODE = "http://10.0.0.1:3000"
OTHER = "http://10.0.0.2:3000"


class Place(Protocol):
    """Where a store is. A store that is opened finds there what the last one left."""

    def open(self) -> AbstractAsyncContextManager[Store]:
        """A store, for a block."""

    async def a_day_later(self, tenant: str, key: str) -> None:
        """An idempotency key becomes a day old."""

    async def add_to_record(self, session: SessionId, field: str) -> None:
        """A later version of the program has written a record, with a field that this one does not know."""

    async def drop_from_record(self, session: SessionId, field: str) -> None:
        """An earlier one has, which did not know a field."""


class SqlitePlace:
    """A file."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "gateway.sqlite"

    def open(self) -> AbstractAsyncContextManager[Store]:
        return cast(AbstractAsyncContextManager[Store], open_store(self.file))

    async def a_day_later(self, tenant: str, key: str) -> None:
        self._run("UPDATE idempotency SET made_at = made_at - 86401 WHERE tenant = ? AND key = ?", tenant, key)

    async def add_to_record(self, session: SessionId, field: str) -> None:
        self._run("UPDATE sessions SET record = json_set(record, ?, 1) WHERE id = ?", f"$.{field}", session)

    async def drop_from_record(self, session: SessionId, field: str) -> None:
        self._run("UPDATE sessions SET record = json_remove(record, ?) WHERE id = ?", f"$.{field}", session)

    def _run(self, sql: str, *values: str) -> None:
        other = sqlite3.connect(self.file)
        with other:
            assert other.execute(sql, values).rowcount == 1
        other.close()


class RedisPlace:
    """A database of a server."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        async with open_redis(self.url) as connection:
            yield RedisStore(connection, NODE)

    async def a_day_later(self, tenant: str, key: str) -> None:
        async with open_redis(self.url) as connection:
            name = f"cdpg:once:{tenant}:{key.replace(' ', '%20')}"
            left = await connection.call("PTTL", name)
            assert 86_000_000 < left <= 86_400_000
            assert await connection.call("PEXPIRE", name, 0) == 1

    async def add_to_record(self, session: SessionId, field: str) -> None:
        await self._rewrite(session, field, lambda part, name: part.update({name: 1}))

    async def drop_from_record(self, session: SessionId, field: str) -> None:
        await self._rewrite(session, field, lambda part, name: part.pop(name))

    async def _rewrite(self, session: SessionId, field: str, change: Callable[[dict[str, Any], str], None]) -> None:
        async with open_redis(self.url) as connection:
            line, text = (await connection.call("GET", f"cdpg:session:{session}")).split(b"\n")
            whole = part = json.loads(text)
            *path, name = field.split(".")
            for step in path:
                part = part[step]
            change(part, name)
            await connection.call("SET", f"cdpg:session:{session}", line + b"\n" + json.dumps(whole).encode())


async def keys(connection: Connection) -> set[str]:
    """All keys there are."""
    return {key.decode() for key in await connection.call("KEYS", "*")}


def record(
    status: Status = Status.STARTING,
    *,
    tenant: str = "t",
    kind: Kind = Kind.API,
    name: str | None = None,
    labels: tuple[tuple[str, str], ...] = (),
    created_at: float = 1000.0,
    expires_at: float = 2000.0,
    ended_at: float | None = None,
    node: str | None = None,
    snapshot_at: str | None = None,
) -> SessionRecord:
    """A session's, with one snapshot if it says of when."""
    spec = SessionSpec(tenant, kind, LaunchSpec(), ttl=60, keep=10, name=name, labels=labels)
    return SessionRecord(
        new_session_id(),
        spec,
        status,
        created_at=created_at,
        expires_at=expires_at,
        ended_at=ended_at,
        incarnation=1,
        node=node,
        snapshot=None if snapshot_at is None else 1,
        snapshot_at=snapshot_at,
    )


async def filled(store: Store, *records: SessionRecord) -> list[SessionId]:
    """Their ids, once they are in the store."""
    for one in records:
        await store.insert(one)
    return [one.id for one in records]


async def listed(store: Store, query: Query) -> list[SessionId]:
    """The ids of a page."""
    return [one.id for one in (await store.page(query)).records]
