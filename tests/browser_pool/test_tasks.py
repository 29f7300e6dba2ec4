import asyncio

import pytest

from browser_pool.tasks import running, to_the_end


async def test_the_work_is_over_when_the_block_is_left() -> None:
    steps = []
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    async with running(work(), "the-name") as task:
        await begun.wait()
        assert task.get_name() == "the-name"
    assert steps == ["cleaned up"]
    assert task.cancelled()


async def test_work_that_ends_early_is_no_failure() -> None:
    async with running(asyncio.sleep(0), "short") as task:
        await asyncio.wait([task])


async def failing() -> None:
    raise LookupError("of the work")


async def beside_failing_work(error: Exception | None) -> None:
    async with running(failing(), "failing") as task:
        await asyncio.wait([task])
        assert isinstance(task.exception(), LookupError)
        if error is not None:
            raise error


async def test_a_failure_of_the_work_is_raised_at_the_end_of_the_block() -> None:
    with pytest.raises(LookupError, match="of the work"):
        await beside_failing_work(None)


async def test_the_blocks_own_failure_stays_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        await beside_failing_work(ZeroDivisionError())


async def test_a_cancelled_block_takes_its_work_along() -> None:
    begun, works = asyncio.Event(), []

    async def block() -> None:
        async with running(asyncio.Event().wait(), "waiting") as task:  # type: ignore[arg-type]
            works.append(task)
            begun.set()
            await asyncio.Event().wait()

    outer = asyncio.ensure_future(block())
    await begun.wait()
    outer.cancel()
    await asyncio.wait([outer])
    assert outer.cancelled()
    assert works[0].cancelled()


async def test_to_the_end_gives_the_result_or_the_failure() -> None:
    assert await to_the_end(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError, match="of the work"):
        await to_the_end(failing())


async def test_to_the_end_is_cancelled_only_after_it(caplog: pytest.LogCaptureFixture) -> None:
    go, steps = asyncio.Event(), []

    async def work() -> None:
        await go.wait()
        steps.append("done")
        raise LookupError("nobody asks for it any more")

    waiting = asyncio.ensure_future(to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert steps == ["done"]
    assert not caplog.records


async def test_to_the_end_has_no_more_patience_than_it_is_given() -> None:
    begun, steps = asyncio.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()  # what never comes
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    waiting = asyncio.ensure_future(to_the_end(work(), patience=0.01))
    await begun.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert steps == ["cleaned up"]
    assert await to_the_end(asyncio.sleep(0.05, "result"), patience=0.01) == "result", "nobody was cancelled"
