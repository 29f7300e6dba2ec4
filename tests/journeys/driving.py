"""Real clients: Puppeteer and Playwright as Node programs, and CDP over a bare websocket."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from browser_pool.binary import Binaries
from tests.journeys.running import Reply
from tests.site.app import PASSWORD, USER, Site

CLIENTS = Path(__file__).parents[1] / "clients"
ANSWER_SECONDS = 45
SHORT = (1500, 6000, 24_000)  # milliseconds
LINE_LIMIT = 1 << 26

needs_shell = pytest.mark.skipif(Binaries().shell is None, reason="Chromium's headless shell is not installed")


def node() -> str:
    """The Node program; fails where it or the clients are not installed."""
    found = shutil.which("node")
    assert found, "Node.js is needed for the journeys: install node 20 or later"
    assert (CLIENTS / "node_modules").is_dir(), "the clients are not installed: run `make setup-test`"
    return found


async def run_script(name: str, **environment: str) -> Any:
    """Run tests/clients/NAME to its end; what its last line of output says, as JSON. Fails showing its errors."""
    return json.loads((await run_lines(name, **environment))[-1])


async def run_lines(name: str, **environment: str) -> list[str]:
    """The same; all lines of its output."""
    process = await asyncio.create_subprocess_exec(
        node(),
        str(CLIENTS / name),
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS * 2):
            output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode == 0, f"{name} ended with {process.returncode}:\n{errors.decode()}"
    return output.decode().strip().splitlines()


class ClientError(Exception):
    """What the Node client's library threw."""


