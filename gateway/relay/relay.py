"""One websocket from 101 to its end: two legs, spliced, until the client goes, the browser goes or it is evicted."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from browser_pool.tasks import running
from gateway.errors import CloseCode, Farewell
from gateway.relay.browser_leg import BrowserLeg
from gateway.relay.client_leg import ClientLeg, Commands, take_over

PING_PERIOD = 25.0  # seconds; load balancers cut connections that are silent for 60
DELIVERY = 3.0  # seconds for Chromium to take what the client sent last, and to close
VERDICT = 3.0  # seconds to learn why the browser's side ended


async def relay(
    request: web.Request,
    accept: str,
    browser: BrowserLeg,
    commands: Commands,
    *,
    evicted: "asyncio.Future[Farewell]",
    leave: Callable[[], None],
) -> None:
    """Answer the upgrade with 101 and pass frames until the end.

    `evicted` ends it from our side; `leave` is called the moment the client's end is seen. Raises
    ConnectionResetError if the client has gone before the 101.
    """
    try:
        client = take_over(request, accept, browser, commands, leave)
    except BaseException:  # whatever it was, Chromium's side has no client now
        browser.abort()
        raise
    try:
        async with running(_keep_alive(client), "pings"), running(commands.run(), "commands"):
            await _first(client.over, browser.gone, evicted)
        await client.close(await _farewell(client, browser, evicted))
        await _first(browser.gone, timeout=DELIVERY)
    finally:
        browser.abort()
        client.abort()
        request.protocol.connection_lost(None)  # aiohttp forgets the connection


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


async def _keep_alive(client: ClientLeg) -> None:
    while True:
        await asyncio.sleep(PING_PERIOD)
        client.ping()
