"""What session records cost in Redis: operations a second of one process, and memory by record. Part of `fleet`."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from browser_pool.spec import LaunchSpec
from gateway.records import Identity, Kind, SessionRecord, SessionSpec, Status, new_session_id
from gateway.store.base import Query
from gateway.store.connection import Connection
from gateway.store.redis import RedisStore

AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Of one process. `rates` are calls a second, `cpu` what Redis' processor had to do for one, in microseconds.

    `bytes_per_session` is what Redis' memory grew by, sets and all.
    """

    sessions: int
    rates: dict[str, float]
    cpu: dict[str, float]
    bytes_per_session: float
    record_bytes: int


def record(number: int, *, tenants: int = 10, node: str = "http://10.0.0.1:3000") -> SessionRecord:
    """A session as they usually are: of a REST call, named, with two labels, an identity and some history."""
    spec = SessionSpec(
        f"tenant-{number % tenants}",
        Kind.API,
        LaunchSpec(viewport=(1280, 720)),
        ttl=3600.0,
        keep=60.0,
        persist=True,
        name=f"session-{number}",
        labels=(("team", f"team-{number % 5}"), ("env", "production")),
        identity=Identity(locale="de-DE", timezone="Europe/Berlin"),
    )
    now = time.time()
    history = tuple((now, word) for word in ("starting", "connected", "detached", "connected"))
    return SessionRecord(
        new_session_id(),
        spec,
        Status.CONNECTED,
        created_at=now,
        expires_at=now + 3600.0,
        incarnation=1,
        snapshot=1,
        snapshot_at="2026-01-02T03:04:05.678Z",
        history=history,
        node=node,
    )


async def measured(connection: Connection, sessions: int = 2000) -> StoreFigures:
    """Put so many sessions in, read, change and list them, and take them out again. Nothing of them stays."""
    store = RedisStore(connection)
    every = [record(number) for number in range(sessions)]
    rates: dict[str, float] = {}
    cpu: dict[str, float] = {}

    async def rate(name: str, call: Callable[[SessionRecord], Coroutine[Any, Any, object]]) -> None:
        left = iter(every)
        worked = await _cpu(connection)

        async def work() -> None:
            for one in left:
                await call(one)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())  # the group awaits it
        rates[name] = sessions / (time.perf_counter() - began)
        cpu[name] = (await _cpu(connection) - worked) / sessions * 1e6

    before = await _memory(connection)
    await rate("insert", store.insert)
    grown = await _memory(connection) - before
    await rate("get", lambda one: store.get(one.id))
    await rate("update, as it is listed", lambda one: store.update(replace(one, last_used_at=time.time())))
    await rate("update, listed otherwise", lambda one: store.update(replace(one, status=Status.SUSPENDED)))
    await rate("page of 20", lambda one: store.page(Query(one.spec.tenant, Status.SUSPENDED, limit=20)))
    size = len(await connection.call("GET", f"cdpg:session:{every[0].id}"))
    await rate("delete", lambda one: store.delete(one.id))
    return StoreFigures(sessions, rates, cpu, grown / sessions, size)


async def _memory(connection: Connection) -> float:
    return await _fact(connection, "memory", "used_memory")


async def _cpu(connection: Connection) -> float:
    """Seconds."""
    return await _fact(connection, "cpu", "used_cpu_user") + await _fact(connection, "cpu", "used_cpu_sys")


async def _fact(connection: Connection, section: str, name: str) -> float:
    facts = (await connection.call("INFO", section)).decode()
    return float(next(line for line in facts.splitlines() if line.startswith(f"{name}:")).split(":")[1])
