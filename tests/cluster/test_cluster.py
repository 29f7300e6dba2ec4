"""Promises of a fleet: who has what, over all nodes, whatever becomes of Redis."""

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from gateway.cluster.cluster import joined
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.cluster.placement import Capacity, NodeLoad
from gateway.errors import Code, GatewayError
from gateway.records import SessionId, Tenant, new_session_id
from gateway.store.connection import Connection, open_redis
from gateway.tenancy.capability import tag
from tests.cluster.members import Member, fleet, record
from tests.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("connection")


async def test_a_session_has_one_node_however_many_want_it(connection: Connection, redis: RedisServer) -> None:
    random = Random(7)
    sessions = [new_session_id() for _ in range(4)]
    has: dict[SessionId, str] = {}
    told = Counter[str]()
    async with fleet(redis.url, *[3] * 4) as made:

        async def want(member: Member, session: SessionId) -> None:
            try:
                lease = await member.cluster.place(session, "t", again=True, name=session, here=True)
            except Elsewhere:
                told["elsewhere"] += 1
                return
            told["placed"] += 1
            assert session not in has, "two have it"
            has[session] = member.name
            assert await connection.call("GET", f"cdpg:lease:{session}") == lease.token.encode()
            await asyncio.sleep(random.random() * 0.003)
            del has[session]
            await member.cluster.release(lease)

        busy = {(member.name, session): False for member in made.members for session in sessions}

        async def one_node(member: Member, session: SessionId) -> None:
            for _ in range(6):
                if not busy[member.name, session]:  # a node asks once at a time
                    busy[member.name, session] = True
                    await want(member, session)
                    busy[member.name, session] = False

        await asyncio.gather(*(one_node(member, session) for member in made.members for session in sessions))
        assert (await made.members[0].cluster.pressure()).running == 0
    assert told["placed"] > 5
    assert told["elsewhere"] > 5


async def test_who_is_there(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 1) as made:
        one, two = made.members
        assert one.cluster.nodes == two.cluster.nodes == {one.name, two.name}
        assert one.cluster.named_by(tag(two.name)) == two.name
        assert not await one.cluster.there(record(None))
        assert not await one.cluster.there(record(one.name))
        assert await one.cluster.there(record(two.name))
        late = await made.add(1)
        assert late.name not in one.cluster.nodes
        assert await one.cluster.there(record(late.name)), "Redis knows it"
        with pytest.raises(GatewayError, match="nobody can tell") as error:
            await one.cluster.there(record("http://10.0.9.9:3000"))
        assert (error.value.code, error.value.retry_after) == (Code.STORE_UNAVAILABLE, 1)
        gone = one.cluster.gone(two.name)
        await two.leave()
        await one.cluster.announce()
        assert gone.is_set()
        assert one.cluster.nodes == {one.name, late.name}


async def test_a_fleet_that_has_been_there_for_a_while_is_trusted_by_who_joins(redis: RedisServer) -> None:
    async with fleet(redis.url, 1) as made:
        (one,) = made.members
        before = one.cluster.trusted
        await made.missed()
        assert (before, one.cluster.trusted) == (False, True)
        assert not await one.cluster.there(record("http://10.0.9.9:3000"))
        two = await made.add(1)
        assert two.cluster.trusted


async def test_a_node_that_drains_gets_no_sessions(redis: RedisServer) -> None:
    async with fleet(redis.url, 5, 1) as made:
        one, two = made.members
        kept = await made.take(one)
        await one.can_take(5, accepting=False)
        assert (await made.take(one)).node == two.name
        pressure = await two.cluster.pressure()
        assert set(pressure.nodes) == {
            NodeLoad(one.name, 5, 1, 0, False),
            NodeLoad(two.name, 1, 1, 0, True),
        }
        assert (pressure.limit, pressure.running, pressure.free) == (1, 2, 0)
        assert one.cluster.held == [kept]
        waiting = asyncio.ensure_future(made.take(two))
        await made.waiting(1)
        await one.can_take(2)
        assert (await waiting).node == one.name


async def test_before_it_is_open_a_node_has_no_places(redis: RedisServer) -> None:
    async with (
        fleet(redis.url, 0) as made,
        open_redis(redis.url) as connection,
        joined(
            connection,
            "http://10.0.1.1:3000",
            capacity=lambda: Capacity(3, 1, True),
            tenant_of=Tenant,
            queue_length=3,
            queue_timeout=30,
            node_timeout=60,
        ) as late,
    ):
        waiting = asyncio.ensure_future(made.members[0].cluster.place(new_session_id(), "t"))
        await made.waiting(1)
        assert not waiting.done()
        await late.open()
        with pytest.raises(Elsewhere) as away:
            await waiting
        assert away.value.node == late.name


