"""What parked browsers cost: processor time and memory beside running ones, and how long one takes to be awake.

Each browser shows a page that has worked: a heap with garbage in it, a canvas, and a timer that goes on. Browsers of
the pool itself: parking needs no gateway.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from bench.figures import Figure
from bench.machine import cpu
from bench.processes import pss
from bench.serving import scratch
from browser_pool.binary import Binaries
from browser_pool.browser import Browser
from browser_pool.park import freeze, thaw
from browser_pool.pool import BrowserPool
from browser_pool.procfs import members, seen
from browser_pool.spec import LaunchSpec

COUNT = 10
RUNNING, PARKED = "running", "parked"

CPU = f"CPU of {COUNT} browsers in which a timer runs"
MEMORY = "memory (PSS) of a browser with a page that has worked"
AWAKE = "until a parked browser answers Runtime.evaluate"
LONGEST = "the same, the longest of all"

SETTLE = 5.0  # seconds in which browsers finish what they do after their start
PAGE = """
window.kept = Array.from({length: 200000}, (_, i) => ({i, s: 'kept ' + i}));
(() => Array.from({length: 300000}, (_, i) => ({i, s: 'gone ' + i})))();
window.flat = document.createElement('canvas').getContext('2d');
window.count = 0;
setInterval(() => { flat.fillText(String(count++), 10, 10); document.title = String(count); }, 100);
kept.length
"""

Progress = Callable[[str], None]


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """CPU in % of one core, memory in MB, times in ms. Raises RuntimeError for a browser that is not what it was."""
    hold, rounds = (15, 3) if quick else (60, 10)
    took: list[float] = []
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(scratch())
        pool = await stack.enter_async_context(BrowserPool(directory / "browsers", Binaries()))
        progress(f"park: {COUNT} browsers")
        browsers = [await stack.enter_async_context(pool.lease(LaunchSpec())) for _ in range(COUNT)]
        for browser in browsers:
            await evaluate(browser, PAGE)
        await asyncio.sleep(SETTLE)
        running = await used(browsers, 10)
        before = memory(browsers)
        for browser in browsers:
            await freeze(browser)
        after = memory(browsers)
        progress(f"park: {hold} s of nothing")
        parked = await used(browsers, hold)
        for number in range(rounds):
            progress(f"park: waking, round {number + 1} of {rounds}")
            for browser in browsers:
                took.append(await woken(browser))
                await freeze(browser)
        for browser in browsers:
            await thaw(browser)
            if await evaluate(browser, "kept.length === 200000 && kept[199999].s") != "kept 199999":
                raise RuntimeError("a parked browser has lost its page")
    return [
        Figure(CPU, "% of a core", {RUNNING: [running], PARKED: [parked]}),
        Figure(MEMORY, "MB", {RUNNING: before, PARKED: after}),
        Figure(AWAKE, "ms", {PARKED: took}),
        Figure(LONGEST, "ms", {PARKED: [max(took)]}),
    ]


async def woken(browser: Browser) -> float:
    """Wake it; the ms until a page of it has answered."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await thaw(browser)
    await evaluate(browser, "1")
    return 1000 * (loop.time() - begin)


async def evaluate(browser: Browser, expression: str) -> Any:
    """In its first page."""
    async with browser.devtools.attached(next(iter(browser.pages))) as session:
        wanted = {"expression": expression, "returnByValue": True}
        reply = await browser.devtools.send("Runtime.evaluate", wanted, session=session)
    return reply["result"].get("value")


async def used(browsers: list[Browser], seconds: float) -> float:
    """Processor time of all their processes during the next `seconds`, in % of one core."""
    pids = [pid for browser in browsers for pid in processes(browser)]
    loop = asyncio.get_running_loop()
    before, begin = cpu(pids), loop.time()
    await asyncio.sleep(seconds)
    return 100 * (cpu(pids) - before) / (loop.time() - begin)


def memory(browsers: list[Browser]) -> list[float]:
    """MB of each."""
    return [pss(processes(browser)) for browser in browsers]


def processes(browser: Browser) -> list[int]:
    """All of it."""
    main = seen(browser.pid)
    tree = (str(browser.directory.path), browser.pid, main.start if main is not None else 0)
    return [process.pid for process in members((tree,)) if process.lives]
