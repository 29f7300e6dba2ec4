"""drops.py: whose message it was, and what that client is told. The line is written into the log of a real browser."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from browser_pool import stderr
from browser_pool.browser import Browser
from gateway.records import SessionId
from gateway.relay import client_leg
from gateway.session import drops
from gateway.session.drops import COME_BACK, TOO_BIG, TOO_SLOW, Signs, _Socket, concerned
from gateway.session.session import Session
from tests.browser_pool.test_stderr import LINE
from tests.inside import Inside, ask, inside, until

NOBODY = Signs(driver=False, stalled=False, waits=False)
DRIVER = Signs(driver=True, stalled=False, waits=False)
STALLED = Signs(driver=False, stalled=True, waits=False)
WAITS = Signs(driver=False, stalled=False, waits=True)
WAITING_DRIVER = Signs(driver=True, stalled=False, waits=True)
FOREVER = {"expression": "new Promise(() => 0)", "awaitPromise": True}
STALLED_DRIVER = Signs(driver=True, stalled=True, waits=True)


@pytest.mark.parametrize(
    ("sockets", "who"),
    [
        ([], []),
        ([DRIVER], [0]),
        ([STALLED_DRIVER], [0]),
        ([DRIVER, NOBODY, NOBODY], [0]),
        ([WAITING_DRIVER, NOBODY], [0]),
        ([DRIVER, WAITS], [1]),
        ([WAITING_DRIVER, WAITS, NOBODY], [0, 1]),
        ([WAITING_DRIVER, STALLED], [1]),
        ([STALLED_DRIVER, WAITS, STALLED], [0, 2]),
        ([NOBODY, NOBODY], [0, 1]),
    ],
)
def test_who_may_have_lost_it(sockets: list[Signs], who: list[int]) -> None:
    assert concerned(sockets) == who


def test_the_words_fit_into_a_close() -> None:
    for words in (TOO_BIG, TOO_SLOW):
        assert len((words + COME_BACK).encode()) <= 123


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Inside]:
    monkeypatch.setattr(stderr, "PERIOD", 0.05)
    async with inside(tmp_path) as running:
        yield running


async def session_of(gateway: Inside, socket: ClientConnection) -> Session:
    session = gateway.registry.live(SessionId((await ask(socket, "Gateway.info"))["result"]["sessionId"]))
    assert session is not None
    return session


async def browser_of(gateway: Inside, socket: ClientConnection) -> Browser:
    browser = (await session_of(gateway, socket)).browser
    assert browser is not None
    return browser


def lose(browser: Browser) -> None:
    """Chromium says that it dropped a message."""
    with browser.directory.errors.open("ab") as log:
        log.write(LINE)


async def told(socket: ClientConnection) -> tuple[int, str]:
    """Code and reason of the Close that comes, behind whatever is there."""
    async with asyncio.timeout(30):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps({"id": 99, **message}))


async def test_a_standard_session_ends_with_it_unless_reconnect_was_asked_for(gateway: Inside) -> None:
    async with gateway.connect() as socket:
        lose(await browser_of(gateway, socket))
        assert await told(socket) == (1009, TOO_BIG)
    async with gateway.connect() as socket:
        url = (await ask(socket, "Gateway.reconnect"))["result"]["browserWSEndpoint"]
        lose(await browser_of(gateway, socket))
        assert await told(socket) == (1009, TOO_BIG + COME_BACK)
    async with gateway.connect(url.removeprefix(gateway.ws)) as socket:
        assert "result" in await ask(socket, "Browser.getVersion")


async def test_only_the_one_who_waits_is_told(gateway: Inside) -> None:
    async with gateway.connect() as driver:
        number = (await ask(driver, "Gateway.info"))["result"]["sessionId"]
        browser = await browser_of(gateway, driver)
        async with gateway.connect(f"/session/{number}/devtools/page/{next(iter(browser.pages))}") as beside:
            await send(driver, method="Target.setDiscoverTargets", params={"discover": True})
            assert "result" in await ask(beside, "Runtime.enable")
            await send(beside, method="Runtime.evaluate", params=FOREVER)
            assert "result" in await ask(driver, "Target.createTarget", {"url": "about:blank"})  # later than its own
            lose(browser)
            assert await told(beside) == (1009, TOO_BIG + COME_BACK)
        assert "result" in await ask(driver, "Browser.getVersion")


async def stall(socket: ClientConnection, browser: Browser) -> _Socket:
    """Let the client read no more, and be told much; its socket, once Chromium is not read any more."""
    assert isinstance(browser.on_drop, partial)
    watched: _Socket = browser.on_drop.args[0][0]
    socket.transport.pause_reading()
    await send(socket, method="x" * (40 << 20))  # it is repeated in the answer
    await until(lambda: watched.leg.stalled)
    return watched


async def test_one_who_does_not_read_finds_the_close_when_he_reads_on(gateway: Inside) -> None:
    async with gateway.connect() as socket:
        browser = await browser_of(gateway, socket)
        watched = await stall(socket, browser)
        lose(browser)
        await until(lambda: watched.told)
        lose(browser)  # more of the same is not told again, nor to others
        socket.transport.resume_reading()
        assert await told(socket) == (1009, TOO_SLOW)


async def test_one_who_never_reads_on_is_put_off_at_last(gateway: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drops, "UNREAD", 0.1)
    monkeypatch.setattr(client_leg, "BOUNDARY_TIMEOUT", 0.1)
    monkeypatch.setattr(client_leg, "CLOSE_TIMEOUT", 0.1)
    async with gateway.connect() as socket:
        browser = await browser_of(gateway, socket)
        session = await session_of(gateway, socket)
        await stall(socket, browser)
        lose(browser)
        async with asyncio.timeout(30):
            await session.over.wait()
        socket.transport.abort()
