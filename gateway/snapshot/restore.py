"""From a context document into a freshly started browser. The mirror image of `capture.py`.

Everything is in place before the first script of a page runs, it is written once, and nothing stays behind that
would write it again: no scripts for new documents, no interception.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from gateway.snapshot.blank import BlankPage, WrongOrigin, blank_page, intercepted, is_blank
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Tab, origin_of
from gateway.snapshot.script import ScriptFailed

TAB_LIMIT = 5.0  # seconds for a tab to show its page; then it loads on without us
POLL = 0.02  # seconds
HEAD_START = 0.5  # seconds that a tab has before the next is opened
ORIGIN_LIMIT = 30.0  # seconds for one step of an origin's storage
BATCH = 8 << 20  # characters of records in one command; Chromium takes 100 MiB
FAILURES = (DevToolsError, ScriptFailed, WrongOrigin)


async def restore(devtools: DevTools, document: ContextDocument, *, storage: bool) -> tuple[str, ...]:
    """Cookies, then with `storage` localStorage and IndexedDB, then tabs; what could not be put back, in words.

    The browser has just been started; its first page is used for the first tab, further ones are closed.
    `storage` is False when the browser runs on the unpacked profile, which has it already. A page that does not
    load is no failure. Raises DevToolsGone when the browser goes away.
    """
    lost = await _put_cookies(devtools, await _wanted(devtools, document))
    if storage and document.origins:
        async with blank_page(devtools) as page:
            for state in document.origins:
                lost += await _put_origin(page, state)
    lost += await _open_tabs(devtools, document.tabs)
    return tuple(lost)


async def _wanted(devtools: DevTools, document: ContextDocument) -> tuple[Cookie, ...]:
    """The document's cookies; of one that is stale only those that the profile has not."""
    if not document.stale:
        return document.cookies
    held = (await devtools.send("Storage.getCookies"))["cookies"]
    names = {(cookie["name"], cookie["domain"], cookie["path"]) for cookie in held}
    return tuple(cookie for cookie in document.cookies if (cookie.name, cookie.domain, cookie.path) not in names)


async def _put_cookies(devtools: DevTools, cookies: Sequence[Cookie]) -> list[str]:
    if not cookies:
        return []
    try:
        await devtools.send("Storage.setCookies", {"cookies": [cookie_param(cookie) for cookie in cookies]})
    except DevToolsError:  # one bad cookie fails them all
        lost = []
        for cookie in cookies:
            try:
                await devtools.send("Storage.setCookies", {"cookies": [cookie_param(cookie)]})
            except DevToolsError as error:
                lost.append(f"cookie {cookie.name} of {cookie.domain}: {error.message}")
        return lost
    return []


def cookie_param(cookie: Cookie) -> dict[str, Any]:
    """CDP's Network.CookieParam, which has no `expires` for a session cookie."""
    param = cookie.to_json()
    if cookie.expires is None:
        del param["expires"]
    return param


async def _put_origin(page: BlankPage, state: OriginState) -> list[str]:
    lost: list[str] = []
    try:
        await page.visit(state.origin, timeout=ORIGIN_LIMIT)
        lost += await page.run("putLocal", state.local_storage, timeout=ORIGIN_LIMIT)
        for database in state.databases:
            lost += await _put_database(page, database)
    except FAILURES as error:
        lost.append(str(error))
    return [f"storage of {state.origin}: {words}" for words in lost]


async def _put_database(page: BlankPage, database: Mapping[str, Any]) -> list[str]:
    schema = [{name: value for name, value in store.items() if name != "records"} for store in database["stores"]]
    lost: list[str] = await page.run("makeDatabase", {**database, "stores": schema}, timeout=ORIGIN_LIMIT)
    if lost:
        return lost
    for store in database["stores"]:
        for records in _batches(store["records"]):
            lost += await page.run("putRecords", database["name"], store["name"], records, timeout=ORIGIN_LIMIT)
    return lost


