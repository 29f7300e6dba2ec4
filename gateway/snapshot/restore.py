"""From a context document into a freshly started browser. The mirror image of `capture.py`.

Everything is in place before the first script of a page runs, it is written once, and nothing stays behind that
would write it again: no scripts for new documents, no interception.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from browser_pool.tasks import running
from gateway.snapshot.blank import BlankPage, WrongOrigin, blank_page
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Permission
from gateway.snapshot.reopen import Errand, on_the_way, open_tabs
from gateway.snapshot.script import ScriptFailed

ORIGIN_LIMIT = 30.0  # seconds for one step of an origin's storage
PAGES = 3  # hidden pages in which origins are written at the same time
SMALL = 1 << 20  # characters of an origin's storage that a tab can stop for
BATCH = 8 << 20  # characters of records in one command; Chromium takes 100 MiB
FAILURES = (DevToolsError, DevToolsGone, ScriptFailed, WrongOrigin)


class Pages:
    """The tabs of a restored browser, which rest at documents of ours until `show` is called.

    `shown` is set when those that are loaded are there, a slow one after a while, and when the browser is gone.
    """

    def __init__(self) -> None:
        self.resting = asyncio.Event()
        self.shown = asyncio.Event()
        self.ready = asyncio.Event()

    def show(self) -> None:
        """Load what is to be loaded."""
        self.ready.set()


@asynccontextmanager
async def restoring(
    devtools: DevTools, document: ContextDocument, *, storage: bool, tell: Callable[[str], object]
) -> AsyncIterator[Pages]:
    """Cookies, permissions, with `storage` localStorage and IndexedDB, and tabs: all but the pages in them is in place
    when this block is entered. To `tell` is said what could not be put back, in words.

    The browser has just been started; its first page is used for the first tab, further ones are closed.
    `storage` is False when the browser runs on the unpacked profile, which has it already, but for cookies and
    localStorage where the document is an overlay. A page that does not load is no failure. Raises DevToolsGone when
    the browser goes away before that.
    """
    pages = Pages()
    async with running(_restored(devtools, document, pages, storage=storage, tell=tell), "restore"):
        await pages.resting.wait()
        if devtools.closed.is_set():
            raise DevToolsGone("the browser went away while its context was restored")
        yield pages


async def _restored(
    devtools: DevTools, document: ContextDocument, pages: Pages, *, storage: bool, tell: Callable[[str], object]
) -> None:
    wanted = document.origins if storage or document.overlay else ()
    stores = [_store(state, overlay=not storage) for state in wanted]
    # Tabs that are made ready anyway need no page more.
    passed = on_the_way(document.tabs)
    quick = [store for store in stores if store.small and store.state.origin in passed]
    errands = [Errand(store.state.origin, store.put) for store in quick]
    resting = asyncio.Event()

    async def placed() -> list[str]:
        lost = await _put(devtools, document, stores, errands)
        await resting.wait()
        pages.resting.set()
        return lost

    async def opened() -> list[str]:
        try:
            return await open_tabs(devtools, document.tabs, resting, pages.ready, errands)
        except (DevToolsError, DevToolsGone) as error:
            return [f"tabs: {error}"]
        finally:
            resting.set()
            for errand in errands:
                errand.over.set()

    try:
        async with asyncio.TaskGroup() as group:  # neither fails
            parts = [group.create_task(placed()), group.create_task(opened())]
        if not devtools.closed.is_set():  # else all of it is lost, and somebody else's affair
            for part in parts:
                for words in part.result():
                    tell(words)
    finally:
        pages.resting.set()
        pages.shown.set()


async def grant(devtools: DevTools, permissions: Sequence[Permission]) -> list[str]:
    """Grant them for as long as `devtools` is connected; what could not be granted, in words.

    Chromium takes all of them back when any client that has set permissions disconnects: then it is to be done again.
    """
    return await _all(
        [
            _sent(
                devtools,
                "Browser.setPermission",
                {"permission": _descriptor(given.name), "setting": "granted", "origin": given.origin},
                f"permission {given.name} of {given.origin}",
            )
            for given in permissions
        ]
    )


def _descriptor(name: str) -> dict[str, Any]:
    return {"name": name, "userVisibleOnly": True} if name == "push" else {"name": name}


async def _all(parts: Sequence[Coroutine[Any, Any, list[str]]]) -> list[str]:
    return [words for lost in await asyncio.gather(*parts) for words in lost]


async def _sent(devtools: DevTools, method: str, params: Mapping[str, Any], what: str) -> list[str]:
    try:
        await devtools.send(method, dict(params))
    except DevToolsError as error:
        return [f"{what}: {error.message}"]
    except DevToolsGone as error:
        return [f"{what}: {error}"]
    return []


@dataclass(eq=False)
class _Store:
    """What an origin has stored, to be written once; `small` if that takes a moment.

    An `overlay` is its localStorage alone, in place of what is there.
    """

    state: OriginState
    overlay: bool
    small: bool
    lost: list[str] = field(default_factory=list)
    written: bool = False

    async def put(self, page: BlankPage) -> None:
        """In a page of the origin. Small databases with all else in one command, the records of large ones in batches.

        Raises DevToolsError and DevToolsGone while nothing is written. What cannot be written is told by `lost`.
        """
        try:
            if self.overlay:
                self.lost += await page.run("replaceLocal", self.state.local_storage, timeout=ORIGIN_LIMIT)
                self.written = True
                return
            first, rest = _divided(self.state.databases)
            told = await page.run("put", self.state.local_storage, first, timeout=ORIGIN_LIMIT)
            self.written = True
            self.lost += told["lost"]
            for database, store, records in rest:
                if database in told["made"]:
                    for batch in _batches(records):
                        self.lost += await page.run("putRecords", database, store, batch, timeout=ORIGIN_LIMIT)
        except FAILURES as error:
            if not self.written and not isinstance(error, ScriptFailed):
                raise
            self.written = True
            self.lost.append(str(error))


def _store(state: OriginState, *, overlay: bool) -> _Store:
    size = sum(len(value) for _, value in state.local_storage)
    size += 0 if overlay else len(json.dumps(state.databases))
    return _Store(state, overlay, size < SMALL)


async def _put(
    devtools: DevTools, document: ContextDocument, stores: Sequence[_Store], errands: Sequence[Errand]
) -> list[str]:
    async def stored() -> list[str]:
        tabs = {errand.origin for errand in errands}
        lost = await _put_hidden(devtools, [store for store in stores if store.state.origin not in tabs])
        for errand in errands:
            await errand.over.wait()
        lost += await _put_hidden(devtools, [store for store in stores if not store.written])
        return lost + [f"storage of {store.state.origin}: {words}" for store in stores for words in store.lost]

    return await _all([_put_cookies(devtools, document), grant(devtools, document.permissions), stored()])


async def _put_hidden(devtools: DevTools, stores: Sequence[_Store]) -> list[str]:
    """In hidden pages, of which several share the work; what could not be written at all, in words."""
    left = iter([store for store in stores if not store.written])

    async def work() -> list[str]:
        try:
            async with blank_page(devtools) as page:
                for store in left:
                    try:
                        await page.visit(store.state.origin, timeout=ORIGIN_LIMIT)
                        await store.put(page)
                    except FAILURES as error:
                        store.lost.append(str(error))
        except FAILURES as error:
            return [f"storage: {error}"]
        return []

    return await _all([work() for _ in stores[:PAGES]])


async def _put_cookies(devtools: DevTools, document: ContextDocument) -> list[str]:
    cookies = document.cookies
    try:
        if document.stale and cookies:  # the profile's own stand
            held = (await devtools.send("Storage.getCookies"))["cookies"]
            names = {(cookie["name"], cookie["domain"], cookie["path"]) for cookie in held}
            cookies = tuple(one for one in cookies if (one.name, one.domain, one.path) not in names)
        if document.overlay:
            await devtools.send("Storage.clearCookies")  # also those that were gone when it was captured
        if cookies:
            await devtools.send("Storage.setCookies", {"cookies": [cookie_param(cookie) for cookie in cookies]})
    except DevToolsGone as error:
        return [f"cookies: {error}"]
    except DevToolsError:  # one bad cookie fails them all
        one_by_one = [
            _sent(
                devtools,
                "Storage.setCookies",
                {"cookies": [cookie_param(cookie)]},
                f"cookie {cookie.name} of {cookie.domain}",
            )
            for cookie in cookies
        ]
        return await _all(one_by_one)
    return []


def cookie_param(cookie: Cookie) -> dict[str, Any]:
    """CDP's Network.CookieParam, which has no `expires` for a session cookie."""
    param = cookie.to_json()
    if cookie.expires is None:
        del param["expires"]
    return param


Large = tuple[str, str, Sequence[Any]]  # names of a database and an object store, and its records


def _divided(databases: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[Large]]:
    """The databases with what records fit into one command, and the records of the other object stores."""
    room = BATCH
    first, rest = [], []
    for database in databases:
        stores = []
        for store in database["stores"]:
            room -= (size := len(json.dumps(store["records"])))
            if room < 0:
                room += size
                rest.append((database["name"], store["name"], store["records"]))
                store = {**store, "records": []}
            stores.append(store)
        first.append({**database, "stores": stores})
    return first, rest


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
