"""The queue of a fleet is what that of one machine is (`tests/tenancy/test_queue.py`), whichever node is asked."""

import asyncio
from collections import Counter
from functools import partial
from random import Random

import pytest

from gateway.cluster.fleet import Elsewhere, Lease
from gateway.cluster.placement import TenantLoad
from gateway.errors import Code, GatewayError
from gateway.records import Tenant, new_session_id
from gateway.store.connection import Connection
from tests.cluster.members import BRISK, Fleet, Member, fleet, until_so
from tests.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("connection")


async def refused(made: Fleet, member: Member, tenant: str = "t") -> str:
    with pytest.raises(GatewayError) as error:
        await made.take(member, tenant)
    assert error.value.code is Code.TOO_MANY_SESSIONS
    assert error.value.retry_after
    return error.value.message


async def load(made: Fleet, tenant: str = "t") -> TenantLoad:
    return (await made.members[0].cluster.pressure()).of(tenant)


async def test_as_many_as_all_nodes_can_take(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 2, queue_length=0) as made:
        one, two = made.members
        leases = [await made.take(one) for _ in range(3)]
        assert Counter(lease.node for lease in leases) == {one.name: 1, two.name: 2}
        for member in (one, two):
            assert "all browsers of this gateway are in use and the queue" in await refused(made, member)
        await made.give(leases[0])
        assert (await made.take(two)).node == leases[0].node
        assert (await load(made)).running == 3


async def test_first_come_first_served_whichever_node_is_asked(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 0, 0, queue_length=4) as made:
        lease = await made.take(made.members[1])
        waiting = await made.queued([partial(made.take, made.members[n % 3]) for n in range(4)])
        assert "the queue for them is full" in await refused(made, made.members[2])
        for number, turn in enumerate(waiting):
            assert (await load(made)).waiting == 4 - number
            await made.give(lease)
            lease = await turn
            assert not any(other.done() for other in waiting[number + 1 :])
        await made.give(lease)
        assert await load(made) == TenantLoad(0, 0, ())


async def test_nobody_is_overtaken_by_who_comes_just_when_a_place_is_passed_on(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 0) as made:
        lease = await made.take(made.members[0])
        (first,) = await made.queued([partial(made.take, made.members[1])])
        late = asyncio.ensure_future(made.take(made.members[0]))
        await made.give(lease)
        lease = await first
        await made.waiting(1)
        assert not late.done()
        await made.give(lease)
        await made.give(await late)


async def test_who_waits_too_long_is_refused_and_counts_no_more(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 0, queue_timeout=0.3) as made:
        lease = await made.take(made.members[0])
        assert "within 0.3 s" in await refused(made, made.members[1])
        assert await load(made) == TenantLoad(1, 0, ())
        await made.give(lease)


async def test_who_gives_up_is_passed_over(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 0) as made:
        lease = await made.take(made.members[0])
        leaving, staying = await made.queued([partial(made.take, made.members[1])] * 2)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        assert (await load(made)).waiting == 1, "it has left the queue by the time it is over"
        await made.give(lease)
        await made.give(await staying)


@pytest.mark.parametrize("turns", range(8))
async def test_a_place_is_never_lost_with_who_gives_up_in_that_moment(redis: RedisServer, turns: int) -> None:
    async with fleet(redis.url, 1, 0) as made:
        lease = await made.take(made.members[0])
        leaving, staying = await made.queued([partial(made.take, made.members[1])] * 2)
        giving = asyncio.ensure_future(made.give(lease))
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        await giving
        await asyncio.wait([leaving])
        if not leaving.cancelled():
            await made.give(leaving.result())
        await made.give(await staying)
        assert await load(made) == TenantLoad(0, 0, ())


@pytest.mark.parametrize("before", [0, 1, 5])
async def test_one_of_another_tenant_is_served_next(redis: RedisServer, before: int) -> None:
    async with fleet(redis.url, 1, 0, queue_length=20) as made:
        for _ in range(before):  # it had its turns, longer ago
            await made.give(await made.take(made.members[0], "b"))
        lease = await made.take(made.members[0], "a")
        flood = await made.queued([partial(made.take, made.members[1], "a")] * 5)
        (other,) = await made.queued([partial(made.take, made.members[0], "b")])
        assert ((await load(made, "a")).positions, (await load(made, "b")).positions) == ((2, 3, 4, 5, 6), (1,))
        await made.give(lease)
        lease = await other
        for turn in flood:
            assert not turn.done()
            await made.give(lease)
            lease = await turn


async def test_what_had_a_browser_comes_before_what_is_new(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 0) as made:
        lease = await made.take(made.members[0])
        new, early, late = await made.queued(
            [partial(made.take, made.members[1], again=again) for again in (False, True, True)]
        )
        for turn in (early, late, new):
            await made.give(lease)
            lease = await turn


async def test_who_floods_a_full_queue_makes_room_for_another(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 0, queue_length=3) as made:
        lease = await made.take(made.members[0], "a")
        flood = await made.queued([partial(made.take, made.members[1], "a")] * 3)
        other = asyncio.ensure_future(made.take(made.members[0], "b"))
        with pytest.raises(GatewayError, match="the queue for them is full"):
            await flood[2]
        assert ((await load(made, "a")).waiting, (await load(made, "b")).waiting) == (2, 1)
        assert "the queue for them is full" in await refused(made, made.members[0], "a")
        for turn in (other, *flood[:2]):
            await made.give(lease)
            lease = await turn


