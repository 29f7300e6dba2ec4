"""Empty pages, without a request to their server: where the storage of an origin is read and written, and where tabs
are made ready before their pages load.

Every request of the page is intercepted (CDP Fetch domain): documents are ours, anything else is a 404.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params
from browser_pool.tasks import running
from gateway.snapshot.document import origin_of
from gateway.snapshot.script import ScriptFailed, run

# Without the icon Chromium asks for /favicon.ico; without the policy the next page gets a referrer.
HEAD = '<!doctype html><meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
PATH = "/.well-known/empty"  # any path will do: no server sees it
ELSEWHERE = "https://elsewhere.invalid"  # where nobody has ever been
CLOSE_LIMIT = 3.0  # seconds


class WrongOrigin(Exception):
    """The page did not come up, or on another origin."""


class BlankPage:
    """A page target whose documents are ours; made by `blank_page` and `intercepted`."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self.devtools = devtools
        self.session = session
        self.document = HEAD  # the HTML of the page itself
        self.frames: Mapping[str, str] = {}  # the HTML of frames in it by their origin, which is not its own
        self._wanted = ""

    async def visit(self, origin: str, *, document: str = HEAD, timeout: float) -> None:
        """Show an empty document of `origin`, or that one. Raises WrongOrigin."""
        self.document, self.frames = document, {}
        await self.navigate(origin + PATH, timeout=timeout)
        tree = await self.devtools.send("Page.getFrameTree", session=self.session, timeout=timeout)
        if (shown := origin_of(tree["frameTree"]["frame"]["url"])) != origin:
            raise WrongOrigin(f"an empty page of {origin} came up as {shown}")

    async def navigate(self, url: str, *, timeout: float) -> None:
        """Page.navigate, to `document` in place of what is there. Raises WrongOrigin when nothing comes up."""
        self._wanted = url
        reply = await self.devtools.send("Page.navigate", {"url": url}, session=self.session, timeout=timeout)
        if "errorText" in reply:
            where = origin_of(url) or "this kind"
            raise WrongOrigin(f"an empty page of {where} cannot be opened: {reply['errorText']}")

    async def run(self, function: str, *arguments: object, timeout: float) -> Any:
        """One function of `storage.js` in the page."""
        return await run(self.devtools, self.session, function, *arguments, timeout=timeout)

    async def answer(self, paused: Params) -> None:
        """Answer one Fetch.requestPaused."""
        url = paused["request"]["url"]
        method, params = "Fetch.fulfillRequest", {"requestId": paused["requestId"]}
        if paused["resourceType"] != "Document":
            params["responseCode"] = 404
        elif self._upgraded(url):
            method, params["errorReason"] = "Fetch.failRequest", "ConnectionRefused"
        else:
            html = self.frames.get(origin_of(url) or "", self.document)
            params |= {
                "responseCode": 200,
                "responseHeaders": [
                    {"name": "Content-Type", "value": "text/html; charset=utf-8"},
                    {"name": "Cache-Control", "value": "no-store"},
                ],
                "body": base64.b64encode(html.encode()).decode(),
            }
        # The request may have been cancelled by a navigation: then nobody waits for the answer.
        with suppress(DevToolsError, DevToolsGone):
            await self.devtools.send(method, params, session=self.session, timeout=5)

    def _upgraded(self, url: str) -> bool:
        """Whether Chromium tries https where http is wanted, as it does of itself; refused, it takes http."""
        wanted, asked = urlsplit(self._wanted), urlsplit(url)
        return (wanted.scheme, asked.scheme) == ("http", "https") and wanted.hostname == asked.hostname


def is_blank(url: str) -> bool:
    """Whether `visit` made this url up."""
    return url.partition("#")[0].endswith(PATH)


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

    async def told(*commands: tuple[str, Params]) -> None:
        await asyncio.gather(*(devtools.send(method, params, session=session) for method, params in commands))

    # A service worker of the site would answer before the interception is asked. Replies come once the page's process
    # is there; the browser, which has to know it, knows it before.
    around = told(("Network.enable", {}), ("Network.setBypassServiceWorker", {"bypass": True}))
    with devtools.listening(paused):
        async with running(around, "bypass"), running(answers(), "blank-page"):
            await devtools.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, session=session)
            yield page
            await told(
                ("Fetch.disable", {}), ("Network.setBypassServiceWorker", {"bypass": False}), ("Network.disable", {})
            )


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


async def flushed(devtools: DevTools, *, timeout: float) -> None:
    """Return once what the pages before had in localStorage is in the profile; they must be gone by now.

    Chromium reads and writes it in one order: what another origin has is read after that was written. Where there is no
    such page or time is up, nobody can tell. Raises DevToolsGone.
    """
    try:
        async with asyncio.timeout(timeout), blank_page(devtools) as page:
            await page.visit(ELSEWHERE, timeout=timeout)
            await page.run("look", 0, None, timeout=timeout)
    except (TimeoutError, DevToolsError, ScriptFailed, WrongOrigin):
        pass
