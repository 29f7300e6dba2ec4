"""What the guard of the network costs: Chromium through its road, beside one that goes out by itself.

Both are launched as the gateway launches them, and visit a server on this machine in turn. The download is read by
the page itself (a stream of fetch); the page's time is that of its load event (PerformanceNavigationTiming).
"""

import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.figures import Figure
from bench.serving import LOCAL, scratch, serving
from bench.site import BIG, RESOURCES
from bench.subjects import DIRECT, GATEWAY
from browser_pool.binary import Binaries
from browser_pool.browser import Browser
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec
from gateway.egress.process import EgressProcess
from gateway.egress.terms import Terms
from gateway.records import Rules

DOWNLOAD = f"download of {BIG // 1_000_000} MB by a page"
PAGE = f"page with {RESOURCES} resources, until its load event"

_DOWNLOAD = f"""(async () => {{
    const begin = performance.now(), reader = (await fetch('/big')).body.getReader();
    let bytes = 0;
    for (let part; !(part = await reader.read()).done;) bytes += part.value.length;
    return bytes === {BIG} ? performance.now() - begin : 0;
}})()"""
_LOADED = """new Promise(done => {
    const look = () => {
        const [timing] = performance.getEntriesByType('navigation');
        const resources = performance.getEntriesByType('resource').filter(one => one.name.includes('/r/'));
        if (timing.loadEventEnd) done([timing.loadEventEnd, resources.length]);
        else setTimeout(look, 5);
    };
    look();
})"""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of one of the browsers."""

    browser: Browser
    session: str

    async def goto(self, url: str) -> None:
        """Begin to load `url`; returns once it is committed."""
        await self.browser.devtools.send("Page.navigate", {"url": url}, session=self.session)

    async def run(self, script: str) -> Any:
        """What it comes to. Raises RuntimeError where it throws."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        reply = await self.browser.devtools.send("Runtime.evaluate", asked, session=self.session, timeout=120)
        if "exceptionDetails" in reply:
            raise RuntimeError(str(reply["exceptionDetails"]))
        return reply["result"].get("value")


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """Both figures, in MB/s and ms. Raises RuntimeError for what was not loaded in full."""
    rounds = 5 if quick else 15
    speed: dict[str, list[float]] = {DIRECT: [], GATEWAY: []}
    load: dict[str, list[float]] = {DIRECT: [], GATEWAY: []}
    async with server() as url, _tabs() as tabs:
        for number in range(rounds + 1):
            progress(f"egress: round {number} of {rounds}")
            for name, tab in tabs.items():
                await tab.goto(f"{url}/page?{number}")
                took, resources = await tab.run(_LOADED)
                if resources != RESOURCES:
                    raise RuntimeError(f"{resources} resources instead of {RESOURCES}")
                milliseconds = await tab.run(_DOWNLOAD)
                if not milliseconds:
                    raise RuntimeError("the download broke off")
                if number:  # the first opens connections, and fills caches of code
                    load[name].append(took)
                    speed[name].append(BIG / 1000 / milliseconds)
    return [Figure(DOWNLOAD, "MB/s", speed), Figure(PAGE, "ms", load)]


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """`bench/site.py` for this block: its URL."""
    argv = [sys.executable, "-m", "bench.site"]
    async with scratch() as directory:
        ready = re.compile(r"^listening on (\d+)", re.MULTILINE)
        async with serving(argv, dict(os.environ), directory, ready) as (_, found):
            yield f"http://127.0.0.1:{found[1]}"


@asynccontextmanager
async def _tabs() -> AsyncIterator[dict[str, Tab]]:
    async with AsyncExitStack() as stack:
        binaries = Binaries()
        egress = await stack.enter_async_context(EgressProcess(Rules(tuple(LOCAL.split(",")))))
        found = {}
        for name, roads in ((DIRECT, None), (GATEWAY, egress)):
            directory = await stack.enter_async_context(scratch())
            pool = await stack.enter_async_context(BrowserPool(directory, binaries, roads=roads))
            browser = await stack.enter_async_context(pool.lease(LaunchSpec()))
            if browser.road is not None:
                await egress.assign(browser.road.port, Terms())
            page = next(iter(browser.pages))
            found[name] = Tab(browser, await stack.enter_async_context(browser.devtools.attached(page)))
        yield found