async def test_a_tenants_own_limit_is_one_over_all_nodes(redis: RedisServer) -> None:
    async with fleet(redis.url, 2, 2, tenants={"a": Tenant("a", max_sessions=1)}) as made:
        one, two = made.members
        two.cluster._waiting._ask_again = 0.05
        await made.take(one, "a")
        (turn,) = await made.queued([partial(made.take, two, "a")])
        await made.take(two, "b")
        assert not turn.done(), "a place is free, but not for it"
        made.tenants["a"] = Tenant("a", max_sessions=2)
        await turn  # it asks again and says so
        made.tenants["a"] = Tenant("a", max_sessions=2, queue_length=0)
        assert "all 2 browsers that this tenant may have" in await refused(made, one, "a")
        made.tenants["a"] = Tenant("a", max_sessions=0)
        with pytest.raises(GatewayError) as error:
            await made.take(two, "a")
        assert error.value.code is Code.FORBIDDEN


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "waits"])
async def test_one_session_of_a_name(redis: RedisServer, runs: bool) -> None:
    async with fleet(redis.url, 1, 1 if runs else 0) as made:
        one, two = made.members
        session = new_session_id()
        before = None if runs else await made.take(one)
        first = asyncio.ensure_future(made.take(one, session=session, name="shop"))
        if before is None:
            await first
        else:
            await made.waiting(1)
        with pytest.raises(GatewayError, match=f"session {session} runs under the name 'shop'") as error:
            await made.take(two, name="shop")
        assert error.value.code is Code.NAME_IN_USE
        other = asyncio.ensure_future(made.take(two, "other", name="shop"))  # a name is its tenant's own
        if before is None:
            await made.give(await other)
            await made.give(first.result())
        else:
            await made.waiting(2)
            first.cancel()
            await asyncio.wait([first])
            await made.give(before)
            await made.give(await other)
        await made.give(await made.take(two, name="shop"))


async def test_what_must_be_here_waits_for_here(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, 1, 0) as made:
        one, two, three = made.members
        lease = await made.take(one, here=True)
        assert lease.node == one.name
        (turn,) = await made.queued([partial(made.take, one, here=True)])
        away = await made.take(three)
        assert away.node == two.name, "who waits for one node is in nobody's way"
        await made.give(away)
        assert not turn.done()
        await made.give(lease)
        assert (await turn).node == one.name


async def test_who_asks_twice_has_one_place(redis: RedisServer) -> None:
    async with fleet(redis.url, 2) as made:
        (one,) = made.members
        session = new_session_id()
        assert await made.take(one, session=session) == await made.take(one, session=session)
        assert (await load(made)).running == 1


async def test_a_node_that_dies_leaves_the_queue(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 1, 0, 0) as made:
        one, two, three = made.members
        two.cluster._waiting._ask_again = 600.0
        lease, session = await made.take(one), new_session_id()
        tasks = await made.queued([partial(made.take, two, session=session), partial(made.take, three)])
        # Its ticket stands, and nobody asks for it any more.
        await connection.call("SET", f"cdpg:turn:{new_session_id()}", "displaced", "PX", 1)
        two.cluster._waiting._told.clear()
        assert (await load(made)).waiting == 2
        assert await connection.call("ZADD", "cdpg:tickets", "XX", "CH", 1, f"{session}|t") == 1  # its time is over
        assert (await load(made)).waiting == 1
        await made.give(lease)
        await tasks[1]
        tasks[0].cancel()
        await asyncio.wait(tasks)


async def test_tenants_pushing_at_random_lose_no_place_and_get_none_twice(redis: RedisServer) -> None:
    random = Random(5)
    limits = {"a": Tenant("a", max_sessions=2), "b": Tenant("b"), "c": Tenant("c")}
    ends = Counter[str]()
    by_node, by_tenant = Counter[str](), Counter[str]()
    async with fleet(redis.url, 1, 1, 1, tenants=limits, queue_length=6, queue_timeout=0.2) as made:

        async def come_and_go(tenant: str) -> None:
            try:
                lease = await made.take(random.choice(made.members), tenant, again=random.random() < 0.3)
            except GatewayError as error:
                ends[error.code.word] += 1
                return
            try:
                by_node[lease.node] += 1
                by_tenant[tenant] += 1
                assert max(by_node.values()) == 1
                assert by_tenant["a"] <= 2
                for _ in range(random.randrange(30)):
                    await asyncio.sleep(0)
            finally:
                by_node[lease.node] -= 1
                by_tenant[tenant] -= 1
                ends["served"] += 1
                await made.give(lease)

        tasks: list[asyncio.Future[None]] = []
        for _ in range(800):
            tasks.append(asyncio.ensure_future(come_and_go(random.choice("aaaabc"))))
            if random.random() < 0.2:
                random.choice(tasks[-20:]).cancel()
            while sum(not task.done() for task in tasks) > 14:
                await asyncio.wait([task for task in tasks if not task.done()], return_when="FIRST_COMPLETED")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {type(None), asyncio.CancelledError}
        await until_so(lambda: not any(member.cluster._waiting._told for member in made.members))
        # One that was cancelled after its place was granted elsewhere: nobody is left to ask for it.
        pressure = await made.members[0].cluster.pressure()
        held = [lease for member in made.members for lease in member.cluster.held]
        assert (pressure.running, pressure.waiting, held) == (0, 0, [])
    assert ends["served"] > 20
    assert ends["too_many_sessions"] > 5
    assert set(ends) == {"served", "too_many_sessions"}


async def test_a_granted_place_elsewhere_that_is_not_claimed_runs_out(redis: RedisServer) -> None:
    async with fleet(redis.url, 0, 1, node_timeout=BRISK) as made:
        with pytest.raises(Elsewhere) as away:
            await made.members[0].cluster.place(new_session_id(), "t")
        assert isinstance(away.value.grant, Lease)
        lease = await made.take(made.members[0])  # waits until it has
        assert lease.node == made.members[1].name
