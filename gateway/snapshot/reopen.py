"""Opens the tabs of a context document: history, sessionStorage and scroll are there before a page is asked for.

A tab is led through documents of ours at the URLs of its history, which asks no server, and comes to rest at its own
page's. That entry is then loaded for real: its first script finds everything, and nothing stays behind that would
write it again. Of many tabs only the active one is loaded; each of the others rests until it is looked at.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, Params
from gateway.snapshot.blank import BlankPage, WrongOrigin, intercepted
from gateway.snapshot.document import Tab, origin_of
from gateway.snapshot.placeholder import EMPTY, Items, Stop, can_open, stops, storing
from gateway.snapshot.script import ScriptFailed

MANY = 5  # tabs; of more than that only the active one is loaded
AT_ONCE = 4  # tabs under way
BUILD_LIMIT = 10.0  # seconds for a tab's history and storage
TAB_LIMIT = 3.0  # seconds for a tab to show its page; then it loads on without us
POLL = 0.005  # seconds


@dataclass(eq=False)
class Errand:
    """Something to be done in a document of ours at `origin`, by the first tab there.

    `over` is set when it is done, and when the tab could not.
    """

    origin: str
    do: Callable[[BlankPage], Awaitable[None]]
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Opening:
    """One tab on its way; `before` is set when the one before it has its first entry."""

    target: str
    url: str
    lazy: bool  # its page is loaded when it is looked at
    stops: tuple[Stop, ...]
    rest: int | None
    errand: Errand | None
    before: asyncio.Event
    stored: Mapping[str, Items]  # sessionStorage of a tab that shows nothing
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    resting: asyncio.Event = field(default_factory=asyncio.Event)

    def rests(self) -> None:
        """All is done but to load its page."""
        self.begun.set()
        self.resting.set()
        if self.errand is not None:
            self.errand.over.set()


def on_the_way(tabs: Sequence[Tab]) -> set[str]:
    """The origins at which `open_tabs` can do an errand: of those tabs that wait for no other."""
    wanted = [tab for tab in tabs if can_open(tab.url)][:AT_ONCE]
    return {origin for tab in wanted if (origin := origin_of(tab.url))}


async def open_tabs(
    devtools: DevTools,
    tabs: Sequence[Tab],
    resting: asyncio.Event,
    ready: asyncio.Event,
    errands: Iterable[Errand] = (),
) -> list[str]:
    """Show each of `tabs`, no page before `ready`; what could not be brought back, in words.

    The `errands`, whose origins are `on_the_way`, are done first; `resting` is set when only the pages are missing.
    The browser's first page is used for the first tab, further ones are closed; without tabs one empty page stays.
    Returns when the pages that are loaded are there, a slow one after TAB_LIMIT. Raises DevToolsError and DevToolsGone.
    """
    infos = (await devtools.send("Target.getTargets"))["targetInfos"]
    spare = [info["targetId"] for info in infos if info["type"] == "page"]
    lost = [f"tab {_plain(tab.url)}: such pages are not opened again" for tab in tabs if not can_open(tab.url)]
    wanted = [tab for tab in tabs if can_open(tab.url)]
    active = next((number for number, tab in enumerate(wanted) if tab.active), 0)
    openings: list[_Opening] = []
    left = {errand.origin: errand for errand in errands}
    before = asyncio.Event()
    before.set()
    for number, tab in enumerate(wanted):
        blank = {"url": EMPTY, "background": True}
        target = spare.pop(0) if spare else (await devtools.send("Target.createTarget", blank))["targetId"]
        lazy = len(wanted) > MANY and number != active
        errand = left.pop(origin_of(tab.url) or "", None)
        way, rest = stops(tab, wakes=lazy, more=errand is not None)
        openings.append(_Opening(target, tab.url, lazy, way, rest, errand, before, tab.session_storage or {}))
        before = openings[-1].begun
    for target in spare if wanted else spare[1:]:
        with suppress(DevToolsError):  # it has closed itself
            await devtools.send("Target.closeTarget", {"targetId": target})
    if len(openings) > 1:  # before any of them rests: one that can be seen would not
        await devtools.send("Target.activateTarget", {"targetId": openings[active].target})
    turn = asyncio.Semaphore(AT_ONCE)

    async def opened(opening: _Opening) -> list[str]:
        try:
            return await _open_tab(devtools, opening, turn, ready)
        finally:
            opening.rests()

    async def all_rest() -> list[str]:
        for opening in openings:
            await opening.resting.wait()
        resting.set()
        return []

    for words in await asyncio.gather(all_rest(), *(opened(opening) for opening in openings)):
        lost += words
    return lost


def _plain(url: str) -> str:
    """A url without query and fragment, which may hold secrets."""
    return url.partition("#")[0].partition("?")[0][:200]


async def _open_tab(devtools: DevTools, opening: _Opening, turn: asyncio.Semaphore, ready: asyncio.Event) -> list[str]:
    lost: list[str] = []
    if opening.stops[0].url == EMPTY:  # it is there
        await opening.before.wait()
        opening.begun.set()
    try:
        if opening.stops[0].url == EMPTY:
            return await _fill(devtools, opening, turn) if opening.stored else lost
        async with devtools.attached(opening.target) as session:
            async with turn, asyncio.timeout(BUILD_LIMIT), intercepted(devtools, session) as page:
                visible, lost = await _build(page, opening)
            opening.rests()
            await ready.wait()
            if origin_of(opening.url) and (visible or not opening.lazy):
                await _load(devtools, session, opening)
    except DevToolsGone:
        pass  # a browser that hangs or is gone, which is noticed by `restore`
    except (TimeoutError, WrongOrigin, DevToolsError, ScriptFailed) as error:
        opening.rests()
        await ready.wait()
        lost = await _go(devtools, opening, str(error) or "the browser is too slow")
    return [f"tab {_plain(opening.url)}: {words}" for words in lost]


async def _fill(devtools: DevTools, opening: _Opening, turn: asyncio.Semaphore) -> list[str]:
    """Put sessionStorage into a tab that shows nothing: each origin finds its own when the tab gets there."""
    lost: list[str] = []
    async with (
        turn,
        asyncio.timeout(BUILD_LIMIT),
        devtools.attached(opening.target) as session,
        intercepted(devtools, session) as page,
    ):
        for origin, items in opening.stored.items():
            try:
                await page.visit(origin, document=storing(items, origin), timeout=BUILD_LIMIT)
                lost += (await page.run("rested", timeout=BUILD_LIMIT))["lost"]
            except (WrongOrigin, ScriptFailed) as error:
                lost.append(str(error))
        await page.navigate(EMPTY, timeout=BUILD_LIMIT)
        await _emptied(page)
        await devtools.send("Page.resetNavigationHistory", session=session)
    return [f"tab {EMPTY}: {words}" for words in lost]


async def _go(devtools: DevTools, opening: _Opening, why: str) -> list[str]:
    """Load a page that could not be made ready, on a new session: what was intercepted is let go."""
    try:
        async with devtools.attached(opening.target) as session:
            await devtools.send("Page.navigate", {"url": opening.url}, session=session, timeout=TAB_LIMIT)
    except DevToolsGone:
        pass  # it loads on, or the browser is gone
    except DevToolsError as error:
        return [str(error)]
    return [f"opened without its history and session storage: {why}"]


async def _build(page: BlankPage, opening: _Opening) -> tuple[bool, list[str]]:
    """Make the tab's history and let it rest at its own entry; whether it can be seen, and what could not be stored."""
    told: dict[str, Any] = {"visible": True, "lost": []}
    entries: list[Params] = []
    last = len(opening.stops) - 1
    for number, stop in enumerate(opening.stops):
        page.document, page.frames = stop.document, stop.frames
        if number == 0:  # the order of tabs is that in which their first entries are made
            await opening.before.wait()
        await page.navigate(stop.url, timeout=BUILD_LIMIT)
        # Chromium lets each of the others wait for the one before it.
        if stop.stores or number == 0 or (number == last and opening.rest is not None):
            entries = await _arrival(page, number or None)
        if number == 0:  # the empty page that a tab begins with
            await page.devtools.send("Page.resetNavigationHistory", session=page.session)
            opening.begun.set()
        if stop.stores:
            told = await page.run("rested", timeout=BUILD_LIMIT)
            if opening.errand is not None:
                with suppress(DevToolsError):  # then somebody else will
                    await opening.errand.do(page)
    if opening.rest is not None and opening.rest < last:
        stop = opening.stops[opening.rest]
        page.document, page.frames = stop.document, stop.frames
        back = {"entryId": entries[opening.rest]["id"]}
        await page.devtools.send("Page.navigateToHistoryEntry", back, session=page.session)
        await _arrival(page, opening.rest)
        if origin_of(stop.url):
            await page.run("rested", timeout=BUILD_LIMIT)
    return told["visible"], told["lost"]


