"""Redis is away: every node keeps what it has, nobody takes anything, and afterwards all is as it was."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cluster.fleet import Elsewhere
from gateway.errors import Code, GatewayError
from gateway.records import new_session_id
from gateway.store import connection as limits
from gateway.store.connection import open_redis
from tests.cluster.members import BRISK, Member, fleet, record, until, until_so
from tests.redis_server import RedisServer, redis_server

LIMITS = {name: getattr(limits, name) for name in ("PATIENCE", "CONNECT_TIMEOUT", "ANSWER_TIMEOUT", "TURN_TIMEOUT")}
SLACK = 5.0  # seconds in which the machine may do something else


@pytest.fixture
async def frail(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of the test's own."""
    async with redis_server(tmp_path / "redis") as server:
        yield server


async def unavailable(member: Member, again: bool = False) -> GatewayError:
    """What a create is told, within 5 s on a machine that has nothing else to do."""
    began = time.monotonic()
    with pytest.raises(GatewayError) as error:
        await member.cluster.place(new_session_id(), "t", again=again)
    assert time.monotonic() - began < 5 + SLACK
    assert error.value.code is Code.STORE_UNAVAILABLE
    assert error.value.retry_after
    return error.value


async def restarted(frail: RedisServer) -> None:
    await frail.end(signal.SIGKILL)
    await frail.start()


async def test_redis_dies_and_comes_back_empty(frail: RedisServer) -> None:
    async with fleet(frail.url, 2, 2) as made:
        one, two = made.members
        await made.missed()
        assert one.cluster.trusted
        assert two.cluster.trusted
        mine, others = await made.take(one, name="shop", here=True), await made.take(two, here=True)
        ended = await made.take(two, here=True)
        await frail.end(signal.SIGKILL)
        for member in (one, two):
            await unavailable(member)
            await member.cluster.announce()
            assert not member.cluster.connected
        assert await one.cluster.there(record(two.name)), "as far as anybody knows"
        await two.cluster.release(ended)  # is not waited for
        await frail.start()
        for member in (one, two):
            await member.cluster.announce()
            assert member.cluster.connected
        assert "have to say first" in (await unavailable(one, again=True)).message
        async with open_redis(frail.url) as connection:
            for lease in (mine, others):
                assert await connection.call("GET", f"cdpg:lease:{lease.session}") == lease.token.encode()
            assert await connection.call("EXISTS", f"cdpg:lease:{ended.session}") == 0
            assert await connection.call("GET", "cdpg:name:t:shop") == mine.session.encode()
        await made.missed()
        assert one.cluster.trusted
        assert two.cluster.trusted
        assert one.cluster.nodes == two.cluster.nodes == {one.name, two.name}
        await until_so(lambda: all(member.told.returns >= 1 for member in (one, two)))
        for member in (one, two):
            assert (member.told.nodes, member.told.sessions) == ([], [])
        assert (await made.take(one, again=True)).node == one.name
        assert (await one.cluster.pressure()).running == 3


async def test_redis_is_frozen_for_a_while(frail: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in LIMITS.items():  # as they are
        monkeypatch.setattr(limits, name, limit)
    async with fleet(frail.url, 1, 2, node_timeout=BRISK, queue_timeout=60) as made:
        one, two = made.members
        await until_so(lambda: one.cluster.trusted and two.cluster.trusted)
        leases = [await made.take(one, here=True), await made.take(two, here=True)]
        frail.freeze()
        try:
            await asyncio.gather(unavailable(one), unavailable(two))
        finally:
            frail.thaw()
        await until_so(lambda: one.cluster.trusted and two.cluster.trusted)
        for member, lease in zip((one, two), leases, strict=True):
            assert member.cluster.held == [lease]
            assert (member.told.nodes, member.told.sessions) == ([], [])

        async def as_before() -> bool:  # what was asked meanwhile may have been granted late, and runs out
            pressure = await one.cluster.pressure()
            return (pressure.running, pressure.waiting) == (2, 0)

        await until(as_before)


async def test_redis_goes_and_comes_so_fast_that_no_heartbeat_misses_it(frail: RedisServer) -> None:
    async with fleet(frail.url, 1, 1) as made:
        one, two = made.members
        lease = await made.take(one)
        await restarted(frail)
        for member in (one, two):
            await member.cluster.announce()
        await until_so(lambda: one.cluster.connected and two.cluster.connected)
        await until_so(lambda: one.told.returns == 1)
        with pytest.raises(Elsewhere) as away:
            await two.cluster.place(lease.session, "t")
        assert away.value.node == one.name
