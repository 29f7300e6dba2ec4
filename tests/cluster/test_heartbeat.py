"""What a node renews, what it is told of, and what it learns when it was silent."""

import asyncio
from uuid import UUID

import pytest

from gateway.cluster.fleet import Lease
from gateway.cluster.leases import BATCH, Token
from gateway.cluster.placement import Capacity
from gateway.errors import Code, GatewayError
from gateway.records import SessionId, new_session_id
from gateway.store.connection import Connection
from tests.cluster.members import BRISK, Fleet, Member, fleet, until, until_so
from tests.redis_server import RedisServer


async def stolen(connection: Connection, lease: Lease, node: str = "http://10.9.9.9:3000") -> None:
    """Another node has it now."""
    token = Token(node, 1, "other", Token.read(lease.token).tenant)
    await connection.call("SET", f"cdpg:lease:{lease.session}", str(token), "PX", 60_000)


async def score(connection: Connection, key: str, member: str) -> float:
    found = await connection.call("ZSCORE", f"cdpg:{key}", member)
    return 0.0 if found is None else float(found)


async def test_all_that_a_node_has_is_renewed(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 1) as made:
        (one,) = made.members
        lease = await made.take(one, "shop", name="main")
        keys = (f"lease:{lease.session}", "name:shop:main", f"node:{one.name}")
        for key in keys:
            await connection.call("PEXPIRE", f"cdpg:{key}", 9_000)
        sets = ((f"leases:{one.name}", lease.session), ("held:shop", lease.session), ("nodes", one.name))
        for key, member in sets:
            await connection.call("ZINCRBY", f"cdpg:{key}", -20_000, member)
        before = [await score(connection, key, member) for key, member in sets]
        await one.cluster.announce()
        for key in keys:
            assert 40_000 < await connection.call("PTTL", f"cdpg:{key}") <= 45_000
        after = [await score(connection, key, member) for key, member in sets]
        assert all(later - earlier >= 20_000 for earlier, later in zip(before, after, strict=True))


async def test_what_ran_out_and_nobody_took_is_held_again(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 2) as made:
        (one,) = made.members
        leases = [await made.take(one, name=name) for name in ("a", "b")]
        for lease, name in zip(leases, ("a", "b"), strict=True):
            await connection.call("DEL", f"cdpg:lease:{lease.session}", f"cdpg:name:t:{name}")
        await connection.call("SET", "cdpg:name:t:b", new_session_id())  # a name is gone
        await one.cluster.announce()
        for lease in leases:
            assert await connection.call("GET", f"cdpg:lease:{lease.session}") == lease.token.encode()
        assert await connection.call("GET", "cdpg:name:t:a") == leases[0].session.encode()
        assert await connection.call("GET", "cdpg:name:t:b") != leases[1].session.encode()
        assert one.told.sessions == []


async def test_what_another_took_is_lost(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 3) as made:
        (one,) = made.members
        kept, lost = [await made.take(one) for _ in range(2)]
        await stolen(connection, lost)
        await one.cluster.announce()
        await until_so(lambda: one.told.sessions == [lost.session])
        assert one.cluster.held == [kept]
        await one.cluster.release(lost)
        await one.cluster.announce()
        assert (await connection.call("GET", f"cdpg:lease:{lost.session}")).startswith(b"http://10.9.9.9:3000|")
        assert one.told.sessions == [lost.session], "once"


async def test_many_leases_in_one_heartbeat(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 0) as made:
        (one,) = made.members
        leases = []
        for number in range(BATCH + 3):
            lease = await one.cluster.adopt(SessionId(str(UUID(int=number))), f"t{number % 7}")
            assert lease is not None
            leases.append(lease)
        await connection.call("DEL", *(f"cdpg:lease:{lease.session}" for lease in leases[1:]))
        await stolen(connection, leases[0])
        await stolen(connection, leases[-1])
        await one.cluster.announce()
        await until_so(lambda: len(one.told.sessions) == 2)
        assert set(one.told.sessions) == {leases[0].session, leases[-1].session}
        held = await connection.call("MGET", *(f"cdpg:lease:{lease.session}" for lease in leases[1:-1]))
        assert held == [lease.token.encode() for lease in leases[1:-1]]
        pressure = await one.cluster.pressure()
        assert pressure.running == BATCH + 3
        assert sum(load.running for load in pressure.tenants.values()) == BATCH + 3


