"""What is Redis' own about a fleet's store; what every store does is in `test_records.py` and `test_listing.py`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.records import Identity, Kind, SessionRecord, Status, new_session_id
from gateway.store.base import Fenced, Query
from gateway.store.connection import Connection, open_redis
from gateway.store.jobs import Job, JobStatus
from gateway.store.profiles import Profile, Stage
from gateway.store.redis import RedisStore
from tests.redis_server import RedisServer, redis_server
from tests.store.stores import NODE, OTHER, filled, keys, record


@pytest.fixture
def store(connection: Connection) -> RedisStore:
    return RedisStore(connection, NODE)


@pytest.fixture
async def other(redis: RedisServer) -> AsyncIterator[RedisStore]:
    """Another node's, over connections of its own."""
    async with open_redis(redis.url) as connection:
        yield RedisStore(connection, OTHER)


def full(status: Status, **fields: object) -> SessionRecord:
    one = record(status, name="n", labels=(("a", "1"),), node=NODE, snapshot_at="2026-01-02T03:04:05.678Z")
    return replace(one, **fields)  # type: ignore[arg-type]


async def test_nothing_is_left_of_a_session_that_is_erased(connection: Connection, store: RedisStore) -> None:
    for kind in Kind:
        one = full(Status.STARTING)
        one = replace(one, spec=replace(one.spec, kind=kind))
        await store.insert(one)
        for status in Status:
            one = replace(one, status=status, ended_at=5.0 if status.ended else None)
            await store.update(one)
            assert len(await keys(connection)) > 2
        await store.delete(one.id)
        assert await keys(connection) == {"cdpg:number"}


async def test_nothing_is_left_of_what_is_given_back(connection: Connection, store: RedisStore) -> None:
    await store.once("t", "key", "print", new_session_id())
    await store.unclaim("t", "key")
    await store.put_identity("t", "name", Identity())
    await store.drop_identity("t", "name")
    await store.leads("sweeping", 0.001)
    while await keys(connection):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


# --- fencing ---


async def test_who_has_lost_the_lease_is_fenced(connection: Connection, store: RedisStore, other: RedisStore) -> None:
    one = full(Status.CONNECTED)
    await store.insert(one)
    await connection.call("SET", f"cdpg:lease:{one.id}", f"{OTHER}|4|nonce|t")
    with pytest.raises(Fenced, match="another node"):
        await store.update(replace(one, reason="mine"))
    theirs = replace(one, reason="theirs", node=OTHER, incarnation=2)
    await other.update(theirs)
    await connection.call("DEL", f"cdpg:lease:{one.id}")
    with pytest.raises(Fenced, match="incarnation 1 is not the last"):
        await store.update(replace(one, reason="mine"))
    assert await store.get(one.id) == theirs
    assert await store.running(NODE) == []
    assert await store.running(OTHER) == [theirs]


async def test_who_has_lost_the_lease_puts_nothing_back(connection: Connection, store: RedisStore) -> None:
    one = full(Status.CONNECTED)
    await connection.call("SET", f"cdpg:lease:{one.id}", f"{OTHER}|4|nonce|t")
    assert not await store.put_back(one)
    assert await store.get(one.id) is None
    await connection.call("SET", f"cdpg:lease:{one.id}", f"{NODE}|4|nonce|t")
    assert await store.put_back(one)


async def test_many_writers_over_two_connections(store: RedisStore, other: RedisStore) -> None:
    one = full(Status.STARTING)
    await store.insert(one)
    statuses = [*Status]
    writes = [replace(one, incarnation=number, status=statuses[number % 7], connections=number) for number in range(60)]
    done = await asyncio.gather(
        *((store, other)[write.incarnation % 2].update(write) for write in writes), return_exceptions=True
    )
    assert all(result is None or isinstance(result, Fenced) for result in done)
    assert done[-1] is None
    assert await store.get(one.id) == writes[-1]
    for status in Status:
        listed = await store.page(Query("t", status))
        assert list(listed.records) == ([writes[-1]] if status is writes[-1].status else [])


async def test_many_creations_over_two_connections(store: RedisStore, other: RedisStore) -> None:
    every = [full(Status.STARTING) for _ in range(60)]
    await asyncio.gather(*((store, other)[number % 2].insert(one) for number, one in enumerate(every)))
    assert {one.id for one in await store.running()} == {one.id for one in every}
    same = [full(Status.STARTING, id=every[0].id) for _ in range(10)]
    done = await asyncio.gather(*((store, other)[n % 2].put_back(one) for n, one in enumerate(same)))
    assert not any(done)


