"""Ready browsers, real ones, as their keeper has them: `pool.warm` of a pool that is entered."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from browser_pool import warm
from browser_pool.binary import Binaries
from browser_pool.browser import Browser
from browser_pool.extensions import ExtensionRefused
from browser_pool.memory import BROWSER_COST, RESERVE, Memory, memory
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from tests.browser_pool.seen import alive, entries, program
from tests.journeys.running import eventually

USUAL = LaunchSpec()
GIB = 1 << 30


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short quiet time: the tests have nobody to spare. And patience, which is not what they look at."""
    monkeypatch.setattr(warm, "QUIET", 0.05)
    monkeypatch.setattr(warm, "AFTER_A_DEATH", 0.1)
    monkeypatch.setattr(warm, "PROBE_TIMEOUT", 30.0)
    monkeypatch.setattr(warm, "ON_ITS_WAY", 60.0)


@asynccontextmanager
async def kept(
    root: Path, binaries: Binaries, number: int, weigh: Callable[[], Memory] = memory
) -> AsyncIterator[BrowserPool]:
    async with BrowserPool(root, binaries, warm=number, weigh=weigh) as pool:
        yield pool


async def ready(pool: BrowserPool, number: int = 1) -> list[Browser]:
    await eventually(f"{number} ready", lambda: len(pool.warm.ready) == number, 60)
    return pool.warm.ready


