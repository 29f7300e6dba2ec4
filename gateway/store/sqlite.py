"""Session records in one SQLite file, for a gateway on one machine."""

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from gateway.errors import Code, GatewayError
from gateway.records import Identity, Kind, SessionId, SessionRecord, Status
from gateway.store.base import BATCH, IDEMPOTENCY_LIFE, Fenced, Page, Query
from gateway.store.codec import Codec
from gateway.store.jobs import SCHEMA as JOBS
from gateway.store.jobs import JobTable
from gateway.store.profiles import SCHEMA as PROFILES
from gateway.store.profiles import ProfileTable

SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT,
    status TEXT NOT NULL,
    expires_at REAL NOT NULL,
    ended_at REAL,
    incarnation INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_by_tenant ON sessions (tenant, number DESC);
CREATE INDEX IF NOT EXISTS sessions_by_status ON sessions (status, expires_at);
CREATE TABLE IF NOT EXISTS idempotency (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    session TEXT NOT NULL,
    made_at REAL NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE TABLE IF NOT EXISTS identities (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    identity TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
);
"""
INSERT = (
    "INSERT INTO sessions (id, tenant, kind, name, status, expires_at, ended_at, incarnation, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
RUNNING = tuple(status.value for status in Status if status.running)
LABELLED = (
    "EXISTS (SELECT 1 FROM json_each(record, '$.spec.labels')"
    " WHERE json_extract(value, '$[0]') = ? AND json_extract(value, '$[1]') = ?)"
)


@asynccontextmanager
async def open_store(file: Path, codec: Codec | None = None) -> AsyncIterator["SqliteStore"]:
    """The store in `file`, made if it is not there, mode 0600; `codec` seals what is secret in a record.

    Raises GatewayError STORE_UNAVAILABLE.
    """
    async with AsyncExitStack() as stack:
        try:
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            db = await stack.enter_async_context(aiosqlite.connect(file, isolation_level=None))
            # A record must be on disk when a stop has been answered; WAL keeps readers and the writer apart.
            await db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA + JOBS + PROFILES)
        except (sqlite3.Error, OSError) as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, f"{file} cannot be used: {error}") from error
        yield SqliteStore(db, codec or Codec())


class SqliteStore:
    """The Store protocol over one connection; aiosqlite runs the statements in a thread of its own."""

    def __init__(self, db: aiosqlite.Connection, codec: Codec) -> None:
        self._db = db
        self._codec = codec
        self.jobs = JobTable(self._run, self._rows)
        self.profiles = ProfileTable(self._run, self._rows, codec.profile, codec.read_profile)

    async def insert(self, record: SessionRecord) -> None:
        """See Store."""
        await self._run(INSERT, (record.id, record.spec.tenant, record.spec.kind, *self._columns(record)))

    async def put_back(self, record: SessionRecord) -> bool:
        """See Store. A file loses nothing by itself: what is put back here is listed as what is new."""
        sql = INSERT.replace("INSERT", "INSERT OR IGNORE", 1)
        return await self._run(sql, (record.id, record.spec.tenant, record.spec.kind, *self._columns(record))) == 1

    async def get(self, session: SessionId) -> SessionRecord | None:
        """See Store."""
        found = await self._records("SELECT record FROM sessions WHERE id = ?", (session,))
        return found[0] if found else None

    async def update(self, record: SessionRecord) -> None:
        """See Store."""
        changed = await self._run(
            "UPDATE sessions SET name = ?, status = ?, expires_at = ?, ended_at = ?, incarnation = ?, record = ?"
            " WHERE id = ? AND incarnation <= ?",
            (*self._columns(record), record.id, record.incarnation),
        )
        if changed == 0:
            raise Fenced(f"session {record.id}: incarnation {record.incarnation} is not the last, or it was erased")

    async def page(self, query: Query) -> Page:
        """See Store."""
        where = ["tenant = ?", f"(kind = ? OR status IN ({','.join('?' * len(RUNNING))}))"]
        values: list[Any] = [query.tenant, Kind.API, *RUNNING]
        if query.status is not None:
            where.append("status = ?")
            values.append(query.status)
        if query.among:
            where.append(f"status IN ({','.join('?' * len(query.among))})")
            values += query.among
        if query.name is not None:
            where.append("name = ?")
            values.append(query.name)
        for key, value in query.labels:
            where.append(LABELLED)
            values += [key, value]
        if query.cursor is not None:
            where.append("number < ?")
            values.append(await self._number(query.cursor, query.tenant))
        found = await self._records(
            f"SELECT record FROM sessions WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?",
            (*values, query.limit + 1),
        )
        more = len(found) > query.limit
        records = tuple(found[: query.limit])
        return Page(records, records[-1].id if more else None)

    async def running(self, node: str | None = None) -> list[SessionRecord]:
        """See Store."""
        found = await self._records(
            f"SELECT record FROM sessions WHERE status IN ({','.join('?' * len(RUNNING))})", RUNNING
        )
        return [record for record in found if node in (None, record.node)]

    async def saved_as(self, tenant: str, name: str) -> list[SessionRecord]:
        """See Store."""
        return await self._records(
            "SELECT record FROM sessions WHERE tenant = ? AND name = ? AND json_extract(record, '$.snapshot') NOT NULL"
            " ORDER BY json_extract(record, '$.snapshot_at') DESC LIMIT 5",
            (tenant, name),
        )

    async def due(self, now: float) -> list[SessionRecord]:
        """See Store."""
        return await self._records(
            "SELECT record FROM sessions WHERE status = ? AND expires_at <= ? ORDER BY expires_at LIMIT ?",
            (Status.SUSPENDED, now, BATCH),
        )

    async def ended_before(self, instant: float, kind: Kind) -> list[SessionRecord]:
        """See Store."""
        return await self._records(
            "SELECT record FROM sessions WHERE ended_at < ? AND kind = ? LIMIT ?", (instant, kind, BATCH)
        )

    async def delete(self, session: SessionId) -> None:
        """See Store."""
        await self._run("DELETE FROM sessions WHERE id = ?", (session,))

    async def once(self, tenant: str, key: str, fingerprint: str, session: SessionId) -> tuple[SessionId, str]:
        """See Store."""
        await self._run("DELETE FROM idempotency WHERE made_at < ?", (time.time() - IDEMPOTENCY_LIFE,))
        await self._run(
            "INSERT OR IGNORE INTO idempotency (tenant, key, fingerprint, session, made_at) VALUES (?, ?, ?, ?, ?)",
            (tenant, key, fingerprint, session, time.time()),
        )
        rows = await self._rows(
            "SELECT session, fingerprint FROM idempotency WHERE tenant = ? AND key = ?", (tenant, key)
        )
        return SessionId(rows[0][0]), rows[0][1]

    async def unclaim(self, tenant: str, key: str) -> None:
        """See Store."""
        await self._run("DELETE FROM idempotency WHERE tenant = ? AND key = ?", (tenant, key))

    async def leads(self, what: str, seconds: float) -> bool:
        """See Store. Here there is but one node."""
        return True

    async def add_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """See Store."""
        sql = "INSERT OR IGNORE INTO identities (tenant, name, identity) VALUES (?, ?, ?)"
        return await self._run(sql, (tenant, name, self._codec.identity(identity, tenant, name).decode())) == 1

    async def put_identity(self, tenant: str, name: str, identity: Identity) -> bool:
        """See Store."""
        if await self.add_identity(tenant, name, identity):
            return True
        sql = "INSERT OR REPLACE INTO identities (tenant, name, identity) VALUES (?, ?, ?)"
        await self._run(sql, (tenant, name, self._codec.identity(identity, tenant, name).decode()))
        return False

    async def identity(self, tenant: str, name: str) -> Identity | None:
        """See Store."""
        rows = await self._rows("SELECT identity FROM identities WHERE tenant = ? AND name = ?", (tenant, name))
        return self._codec.read_identity(rows[0][0], tenant, name) if rows else None

    async def identities(self, tenant: str) -> list[tuple[str, Identity]]:
        """See Store."""
        rows = await self._rows("SELECT name, identity FROM identities WHERE tenant = ? ORDER BY name", (tenant,))
        return [(name, self._codec.read_identity(text, tenant, name)) for name, text in rows]

    async def drop_identity(self, tenant: str, name: str) -> bool:
        """See Store."""
        return await self._run("DELETE FROM identities WHERE tenant = ? AND name = ?", (tenant, name)) == 1

    async def _number(self, session: str, tenant: str) -> int:
        rows = await self._rows("SELECT number FROM sessions WHERE id = ? AND tenant = ?", (session, tenant))
        if not rows:
            raise GatewayError(Code.BAD_REQUEST, f"cursor: there is no session {session}")
        return int(rows[0][0])

    async def _records(self, sql: str, values: Sequence[Any]) -> list[SessionRecord]:
        return [self._codec.read_record(row[0]) for row in await self._rows(sql, values)]

    async def _rows(self, sql: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        try:
            return list(await self._db.execute_fetchall(sql, values))
        except sqlite3.Error as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, f"session records cannot be read: {error}") from error

    async def _run(self, sql: str, values: Sequence[Any]) -> int:
        try:
            async with self._db.execute(sql, values) as cursor:
                return cursor.rowcount
        except sqlite3.Error as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, f"session records cannot be written: {error}") from error

    def _columns(self, record: SessionRecord) -> tuple[Any, ...]:
        text = self._codec.record(record).decode()
        return (record.spec.name, record.status, record.ends_at, record.ended_at, record.incarnation, text)
