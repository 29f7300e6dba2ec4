"""Long work that is done later. What is asked and what came of it are bytes here, sealed by others."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    key TEXT,
    fingerprint TEXT NOT NULL,
    request BLOB,
    result BLOB,
    UNIQUE (tenant, key)
);
CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (finished_at);
"""
_COLUMNS = "id, tenant, kind, status, created_at, started_at, finished_at"


class JobStatus(StrEnum):
    """How far it is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Nothing more happens to it."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Job:
    """What is remembered of it; instants in seconds since the epoch."""

    id: str
    tenant: str
    kind: str
    created_at: float
    status: JobStatus = JobStatus.QUEUED
    started_at: float | None = None
    finished_at: float | None = None


class JobStore(Protocol):
    """Every call may raise GatewayError STORE_UNAVAILABLE."""

    async def add(self, job: Job, request: bytes, key: str | None, fingerprint: str) -> tuple[str, str]:
        """A new one, or none where the tenant has one of that `key`; id and fingerprint of the one that there is."""

    async def keyed(self, tenant: str, key: str) -> tuple[str, str] | None:
        """Id and fingerprint of the tenant's job of that key."""

    async def get(self, job: str) -> Job | None:
        """One, or None."""

    async def begin(self, job: str, now: float) -> bytes | None:
        """It runs from now on: what is asked; None if it has finished, or is gone."""

    async def finish(self, job: str, status: JobStatus, result: bytes | None, now: float) -> bool:
        """It is over, and what was asked is forgotten; False if it was over before."""

    async def result(self, job: str) -> bytes | None:
        """What came of it, or None."""

    async def size(self, tenant: str) -> int:
        """Bytes that are kept for a tenant: what is asked and what came of it."""

    async def unfinished(self) -> list[tuple[Job, bytes]]:
        """Those of this node that are queued or run, in the order in which they came, with what is asked."""

    async def inherit(self, node: str) -> list[tuple[Job, bytes]]:
        """The same of another node of the fleet, which is gone: they are this one's from now on, and no other's."""

    async def expire(self, instant: float) -> int:
        """Forget those that finished before `instant`; how many."""


class JobTable:
    """The protocol, over one SQLite table."""

    def __init__(
        self,
        run: Callable[[str, Sequence[Any]], Awaitable[int]],
        rows: Callable[[str, Sequence[Any]], Awaitable[list[sqlite3.Row]]],
    ) -> None:
        self._run = run
        self._rows = rows

    async def add(self, job: Job, request: bytes, key: str | None, fingerprint: str) -> tuple[str, str]:
        """See JobStore."""
        await self._run(
            "INSERT OR IGNORE INTO jobs (id, tenant, kind, status, created_at, key, fingerprint, request)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (job.id, job.tenant, job.kind, job.status, job.created_at, key, fingerprint, request),
        )
        there = None if key is None else await self.keyed(job.tenant, key)
        return there or (job.id, fingerprint)

    async def keyed(self, tenant: str, key: str) -> tuple[str, str] | None:
        """See JobStore."""
        rows = await self._rows("SELECT id, fingerprint FROM jobs WHERE tenant = ? AND key = ?", (tenant, key))
        return (rows[0][0], rows[0][1]) if rows else None

    async def get(self, job: str) -> Job | None:
        """See JobStore."""
        rows = await self._rows(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job,))
        return _job(rows[0]) if rows else None

    async def begin(self, job: str, now: float) -> bytes | None:
        """See JobStore."""
        sql = "UPDATE jobs SET status = ?, started_at = ? WHERE id = ? AND finished_at IS NULL"
        if not await self._run(sql, (JobStatus.RUNNING, now, job)):
            return None
        rows = await self._rows("SELECT request FROM jobs WHERE id = ?", (job,))
        return rows[0][0] if rows else None

    async def finish(self, job: str, status: JobStatus, result: bytes | None, now: float) -> bool:
        """See JobStore."""
        sql = (
            "UPDATE jobs SET status = ?, result = ?, finished_at = ?, request = NULL"
            " WHERE id = ? AND finished_at IS NULL"
        )
        return await self._run(sql, (status, result, now, job)) == 1

    async def result(self, job: str) -> bytes | None:
        """See JobStore."""
        rows = await self._rows("SELECT result FROM jobs WHERE id = ?", (job,))
        return rows[0][0] if rows else None

    async def size(self, tenant: str) -> int:
        """See JobStore."""
        sql = "SELECT coalesce(sum(length(request)), 0) + coalesce(sum(length(result)), 0) FROM jobs WHERE tenant = ?"
        return int((await self._rows(sql, (tenant,)))[0][0])

    async def unfinished(self) -> list[tuple[Job, bytes]]:
        """See JobStore."""
        sql = f"SELECT {_COLUMNS}, request FROM jobs WHERE finished_at IS NULL ORDER BY number"
        return [(_job(row), row[7]) for row in await self._rows(sql, ())]

    async def inherit(self, node: str) -> list[tuple[Job, bytes]]:
        """See JobStore. Here there is but one node."""
        return []

    async def expire(self, instant: float) -> int:
        """See JobStore."""
        return await self._run("DELETE FROM jobs WHERE finished_at < ?", (instant,))


def _job(row: sqlite3.Row) -> Job:
    number, tenant, kind, status, created_at, started_at, finished_at = row[:7]
    return Job(number, tenant, kind, created_at, JobStatus(status), started_at, finished_at)
