"""Checkpoints of a browser that goes on running: what they have, what they cost its pages, and what they never lose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from browser_pool.devtools import DevToolsGone
from gateway.snapshot import checkpoint, reading
from gateway.snapshot.capture import capture
from gateway.snapshot.checkpoint import Checkpointer, checkpointing
from gateway.snapshot.document import ContextDocument, OriginState, Permission
from tests.journeys.driving import driver
from tests.snapshot.live import Browser, Place, running_browser

OPEN = """
const open = (name, make = () => {}) => new Promise((done, failed) => {
  const request = indexedDB.open(name);
  request.onupgradeneeded = () => make(request.result);
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
});
const put = (database, store, value) => new Promise((done, failed) => {
  const work = database.transaction(store, "readwrite");
  work.objectStore(store).put(value);
  work.oncomplete = done;
  work.onabort = () => failed(work.error);
});
"""
KEYED = "(database) => database.createObjectStore('own', { keyPath: 'id' })"


def written(value: str) -> str:
    """JavaScript that puts a record into the database `app`."""
    work = f"const it = await open('app', {KEYED}); await put(it, 'own', {value}); it.close();"
    return f"(async () => {{ {OPEN} {work} }})()"


def many(start: int, end: int) -> str:
    """The same for records of these numbers, one after the other."""
    work = f"for (let id = {start}; id < {end}; id++) await put(it, 'own', {{ id }});"
    return f"(async () => {{ {OPEN} const it = await open('app'); {work} it.close(); }})()"


def records(document: ContextDocument, origin: str) -> list[Any]:
    state = next(state for state in document.origins if state.origin == origin)
    return [value for _, value in state.databases[0]["stores"][0]["records"]]


def local(document: ContextDocument) -> dict[str, dict[str, str]]:
    return {state.origin: dict(state.local_storage) for state in document.origins}


@asynccontextmanager
async def full(tmp_path: Path) -> AsyncIterator[tuple[Browser, Checkpointer]]:
    """A full browser, and its checkpointer."""
    async with (
        running_browser(tmp_path / "full") as browser,
        checkpointing(browser.devtools, profile=browser.profile) as checkpointer,
    ):
        yield browser, checkpointer


async def current(checkpointer: Checkpointer) -> ContextDocument:
    document = await checkpointer.current()
    assert document is not None
    return document


async def taken(checkpointer: Checkpointer) -> ContextDocument:
    document = await checkpointer.take(thorough=True)
    assert document is not None
    return document


async def test_what_was_written_before_is_in_it_and_nothing_new_is_none(
    tmp_path: Path, place: Place, kind: str
) -> None:
    async with (
        running_browser(tmp_path / "one", kind) as browser,
        checkpointing(browser.devtools, profile=browser.profile) as checkpointer,
        browser.first_page() as page,
    ):
        await taken(checkpointer)
        await page.goto(place.at(path="/login"))
        await page.evaluate("localStorage.token = 't1'; sessionStorage.tab = 's1'")
        await page.evaluate(written("{ id: 1, at: new Date(5) }"))
        document = await taken(checkpointer)
        assert sorted(cookie.name for cookie in document.cookies) == ["kept", "part", "session", "strict"]
        assert local(document) == {place.origin(): {"token": "t1"}}
        assert records(document, place.origin()) == [{"id": 1, "at": {"$": "Date", "v": "1970-01-01T00:00:00.005Z"}}]
        assert document.tabs[0].session_storage == {place.origin(): {"tab": "s1"}}
        assert await checkpointer.take() is None
        await page.evaluate("scrollTo(0, 50); document.title = 'another'")
        assert await checkpointer.take() is None

        for change in (
            "document.cookie = 'more=1'",
            "localStorage.token = 't2'",
            "localStorage.removeItem('token')",
            "sessionStorage.tab = 's2'",
            "history.pushState(null, '', '/login')",
            "location.hash = 'there'",
            written("{ id: 1, at: null }"),
            written("{ id: 2 }"),
            f"(async () => {{ {OPEN} (await open('empty', {KEYED})).close(); }})()",
            "new Promise((done) => { indexedDB.deleteDatabase('app').onsuccess = done })",
        ):
            await page.evaluate(change)
            assert await checkpointer.take(thorough=True) is not None, change
            assert await checkpointer.take(thorough=True) is None, change

        await page.evaluate("localStorage.token = 't3'")
        await page.evaluate(written("{ id: 3 }"))
        async with browser.new_page(place.at(path="/outer")) as other:
            await other.evaluate("sessionStorage.tab = 'o'; localStorage.token = 't4'")
            document = await taken(checkpointer)
            assert document == await capture(browser.devtools, profile=browser.profile)
            assert document.missing == ()
            assert local(document)[place.origin()] == {"token": "t4"}
            assert [len(tab.history) for tab in document.tabs] == [3, 0]
        await page.evaluate("localStorage.token = 't5'")
        assert local(await taken(checkpointer)) == {place.origin(): {"token": "t5"}}


async def test_storage_of_any_size_is_told_in_parts_and_then_only_what_changes(browser: Browser, place: Place) -> None:
    async with checkpointing(browser.devtools) as checkpointer, browser.first_page() as page:
        await page.goto(place.at())
        await page.evaluate("for (let i = 0; i < 40; i++) localStorage.setItem('k' + i, 'é'.repeat(20000) + i)")
        first = await taken(checkpointer)
        assert local(first) == {place.origin(): {f"k{i}": "é" * 20000 + str(i) for i in range(40)}}
        sizes = []
        send = browser.devtools.send

        async def measured(method: str, *arguments: Any, **options: Any) -> Any:
            reply = await send(method, *arguments, **options)
            sizes.append(len(str(reply)))
            return reply

        browser.devtools.send = measured  # type: ignore[method-assign]
        await page.evaluate("localStorage.k7 = 'new'; localStorage.removeItem('k8')")
        second = await taken(checkpointer)
        assert local(second)[place.origin()] == {
            name: "new" if name == "k7" else value
            for name, value in local(first)[place.origin()].items()
            if name != "k8"
        }
        assert max(sizes) < 5000


async def test_a_page_that_hangs_costs_its_limit_once_and_what_was_known_of_it_stays(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOOK_LIMIT", 1.0)
    asking = asyncio.Event()

    def look(method: str, params: dict[str, object], session: str | None) -> None:
        if method == "Page.javascriptDialogOpening":
            asking.set()

    async with full(tmp_path) as (browser, checkpointer), browser.first_page() as page:
        await page.goto(place.at("fine.localhost"))
        async with browser.new_page(place.at("dialog.localhost")) as dialog:
            await dialog.evaluate("localStorage.token = 'd'; sessionStorage.tab = 'd'")
            await taken(checkpointer)
            await browser.devtools.send("Page.enable", session=dialog.session)
            with browser.devtools.listening(look):
                await dialog.evaluate("setTimeout(() => alert('well?'))")
                await asyncio.wait_for(asking.wait(), 60)
            await page.evaluate("localStorage.token = 'f1'")
            document = await taken(checkpointer)
            while any("fine.localhost" in words for words in document.missing):  # the machine stood still
                document = await current(checkpointer)
            assert local(document) == {
                place.origin("dialog.localhost"): {"token": "d"},
                place.origin("fine.localhost"): {"token": "f1"},
            }
            assert document.tabs[1].session_storage == {place.origin("dialog.localhost"): {"tab": "d"}}
            words = f"session storage of the page {place.at('dialog.localhost')}: it did not answer"
            assert document.missing == (words,)

            await page.evaluate("localStorage.token = 'f2'")
            monkeypatch.setattr(checkpoint, "LOOK_LIMIT", 600.0)
            async with asyncio.timeout(60):
                document = (await checkpointer.take()) or document
            assert local(document)[place.origin("fine.localhost")] == {"token": "f2"}

            await browser.devtools.send("Page.handleJavaScriptDialog", {"accept": True}, session=dialog.session)
            await dialog.evaluate("localStorage.token = 'answered'")
            document = await current(checkpointer)
            while document.missing:  # what is asked of one that hung it has to answer in no time
                document = await current(checkpointer)
            assert local(document)[place.origin("dialog.localhost")] == {"token": "answered"}


async def test_an_origin_that_was_left_is_read_once_more(tmp_path: Path, place: Place) -> None:
    visited = {place.origin("seen.localhost")}
    async with running_browser(tmp_path / "one") as browser, browser.first_page() as page:
        await page.goto(place.at("seen.localhost"))
        await page.evaluate("localStorage.token = 'never looked at'")
        async with checkpointing(browser.devtools, visited=visited) as checkpointer:
            await page.goto(place.at("left.localhost"))
            await page.evaluate("localStorage.token = 'looked at'")
            await taken(checkpointer)
            await page.evaluate("localStorage.token = 'just before'")
            await page.evaluate(written("{ id: 1 }"))
            await page.goto(place.at("now.localhost"))
            asked = len(place.requests)
            document = await taken(checkpointer)
            assert local(document) == {
                place.origin("seen.localhost"): {"token": "never looked at"},
                place.origin("left.localhost"): {"token": "just before"},
            }
            assert records(document, place.origin("left.localhost")) == [{"id": 1}]
            assert len(place.requests) == asked
            created = []
            with browser.devtools.listening(lambda method, params, session: created.append(method)):
                assert await checkpointer.take(thorough=True) is None
            assert "Target.attachedToTarget" not in created


async def test_the_headless_shell_keeps_what_was_known_and_says_so(browser: Browser, place: Place) -> None:
    async with checkpointing(browser.devtools, unopened=False) as checkpointer, browser.first_page() as page:
        await page.goto(place.at("left.localhost"))
        await page.evaluate("localStorage.token = 'looked at'")
        await taken(checkpointer)
        await page.goto(place.at())
        document = await taken(checkpointer)
        assert local(document) == {place.origin("left.localhost"): {"token": "looked at"}}
        assert len(document.missing) == 1
        assert "left.localhost" in document.missing[0]


async def test_what_a_restored_browser_has_stored_is_known(browser: Browser, place: Place) -> None:
    database = {"name": "app", "version": 1, "stores": []}
    known = ContextDocument(
        origins=(
            OriginState(place.origin(), (("token", "restored"),), (database,)),
            OriginState("https://never.test", (("token", "never"),), (database,)),
        ),
        permissions=(Permission("https://never.test", "camera"),),
    )
    async with checkpointing(browser.devtools, known=known) as checkpointer, browser.first_page() as page:
        document = await taken(checkpointer)
        assert (document.origins, document.permissions) == (known.origins, known.permissions)
        await page.goto(place.at())
        await page.evaluate("localStorage.token = 'mine'")
        document = await taken(checkpointer)
        assert local(document) == {"https://never.test": {"token": "never"}, place.origin(): {"token": "mine"}}
        assert [len(state.databases) for state in document.origins] == [0, 1]
        assert document.permissions == known.permissions


async def test_large_databases_take_their_share_of_the_time_only(
    browser: Browser, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "REST", 1e9)  # however slow the machine is, its turn has not come
    async with checkpointing(browser.devtools) as checkpointer, browser.first_page() as page:
        await page.goto(place.at())
        await page.evaluate(written("{ id: 1, bytes: new Uint8Array(4 << 20) }"))
        await taken(checkpointer)
        await page.evaluate(written("{ id: 2 }"))
        await page.evaluate("localStorage.token = 'read at once'")
        document = await checkpointer.take()
        assert document is not None
        assert local(document)[place.origin()] == {"token": "read at once"}
        assert len(records(document, place.origin())) == 1
        assert len(records(await taken(checkpointer), place.origin())) == 2


async def test_a_page_that_writes_all_the_time_is_not_listened_to(browser: Browser, place: Place) -> None:
    events = []
    async with checkpointing(browser.devtools) as checkpointer, browser.first_page() as page:
        await page.goto(place.at())
        await page.evaluate(written("{ id: 0 }"))
        await taken(checkpointer)
        hushed = asyncio.Event()
        send = browser.devtools.send

        async def watched(method: str, *arguments: Any, **options: Any) -> Any:
            reply = await send(method, *arguments, **options)
            if method == "Storage.untrackIndexedDBForStorageKey":
                hushed.set()
            return reply

        browser.devtools.send = watched  # type: ignore[method-assign]
        with browser.devtools.listening(lambda method, params, session: events.append(method)):
            await page.evaluate(many(0, 500))
            await asyncio.wait_for(hushed.wait(), 60)
            assert sum(event.startswith("Storage.indexedDB") for event in events) >= checkpoint.LOUD
            events.clear()
            await page.evaluate(many(500, 1000))
        assert not [event for event in events if event.startswith("Storage.indexedDB")]
        assert len(records(await taken(checkpointer), place.origin())) == 1000
        await page.evaluate(written("{ id: 1000 }"))
        assert len(records(await taken(checkpointer), place.origin())) == 1001


async def test_nothing_is_asked_of_a_browser_that_is_frozen(browser: Browser) -> None:
    async with checkpointing(browser.devtools) as checkpointer:
        seen = await checkpointer.current()
        await checkpointer.pause()
        assert await checkpointer.take() is None
        assert await checkpointer.current() is seen
        assert seen is not None
        checkpointer.resume()
        assert await checkpointer.take() == seen  # that it was seen does not mean that it was taken
        assert await checkpointer.take() is None


async def test_a_browser_that_is_gone_is_an_error(tmp_path: Path) -> None:
    async with full(tmp_path) as (browser, checkpointer):
        await taken(checkpointer)
        await browser.close()
        with pytest.raises(DevToolsGone):
            await checkpointer.take()


async def test_permissions_are_looked_at_when_a_client_was_heard(browser: Browser, place: Place) -> None:
    async with checkpointing(browser.devtools) as checkpointer, browser.first_page() as page:
        await page.goto(place.at())
        assert (await taken(checkpointer)).permissions == ()
        grant = {"permissions": ["geolocation"], "origin": place.origin()}
        await browser.devtools.send("Browser.grantPermissions", grant)
        assert await checkpointer.take() is None
        checkpointer.stirred()
        assert [given.name for given in (await taken(checkpointer)).permissions] == ["geolocation"]


async def test_a_driver_sees_nothing_of_it(tmp_path: Path, place: Place) -> None:
    async with full(tmp_path) as (browser, checkpointer), driver("puppeteer") as client:
        await client.do("connect", endpoint=f"http://127.0.0.1:{await browser.devtools_port()}")
        await client.do("goto", url=place.at("left.localhost"))
        await client.do("evaluate", expression="localStorage.token = 'left'")
        await client.do("watch")
        await taken(checkpointer)
        assert await client.do("seen") == []
        await client.do("goto", url=place.at())
        document = await taken(checkpointer)
        assert local(document) == {place.origin("left.localhost"): {"token": "left"}}
        assert await client.do("pages") == [place.at()]
        seen = await client.do("seen")
        assert "targetcreated: other " in seen  # the hidden page, which is none of the driver's pages
        assert [line for line in seen if " other " not in line] == [f"targetchanged: page {place.at()}"]