async def test_adopting(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 0, 1) as made:
        one, two = made.members
        session = new_session_id()
        lease = await one.cluster.adopt(session, "t", "shop")
        assert lease is not None
        assert (lease.node, one.cluster.held) == (one.name, [lease])
        assert await two.cluster.adopt(session, "t") is None
        with pytest.raises(Elsewhere) as away:
            await two.cluster.place(session, "t", again=True)
        assert (away.value.node, away.value.grant) == (one.name, None)
        with pytest.raises(GatewayError, match="runs under the name 'shop'"):
            await made.take(two, name="shop")
        await one.cluster.release(lease)
        await one.cluster.release(lease)
        assert await connection.call("EXISTS", f"cdpg:lease:{session}", "cdpg:name:t:shop") == 0


async def test_a_later_lease_of_a_session_is_not_released_by_an_earlier_one(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 1) as made:
        one, two = made.members
        session = new_session_id()
        first = await one.cluster.place(session, "t")
        await one.cluster.release(first)
        second = await two.cluster.place(session, "t", again=True)
        await one.cluster.release(first)
        await two.cluster.announce()
        assert two.cluster.held == [second]
        with pytest.raises(Elsewhere):
            await one.cluster.place(session, "t", again=True)


async def test_a_grant_is_given_back_by_who_cannot_pass_it_on(redis: RedisServer) -> None:
    async with fleet(redis.url, 0, 1) as made:
        one, two = made.members
        with pytest.raises(Elsewhere) as away:
            await one.cluster.place(new_session_id(), "t")
        assert isinstance(away.value.grant, Lease)
        await one.cluster.release(away.value.grant)
        assert (await two.cluster.pressure()).running == 0


async def test_creates_a_minute_are_counted_over_all_nodes(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 1) as made:
        one, two = made.members
        assert await one.cluster.charge("t", 2) == 0
        assert await two.cluster.charge("t", 2) == 0
        assert 0 < await one.cluster.charge("t", 2) <= 30
        assert await two.cluster.charge("other", 2, 2) == 0


@pytest.mark.parametrize("handed", [False, True], ids=["leaves", "hands-over"])
async def test_what_a_node_leaves(redis: RedisServer, connection: Connection, handed: bool) -> None:
    async with fleet(redis.url, 1, 1) as made:
        one, two = made.members
        session = new_session_id()
        first = await made.take(one, session=session)
        await made.take(two)
        waiting = asyncio.ensure_future(made.take(two))
        await made.waiting(1)
        one.cluster.hand_over = handed
        await one.leave()
        if handed:
            again = await made.add(1, name=one.name)
            lease = await again.cluster.adopt(session, "t")
            assert lease is not None
            assert lease != first
            await again.can_take(2)
            assert (await waiting).node == one.name
        else:
            assert await connection.call("EXISTS", f"cdpg:lease:{session}", f"cdpg:leases:{one.name}") == 0
            await two.cluster.announce()
            assert two.cluster.nodes == {two.name}
            await two.can_take(2)
            assert (await waiting).node == two.name


async def test_nothing_stays_in_redis_for_ever(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 1, 0, tenants={"a": Tenant("a", max_sessions=1)}, queue_timeout=0.2) as made:
        for tenant in ("a", "b", "a"):
            lease = await made.take(made.members[1], tenant, name="shop")
            with pytest.raises(GatewayError):
                await made.take(made.members[0], tenant)
            await made.give(lease)
        await made.take(made.members[0], "b", name="kept")
        await made.members[0].cluster.charge("t", 2)
    left = [key.decode().removeprefix("cdpg:") for key in await connection.call("KEYS", "*")]
    for key in left:
        assert await connection.call("PTTL", f"cdpg:{key}") != -1, key  # -2: it has ended meanwhile
    counts = {"bucket:t", "epoch", "most", "nodes:version", "pace", "pulse", "sequence", "served", "tenants", "turn"}
    assert set(left) <= counts


async def test_a_node_cannot_join_without_redis(redis: RedisServer) -> None:
    async with open_redis("redis://127.0.0.1:1/0") as connection:
        with pytest.raises(GatewayError) as error:
            async with joined(
                connection,
                "http://10.0.1.1:3000",
                capacity=lambda: Capacity(3, 1, True),
                tenant_of=Tenant,
                queue_length=3,
                queue_timeout=30,
                node_timeout=60,
            ):
                pytest.fail("it has joined")
    assert error.value.code is Code.STORE_UNAVAILABLE


async def test_who_comes_back_to_a_session_is_asked_for_no_more_than_one_command(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 1) as made:
        one, two = made.members
        before = one.connection.sent
        assert await one.cluster.there(replace(record(two.name)))
        assert one.cluster.named_by(tag(two.name)) == two.name
        assert one.connection.sent == before, "none, where the node was seen"
        lease = await made.take(one)
        assert one.connection.sent == before + 1
        await made.give(lease)
        assert one.connection.sent == before + 2
