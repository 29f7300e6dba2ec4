"""One websocket from 101 to its end: two legs, spliced, until the client goes, the browser goes or it is evicted.

A connection that is idle costs two transports and one task: aiohttp lets go of it with the 101, and one task
pings all.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from aiohttp import web

from browser_pool.tasks import Start, crew, running
from gateway.errors import CloseCode, Farewell
from gateway.relay.browser_leg import BrowserLeg
from gateway.relay.client_leg import ClientLeg, Commands
from gateway.relay.upgrade import take_over

log = structlog.get_logger()

PING_PERIOD = 25.0  # seconds; load balancers cut connections that are silent for 60
DELIVERY = 3.0  # seconds for Chromium to take what the client sent last, and to close
VERDICT = 3.0  # seconds to learn why the browser's side ended
PATIENCE = 5.0  # seconds at the end of all for those that are still saying goodbye


class Relays:
    """All websockets that are being relayed. `start` begins other work that lives no longer. Made by `relaying`."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self._clients: set[ClientLeg] = set()

    def begin(
        self,
        request: web.Request,
        accept: str,
        browser: BrowserLeg,
        commands: Commands,
        *,
        evicted: "asyncio.Future[Farewell]",
        leave: Callable[[], None],
        held: AsyncExitStack,
    ) -> None:
        """Answer the upgrade with 101 and let a task pass frames until the end, when it leaves what is `held`.

        `evicted` ends it from our side; `leave` is called the moment the client's end is seen. Raises
        ConnectionResetError if the client has gone before the 101.
        """
        try:
            client = take_over(request, accept, browser, commands, leave)
        except BaseException:  # whatever it was, Chromium's side has no client now
            browser.abort()
            raise
        self.start(self._relay(client, browser, commands, evicted, held.pop_all()), "relay")

    async def ping(self) -> None:
        """Keep the way to every client open."""
        while True:
            await asyncio.sleep(PING_PERIOD)
            for client in tuple(self._clients):
                client.ping()

    async def _relay(
        self,
        client: ClientLeg,
        browser: BrowserLeg,
        commands: Commands,
        evicted: "asyncio.Future[Farewell]",
        held: AsyncExitStack,
    ) -> None:
        self._clients.add(client)
        try:
            async with held:
                try:
                    await _first(client.over, browser.gone, evicted)
                    await client.finish(await _farewell(client, browser, evicted))
                    async with asyncio.TaskGroup() as leaving:  # neither side waits for the other
                        leaving.create_task(client.close())  # the group awaits both
                        leaving.create_task(_part(browser, commands))
                finally:
                    self._clients.discard(client)
                    browser.abort()
                    client.abort()
            log.info("client_gone")
        except Exception:  # the outer edge of a connection's task: a defect in one must not end the others
            log.exception("relay_fault")


@asynccontextmanager
async def relaying(patience: float = PATIENCE) -> AsyncIterator[Relays]:
    """Relay websockets while the block lasts. At its end those that take longer than `patience` seconds are cut."""
    async with crew(patience) as start:
        relays = Relays(start)
        async with running(relays.ping(), "pings"):
            yield relays


async def _part(browser: BrowserLeg, commands: Commands) -> None:
    """Leave Chromium, once all is taken over that shall stay in force without this connection."""
    async with commands.parting(browser):
        browser.detach()
        await _first(browser.gone, timeout=DELIVERY)
        browser.abort()


async def _farewell(client: ClientLeg, browser: BrowserLeg, evicted: "asyncio.Future[Farewell]") -> Farewell:
    """Why it ends, in the words that the client is told."""
    if browser.gone.done() and not client.over.done():
        # A crash is seen first as a lost socket; the session says a moment later what it was.
        await _first(client.over, evicted, timeout=VERDICT)
    if not evicted.done():
        return Farewell(CloseCode.DONE, "the browser closed the connection")
    if evicted.result().close is CloseCode.CRASHED:
        # Or the process was seen to end first: what it said last is still being read.
        await _first(client.over, browser.gone, timeout=VERDICT)
    return evicted.result()


async def _first(*futures: "asyncio.Future[Any]", timeout: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
