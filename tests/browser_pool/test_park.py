"""Stopped browsers: none of their processes runs, nothing of their pages is lost, and they are awake in a moment."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from browser_pool import park
from browser_pool.binary import Binaries
from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsGone
from browser_pool.park import NotParked, freeze, parked, thaw
from browser_pool.pool import BrowserPool
from browser_pool.procfs import Process, members, seen
from browser_pool.spec import LaunchSpec, Mode
from tests.journeys.running import eventually

AWAKE = 0.05  # seconds from the signal to an answer; on a slow machine so many times what an answer takes at all
TIMES = 10

# A heap with as much garbage again, a canvas, a WebGL context, and a clock that counts.
FILL = """
window.keep = Array.from({length: 100000}, (_, i) => ({i, s: 'kept ' + i}));
(() => Array.from({length: 300000}, (_, i) => ({i, s: 'junk ' + i})))();
window.flat = document.createElement('canvas').getContext('2d');
flat.fillStyle = 'red';
flat.fillRect(0, 0, 50, 50);
window.gl = document.createElement('canvas').getContext('webgl', {preserveDrawingBuffer: true});
if (gl) { gl.clearColor(0, 1, 0, 1); gl.clear(gl.COLOR_BUFFER_BIT); }
window.ticks = 0;
setInterval(() => ticks++, 100);
"""
LOOK = """(() => {
    const pixel = new Uint8Array(4);
    if (gl) gl.readPixels(1, 1, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    return [keep.length, keep[99999].s, [...flat.getImageData(5, 5, 1, 1).data],
            gl ? [...pixel, gl.isContextLost()] : null];
})()"""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes to stop a process: that it gives up is a test of its own."""
    monkeypatch.setattr(park, "STOP", 60.0)


@pytest.fixture(params=Mode)
async def browser(request: pytest.FixtureRequest, pool: BrowserPool, binaries: Binaries) -> AsyncIterator[Browser]:
    if request.param is Mode.SHELL and binaries.shell is None:
        pytest.skip("no headless shell here")
    async with pool.lease(LaunchSpec(mode=request.param)) as leased:
        yield leased


@pytest.fixture
async def one(pool: BrowserPool) -> AsyncIterator[Browser]:
    """A browser with crash handlers outside of its process group."""
    async with pool.lease(LaunchSpec(mode=Mode.HEADLESS)) as leased:
        yield leased


async def evaluate(browser: Browser, expression: str) -> Any:
    async with browser.devtools.attached(next(iter(browser.pages))) as session:
        wanted = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        return (await browser.devtools.send("Runtime.evaluate", wanted, session=session))["result"].get("value")


def processes(browser: Browser) -> list[Process]:
    main = seen(browser.pid)
    assert main is not None
    return [process for process in members(((str(browser.directory.path), browser.pid, main.start),)) if process.lives]


async def steady(browser: Browser) -> int:
    """How many there are once none comes or goes: a browser that has just started has some for a moment."""
    before: list[int] = []

    def look() -> bool:
        nonlocal before
        last, before = before, sorted(process.pid for process in processes(browser))
        return last == before

    await eventually("no process comes or goes", look)
    return len(before)


def states(browser: Browser) -> set[bytes]:
    return {process.state for process in processes(browser)}


def ticks(browser: Browser) -> int:
    """Clock ticks of processor time that all its processes have had (utime and stime)."""
    used = 0
    for process in processes(browser):
        with open(f"/proc/{process.pid}/stat") as file:
            used += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    return used


async def test_a_parked_browser_stands_still_and_is_what_it_was(browser: Browser) -> None:
    await evaluate(browser, FILL)
    before = await evaluate(browser, LOOK)
    assert before[:3] == [100000, "kept 99999", [255, 0, 0, 255]]
    count = await steady(browser)
    await freeze(browser)
    assert parked(browser)
    assert len(processes(browser)) == count >= 4
    assert states(browser) == {b"T"}
    used = ticks(browser)
    with pytest.raises(DevToolsGone):
        await browser.devtools.send("Browser.getVersion", timeout=0.5)
    assert ticks(browser) == used
    await freeze(browser)  # it is stopped already
    assert states(browser) == {b"T"}

    async def question() -> float:
        """Seconds to an answer."""
        begin = time.monotonic()
        await thaw(browser)
        await evaluate(browser, "1")
        return time.monotonic() - begin

    took = [await question()]
    for _ in range(4):
        await freeze(browser)
        took.append(await question())
    usual = [await question() for _ in range(5)]  # it runs already
    # The machine may be busy, but not all the time.
    assert min(took) < max(AWAKE, TIMES * min(usual)), (took, usual)
    assert b"T" not in states(browser)
    assert await evaluate(browser, LOOK) == before
    await thaw(browser)  # it runs already
    assert not parked(browser)


async def test_timers_go_on_where_they_were(one: Browser) -> None:
    """An interval does not make up for what it missed; a timeout that was due meanwhile is so at once."""
    await evaluate(one, FILL)
    for delay in (0.3, 3.0, 30.0):  # seconds; more on a machine on which not all stands still by then
        began = time.monotonic()
        await evaluate(one, f"begun = performance.now(); setTimeout(() => late = performance.now(), {delay * 1000})")
        before = await evaluate(one, "ticks")
        await freeze(one)
        frozen = time.monotonic()
        if frozen - began < delay:
            break
        await thaw(one)
    await asyncio.sleep(delay + 1.2)  # what is to pass is time itself
    stood = time.monotonic() - frozen
    await thaw(one)
    look = (
        "new Promise(done => { const look = () => late > begun ? done(late - begun) : setTimeout(look, 10); look() })"
    )
    assert await evaluate(one, f"window.late ??= 0, {look}") > 1000 * stood
    ticks = await evaluate(one, "ticks")
    ran = time.monotonic() - began - stood
    assert ticks - before <= 10 * ran + 2


async def test_a_parked_browser_is_ended_like_another(one: Browser) -> None:
    """The fixture looks for what is left of it."""
    await freeze(one)
    await one.kill()
    await thaw(one)
    await freeze(one)  # there is nothing to do


async def test_awake_again_it_can_be_closed_gently(one: Browser) -> None:
    await freeze(one)
    await thaw(one)
    assert await one.close()


async def test_who_cannot_be_stopped_runs_on(one: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crash handlers are not in the group: they are still running when patience ends."""
    monkeypatch.setattr(park, "STOP", -1)
    with pytest.raises(NotParked, match="did not stop"):
        await freeze(one)
    await eventually("all of it runs", lambda: b"T" not in states(one))
    assert await evaluate(one, "1 + 1") == 2


async def test_a_busy_page_is_parked_as_it_is(one: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(park, "TIDY", 0.2)
    with pytest.raises(DevToolsGone):
        async with one.devtools.attached(next(iter(one.pages))) as session:
            await one.devtools.send("Runtime.evaluate", {"expression": "for (;;);"}, session=session, timeout=0.1)
    await freeze(one)
    assert states(one) == {b"T"}
    await thaw(one)
    assert one.version == await one.devtools.send("Browser.getVersion")


async def test_a_park_that_is_cancelled_leaves_it_running(one: Browser) -> None:
    asked = asyncio.Event()

    def look(method: str, params: object, session: str | None) -> None:
        if method == "Target.attachedToTarget":
            asked.set()

    with one.devtools.listening(look):
        parking = asyncio.create_task(freeze(one))
        await asked.wait()
    parking.cancel()
    with suppress(asyncio.CancelledError):
        await parking
    assert parking.cancelled()
    assert await evaluate(one, "1 + 1") == 2
    assert b"T" not in states(one)


async def test_no_process_that_is_just_born_escapes(one: Browser) -> None:
    """Pages are opened meanwhile, each with a renderer of its own."""

    async def open_pages() -> None:
        while True:
            await one.devtools.send("Target.createTarget", {"url": "data:text/html,more"})

    opening = [asyncio.create_task(open_pages()) for _ in range(3)]
    await eventually("some are open", lambda: len(one.pages) > 3)
    await freeze(one)
    there = {process.pid for process in processes(one)}
    assert states(one) == {b"T"}
    with pytest.raises(DevToolsGone):
        await one.devtools.send("Browser.getVersion", timeout=0.3)
    assert {process.pid for process in processes(one)} == there
    for task in opening:
        task.cancel()
    await asyncio.wait(opening)
    os.kill(one.pid, signal.SIGCONT)  # only the main process: the rest stays
    assert states(one) > {b"T"}
    await thaw(one)
    assert b"T" not in states(one)
