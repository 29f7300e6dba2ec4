"""What a session costs: the time to its first page and to its end, and the memory while it is idle.

The gateway (with a warm browser, and without), Browserless, and Chromium as Puppeteer launches it, all with
the same binary. Times are taken in one Puppeteer client, in interleaved rounds; memory one server after the
other, since browsers that run at the same time share the pages of Chromium's program.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from bench import processes
from bench.browserless import browserless, installed
from bench.client import Client, client
from bench.figures import Figure
from bench.serving import Server, gateway, gone, scratch
from bench.subjects import GATEWAY
from browser_pool.binary import Binaries
from browser_pool.spec import Mode

WARM, COLD = "gateway, warm", "gateway, cold"
BROWSERLESS, CHROMIUM = "Browserless", "Puppeteer's launch"

CONNECT = "connect"
FIRST_PAGE = "connect, new page, first navigation"
CLOSE = "close, until its processes are gone"
BURST_COUNT = 20
BURST = f"{BURST_COUNT} clients at once, until the last has its page"
COUNTS = (1, 10, 30)
SERVER_COUNT = 10
SERVER_MEMORY = f"memory (PSS) of the server itself with {SERVER_COUNT} idle sessions"

PAGE = "<!doctype html><title>A page</title><h1>A page</h1>" + "<p>Some words that fill a few kilobytes.</p>" * 80
BREATH = 1.0  # seconds in which a browser finishes what it does after its start, or others after its end
SETTLE = 4.0  # the same before memory is read

Progress = Callable[[str], None]


def memory(count: int) -> str:
    """The name of the figure with `count` sessions."""
    return f"memory (PSS) of an idle session, {count} at once"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a browser: where the client goes, when it may start, and the processes of its browsers."""

    where: dict[str, str]
    browsers: Callable[[], set[int]]
    server: Server | None = None
    warm: bool = False

    async def ready(self) -> None:
        """Wait until what happens ahead of a session has happened."""
        if self.warm and self.server is not None:
            await browser_ahead(self.server)
        await asyncio.sleep(BREATH)


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """All figures of sessions; without Browserless's where it is not installed."""
    chromium = Binaries().path(Mode.HEADLESS)
    others = (BROWSERLESS, CHROMIUM) if installed() else (CHROMIUM,)
    if not installed():
        progress("Browserless is not installed: its columns are left out")
    async with page_server() as url:
        times = await _times((WARM, COLD, *others), chromium, url, progress, rounds=4 if quick else 15)
        bursts = await _bursts((WARM, COLD, *others), chromium, url, progress, rounds=1 if quick else 3)
        counts, rounds = (COUNTS[:2], 1) if quick else (COUNTS, 2)
        costs = await _memories((GATEWAY, *others), chromium, url, progress, counts, rounds=rounds)
    return [*times, bursts, *costs]


