import asyncio

import pytest

from gateway.session.precedence import Precedence


async def test_pages_give_way_until_nobody_is_being_prepared() -> None:
    precedence = Precedence()
    await precedence.give_way(0.0)  # nobody is
    with precedence.preparing() as one, precedence.preparing():
        waiting = asyncio.ensure_future(precedence.give_way(60.0))
        one()
        one()  # counts once
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 30)


async def test_they_do_not_wait_for_ever() -> None:
    precedence = Precedence()
    with precedence.preparing():
        await asyncio.wait_for(precedence.give_way(0.01), 30)


async def test_one_that_fails_is_not_waited_for() -> None:
    precedence = Precedence()
    with pytest.raises(RuntimeError), precedence.preparing():
        raise RuntimeError
    await asyncio.wait_for(precedence.give_way(60.0), 30)