async def test_one_of_two_nodes_leads(connection: Connection, store: RedisStore, other: RedisStore) -> None:
    first = await asyncio.gather(store.leads("sweeping", 60), other.leads("sweeping", 60))
    assert sorted(first) == [False, True]
    leader, follower = (store, other) if first[0] else (other, store)
    assert await leader.leads("sweeping", 30)
    assert 0 < await connection.call("PTTL", "cdpg:leads:sweeping") <= 30_000
    assert not await follower.leads("sweeping", 60)
    assert await follower.leads("something else", 60)
    await connection.call("PEXPIRE", "cdpg:leads:sweeping", 0)
    assert await follower.leads("sweeping", 60)
    assert not await leader.leads("sweeping", 60)
    nameless = RedisStore(connection), RedisStore(connection)
    assert [await one.leads("third", 60) for one in (*nameless, *nameless)] == [True, False, True, False]


# --- what it costs ---


async def test_what_is_done_for_each_request_is_one_command(connection: Connection, store: RedisStore) -> None:
    every = [full(Status.CONNECTED) for _ in range(20)]
    await filled(store, *every)
    await store.update(every[0])
    await store.page(Query("t"))
    await store.running(NODE)
    await store.due(5.0)
    calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "get": lambda: store.get(every[3].id),
        "update": lambda: store.update(replace(every[4], status=Status.SUSPENDED)),
        "insert": lambda: store.insert(full(Status.STARTING)),
        "running": lambda: store.running(NODE),
        "page": lambda: store.page(Query("t", Status.CONNECTED, "n", (("a", "1"),), limit=5)),
        "due": lambda: store.due(5.0),
        "delete": lambda: store.delete(every[5].id),
    }
    await store.delete(every[6].id)
    for name, call in calls.items():
        before = connection.sent
        await call()
        assert connection.sent - before == 1, name


async def test_nothing_goes_through_all_keys(connection: Connection, store: RedisStore) -> None:
    await connection.call("CONFIG", "RESETSTAT")
    one = full(Status.SUSPENDED)
    await store.insert(one)
    await store.put_back(one)
    await store.get(one.id)
    await store.update(one)
    await store.page(Query("t", one.status, "n", (("a", "1"),), None, 10, (one.status,)))
    await store.page(Query("t", cursor=one.id))
    await store.running()
    await store.running(NODE)
    await store.saved_as("t", "n")
    await store.due(9e9)
    await store.ended_before(9e9, Kind.API)
    await store.once("t", "key", "print", one.id)
    await store.unclaim("t", "key")
    await store.leads("x", 5.0)
    await store.add_identity("t", "i", Identity())
    await store.put_identity("t", "i", Identity())
    await store.identity("t", "i")
    await store.identities("t")
    await store.drop_identity("t", "i")
    profile = Profile("p", "t", Stage.READY, 1.0, 1.0, 1.0)
    await store.profiles.add(profile)
    await store.profiles.put(profile)
    await store.profiles.get("p")
    await store.profiles.listed("t")
    await store.profiles.unused(9e9)
    await store.profiles.drop("p")
    await store.jobs.add(Job("j", "t", "fetch", 1.0), b"asked", "key", "f")
    await store.jobs.keyed("t", "key")
    await store.jobs.unfinished()
    await store.jobs.inherit(OTHER)
    await store.jobs.begin("j", 1.0)
    await store.jobs.finish("j", JobStatus.COMPLETED, b"made", 2.0)
    await store.jobs.result("j")
    await store.jobs.size("t")
    await store.jobs.expire(9e9)
    await store.delete(one.id)
    stats = (await connection.call("INFO", "commandstats")).decode()
    used = {line.split(":")[0].removeprefix("cmdstat_") for line in stats.splitlines() if line.startswith("cmdstat_")}
    assert used >= {"get", "evalsha", "zadd"}
    assert not used & {"keys", "scan", "sscan", "hscan", "zscan", "sort", "flushall", "flushdb", "randomkey"}


# --- Redis goes and comes ---


async def test_a_redis_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    async with redis_server(tmp_path / "redis", keeps=True) as server, open_redis(server.url) as connection:
        store = RedisStore(connection, NODE)
        one = full(Status.CONNECTED)
        await store.insert(one)
        await server.end()
        for call in (store.get(one.id), store.update(one), store.page(Query("t")), store.leads("x", 1)):
            with pytest.raises(GatewayError) as refused:
                await call
            assert refused.value.code is Code.STORE_UNAVAILABLE
            assert refused.value.retry_after is not None
        await server.start()
        assert await store.get(one.id) == one
        await store.update(replace(one, reason="later"))


async def test_a_redis_that_comes_back_empty(tmp_path: Path) -> None:
    async with redis_server(tmp_path / "redis") as server, open_redis(server.url) as connection:
        store = RedisStore(connection, NODE)
        every = [full(Status.CONNECTED, created_at=1000.0 + number) for number in range(5)]
        await filled(store, *every)
        await server.end()
        await server.start()
        with pytest.raises(Fenced):
            await store.update(every[0])
        new = full(Status.STARTING, created_at=2000.0)
        await store.insert(new)
        assert all(await asyncio.gather(*(store.put_back(one) for one in reversed(every))))
        await store.update(replace(every[0], reason="later"))
        listed = await store.page(Query("t"))
        assert [one.id for one in listed.records] == [new.id, *(one.id for one in reversed(every))]
