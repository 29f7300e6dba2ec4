"""A real browser that is held between its drivers, in a small server; and a page's view of what is set for it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect

from browser_pool.browser import Browser
from browser_pool.devtools import DevTools, DevToolsError, open_devtools
from gateway.errors import Farewell
from gateway.relay.browser_leg import BrowserLeg, dial
from gateway.relay.client_leg import ClientLeg, Pulse
from gateway.relay.commands import Answerable, answer
from gateway.relay.overrides import Override
from gateway.relay.park import Dialogs, Holder, holding
from gateway.relay.places import Places
from gateway.relay.relay import Relays, relaying
from gateway.web.connect import upgrade
from tests.fakes.chromium import PATIENCE
from tests.relay.rig import until

# What a page sees from its first script on, and when it is asked.
SEEN = """({
    agent: navigator.userAgent, platform: navigator.platform, hint: navigator.userAgentData?.platform,
    language: navigator.language, locale: Intl.DateTimeFormat().resolvedOptions().locale,
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone, size: [innerWidth, innerHeight, devicePixelRatio],
    dark: matchMedia('(prefers-color-scheme: dark)').matches, touch: navigator.maxTouchPoints, init: window.init,
})"""
PLACE = """new Promise(done => navigator.geolocation.getCurrentPosition(
    place => done(place.coords.latitude), error => done(error.message), {timeout: 30000}))"""
HTML = f"<!doctype html><title>seen</title><script>window.first = {SEEN}</script>seen"


class Driving:
    """What answers a driver's commands."""

    rewrites = True
    places: Places | None = None

    def __init__(self, holder: Holder) -> None:
        self._turn = holder.turn()
        self.pulse = Pulse(0.0)

    def perform(self, command: Answerable, client: ClientLeg) -> None:
        client.reply(answer(command, {}))

    def note(self, override: Override, client: ClientLeg) -> bool:
        self.client = client
        return self._turn.note(override, client)

    def let_go(self, client: ClientLeg) -> bool:
        return False

    def parting(self, browser: BrowserLeg) -> AbstractAsyncContextManager[None]:
        return self._turn.parting(browser)


@dataclass(eq=False)
class Stage:
    """`url` is for drivers, `site` for their pages; `requests` has the headers of each request for a page."""

    browser: Browser
    holder: Holder
    relays: Relays
    devtools: DevTools
    url: str = ""
    site: str = ""
    requests: list[Mapping[str, str]] = field(default_factory=list)
    driving: set[asyncio.Future[None]] = field(default_factory=set)
    last: Driving | None = None

    async def drive(self, request: web.Request) -> web.StreamResponse:
        """As `Connect._sit` does it."""
        accept = upgrade(request)
        await self.holder.meet()
        leg = await dial(self.browser.port, self.browser.path)
        loop = asyncio.get_running_loop()
        evicted: asyncio.Future[Farewell] = loop.create_future()
        over: asyncio.Future[None] = loop.create_future()
        self.driving.add(over)
        async with AsyncExitStack() as held:
            held.callback(over.set_result, None)
            self.last = commands = Driving(self.holder)
            self.relays.begin(request, accept, leg, commands, evicted=evicted, leave=lambda: None, held=held)
        return web.Response(status=101)

    async def page(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/favicon.ico":  # which a browser asks for when it likes
            self.requests.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(text=HTML, content_type="text/html")

    async def undriven(self) -> None:
        """Wait until all drivers are gone and what they set is held."""
        await asyncio.wait(self.driving, timeout=PATIENCE)

    async def evaluate(self, target: str, expression: str) -> Any:
        """In that page, on a connection of the test's own."""
        async with self.devtools.attached(target) as session:
            wanted = {"expression": expression, "returnByValue": True, "awaitPromise": True}
            reply = await self.devtools.send("Runtime.evaluate", wanted, session=session, timeout=PATIENCE)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def first(self, target: str, place: str) -> Any:
        """What the document at `place` has seen first, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(DevToolsError):  # in between there is no document
                    if found := await self.evaluate(target, f"location.href === '{place}' && window.first"):
                        return found
                await asyncio.sleep(0.01)

    async def look(self, target: str, size: object = None) -> Any:
        """What it sees now; with `size` once that is the page's: Chromium answers before it has made it so."""
        async with asyncio.timeout(PATIENCE):
            while (seen := await self.evaluate(target, SEEN))["size"] != (size or seen["size"]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return seen


@asynccontextmanager
async def staged(browser: Browser, dialogs: Dialogs = Dialogs.DISMISS) -> AsyncIterator[Stage]:
    """A stage for this block."""
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    async with AsyncExitStack() as stack:
        holder = await stack.enter_async_context(holding(browser, dialogs=dialogs))
        relays = await stack.enter_async_context(relaying(patience=0.1))
        devtools = await stack.enter_async_context(open_devtools(f"ws://127.0.0.1:{browser.port}{browser.path}"))
        stage = Stage(browser, holder, relays, devtools)
        app.router.add_get("/drive", stage.drive)
        app.router.add_get("/{page:.*}", stage.page)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host = f"127.0.0.1:{runner.addresses[0][1]}"
        stage.url, stage.site = f"ws://{host}/drive", f"http://{host}"
        yield stage


class Raw:
    """A driver over a bare websocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Any] = []
        self._ids = count(1)

    async def send(self, method: str, params: Mapping[str, Any] | None = None, session: str | None = None) -> Any:
        """The whole reply."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params or {}}
        await self.socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        async with asyncio.timeout(PATIENCE):
            while True:
                message = json.loads(await self.socket.recv())
                if message.get("id") == number:
                    return message
                assert "id" not in message, message
                self.events.append(message)

    async def event(self, method: str) -> Any:
        """The first event of that name."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.events:
                    if event["method"] == method:
                        return event
                self.events.append(json.loads(await self.socket.recv()))

    async def attach(self, target: str) -> str:
        reply = await self.send("Target.attachToTarget", {"targetId": target, "flatten": True})
        return str(reply["result"]["sessionId"])


@asynccontextmanager
async def raw(stage: Stage) -> AsyncIterator[Raw]:
    opening = connect(stage.url, max_size=None, compression=None, ping_interval=None, open_timeout=PATIENCE)
    async with opening as socket:
        yield Raw(socket)
    await stage.undriven()


async def moved(stage: Stage, target: str) -> Any:
    """What the next document of that page has seen first."""
    place = f"{stage.site}/moved-{len(stage.requests)}"
    await stage.evaluate(target, f"void setTimeout(() => location.href = '{place}')")
    return await stage.first(target, place)


async def popup(stage: Stage, known: set[str], place: str) -> Any:
    """What the first document of the page that is not `known` has seen first."""
    await until(lambda: len(set(stage.browser.pages) - known) == 1)
    (target,) = set(stage.browser.pages) - known
    return await stage.first(target, place)
