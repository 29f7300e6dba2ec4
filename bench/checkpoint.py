"""What checkpoints cost the driver, the page and the machine, against the same browser without them.

The driver's commands, the checkpoints and what they read share one event loop, as in the gateway: what holds up any of
them is in the driver's latencies.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bench import processes
from bench.figures import Figure
from bench.machine import cpu
from bench.serving import scratch
from browser_pool.binary import Binaries
from browser_pool.browser import Browser
from browser_pool.devtools import DevTools, open_devtools
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from browser_pool.tasks import running
from gateway.snapshot.checkpoint import Checkpointer, checkpointing
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.periodic import Checkpoints

WITHOUT, WITH = "without checkpoints", "with one a second"

P50 = "Runtime.evaluate beside a working page, median"
P99 = "Runtime.evaluate beside a working page, 99th percentile"
WORST = "Runtime.evaluate beside a working page, longest"
HELD = "longest that the page's own tasks waited while all of it was read"
GATEWAY_CPU = "CPU of the gateway a checkpoint, nothing changed"
BROWSER_CPU = "CPU of the browser a checkpoint, nothing changed"

ITEMS, RECORDS = 1000, 5000
INTERVAL = 1.0  # seconds

Progress = Callable[[str], None]

# A page of some size, and work that goes on: 1 ms of it each 20 ms, which stores what it did.
FILL = f"""(async () => {{
  for (let i = 0; i < {ITEMS}; i++) localStorage.setItem("key" + i, "value " + i + "x".repeat(90));
  window.database = await new Promise((done, failed) => {{
    const request = indexedDB.open("app");
    request.onupgradeneeded = () => {{
      const own = request.result.createObjectStore("own", {{ keyPath: "id" }});
      for (let id = 0; id < {RECORDS}; id++) own.put({{ id, name: "name " + id, at: new Date(), tags: ["a", "b"] }});
    }};
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  }});
}})()"""
WORK = """(() => {
  let n = 0;
  window.work = setInterval(() => {
    const end = performance.now() + 1;
    while (performance.now() < end);
    localStorage.setItem("key" + (n++ % 1000), "worked " + n);
    if (n % 10 === 0) database.transaction("own", "readwrite").objectStore("own").put({ id: n % 5000, n });
  }, 20);
})()"""
GAPS = """(() => {
  window.longest = 0;
  let last = performance.now();
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    port2.postMessage(0);
  };
  port2.postMessage(0);
})()"""


@dataclass(frozen=True, slots=True)
class Driver:
    """A client with one page."""

    devtools: DevTools
    session: str

    async def evaluate(self, expression: str) -> Any:
        """Its value."""
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        reply = await self.devtools.send("Runtime.evaluate", params, session=self.session)
        return reply["result"].get("value")

    async def latencies(self, seconds: float) -> list[float]:
        """Of one trivial evaluation after the other, in ms."""
        clock = asyncio.get_running_loop().time
        found, end = [], clock() + seconds
        while (begin := clock()) < end:
            await self.evaluate("1")
            found.append(1000 * (clock() - begin))
        return found


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """Latencies of a driver, what a page waits, and CPU; rounds with and without are interleaved."""
    rounds, seconds, idle = (3, 5, 10) if quick else (8, 15, 60)
    async with AsyncExitStack() as stack:
        browser, site = await stack.enter_async_context(_browser()), await stack.enter_async_context(_site())
        driver = await stack.enter_async_context(_driver(browser, site))
        await driver.evaluate(FILL)
        progress("checkpoint: an idle page")
        shares = await _idle(browser, idle)
        await driver.evaluate(WORK)
        trials: dict[str, list[list[float]]] = {WITHOUT: [], WITH: []}
        for number in range(rounds):
            progress(f"checkpoint: round {number + 1} of {rounds} beside a working page")
            trials[WITHOUT].append(await driver.latencies(seconds))
            async with checkpointing(browser.devtools) as checkpointer:
                await checkpointer.take()
                async with running(_checkpoints(checkpointer, browser).run(), "checkpoints"):
                    trials[WITH].append(await driver.latencies(seconds))
        await driver.evaluate("clearInterval(work)")
        progress("checkpoint: what the page waits")
        held = await _held(browser, driver, rounds)
    return [
        Figure(what, "ms", {name: [take(trial) for trial in found] for name, found in trials.items()})
        for what, take in ((P50, _quantile(0.5)), (P99, _quantile(0.99)), (WORST, max))
    ] + [held, *shares]


def _quantile(share: float) -> Callable[[Sequence[float]], float]:
    return lambda values: sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def _held(browser: Browser, driver: Driver, rounds: int) -> Figure:
    """Each time everything is read anew, and then nothing for as long."""
    await driver.evaluate(GAPS)
    clock = asyncio.get_running_loop().time
    found: dict[str, list[float]] = {WITHOUT: [], WITH: []}
    for _ in range(3 * rounds):
        async with checkpointing(browser.devtools) as checkpointer:
            await driver.evaluate("longest = 0")
            begin = clock()
            await checkpointer.take()
            took = clock() - begin
            found[WITH].append(await driver.evaluate("longest"))
        await driver.evaluate("longest = 0")
        await asyncio.sleep(took)
        found[WITHOUT].append(await driver.evaluate("longest"))
    return Figure(HELD, "ms", found)


async def _idle(browser: Browser, seconds: float) -> list[Figure]:
    """CPU of a take that finds nothing new, beyond what passes without."""
    pids = {GATEWAY_CPU: {os.getpid()}, BROWSER_CPU: processes.of_directory(browser.directory.path)}

    async def spent(work: Callable[[], Any]) -> dict[str, float]:
        before = {what: cpu(those) for what, those in pids.items()}
        await work()
        return {what: cpu(those) - before[what] for what, those in pids.items()}

    async with checkpointing(browser.devtools) as checkpointer:
        await checkpointer.take()

        async def takes() -> None:
            end = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < end:
                await asyncio.sleep(INTERVAL)
                if await checkpointer.take() is not None:
                    raise RuntimeError("a page where nothing happens has changed")

        with_takes = await spent(takes)
        without = await spent(lambda: asyncio.sleep(seconds))
    count = seconds / INTERVAL
    return [Figure(what, "ms", {WITH: [max(0.0, 1000 * (with_takes[what] - without[what]) / count)]}) for what in pids]


def _checkpoints(checkpointer: Checkpointer, browser: Browser) -> Checkpoints:
    async def save(document: ContextDocument) -> None:
        """Nowhere: what saving costs depends on the disk."""

    return Checkpoints(checkpointer, save, devtools=browser.devtools, interval=INTERVAL)


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    spec = LaunchSpec(mode=Mode.HEADLESS)
    async with scratch() as directory, BrowserPool(directory, Binaries()) as pool, pool.lease(spec) as browser:
        yield browser


@asynccontextmanager
async def _site() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>app</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _driver(browser: Browser, url: str) -> AsyncIterator[Driver]:
    endpoint = f"ws://127.0.0.1:{browser.port}{browser.path}"
    page = next(iter(browser.pages))
    async with open_devtools(endpoint) as devtools, devtools.attached(page) as session:
        await devtools.send("Page.navigate", {"url": url}, session=session)
        yield Driver(devtools, session)
