"""What a browser shows, as pictures: for people who look on and shall not touch.

One page at a time, the one that was opened last of those that can be seen. The next picture is asked for when the last
one has been taken (CDP Page.screencastFrameAck), so a slow onlooker costs neither memory nor the page its time.
"""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from browser_pool.browser import Browser
from browser_pool.devtools import DevTools, DevToolsError, Params

WIDTH, HEIGHT = 1280, 1280  # pixels at most; the page's own proportions stay
QUALITY = 60  # of the JPEG, in percent
PERIOD = 0.1  # seconds between two pictures at least
LOOK = 1.0  # seconds for a page to give a picture, and until pages are looked at again of which none did
TRIES = 2  # the first time its process may have just been another one


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Caption:
    """Which page is shown from now on."""

    url: str
    title: str


async def screencast(browser: Browser) -> AsyncGenerator[Picture | Caption, None]:
    """Pictures and captions until the caller has enough. Raises DevToolsGone when the browser ends."""
    passed: Counter[str] = Counter()  # how often a page gave no picture, since one did
    while True:
        target = next((page for page in reversed(browser.pages) if passed[page] < TRIES), None)
        if target is None:
            await asyncio.sleep(LOOK)
            passed.clear()
            continue
        try:
            async with (
                _shown(browser.devtools, target) as events,
                aclosing(_taken(browser.devtools, target, events)) as taken,
            ):
                async for one in taken:
                    if isinstance(one, Picture):
                        passed.clear()
                    yield one
                passed[target] += 1
        except _Hidden:
            passed[target] = TRIES
        except DevToolsError:  # the page has closed, which is told in a moment
            passed[target] += 1


class _Hidden(Exception):
    """Another page is in front of it."""


@dataclass(frozen=True, slots=True)
class _Event:
    method: str
    params: Params


@dataclass(frozen=True, slots=True)
class _Events:
    session: str
    queue: "asyncio.Queue[_Event]"


@asynccontextmanager
async def _shown(devtools: DevTools, target: str) -> AsyncIterator[_Events]:
    """A screencast of one page, for this block. Raises DevToolsError."""
    queue: asyncio.Queue[_Event] = asyncio.Queue()
    async with devtools.attached(target) as session:

        def look(method: str, params: Params, source: str | None) -> None:
            if source == session and method.startswith("Page.screencast"):
                queue.put_nowait(_Event(method, params))
            elif method in ("Target.targetCreated", "Target.targetInfoChanged", "Target.targetDestroyed"):
                info = params.get("targetInfo", params)
                new = method == "Target.targetCreated" and info["type"] == "page"
                if new or info["targetId"] == target:
                    queue.put_nowait(_Event(method, params))
            elif method == "Target.detachedFromTarget" and params.get("sessionId") == session:
                queue.put_nowait(_Event("Target.targetDestroyed", params))

        with devtools.listening(look):
            await devtools.send("Page.enable", session=session)
            size = {"maxWidth": WIDTH, "maxHeight": HEIGHT}
            asked = {"format": "jpeg", "quality": QUALITY, **size}
            await devtools.send("Page.startScreencast", asked, session=session)
            yield _Events(session, queue)


async def _taken(devtools: DevTools, target: str, events: _Events) -> AsyncGenerator[Picture | Caption, None]:
    """While the page is the one to be seen. Raises _Hidden, DevToolsError."""
    clock = asyncio.get_running_loop().time
    due, said = 0.0, Caption("", "")
    pictured = False  # since it came to this URL
    while True:
        try:
            async with asyncio.timeout(None if pictured else LOOK):
                event = await events.queue.get()
        except TimeoutError:
            return  # it cannot be seen; or the process that was asked for pictures is not the page's any more
        match event.method:
            case "Page.screencastVisibilityChanged" if not event.params["visible"]:
                raise _Hidden
            case "Page.screencastVisibilityChanged":
                info = (await devtools.send("Target.getTargetInfo", {"targetId": target}))["targetInfo"]
            case "Target.targetCreated" | "Target.targetDestroyed":
                return
            case "Target.targetInfoChanged":
                info = event.params["targetInfo"]
            case _:
                pictured = True
                yield Picture(base64.b64decode(event.params["data"]))
                await asyncio.sleep(max(0.0, due - clock()))
                due = clock() + PERIOD
                acknowledged = {"sessionId": event.params["sessionId"]}
                await devtools.send("Page.screencastFrameAck", acknowledged, session=events.session)
                continue
        caption = Caption(info["url"], info["title"])
        if caption != said:
            pictured = pictured and caption.url == said.url
            said = caption
            yield caption