async def on_its_way(pool: BrowserPool) -> None:
    """Return in the very turn in which the launch of one begins."""
    async with asyncio.timeout(30):
        while not pool.warm.fits(USUAL):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def size(browser: Browser) -> str:
    """Of a new tab."""
    target = (await browser.devtools.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
    async with browser.devtools.attached(target) as session:
        question = {"expression": "`${outerWidth}x${outerHeight}`"}
        answer = await browser.devtools.send("Runtime.evaluate", question, session=session)
    text: str = answer["result"]["value"]
    return text


async def test_one_is_ready_is_handed_out_and_is_replaced(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        assert pool.ready is first
        async with pool.lease(USUAL) as mine:
            assert mine is first
            assert (dict(pool.leases), pool.browsers) == ({"warm": 1}, {mine})
            (second,) = await ready(pool)
            assert second is not mine
        assert not alive(mine.pid)
        assert pool.warm.ready == [second]
    assert entries(root) == []


async def test_none_is_ever_handed_to_two(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 3) as pool:
        for _ in range(3):
            pool.warm._demand.note(USUAL, asyncio.get_running_loop().time())
        there = await ready(pool, 3)
        async with AsyncExitStack() as stack:
            leases = [stack.enter_async_context(pool.lease(USUAL)) for _ in range(5)]
            leased = await asyncio.gather(*leases)
            assert len({browser.pid for browser in leased}) == 5
            assert set(there) <= set(leased)
            assert pool.leases["warm"] >= 3


async def test_who_comes_while_it_is_launched_gets_it(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 1) as pool:
        await on_its_way(pool)
        assert pool.warm.ready == []
        async with pool.lease(USUAL) as mine:
            assert dict(pool.leases) == {"warm": 1}
            assert alive(mine.pid)


async def test_who_gives_up_while_it_is_launched_leaves_nothing(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 1) as pool:
        await on_its_way(pool)
        waiting = asyncio.ensure_future(AsyncExitStack().enter_async_context(pool.lease(USUAL)))
        await asyncio.sleep(0)
        await eventually("it is taken", lambda: not pool.warm.fits(USUAL))
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await ready(pool)
        await eventually("the other is gone", lambda: len(entries(root)) == 1)


async def test_a_window_of_another_size_needs_no_other_browser(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        async with pool.lease(LaunchSpec(viewport=(1000, 700))) as mine:
            assert mine is first
            assert await size(mine) == "1000x700"
    async with kept(root, binaries, 0) as pool, pool.lease(LaunchSpec(viewport=(1000, 700))) as cold:
        assert await size(cold) == "1000x700"


@pytest.mark.parametrize(
    "spec",
    [
        LaunchSpec(locale="de-DE"),
        LaunchSpec(args=("--incognito",)),
        LaunchSpec(mode=Mode.SHELL, viewport=(1000, 700)),
        LaunchSpec(proxy_server="http://127.0.0.1:9"),
    ],
    ids=["locale", "args", "shell", "proxy"],
)
async def test_another_spec_gets_another_browser(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    if spec.mode is Mode.SHELL and binaries.shell is None:
        pytest.skip("no headless shell here")
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        async with pool.lease(spec) as mine:
            assert mine is not first
            assert dict(pool.leases) == {"launched": 1}


async def test_a_saved_profile_takes_a_new_process(root: Path, binaries: Binaries) -> None:
    async def fill(profile: Path) -> None:
        (profile / "given").touch()

    async with kept(root, binaries, 1) as pool:
        await ready(pool)
        async with pool.lease(USUAL, fill=fill) as mine:
            assert (mine.directory.profile / "given").exists()


async def test_a_spec_in_use_is_kept_ready_too(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async with kept(root, binaries, 2) as pool:
        for _ in range(2):
            async with pool.lease(spec):
                pass
        await eventually("one of it is ready", lambda: pool.warm.ready_for(spec), 60)
        async with pool.lease(spec):
            assert pool.leases["warm"] >= 1


async def test_one_that_died_is_replaced_and_never_handed_out(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        os.kill(first.pid, signal.SIGKILL)
        async with pool.lease(USUAL) as mine:
            assert mine is not first
            assert (await mine.devtools.send("Browser.getVersion"))["product"]
        (second,) = await ready(pool)
        os.kill(second.pid, signal.SIGKILL)
        await eventually("another is ready", lambda: pool.warm.ready and pool.warm.ready != [second], 60)
        await eventually("of the dead nothing is left", lambda: len(entries(root)) == 1)


async def test_one_that_hangs_is_not_handed_out(
    root: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "PROBE_TIMEOUT", 0.1)
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        os.kill(first.pid, signal.SIGSTOP)
        async with pool.lease(USUAL) as mine:
            assert mine is not first
        await eventually("it was ended", lambda: not alive(first.pid))


async def test_of_several_that_hang_one_is_waited_for(
    root: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(root, binaries, 2) as pool:
        pool.warm._demand.note(USUAL, asyncio.get_running_loop().time())
        pool.warm._demand.note(USUAL, asyncio.get_running_loop().time())
        for browser in list(await ready(pool, 2)):
            os.kill(browser.pid, signal.SIGSTOP)
        probes = 0
        answers = warm._answers

        async def counted(browser: Browser, spec: LaunchSpec) -> bool:
            nonlocal probes
            probes += 1
            return await answers(browser, spec)

        monkeypatch.setattr(warm, "PROBE_TIMEOUT", 0.1)
        monkeypatch.setattr(warm, "_answers", counted)
        async with pool.lease(USUAL):
            assert (probes, dict(pool.leases)) == (1, {"launched": 1})


async def test_one_that_ends_badly_does_not_take_the_keeper_along(root: Path, binaries: Binaries) -> None:
    def fail() -> None:
        raise OSError("no file is to be had")

    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        pool.warm._set[0].stack.callback(fail)
        os.kill(first.pid, signal.SIGKILL)
        await eventually("another is ready", lambda: pool.warm.ready and pool.warm.ready != [first], 60)
        pool.warm._set[0].stack.callback(fail)
    assert entries(root) == []


async def test_what_cannot_be_launched_does_not_starve_the_others(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        for _ in range(4):
            with pytest.raises(ExtensionRefused):
                async with pool.lease(LaunchSpec(args=("--load-extension=nothing",))):
                    pass
        async with pool.lease(USUAL) as mine:
            assert mine is first
        assert pool.leases == {"warm": 1}
        await ready(pool)


@pytest.mark.parametrize(("size", "later"), [((1000, 700), True), ((499, 700), False), ((1000, 299), False)])
def test_a_window_below_chromiums_least_is_not_made_later(size: tuple[int, int], later: bool) -> None:
    spec = LaunchSpec(viewport=size)
    assert (warm.base_of(spec) == USUAL) is later


@pytest.mark.parametrize("limit", ["MOST_AGE", "MOST_MEMORY"])
async def test_one_that_is_old_or_heavy_is_replaced(
    root: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
        monkeypatch.setattr(warm, limit, 0)
        monkeypatch.setattr(warm, "INSPECTION", 0)
        pool.warm._stirred.set()
        await eventually("it was ended", lambda: not alive(first.pid))
        monkeypatch.undo()
        await ready(pool)


async def test_a_browser_that_cannot_be_launched_is_tried_again_later(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binaries: Binaries
) -> None:
    monkeypatch.setattr(warm, "RETRY", 0.2)
    marker = tmp_path / "works"
    real = binaries.path(Mode.HEADLESS)
    fake = program(tmp_path / "chromium", f'[ -e {marker} ] || exit 7\nexec {real} "$@"')
    async with kept(root, Binaries(fake), 1) as pool:
        await eventually("it failed", lambda: pool.warm._not_before)
        assert pool.warm.ready == []
        marker.touch()
        await ready(pool)


async def test_nothing_is_launched_ahead_into_the_reserve(
    root: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "RETRY", 0.01)
    free, asked = RESERVE + 2 * BROWSER_COST - 1, 0

    def weigh() -> Memory:
        nonlocal asked
        asked += 1
        return Memory(64 * GIB, free)

    async with kept(root, binaries, 1, weigh) as pool:
        await eventually("it was thought of several times", lambda: asked > 3)
        assert entries(root) == []
        free += 1
        await ready(pool)


async def test_one_ready_for_others_makes_room_for_who_is_here(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    short = False

    def weigh() -> Memory:
        # What the ready browser holds comes back when it is ended.
        held = bool(short and pool.warm.ready)
        return Memory(64 * GIB, RESERVE + (-1 if held else 2 * BROWSER_COST))

    async with kept(root, binaries, 1, weigh) as pool:
        (first,) = await ready(pool)
        short = True
        async with pool.lease(spec):
            assert not alive(first.pid)


async def test_leaving_the_pool_ends_all(root: Path, binaries: Binaries) -> None:
    async with kept(root, binaries, 1) as pool:
        (first,) = await ready(pool)
    assert not alive(first.pid)
    assert entries(root) == []


@pytest.mark.parametrize("turns", [1, 20, 300])
async def test_leaving_while_one_is_launched_ends_it(root: Path, binaries: Binaries, turns: int) -> None:
    async with kept(root, binaries, 1) as pool:
        await on_its_way(pool)
        for _ in range(turns):
            await asyncio.sleep(0)
    assert entries(root) == []
