"""Records of browser profiles that tenants keep: what sessions can begin with, and be saved to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from gateway.records import Upstream

SCHEMA = """
CREATE TABLE IF NOT EXISTS profiles (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    used_at REAL NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS profiles_by_tenant ON profiles (tenant, number DESC);
"""


class Stage(StrEnum):
    """What can be done with a profile: AWAITED has nothing saved yet, and FAILED will not have."""

    AWAITED = "awaited"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile; what it holds is a snapshot under its id. Instants in seconds since 1970.

    `version` is that snapshot, `session` the last one that wrote it. A session that begins with it is `user_agent`, as
    large as `viewport`, and goes out by `upstream`, unless it says otherwise.
    """

    id: str
    tenant: str
    stage: Stage
    created_at: float
    updated_at: float
    used_at: float
    version: int | None = None
    session: str | None = None
    user_agent: str | None = None
    viewport: tuple[int, int] | None = None
    upstream: Upstream | None = None
    project: str | None = None


class ProfileStore(Protocol):
    """A store's profiles. Every call may raise GatewayError STORE_UNAVAILABLE."""

    async def add(self, profile: Profile) -> None:
        """A new one; its id must be new."""

    async def put(self, profile: Profile) -> bool:
        """Replace its record; False if it is not there any more."""

    async def get(self, profile: str) -> Profile | None:
        """One of whatever tenant, or None."""

    async def listed(self, tenant: str) -> list[Profile]:
        """All of a tenant, newest first."""

    async def unused(self, before: float) -> list[Profile]:
        """Those of all tenants that were last used before that instant."""

    async def drop(self, profile: str) -> bool:
        """Forget it; False if it was not there."""


class ProfileTable:
    """The same in SQLite; `run` gives how many rows a statement changed, `rows` what it found."""

    def __init__(
        self,
        run: Callable[[str, Sequence[Any]], Awaitable[int]],
        rows: Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]],
        write: Callable[[Profile], bytes],
        read: Callable[[str], Profile],
    ) -> None:
        self._run = run
        self._rows = rows
        self._write = write
        self._read = read

    async def add(self, profile: Profile) -> None:
        """See ProfileStore."""
        sql = "INSERT INTO profiles (id, tenant, used_at, record) VALUES (?, ?, ?, ?)"
        await self._run(sql, (profile.id, profile.tenant, profile.used_at, self._write(profile).decode()))

    async def put(self, profile: Profile) -> bool:
        """See ProfileStore."""
        sql = "UPDATE profiles SET used_at = ?, record = ? WHERE id = ?"
        return await self._run(sql, (profile.used_at, self._write(profile).decode(), profile.id)) == 1

    async def get(self, profile: str) -> Profile | None:
        """See ProfileStore."""
        found = await self._found("SELECT record FROM profiles WHERE id = ?", (profile,))
        return found[0] if found else None

    async def listed(self, tenant: str) -> list[Profile]:
        """See ProfileStore."""
        return await self._found("SELECT record FROM profiles WHERE tenant = ? ORDER BY number DESC", (tenant,))

    async def unused(self, before: float) -> list[Profile]:
        """See ProfileStore."""
        return await self._found("SELECT record FROM profiles WHERE used_at < ?", (before,))

    async def drop(self, profile: str) -> bool:
        """See ProfileStore."""
        return await self._run("DELETE FROM profiles WHERE id = ?", (profile,)) == 1

    async def _found(self, sql: str, values: Sequence[Any]) -> list[Profile]:
        return [self._read(row[0]) for row in await self._rows(sql, values)]
