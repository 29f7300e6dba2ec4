"""What a screenshot costs over `POST /screenshot`, beside a Playwright script as one writes it by hand.

The script launches Chromium once; each picture has a context of its own, as with the gateway. Both see the same page of
a server on this machine, in turn. A burst is 50 at once: with the script as many work at once as with the gateway.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp
from playwright.async_api import Browser, async_playwright

from bench import processes
from bench.egress import server
from bench.figures import Figure
from bench.serving import Server, gateway
from bench.subjects import GATEWAY
from browser_pool.binary import Binaries
from browser_pool.spec import Mode
from browser_pool.tasks import running

SCRIPT = "Playwright script"
BURST = 50
FEW = 10
AT_ONCE = max(2, 2 * len(os.sched_getaffinity(0)))  # as gateway/pages/service.py has it
VIEWPORT = {"width": 1280, "height": 720}
LOOK = 0.02  # seconds between looks at the memory

SCREENSHOT = "a screenshot, one after the other"
BURSTS = f"{BURST} screenshots asked for at once, until the last is there"
MEMORY = "peak memory (PSS) of gateway, driver and browser in a burst"
SMALL, LARGE = f"{FEW} at once", f"{BURST} at once"
DISPLACED = f"places that the answers of {BURST} are out of order, at most"

Progress = Callable[[str], None]
Shoot = Callable[[], "asyncio.Task[None]"]


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """Times in ms, memory in MB. Raises RuntimeError for a screenshot that failed."""
    rounds, bursts = (10, 2) if quick else (40, 8)
    single: dict[str, list[float]] = {SCRIPT: [], GATEWAY: []}
    burst: dict[str, list[float]] = {SCRIPT: [], GATEWAY: []}
    memory: dict[str, list[float]] = {SMALL: [], LARGE: []}
    displaced: list[float] = []
    async with AsyncExitStack() as stack:
        url = f"{await stack.enter_async_context(server())}/article"
        script = await stack.enter_async_context(_script())
        serving = await stack.enter_async_context(gateway(warm="0"))
        http = await stack.enter_async_context(_http(serving))
        clock = asyncio.get_running_loop().time
        for number in range(rounds + 1):
            progress(f"pages: round {number} of {rounds}")
            for name, shoot in ((SCRIPT, _by_script(script, url)), (GATEWAY, _by_gateway(http, url))):
                begin = clock()
                await shoot()
                if number:  # the first starts a browser, and fills caches of code
                    single[name].append(1000 * (clock() - begin))
        for number in range(bursts):
            progress(f"pages: burst {number + 1} of {bursts}")
            begin = clock()
            turns = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(_turn(turns, _by_script(script, url)) for _ in range(BURST)))
            burst[SCRIPT].append(1000 * (clock() - begin))
            for name, count in ((SMALL, FEW), (LARGE, BURST)):
                begin = clock()
                answered: list[int] = []
                async with running(_peak(serving, memory[name]), "peak"):
                    await asyncio.gather(*(_answered(one, answered, _by_gateway(http, url)) for one in range(count)))
            burst[GATEWAY].append(1000 * (clock() - begin))
            displaced.append(max(abs(place - one) for place, one in enumerate(answered)))
    return [
        Figure(SCREENSHOT, "ms", single),
        Figure(BURSTS, "ms", burst),
        Figure(MEMORY, "MB", memory),
        Figure(DISPLACED, "places", {GATEWAY: displaced}),
    ]


def _by_script(browser: Browser, url: str) -> Shoot:
    async def shoot() -> None:
        context = await browser.new_context(viewport={"width": 1280, "height": 720})
        page = await context.new_page()
        await page.goto(url)
        _check(await page.screenshot())
        await context.close()

    return lambda: asyncio.ensure_future(shoot())


def _by_gateway(http: aiohttp.ClientSession, url: str) -> Shoot:
    async def shoot() -> None:
        async with http.post("/screenshot", json={"url": url, "viewport": VIEWPORT}) as answer:
            picture = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {picture[:300]!r}")
            _check(picture)

    return lambda: asyncio.ensure_future(shoot())


def _check(picture: bytes) -> None:
    if int.from_bytes(picture[16:20]) != VIEWPORT["width"]:
        raise RuntimeError("no picture, or of another size")


async def _turn(turns: asyncio.Semaphore, shoot: Shoot) -> None:
    async with turns:
        await shoot()


async def _answered(number: int, answered: list[int], shoot: Shoot) -> None:
    await shoot()
    answered.append(number)


async def _peak(serving: Server, found: list[float]) -> None:
    """Note the most that its processes had while this ran."""
    most = 0.0
    try:
        while True:
            most = max(most, await asyncio.to_thread(_memory, serving))
            await asyncio.sleep(LOOK)
    finally:
        found.append(most)


def _memory(serving: Server) -> float:
    children = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{serving.pid}/task"):
            with open(f"/proc/{serving.pid}/task/{name}/children") as file:
                children |= {int(word) for word in file.read().split()}
    return processes.pss({serving.pid, *children, *serving.browsers()})


@asynccontextmanager
async def _script() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        path = str(Binaries().path(Mode.HEADLESS))
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def _http(serving: Server) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {serving.token}"}
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(serving.url, headers=headers, connector=connector, timeout=timeout) as http:
        yield http