class Driver:
    """A Node client that does one command after the other (tests/clients/lines.mjs)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._ids = count(1)

    async def send(self, command: str, **arguments: Any) -> int:
        """Send a command and do not wait for its answer; its id."""
        assert self.process.stdin is not None
        number = next(self._ids)
        self.process.stdin.write(json.dumps({"id": number, "do": command, **arguments}).encode() + b"\n")
        await self.process.stdin.drain()
        return number

    async def line(self, **wanted: Any) -> Any:
        """The next line that has all of `wanted`; others are passed over."""
        assert self.process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            while line := await self.process.stdout.readline():
                message = json.loads(line)
                if wanted.items() <= message.items():
                    return message
        raise ClientError("the client ended")

    async def do(self, command: str, **arguments: Any) -> Any:
        """Do a command; its result. Raises ClientError with what the library threw."""
        message = await self.line(id=await self.send(command, **arguments))
        if "error" in message:
            raise ClientError(message["error"])
        return message["result"]

    async def connect(self, endpoint: str, **more: Any) -> Any:
        """Connect to a ws:// or http:// endpoint: {"contexts": count, "pages": [url]}."""
        return await self.do("connect", endpoint=endpoint, **more)

    async def goto(self, url: str) -> int:
        """Navigate the page in use; the HTTP status."""
        return int(await self.do("goto", url=url))

    async def evaluate(self, expression: str) -> Any:
        """Evaluate in the page in use."""
        return await self.do("evaluate", expression=expression)

    async def cdp(self, method: str, params: Mapping[str, Any] | None = None, *, browser: bool = False) -> Any:
        """A CDP command on a session of the page in use, or of the browser."""
        return await self.do("cdp", method=method, params=params or {}, browserSession=browser)

    async def state(self, site: Site) -> Any:
        """What the page in use has for the site's origin, read at /state."""
        await self.goto(f"{site.url}/state")
        return await self.shown("state")

    async def shown(self, element: str) -> Any:
        """The JSON that the page in use shows in `#element` once it is ready."""
        await self.do("waitFor", selector="html[data-ready]")
        return json.loads(await self.do("text", selector=f"#{element}"))

    async def log_in(self, site: Site) -> None:
        """Log alice in through the form; the page in use ends at /account."""
        await self.goto(f"{site.url}/login")
        await self.do("type", selector="#username", text=USER)
        await self.do("type", selector="#password", text=PASSWORD)
        await self.do("clickAndWait", selector="button[type=submit]")
        await self.do("waitFor", selector="html[data-ready]")
        assert await self.do("text", selector="#title") == "Hello alice"

    async def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def driver(library: str) -> AsyncIterator[Driver]:
    """A Node client with `library`, "puppeteer" or "playwright", for this block."""
    process = await asyncio.create_subprocess_exec(
        node(),
        str(CLIENTS / f"{library}.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    try:
        yield Driver(process)
    finally:
        with suppress(ProcessLookupError):  # the test has killed it itself
            process.kill()
        await process.communicate()


class CdpError(Exception):
    """A CDP error answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Wire:
    """CDP over one websocket, without any library's habits."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._ids = count(1)

    async def call(self, method: str, params: Mapping[str, Any] | None = None, session: str | None = None) -> Any:
        """Send a command and wait for its result; events are passed over. Raises CdpError."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        await self.socket.send(json.dumps(message))
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := json.loads(await self.socket.recv())).get("id") != number:
                pass
        if "error" in answer:
            raise CdpError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def page(self) -> str:
        """A session on the first page."""
        targets = (await self.call("Target.getTargets"))["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = await self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        return str(attached["sessionId"])

    async def goto(self, url: str, session: str) -> None:
        """Show `url` in a page, and return once it is that document which is there, not the one before it."""
        loader = (await self.call("Page.navigate", {"url": url}, session))["loaderId"]
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                with suppress(CdpError):  # the document before goes while we ask
                    tree = await self.call("Page.getFrameTree", session=session)
                    if tree["frameTree"]["frame"]["loaderId"] == loader:
                        return

    async def evaluate(self, expression: str, session: str | None = None) -> Any:
        """The value of an expression; promises are awaited."""
        params = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = await self.call("Runtime.evaluate", params, session)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def closed(self, timeout: float = ANSWER_SECONDS) -> tuple[int, str]:
        """Wait until the other side closes: its close code and reason."""
        async with asyncio.timeout(timeout):
            with suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        assert self.socket.close_code is not None
        return self.socket.close_code, self.socket.close_reason or ""


@asynccontextmanager
async def wire(url: str, **headers: str) -> AsyncIterator[Wire]:
    """A bare websocket to `url` for this block."""
    opening = connect(url, additional_headers=headers, max_size=None, compression=None, open_timeout=ANSWER_SECONDS)
    async with opening as socket:
        yield Wire(socket)


@asynccontextmanager
async def wire_for_a_while(url: Callable[[int], Awaitable[str]]) -> AsyncIterator[Wire]:
    """One that answers, to a session that has little time: more where a browser takes longer than that to start.

    `url` makes a session of so many milliseconds and says where to connect, or raises ConnectionError.
    """
    async with AsyncExitStack() as stack:
        for time in SHORT:
            with suppress(InvalidStatus, ConnectionClosed, ConnectionError):
                cdp = await stack.enter_async_context(wire(await url(time)))
                await cdp.call("Browser.getVersion")
                break
        else:
            raise AssertionError(f"no browser was there within {SHORT[-1]} ms")
        yield cdp


async def refused_upgrade(url: str, **headers: str) -> Reply:
    """The HTTP answer to a websocket upgrade that must not be granted."""
    try:
        async with wire(url, **headers):
            raise AssertionError(f"{url} was granted")
    except InvalidStatus as error:
        response = error.response
        fields = CIMultiDictProxy(CIMultiDict(response.headers.raw_items()))
        assert fields.get("Content-Type", "").startswith("application/json"), response
        return Reply(response.status_code, fields, json.loads(response.body or b"null"))


async def upgrade_status(url: str, **headers: str) -> int:
    """The HTTP status of an upgrade with headers that a websocket library would set itself (Host, Origin)."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with aiohttp.ClientSession() as client, client.get(url, headers={**handshake, **headers}) as response:
        return response.status
