"""An empty page of any origin, without a request to its server: where the storage of an origin is read and written.

Every request of the page is intercepted (CDP Fetch domain): documents are empty, anything else is a 404.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params
from browser_pool.tasks import running
from gateway.snapshot.document import origin_of
from gateway.snapshot.script import run

# Without the icon Chromium asks for /favicon.ico; without the policy the next page gets a referrer.
HEAD = '<!doctype html><meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
PATH = "/.well-known/empty"  # any path will do: no server sees it
CLOSE_LIMIT = 3.0  # seconds

Items = Mapping[str, str]


class WrongOrigin(Exception):
    """The page did not come up, or on another origin (an upgrade to https, say)."""


class BlankPage:
    """A page target in which `visit` shows empty documents; made by `blank_page` and `intercepted`."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self.devtools = devtools
        self.session = session
        self.bodies: dict[str, str] = {}  # origin of a frame to the HTML it gets

    async def visit(
        self, origin: str, *, timeout: float, frames: Mapping[str, Items] | None = None, instead_of: str = ""
    ) -> None:
        """Show an empty document of `origin`, `instead_of` a url that follows. Raises WrongOrigin.

        `frames` maps other origins to session storage items, which frames of theirs inside it receive: a frame's
        storage may be partitioned by the page around it, so it can only be written there.
        """
        others = frames or {}
        self.bodies = {other: f"{HEAD}<script>{_putting(items)}</script>" for other, items in others.items()}
        self.bodies[origin] = HEAD + "".join(f'<iframe src="{other}{PATH}"></iframe>' for other in others)
        url = origin + PATH + (f"#{quote(instead_of, safe='')}" if instead_of else "")
        reply = await self.devtools.send("Page.navigate", {"url": url}, session=self.session, timeout=timeout)
        if "errorText" in reply:
            raise WrongOrigin(f"an empty page of {origin} cannot be opened: {reply['errorText']}")
        tree = await self.devtools.send("Page.getFrameTree", session=self.session, timeout=timeout)
        if (shown := origin_of(tree["frameTree"]["frame"]["url"])) != origin:
            raise WrongOrigin(f"an empty page of {origin} came up as {shown}")

    async def run(self, function: str, *arguments: object, timeout: float) -> Any:
        """One function of `storage.js` in the page."""
        return await run(self.devtools, self.session, function, *arguments, timeout=timeout)

    async def answer(self, request: Params) -> None:
        params: Params = {"requestId": request["requestId"], "responseCode": 404}
        if request["resourceType"] == "Document":
            html = self.bodies.get(origin_of(request["request"]["url"]) or "", HEAD)
            params |= {
                "responseCode": 200,
                "responseHeaders": [{"name": "Content-Type", "value": "text/html; charset=utf-8"}],
                "body": base64.b64encode(html.encode()).decode(),
            }
        # The request may have been cancelled by a navigation: then nobody waits for the answer.
        with suppress(DevToolsError, DevToolsGone):
            await self.devtools.send("Fetch.fulfillRequest", params, session=self.session, timeout=5)


def address(url: str) -> str:
    """The url that a page is on or, for an empty one, is about to be on: a slow server's page has not come up yet."""
    instead_of = url.partition("#")[2]
    return unquote(instead_of) if instead_of and is_blank(url) else url


def is_blank(url: str) -> bool:
    return url.partition("#")[0].endswith(PATH)


def _putting(items: Items) -> str:
    data = json.dumps(json.dumps(list(items.items()))).replace("<", "\\u003c")
    return f"for (const [k, v] of JSON.parse({data})) sessionStorage.setItem(k, v)"


@asynccontextmanager
async def intercepted(devtools: DevTools, session: str) -> AsyncIterator[BlankPage]:
    """Answer every request of the page of `session` while the block lasts; afterwards it has its network again."""
    page = BlankPage(devtools, session)
    requests: asyncio.Queue[Params] = asyncio.Queue()

    def paused(method: str, params: Params, source: str | None) -> None:
        if method == "Fetch.requestPaused" and source == session:
            requests.put_nowait(params)

    async def answers() -> None:
        while True:
            await page.answer(await requests.get())

    with devtools.listening(paused):
        # A service worker of the site would answer before the interception is asked.
        await devtools.send("Network.enable", session=session)
        await devtools.send("Network.setBypassServiceWorker", {"bypass": True}, session=session)
        await devtools.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, session=session)
        async with running(answers(), "blank-page"):
            yield page
            await devtools.send("Fetch.disable", session=session)
            await devtools.send("Network.setBypassServiceWorker", {"bypass": False}, session=session)
            await devtools.send("Network.disable", session=session)


@asynccontextmanager
async def blank_page(devtools: DevTools) -> AsyncIterator[BlankPage]:
    """A hidden page of the default context; at the end of the block it is gone from the list of targets."""
    target = await _hidden_target(devtools)
    gone = asyncio.Event()

    def look(method: str, params: Params, source: str | None) -> None:
        if method == "Target.detachedFromTarget" and params.get("targetId") == target:
            gone.set()

    async with devtools.attached(target) as session:
        try:
            async with intercepted(devtools, session) as page:
                yield page
        finally:
            # A browser that is gone has closed it. The reply to closing comes before the end of the target.
            with devtools.listening(look), suppress(DevToolsError, DevToolsGone, TimeoutError):
                async with asyncio.timeout(CLOSE_LIMIT):
                    await devtools.send("Target.closeTarget", {"targetId": target})
                    await gone.wait()


async def _hidden_target(devtools: DevTools) -> str:
    params = {"url": "about:blank", "background": True}
    try:
        # Of type `other` in the full browser: drivers do not take it for a page of theirs, the tab strip lacks it.
        reply = await devtools.send("Target.createTarget", {**params, "hidden": True})
    except DevToolsError:  # a Chromium that does not know `hidden`
        reply = await devtools.send("Target.createTarget", params)
    return str(reply["targetId"])