@asynccontextmanager
async def page_server() -> AsyncIterator[str]:
    """The URL of a page of a few KB."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/favicon.ico", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def _ways(
    stack: AsyncExitStack, names: Iterable[str], chromium: Path, temporary: Path, *, at_once: int
) -> dict[str, Way]:
    """Start what these names stand for; `temporary` is where the client has the profiles of its own browsers."""
    ways = {}
    for name in names:
        if name == CHROMIUM:
            ways[name] = Way({"executablePath": str(chromium)}, lambda: processes.of_directory(temporary))
            continue
        if name == BROWSERLESS:
            server = await stack.enter_async_context(browserless(chromium, at_once=at_once))
        else:
            ahead = "1" if name == WARM else "0"
            server = await stack.enter_async_context(gateway(warm=ahead, max_sessions=str(at_once)))
        ways[name] = Way({"browserWSEndpoint": server.endpoint}, server.browsers, server, warm=name == WARM)
    return ways


async def _times(names: Iterable[str], chromium: Path, url: str, progress: Progress, *, rounds: int) -> list[Figure]:
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    async with AsyncExitStack() as stack:
        temporary = await stack.enter_async_context(scratch())
        driver = await stack.enter_async_context(client(temporary))
        ways = await _ways(stack, names, chromium, temporary, at_once=4)
        for number in range(rounds + 1):
            if number:
                progress(f"sessions: round {number} of {rounds}")
            for name, way in ways.items():
                await way.ready()
                took = await _session(driver, way, url)
                if number:  # in the first one disk caches fill and code is compiled
                    for what, value in took.items():
                        taken[what][name].append(value)
    return [Figure(what, "ms", dict(taken[what])) for what in (CONNECT, FIRST_PAGE, CLOSE)]


async def _bursts(names: Iterable[str], chromium: Path, url: str, progress: Progress, *, rounds: int) -> Figure:
    taken: dict[str, list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        temporary = await stack.enter_async_context(scratch())
        driver = await stack.enter_async_context(client(temporary))
        ways = await _ways(stack, names, chromium, temporary, at_once=BURST_COUNT)
        for number in range(1, rounds + 1):
            for name, way in ways.items():
                progress(f"bursts: round {number} of {rounds}, {name}")
                await way.ready()
                taken[name].append(await driver.do("burst", where=way.where, url=url, count=BURST_COUNT))
                its = set() if way.warm else way.browsers()  # one may have been launched ahead meanwhile
                await driver.do("closeAll")
                await gone(its)
    return Figure(BURST, "ms", dict(taken))


async def _session(driver: Client, way: Way, url: str) -> dict[str, float]:
    """One session from its beginning to its end, in ms."""
    took: dict[str, float] = await driver.do("session", where=way.where, url=url)
    its = way.browsers()
    asked: float = await driver.do("close")
    return {CONNECT: took["connect"], FIRST_PAGE: took["firstPage"], CLOSE: asked + 1000 * await gone(its)}


async def browser_ahead(server: Server, count: int = 1, timeout: float = 30.0) -> None:
    """Wait until the gateway has `count` browsers ready that were launched ahead. Raises TimeoutError."""
    headers = {"Authorization": f"Bearer {server.token}"}
    async with asyncio.timeout(timeout), aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
        while True:
            async with session.get(f"{server.url}/metrics") as response:
                found = re.search(r"^gateway_browsers_warm (\S+)", await response.text(), re.MULTILINE)
            if found and float(found[1]) >= count:
                return
            await asyncio.sleep(0.05)


async def _memories(
    names: Iterable[str], chromium: Path, url: str, progress: Progress, counts: tuple[int, ...], *, rounds: int
) -> list[Figure]:
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(1, rounds + 1):
        for name in names:
            progress(f"memory: round {number} of {rounds}, {name}")
            # The most at once take the longest, and vary the least.
            for what, value in (await _memory(name, chromium, url, counts if number == 1 else counts[:2])).items():
                taken[what][name].append(value)
    return [Figure(what, "MB", dict(values)) for what, values in taken.items()]


async def _memory(name: str, chromium: Path, url: str, counts: tuple[int, ...]) -> dict[str, float]:
    """Open as many sessions as each of `counts` says, all on one server; MB by the name of the figure."""
    found = {}
    async with AsyncExitStack() as stack:
        temporary = await stack.enter_async_context(scratch())
        driver = await stack.enter_async_context(client(temporary))
        way = (await _ways(stack, [name], chromium, temporary, at_once=max(counts)))[name]
        opened = 0
        for count in counts:
            for _ in range(count - opened):
                await driver.do("session", where=way.where, url=url)
            opened = count
            await asyncio.sleep(SETTLE)
            found[memory(count)] = processes.pss(way.browsers()) / count
            if count == SERVER_COUNT and way.server is not None:
                found[SERVER_MEMORY] = processes.pss([way.server.pid])
        its = way.browsers()
        await driver.do("closeAll")
        await gone(its)
    return found
