"""Connections that wait for their next request."""

import asyncio

from gateway.egress.idle import EACH, LIFE, MOST, Idle, Key
from tests.egress.test_channel import pair

KEY: Key = ("a.example", 80)


async def test_the_last_one_is_used_first() -> None:
    idle = Idle()
    async with pair() as (one, _), pair() as (two, _):
        idle.put(KEY, one)
        idle.put(KEY, two)
        assert one.resting
        assert idle.take(("b.example", 80)) is None
        assert idle.take(("a.example", 81)) is None
        assert [idle.take(KEY), idle.take(KEY), idle.take(KEY)] == [two, one, None]
        assert not one.resting


async def test_one_that_the_server_closes_is_gone() -> None:
    idle = Idle()
    async with pair() as (one, peer):
        idle.put(KEY, one)
        peer.close()
        async with asyncio.timeout(60):
            while len(idle):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert one.transport.is_closing()


async def test_one_that_says_something_unasked_is_not_used() -> None:
    idle = Idle()
    async with pair() as (one, peer):
        idle.put(KEY, one)
        peer.sendall(b"HTTP/1.1 200 smuggled\r\n\r\n")
        await one.more()
        assert idle.take(KEY) is None


async def test_they_grow_old() -> None:
    now = 0.0
    idle = Idle(lambda: now)
    async with pair() as (one, _):
        idle.put(KEY, one)
        now = LIFE + 1
        assert idle.take(KEY) is None
        assert one.transport.is_closing()


async def test_their_number_is_bounded() -> None:
    idle = Idle()
    for _ in range(EACH + 2):
        async with pair() as (channel, _):
            pass
        assert not channel.idle
        idle.put(KEY, channel)
    assert len(idle) == 0, "closed ones are not kept"
    assert EACH <= MOST