async def test_what_is_given_back_during_a_heartbeat_stays_so(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 40) as made:
        (one,) = made.members
        for _ in range(10):
            leases = [await made.take(one) for _ in range(4)]
            beating = asyncio.ensure_future(one.cluster.announce())
            await asyncio.gather(*(one.cluster.release(lease) for lease in leases))
            await beating
            found = await connection.call("EXISTS", *(f"cdpg:lease:{lease.session}" for lease in leases))
            assert found == 0


async def test_a_defect_does_not_end_the_heartbeats(redis: RedisServer) -> None:
    async with fleet(redis.url, 1, node_timeout=BRISK) as made:
        (one,) = made.members
        asked = 0

        def capacity() -> Capacity:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise LookupError("a defect")
            return Capacity(7, 0, True)

        one.cluster._heartbeat.capacity = capacity

        async def told() -> bool:
            return (await one.cluster.pressure()).limit == 7

        await until(told)


async def frozen(member: Member) -> None:
    """As a stopped process: it hears and says nothing."""
    await member.cluster._heartbeat._beating.acquire()


def thawed(member: Member) -> None:
    member.cluster._heartbeat._beating.release()


async def buried(made: Fleet, dead: Member, by: Member) -> None:
    await until_so(lambda: dead.name not in by.cluster.nodes)

    async def removed() -> bool:
        return dead.name.encode() not in await by.connection.call("ZRANGE", "cdpg:nodes", 0, -1)

    await until(removed)


async def test_who_was_frozen_learns_what_it_lost(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 2, 2) as made:
        one, two = made.members
        leases = [await made.take(one), await made.take(one, name="shop")]
        epoch = one.cluster.epoch
        await frozen(one)
        await made.missed(one)
        await buried(made, one, two)
        taken = await made.take(two, session=leases[0].session, again=True)
        assert taken.node == two.name
        thawed(one)
        await one.cluster.announce()
        await until_so(lambda: len(one.told.sessions) == 2)
        assert set(one.told.sessions) == {lease.session for lease in leases}
        assert one.cluster.epoch > epoch
        await two.cluster.announce()
        assert one.name in two.cluster.nodes
        assert await connection.call("GET", f"cdpg:lease:{leases[0].session}") == taken.token.encode()
        assert await connection.call("EXISTS", f"cdpg:lease:{leases[1].session}", "cdpg:name:t:shop") == 0
        assert (await made.take(one, here=True)).node == one.name, "it takes part again"
        assert one.told.nodes == []


async def test_a_process_that_another_has_followed(redis: RedisServer, connection: Connection) -> None:
    async with fleet(redis.url, 2) as made:
        (old,) = made.members
        kept, left = [await made.take(old) for _ in range(2)]
        new = await made.add(2, name=old.name)
        assert new.cluster.epoch > old.cluster.epoch
        adopted = await new.cluster.adopt(kept.session, "t")
        assert adopted is not None
        await old.cluster.announce()
        await until_so(lambda: len(old.told.sessions) == 2)
        assert (old.cluster.outdated, old.cluster.held) == (True, [])
        with pytest.raises(GatewayError, match="another process") as error:
            await old.cluster.place(new_session_id(), "t")
        assert error.value.code is Code.STORE_UNAVAILABLE
        await old.leave()
        assert await connection.call("GET", f"cdpg:lease:{kept.session}") == adopted.token.encode()
        # What it did not adopt is its node's all the same.
        again = await new.cluster.place(left.session, "t")
        assert (again.node, again.token != left.token) == (new.name, True)
        assert (await new.cluster.pressure()).running == 2
