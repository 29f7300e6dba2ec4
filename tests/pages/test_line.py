"""Who is next: in order of arrival, a few at once, and whoever gives up leaves no gap."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.line import Line


async def test_they_begin_in_order_of_arrival() -> None:
    line = Line(2, 60)
    begun: list[int] = []

    async def one(number: int) -> None:
        async with line.turn():
            begun.append(number)
            assert line.working <= 2
            await asyncio.sleep(0)

    assert line.empty
    await asyncio.gather(*(one(number) for number in range(20)))
    assert begun == list(range(20))
    assert line.empty


async def test_who_gives_up_leaves_no_gap() -> None:
    line = Line(1, 60)
    begun: list[int] = []

    async def one(number: int) -> None:
        async with line.turn():
            begun.append(number)

    async with AsyncExitStack() as first:
        await first.enter_async_context(line.turn())
        waiting = [asyncio.create_task(one(number)) for number in range(4)]
        await asyncio.sleep(0)
        assert line.waiting == 4
        waiting[1].cancel()
        await asyncio.wait([waiting[1]])
        assert line.waiting == 3
    # The turn is the next one's, who gives up in the same moment: it goes on.
    waiting[0].cancel()
    await asyncio.wait(waiting)
    assert begun == [2, 3]
    assert line.empty


@pytest.mark.parametrize("full", [True, False], ids=["full", "slow"])
async def test_who_cannot_have_a_turn_is_told_when_to_come_back(full: bool) -> None:
    line = Line(1, 0.01)
    async with line.turn():
        with pytest.raises(GatewayError) as refused:
            async with line.turn(full=full):
                pass
    assert refused.value.code is Code.TOO_MANY_SESSIONS
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    async with line.turn():
        assert line.working == 1
    assert line.empty