def _batches(records: Sequence[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(json.dumps(record))
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _open_tabs(devtools: DevTools, tabs: Sequence[Tab]) -> list[str]:
    infos = (await devtools.send("Target.getTargets"))["targetInfos"]
    spare = [info["targetId"] for info in infos if info["type"] == "page"]
    lost = [f"tab {_plain(tab.url)}: such pages are not opened again" for tab in tabs if not _can_open(tab.url)]
    wanted = [tab for tab in tabs if _can_open(tab.url)]
    targets = []
    for _ in wanted:
        blank = {"url": "about:blank", "background": True}
        targets.append(spare.pop(0) if spare else (await devtools.send("Target.createTarget", blank))["targetId"])
    opened = []
    async with asyncio.TaskGroup() as group:
        for target, tab in zip(targets, wanted, strict=True):
            opened.append(group.create_task(_open_tab(devtools, target, tab)))
            # One after the other, so that the next capture finds them in this order; but a slow one holds up none.
            await asyncio.wait(opened[-1:], timeout=HEAD_START)
    if devtools.closed.is_set():
        raise DevToolsGone("the browser went away while its tabs were opened")
    for task in opened:
        lost += task.result()
    active = [target for target, tab in zip(targets, wanted, strict=True) if tab.active]
    for target in active or targets[:1]:
        # The page may have closed itself already.
        with suppress(DevToolsError):
            await devtools.send("Target.activateTarget", {"targetId": target})
    for target in spare if targets else spare[1:]:
        with suppress(DevToolsError):
            await devtools.send("Target.closeTarget", {"targetId": target})
    return lost


def _can_open(url: str) -> bool:
    """Not chrome:, devtools: and file:, which are no web pages, nor blob:, whose data is gone."""
    return url == "about:blank" or url.startswith("data:") or origin_of(url) is not None


def _plain(url: str) -> str:
    """A url without query and fragment, which may hold secrets."""
    return url.partition("#")[0].partition("?")[0][:200]


async def _open_tab(devtools: DevTools, target: str, tab: Tab) -> list[str]:
    """Show the tab's page in `target`; its history then has that one entry."""
    if tab.url == "about:blank":
        return []
    try:
        async with asyncio.timeout(2 * TAB_LIMIT), devtools.attached(target) as session:
            if (origin := origin_of(tab.url)) is not None:
                return await _open_page(devtools, session, tab, origin)
            await devtools.send("Page.navigate", {"url": tab.url}, session=session, timeout=TAB_LIMIT)
            await _until(devtools, session, lambda url: url == tab.url)
            await devtools.send("Page.resetNavigationHistory", session=session, timeout=TAB_LIMIT)
    except (TimeoutError, DevToolsGone):
        return []  # a slow page: it goes on loading. A browser that is gone is noticed by `_open_tabs`
    except (DevToolsError, ScriptFailed) as error:
        return [f"tab {_plain(tab.url)}: {error}"]
    return []


async def _until(devtools: DevTools, session: str, there: Callable[[str], bool]) -> None:
    """Return once the browser is on such a url.

    Replies and events of a navigation come from the renderer, a moment before the browser process has made the page
    its active one; no event tells of that.
    """
    while True:
        # In that moment there is no active page to ask.
        with suppress(DevToolsError):
            history = await devtools.send("Page.getNavigationHistory", session=session, timeout=TAB_LIMIT)
            if there(history["entries"][history["currentIndex"]]["url"]):
                return
        await asyncio.sleep(POLL)


async def _open_page(devtools: DevTools, session: str, tab: Tab, origin: str) -> list[str]:
    """Through an empty page of the same origin, which gets the session storage and is then replaced.

    A script's `location.replace` leaves one history entry from the start; the empty page's being of the same
    origin, cookies with SameSite=Strict are sent.
    """
    stored = dict(tab.session_storage or {})
    items = stored.pop(origin, {})
    try:
        async with asyncio.timeout(TAB_LIMIT), intercepted(devtools, session) as page:
            await page.visit(origin, timeout=TAB_LIMIT, frames=stored, instead_of=tab.url)
            if stored:
                await page.run("loaded", timeout=TAB_LIMIT)
            lost = await page.run("putSession", list(items.items()), timeout=TAB_LIMIT)
            await _until(devtools, session, is_blank)
            await devtools.send("Page.resetNavigationHistory", session=session)
    except (WrongOrigin, TimeoutError) as error:
        await devtools.send("Fetch.disable", session=session)  # the block was left before its end
        await devtools.send("Page.navigate", {"url": tab.url}, session=session, timeout=TAB_LIMIT)
        return [f"tab {_plain(tab.url)}: opened without session storage: {error or 'the browser is too slow'}"]
    replace = {"expression": f"location.replace({json.dumps(tab.url)})"}
    await devtools.send("Runtime.evaluate", replace, session=session, timeout=TAB_LIMIT)
    with suppress(TimeoutError):  # a slow page goes on loading
        async with asyncio.timeout(TAB_LIMIT):
            await _until(devtools, session, lambda url: not is_blank(url))
    return [f"tab {_plain(tab.url)}: {words}" for words in lost]
