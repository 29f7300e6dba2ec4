"""A browser is parked when nobody needs it, and awake for whoever does."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from browser_pool.binary import Binaries
from browser_pool.browser import Browser, launched
from browser_pool.park import parked
from browser_pool.spec import LaunchSpec
from gateway.session.parking import Parking
from tests.inside import until


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with launched(LaunchSpec(), tmp_path / "b", Binaries()) as browser:
        yield browser


def stands(parking: Parking) -> bool:
    """Asked anew each time."""
    return parking.parked


async def park(parking: Parking) -> "asyncio.Task[None]":
    """Begin to park it; the task that does."""
    begun: list[asyncio.Task[None]] = []

    def begin(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        begun.append(asyncio.get_running_loop().create_task(work))
        return begun[0]

    parking.park(begin)
    return begun[0]


async def test_it_stands_still_until_somebody_comes(browser: Browser) -> None:
    parking = Parking(browser, None)
    await (await park(parking))
    assert stands(parking)
    assert parked(browser)
    await asyncio.gather(parking.wake(), parking.wake())
    assert not stands(parking)
    assert (await browser.devtools.send("Browser.getVersion"))["product"]
    await parking.wake()  # awake already


async def test_who_uses_it_holds_parking_off(browser: Browser) -> None:
    parking = Parking(browser, None)
    async with parking.used():
        task = await park(parking)
        assert (await browser.devtools.send("Browser.getVersion"))["product"]
        assert not stands(parking)
        assert not task.done()
    await task
    assert stands(parking)
    async with parking.used():
        assert (await browser.devtools.send("Browser.getVersion"))["product"]
    assert not stands(parking)


async def test_who_comes_while_it_is_parked_interrupts_that(browser: Browser) -> None:
    parking = Parking(browser, None)
    for _ in range(3):
        task = await park(parking)
        await asyncio.sleep(0)
        await parking.wake()
        assert task.done()
        assert not parked(browser)
    assert (await browser.devtools.send("Browser.getVersion"))["product"]


async def test_one_that_is_gone_is_neither_parked_nor_woken(browser: Browser) -> None:
    parking = Parking(browser, None)
    await browser.kill()
    await (await park(parking))
    await parking.wake()
    await until(lambda: not stands(parking))
