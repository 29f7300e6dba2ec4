"""Blocks that end with what they use."""

import asyncio

import pytest
from playwright.async_api import Error

from browser_pool.spec import LaunchSpec
from gateway.errors import CloseCode, Code, Farewell, GatewayError
from gateway.pages.shared import LABEL, SERVED, Breaking, Shared, Wanted
from gateway.records import Kind


async def test_a_block_ends_with_what_it_uses() -> None:
    breaking = Breaking()
    inside = asyncio.Event()

    async def one() -> None:
        async with breaking.block():
            inside.set()
            await asyncio.Event().wait()

    async def other() -> None:
        async with breaking.block():
            await inside.wait()
            raise Error("Target page, context or browser has been closed")  # a moment before the end is seen

    tasks = [asyncio.create_task(one()), asyncio.create_task(other())]
    await inside.wait()
    await asyncio.sleep(0)
    breaking.gone()
    breaking.evicted(Farewell(CloseCode.DRAINING, "too late to say why"))
    for failed in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(failed, GatewayError)
        assert (failed.code, failed.retry_after) == (Code.BROWSER_FAILED, 1)
    with pytest.raises(GatewayError):
        async with breaking.block():
            raise AssertionError("not to be reached")


async def test_a_block_that_fails_by_itself() -> None:
    breaking = Breaking()
    for error in (Error("Timeout"), GatewayError(Code.WAIT_FAILED, "it did not come"), TimeoutError()):
        with pytest.raises(type(error)):
            async with breaking.block():
                raise error
    task = asyncio.create_task(breaking.block().__aenter__())
    await task
    breaking.evicted(Farewell(CloseCode.DRAINING, "the gateway is stopping"))
    assert breaking.why is not None
    assert breaking.why.code is Code.DRAINING


async def test_when_one_takes_no_more_requests() -> None:
    shared = Shared(Wanted("t"), lambda: False)
    usable = [shared.usable]
    shared.served = SERVED
    usable.append(shared.usable)
    shared.served = 0
    shared.retire()
    usable.append(shared.usable)
    assert usable == [True, False, False]
    shared = Shared(Wanted("t"), lambda: False)
    shared.hangs()
    assert not shared.usable
    with pytest.raises(GatewayError, match="does not answer"):
        async with shared.used():
            pass
    assert shared.users == 0


def test_who_shares() -> None:
    wanted = Wanted("t", LaunchSpec(args=("--lang=de",)))
    assert wanted == Wanted("t", LaunchSpec(args=("--lang=de",)))
    assert len({wanted, Wanted("u", wanted.launch), Wanted("t"), Wanted("t", block_ads=True)}) == 4
    spec = wanted.spec(60)
    assert (spec.kind, spec.keep, spec.persist, spec.labels, spec.ttl) == (Kind.STANDARD, 0, False, (LABEL,), 60)
