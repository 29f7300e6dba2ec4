"""Page services of a real gateway: a burst in order of arrival, and all that dies in the middle of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil
from aiohttp import web

from tests.journeys.running import Gateway, Reply, Starter, command_line, eventually, eventually_asked

BURST = 20
PNG = b"\x89PNG"


@dataclass
class Pages:
    """A server whose pages are numbered; `held` ones wait until they are let go."""

    url: str = ""
    hits: list[int] = field(default_factory=list)
    holding: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def page(self, request: web.Request) -> web.Response:
        self.hits.append(int(request.match_info["number"]))
        return web.Response(text="<link rel=icon href=data:,><h1>page</h1>", content_type="text/html")

    async def held(self, request: web.Request) -> web.Response:
        self.holding += 1
        try:
            await self.free.wait()
        finally:
            self.holding -= 1
        return web.Response(text="<link rel=icon href=data:,>", content_type="text/html")


@asynccontextmanager
async def numbered() -> AsyncIterator[Pages]:
    """The server."""
    pages = Pages()
    app = web.Application()
    app.add_routes([web.get("/page/{number}", pages.page), web.get("/held", pages.held)])
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pages.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield pages
    finally:
        pages.free.set()
        await runner.cleanup()


async def queued(gateway: Gateway) -> int:
    """How many requests wait."""
    (metrics,) = (await gateway.request("GET", "/metrics", headers={"Accept": "application/json"})).ok()
    return int(metrics["queued"])


def drivers(gateway: Gateway) -> list[psutil.Process]:
    """Playwright's driver among the gateway's children."""
    children = psutil.Process(gateway.process.pid).children()
    return [one for one in children if "run-driver" in command_line(one)]


async def picture(gateway: Gateway, url: str) -> bytes:
    """POST /screenshot."""
    answer = await gateway.request("POST", "/screenshot", json={"url": url, "options": {"encoding": "base64"}})
    assert answer.status == 200, answer.body
    return str(answer.body).encode()


async def test_a_burst_and_what_dies_in_the_middle(start_gateway: Starter) -> None:
    gateway = await start_gateway(adopt_timeout="0")
    async with numbered() as site, asyncio.TaskGroup() as group:
        assert drivers(gateway) == []

        def held() -> asyncio.Task[Reply]:
            return group.create_task(gateway.request("POST", "/content", json={"url": f"{site.url}/held"}))

        # As many as may be at once, and one that waits.
        first = [held()]
        while not await queued(gateway):
            await eventually("the page is loading", lambda: site.holding == len(first), 30)
            first.append(held())
            await asyncio.sleep(0)
            await eventually_asked(
                "it loads or waits", lambda: _either(site.holding == len(first), gateway), timeout=30
            )
        at_once = len(first) - 1
        burst = []
        for number in range(BURST):
            burst.append(group.create_task(picture(gateway, f"{site.url}/page/{number}")))
            await eventually_asked("it waits", lambda: _as_many(gateway, len(burst) + 1), timeout=30)
        (driver,), (browser,) = drivers(gateway), gateway.browsers()
        site.free.set()
        for answer in await asyncio.gather(*first):
            assert answer.status == 200
        assert len(await asyncio.gather(*burst)) == BURST
        # They begin in order; pages that are loaded at the same time reach their server in any. One may be late by any
        # number, where the others go on meanwhile; early by no more than are loaded at once.
        assert sorted(site.hits) == list(range(BURST))
        for place, number in enumerate(site.hits):
            assert number - place < at_once, site.hits
        assert gateway.browsers() == [browser]

        # What dies takes with it what was in it, and nothing else.
        for victims in (drivers, Gateway.browsers):
            site.free.clear()
            lost = held()
            await eventually("the page is loading", lambda: site.holding == 1, 30)
            (victim,) = victims(gateway)
            victim.kill()
            answer = await lost
            assert "send it again" in answer.refused(503)
            assert answer.headers["Retry-After"] == "1"
            await eventually("its page is gone", lambda: site.holding == 0, 30)
            assert (await picture(gateway, f"{site.url}/page/0")).startswith(b"iVBOR")
        assert drivers(gateway) != [driver]
        assert gateway.browsers() != [browser]

        # A client that gives up.
        leaving = held()
        await eventually("the page is loading", lambda: site.holding == 1, 30)
        leaving.cancel()
        await eventually("its page is gone", lambda: site.holding == 0, 30)

        # The gateway is killed: nothing of it is left.
        (driver,) = drivers(gateway)
        gateway.kill()
        await eventually("the driver is gone", lambda: not driver.is_running() or driver.status() == "zombie", 30)
        await start_gateway(adopt_timeout="0")


async def _either(loads: bool, gateway: Gateway) -> bool:
    return loads or await queued(gateway) > 0


async def _as_many(gateway: Gateway, wanted: int) -> bool:
    return await queued(gateway) == wanted
