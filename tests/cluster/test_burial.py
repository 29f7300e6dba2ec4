"""A node dies: the others are told, one of them puts it right, and its places are free."""

import asyncio
from functools import partial

import pytest

from gateway.cluster import cluster
from gateway.store.connection import Connection
from tests.cluster.members import BRISK, Fleet, Member, fleet, until, until_so
from tests.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("connection")


async def removed(made: Fleet, name: str, by: Member) -> None:
    async def gone() -> bool:
        return name.encode() not in await by.connection.call("ZRANGE", "cdpg:nodes", 0, -1)

    await until(gone)


def under_way(member: Member) -> bool:
    return bool(member.cluster._heartbeat._burial._under_way)


async def test_one_of_the_others_puts_it_right_and_its_places_are_free(
    redis: RedisServer, connection: Connection
) -> None:
    async with fleet(redis.url, 2, 0, 0, tenants={}) as made:
        one, two, three = made.members
        for member in (two, three):
            member.told.held = asyncio.Event()
        lease = await made.take(two, name="shop")
        gone = three.cluster.gone(one.name)
        await one.die()
        # Its lease was perhaps granted in its last moment: it would outlive the node.
        await made.missed(one)
        await until_so(lambda: len(two.told.nodes + three.told.nodes) == 1)
        assert await connection.call("EXISTS", f"cdpg:lease:{lease.session}") == 0, "it would fence off its follower"
        assert gone.is_set()
        busy, idle = (two, three) if two.told.nodes else (three, two)
        await made.missed(one)
        assert one.name not in idle.cluster.nodes
        assert not under_way(idle)
        assert idle.told.nodes == [], "one at a time"
        assert await connection.call("ZSCORE", "cdpg:nodes", one.name) is not None, "until it is done"
        assert busy.told.held is not None
        busy.told.held.set()
        await removed(made, one.name, two)
        assert (busy.told.nodes, idle.told.nodes) == ([one.name], [])
        assert await connection.call("EXISTS", f"cdpg:lease:{lease.session}", f"cdpg:leases:{one.name}") == 0
        await two.can_take(1)
        assert (await made.take(three, name="shop")).node == two.name


async def test_time_itself_makes_a_silent_node_a_dead_one(redis: RedisServer) -> None:
    async with fleet(redis.url, 0, 0, node_timeout=BRISK) as made:
        one, two = made.members
        await two.die()
        await until_so(lambda: one.told.nodes == [two.name])
        await removed(made, two.name, one)


async def test_who_waits_gets_the_places_of_the_dead(redis: RedisServer) -> None:
    async with fleet(redis.url, 0, 1, queue_timeout=60) as made:
        one, two = made.members
        await made.take(one)
        (turn,) = await made.queued([partial(made.take, one)])
        await two.die()
        await made.missed(two)
        await removed(made, two.name, one)
        assert not turn.done()
        await one.can_take(1)
        assert (await turn).node == one.name


async def test_where_one_fails_it_is_done_again(redis: RedisServer) -> None:
    async with fleet(redis.url, 0, 0) as made:
        one, two = made.members
        one.told.fails = 2
        await two.die()
        for tries in (1, 2, 3):
            await made.missed(two)
            await until_so(lambda: not under_way(one))
            assert one.told.nodes == [two.name] * tries
        await removed(made, two.name, one)


async def test_where_one_dies_over_it_the_next_does_it(
    redis: RedisServer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.05)
    async with fleet(redis.url, 0, 0, 0) as made:
        one, two, three = made.members
        for member in (two, three):
            member.told.held = asyncio.Event()
        await one.die()
        await made.missed(one)
        await until_so(lambda: len(two.told.nodes + three.told.nodes) == 1)
        busy, idle = (two, three) if two.told.nodes else (three, two)
        assert idle.told.held is not None
        idle.told.held.set()
        await busy.die()
        await connection.call("PEXPIRE", f"cdpg:burying:{one.name}", 0)  # it ran out, if it was not given back
        await made.missed(one, busy)
        await removed(made, busy.name, idle)
        await removed(made, one.name, idle)
        assert sorted(idle.told.nodes) == sorted([one.name, busy.name])


async def test_who_is_back_in_time_keeps_its_leases(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 1, 0) as made:
        one, two = made.members
        two.told.held = asyncio.Event()
        session = (await made.take(one)).session
        await one.die()
        await made.missed(one)
        await until_so(lambda: two.told.nodes == [one.name])
        again = await made.add(1, name=one.name)
        lease = await again.cluster.adopt(session, "t")
        assert lease is not None
        two.told.held.set()
        await until_so(lambda: not under_way(two))
        await again.cluster.announce()
        assert again.told.sessions == []
        assert await connection.call("GET", f"cdpg:lease:{session}") == lease.token.encode()
        await two.cluster.announce()
        assert one.name in two.cluster.nodes
