"""Promises of a fleet: who has what, over all nodes, whatever becomes of Redis."""

import asyncio
import signal
import time
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from browser_pool.spec import LaunchSpec
from gateway.cluster.cluster import LIFE, joined
from gateway.cluster.fleet import Elsewhere, Lease
from gateway.cluster.placement import Capacity, NodeLoad
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Status, Tenant, new_session_id
from gateway.store.connection import Connection, open_redis
from gateway.tenancy.capability import tag
from tests.cluster.members import BRISK, Member, fleet, until, until_so
from tests.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("connection")


def record(node: str | None) -> SessionRecord:
    spec = SessionSpec("t", Kind.API, LaunchSpec(), 60, 60)
    return SessionRecord(new_session_id(), spec, Status.CONNECTED, 0, 60, node=node)


async def unavailable(member: Member, again: bool = False) -> GatewayError:
    """What a create is told, within 5 s."""
    began = time.monotonic()
    with pytest.raises(GatewayError) as error:
        await member.cluster.place(new_session_id(), "t", again=again)
    assert time.monotonic() - began < 5
    assert error.value.code is Code.STORE_UNAVAILABLE
    assert error.value.retry_after
    return error.value


async def test_a_session_has_one_node_however_many_want_it(connection: Connection, redis: RedisServer) -> None:
    random = Random(7)
    sessions = [new_session_id() for _ in range(4)]
    has: dict[SessionId, str] = {}
    told = Counter[str]()
    async with fleet(redis.url, *[3] * 5) as made:

        async def want(member: Member, session: SessionId) -> None:
            try:
                lease = await member.cluster.place(session, "t", again=True, name=session, here=True)
            except Elsewhere as away:
                assert away.grant is None
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
            for _ in range(15):
                if not busy[member.name, session]:  # a node asks once at a time
                    busy[member.name, session] = True
                    await want(member, session)
                    busy[member.name, session] = False

        await asyncio.gather(*(one_node(member, session) for member in made.members for session in sessions))
        assert (await made.members[0].cluster.pressure()).running == 0
    assert told["placed"] > 20
    assert told["elsewhere"] > 20


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
    async with fleet(redis.url, 1, node_timeout=BRISK) as made:
        (one,) = made.members
        assert not one.cluster.trusted
        await until_so(lambda: one.cluster.trusted)
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
        assert await connection.call("PTTL", f"cdpg:{key}") > 0, key
    counts = {"bucket:t", "epoch", "most", "nodes:version", "pace", "pulse", "sequence", "served", "tenants", "turn"}
    assert set(left) <= counts


async def restarted(redis: RedisServer) -> None:
    await redis.end(signal.SIGKILL)
    await redis.start()


async def test_redis_dies_and_comes_back_empty(redis: RedisServer) -> None:
    async with fleet(redis.url, 2, 2, node_timeout=BRISK) as made:
        one, two = made.members
        await until_so(lambda: one.cluster.trusted and two.cluster.trusted)
        mine, others = await made.take(one, name="shop", here=True), await made.take(two, here=True)
        ended = await made.take(two, here=True)
        await redis.end(signal.SIGKILL)
        for member in (one, two):
            await unavailable(member)
            await until_so(lambda member=member: not member.cluster.connected)  # type: ignore[misc]
        assert await one.cluster.there(record(two.name)), "as far as anybody knows"
        await two.cluster.release(ended)  # is not waited for
        await asyncio.sleep(LIFE * BRISK)  # longer than any lease lasts
        await redis.start()
        for member in (one, two):
            await until_so(lambda member=member: member.cluster.connected)  # type: ignore[misc]
        assert "have to say first" in (await unavailable(one, again=True)).message
        async with open_redis(redis.url) as connection:
            for lease in (mine, others):

                async def held(lease: Lease = lease) -> bool:
                    return bool(await connection.call("GET", f"cdpg:lease:{lease.session}") == lease.token.encode())

                await until(held)
            assert await connection.call("EXISTS", f"cdpg:lease:{ended.session}") == 0
            assert await connection.call("GET", "cdpg:name:t:shop") == mine.session.encode()
        await until_so(lambda: one.cluster.trusted and two.cluster.trusted)
        assert one.cluster.nodes == two.cluster.nodes == {one.name, two.name}
        for member in (one, two):
            assert (member.told.nodes, member.told.sessions) == ([], [])
            assert member.told.returns >= 1
        assert (await made.take(one, again=True)).node == one.name
        assert (await one.cluster.pressure()).running == 3


async def test_redis_is_frozen_for_a_while(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 2, node_timeout=BRISK, queue_timeout=60) as made:
        one, two = made.members
        await until_so(lambda: one.cluster.trusted and two.cluster.trusted)
        leases = [await made.take(one, here=True), await made.take(two, here=True)]
        redis.freeze()
        try:
            await asyncio.gather(unavailable(one), unavailable(two))
        finally:
            redis.thaw()
        await until_so(lambda: one.cluster.trusted and two.cluster.trusted)
        for member, lease in zip((one, two), leases, strict=True):
            assert member.cluster.held == [lease]
            assert (member.told.nodes, member.told.sessions) == ([], [])

        async def as_before() -> bool:  # what was asked meanwhile may have been granted late, and runs out
            pressure = await one.cluster.pressure()
            return (pressure.running, pressure.waiting) == (2, 0)

        await until(as_before)


async def test_redis_goes_and_comes_so_fast_that_no_heartbeat_misses_it(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 1) as made:
        one, two = made.members
        lease = await made.take(one)
        await restarted(redis)
        for member in (one, two):
            await member.cluster.announce()
        await until_so(lambda: one.cluster.connected and two.cluster.connected)
        assert one.told.returns == 1
        with pytest.raises(Elsewhere) as away:
            await two.cluster.place(lease.session, "t")
        assert away.value.node == one.name


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