async def _arrival(page: BlankPage, number: int | None) -> list[Params]:
    """The tab's history, once the browser is at its entry `number`; None: once it has left the first empty page.

    Replies and events of a navigation come from the renderer, a moment before the browser process has made the page
    its active one; no event tells of that.
    """
    while True:
        with suppress(DevToolsError):  # in that moment there is no active page to ask
            history = await page.devtools.send("Page.getNavigationHistory", session=page.session)
            entries: list[Params] = history["entries"]
            current: int = history["currentIndex"]
            if current == number or (number is None and entries[current]["url"] not in ("", EMPTY)):
                return entries
        await asyncio.sleep(POLL)


async def _emptied(page: BlankPage) -> None:
    """Return once the tab shows nothing again, behind what it was led through.

    Whether the empty page that it began with is an entry of its own depends on whether that was there in time.
    """
    while True:
        with suppress(DevToolsError):  # as in `_arrival`
            history = await page.devtools.send("Page.getNavigationHistory", session=page.session)
            if history["currentIndex"] > 0 and history["entries"][history["currentIndex"]]["url"] == EMPTY:
                return
        await asyncio.sleep(POLL)


async def _load(devtools: DevTools, session: str, opening: _Opening) -> None:
    """Load the tab's page, and wait until it is there or time is up; one of many loads on without us."""
    try:
        async with asyncio.timeout(TAB_LIMIT):
            left, _ = await _document(devtools, session)
            if opening.rest is not None:
                await devtools.send("Page.reload", session=session)
            else:
                await devtools.send("Page.navigate", {"url": opening.url}, session=session)
            while not opening.lazy:
                with suppress(DevToolsError):  # in the middle of it
                    document, url = await _document(devtools, session)
                    if document != left and url not in ("", EMPTY):
                        await devtools.send("Page.getNavigationHistory", session=session)  # as in `_arrival`
                        return
                await asyncio.sleep(POLL)
    except TimeoutError:
        pass  # a slow page: it loads on


async def _document(devtools: DevTools, session: str) -> tuple[str, str]:
    """Chromium's id of what the tab shows, another after each load, and its URL, which one in the making has not."""
    frame = (await devtools.send("Page.getFrameTree", session=session))["frameTree"]["frame"]
    return frame["loaderId"], frame["url"]
