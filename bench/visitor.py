"""Who uses the sessions that the bench measures: REST on one side, CDP on the other, and a login in the test site."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bench.serving import Server
from browser_pool.devtools import DevTools, DevToolsError, open_devtools
from tests.site.app import PASSWORD, USER, Site

PATIENCE = 30.0  # seconds for a page to come to what is waited for
AN_HOUR = 3_600_000  # ms
LOOK = 0.005  # seconds between two looks


async def until(true: Callable[[], Awaitable[bool]], timeout: float = PATIENCE) -> None:
    """Ask until the answer is yes. Raises TimeoutError after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(LOOK)


class Refused(Exception):
    """The gateway's refusal: status and body."""


class Rest:
    """The REST side of one gateway; made by `rest`."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer; the text where it is no JSON. Raises Refused."""
        async with self._http.request(method, path, json=body) as answer:
            content = await (answer.json() if answer.content_type == "application/json" else answer.text())
            if answer.status >= 400:
                raise Refused(f"{method} {path.partition('?')[0]}: {answer.status} {content}")
            return content

    async def create(self, **body: object) -> Any:
        """A new session's record; it lasts for an hour unless `body` says otherwise."""
        return await self.ask("POST", "/session", {"ttl": AN_HOUR, "processKeepAlive": AN_HOUR, **body})

    async def forget(self, session: str) -> None:
        """End a session and erase what it saved."""
        await self.ask("DELETE", f"/session/{session}?force=true&purge=true")

    async def status(self, session: str, wanted: str) -> None:
        """Wait until the session's status is `wanted`. Raises TimeoutError."""

        async def reached() -> bool:
            return bool((await self.ask("GET", f"/session/{session}"))["status"] == wanted)

        await until(reached)


@asynccontextmanager
async def rest(server: Server) -> AsyncIterator[Rest]:
    """Requests with the server's token, for this block."""
    headers = {"Authorization": f"Bearer {server.token}"}
    timeout = aiohttp.ClientTimeout(2 * PATIENCE)
    async with aiohttp.ClientSession(server.url, headers=headers, timeout=timeout) as http:
        yield Rest(http)


class Tab:
    """One page of a browser, over a CDP session of its own."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self.devtools = devtools
        self.session = session

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression; a promise is awaited. Raises RuntimeError with what was thrown."""
        params = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = await self.devtools.send("Runtime.evaluate", params, session=self.session)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str, timeout: float = PATIENCE) -> None:
        """Wait until an expression is true in the page, whatever it loads meanwhile. Raises TimeoutError."""
        await until(lambda: self._now(expression), timeout)

    async def goto(self, url: str) -> None:
        """Navigate, and wait until the page of the site is ready."""
        await self.devtools.send("Page.navigate", {"url": url}, session=self.session)
        await self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    async def ready(self) -> None:
        """Wait until the page of the site has done what it does at its load."""
        await self.until("document.querySelector('html[data-ready]') !== null")

    async def _now(self, expression: str) -> bool:
        try:
            return bool(await self.evaluate(expression))
        except DevToolsError:  # the page navigates: its script context is gone, or another process has it
            return False


@asynccontextmanager
async def visiting(endpoint: str) -> AsyncIterator[DevTools]:
    """A client connected to `endpoint`, for this block."""
    async with open_devtools(endpoint, timeout=PATIENCE) as devtools:
        yield devtools


async def pages(devtools: DevTools) -> list[dict[str, Any]]:
    """What CDP says of each page: `targetId`, `url` and more."""
    found = (await devtools.send("Target.getTargets"))["targetInfos"]
    return [info for info in found if info["type"] == "page"]


@asynccontextmanager
async def tab(devtools: DevTools, url: str = "") -> AsyncIterator[Tab]:
    """The first page whose URL begins with `url`, once there is one, for this block. Raises TimeoutError."""
    targets: list[str] = []

    async def there() -> bool:
        targets.extend(page["targetId"] for page in await pages(devtools) if page["url"].startswith(url))
        return bool(targets)

    await until(there)
    async with devtools.attached(targets[0]) as session:
        yield Tab(devtools, session)


async def log_in(page: Tab, site: Site) -> None:
    """Log alice in through the form; the page ends at /account."""
    await page.goto(f"{site.url}/login")
    fill = f"username.value = {json.dumps(USER)}, password.value = {json.dumps(PASSWORD)}"
    await page.evaluate(f"{fill}, document.querySelector('button').click()")
    await page.until("location.pathname === '/account'")
    await page.ready()
