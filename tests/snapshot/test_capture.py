"""What capture reads, what it leaves alone, and that nothing makes it hang."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from browser_pool.devtools import DevToolsGone
from gateway.snapshot.capture import capture
from gateway.snapshot.parsing import parse
from tests.snapshot.live import Browser, Place, running_browser

WATCH = """
window.events = [];
for (const name of ["visibilitychange", "focus", "blur", "pagehide", "storage", "beforeunload"]) {
  addEventListener(name, () => events.push(name));
  document.addEventListener(name, () => events.push(name));
}
localStorage.token = "t";
Storage.prototype.getItem = () => "a lie";
window.indexedDB.databases = () => Promise.reject(new Error("a lie"));
"""


async def test_nothing_of_it_is_seen_by_the_page_or_left_behind(tmp_path: Path, place: Place, kind: str) -> None:
    async with running_browser(tmp_path / "one", kind) as browser:
        async with browser.first_page() as page:
            await page.goto(place.at("gone.localhost"))
            await page.evaluate("localStorage.token = 'gone'")
            await page.goto(place.at())
            await page.evaluate(WATCH)
        before = {info["targetId"]: info["url"] for info in await browser.targets()}
        asked = len(place.requests)
        document = await capture(browser.devtools, profile=browser.profile)
        assert [(state.origin, dict(state.local_storage)) for state in document.origins] == [
            (place.origin("gone.localhost"), {"token": "gone"}),
            (place.origin(), {"token": "t"}),
        ]
        assert document.missing == ()
        quick = await capture(browser.devtools, unopened=False)
        assert [state.origin for state in quick.origins] == [place.origin()]
        assert quick.missing == (f"storage of {place.origin('gone.localhost')}: it was not read",)
        assert {info["targetId"]: info["url"] for info in await browser.targets()} == before
        assert len(place.requests) == asked
        async with browser.first_page() as page:
            assert await page.evaluate("events") == []


async def test_a_page_in_an_endless_loop_or_with_a_dialog_costs_its_limit_only(browser: Browser, place: Place) -> None:
    asking = asyncio.Event()

    def look(method: str, params: dict[str, object], session: str | None) -> None:
        if method == "Page.javascriptDialogOpening":
            asking.set()

    async with (
        browser.new_page(place.at("loop.localhost")) as looping,
        browser.new_page(place.at("dialog.localhost")) as dialog,
        browser.new_page(place.at("fine.localhost")) as fine,
    ):
        await fine.evaluate("localStorage.token = 'f'; sessionStorage.tab = 'fine'")
        await looping.evaluate("localStorage.token = 'l'; setTimeout(() => { for (;;) {} })")
        with browser.devtools.listening(look):
            await browser.devtools.send("Page.enable", session=dialog.session)
            await dialog.evaluate("localStorage.token = 'd'; setTimeout(() => alert('well?'))")
            await asyncio.wait_for(asking.wait(), 60)
            started = time.monotonic()
            document = await capture(browser.devtools, target_limit=1)
            assert time.monotonic() - started < 15
            async with asyncio.timeout(60):  # a machine that stands still costs all others their limit, too
                while any("fine.localhost" in words for words in document.missing):
                    document = await capture(browser.devtools, target_limit=1)
    assert {state.origin: dict(state.local_storage)["token"] for state in document.origins} == {
        place.origin("loop.localhost"): "l",
        place.origin("dialog.localhost"): "d",
        place.origin("fine.localhost"): "f",
    }
    assert [tab.url for tab in document.tabs] == [
        "about:blank",
        place.at("loop.localhost"),
        place.at("dialog.localhost"),
        place.at("fine.localhost"),
    ]
    assert [tab.session_storage for tab in document.tabs][3] == {place.origin("fine.localhost"): {"tab": "fine"}}
    assert len(document.missing) == 2
    assert "loop.localhost" in document.missing[0]
    assert "dialog.localhost" in document.missing[1]


async def test_pages_of_other_contexts_are_tabs_but_their_cookies_and_storage_are_not_ours(
    browser: Browser, place: Place
) -> None:
    context = (await browser.devtools.send("Target.createBrowserContext"))["browserContextId"]
    async with browser.new_page(place.at(path="/login"), browserContextId=context) as page:
        await page.evaluate("localStorage.token = 'other'; sessionStorage.tab = 'o'")
        document = await capture(browser.devtools)
    assert document.cookies == ()
    assert document.origins == ()
    assert [(tab.url, tab.session_storage) for tab in document.tabs] == [
        ("about:blank", {}),
        (place.at(path="/login"), {place.origin(): {"tab": "o"}}),
    ]


async def test_what_is_captured_can_be_read_again(browser: Browser, place: Place) -> None:
    async with browser.first_page() as page:
        await page.goto(place.at())
        await page.evaluate("window.open(''); window.open('data:text/html,x'); document.cookie = '=nameless'")
        frame = "f = document.createElement('iframe'); f.src = 'about:blank'; f.sandbox = ''; document.body.append(f)"
        await page.evaluate(f"{{ const {frame} }}")
        document = await capture(browser.devtools)
    assert parse(json.loads(json.dumps(document.to_json()))) == document
    assert [cookie.name for cookie in document.cookies] == [""]
    assert document.missing == ()
    assert len(document.tabs) >= 2


async def test_records_that_json_cannot_hold_are_told_without_their_values(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(
            """new Promise(async (done, failed) => {
                 const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt"]);
                 const request = indexedDB.open("keys");
                 request.onupgradeneeded = () => {
                   const store = request.result.createObjectStore("own");
                   store.put({ key, secret: "hush" }, "k");
                   store.put("plain", "p");
                 };
                 request.onsuccess = () => { request.result.close(); done(); };
                 request.onerror = failed;
               })"""
        )
        document = await capture(browser.devtools)
    assert document.origins[0].databases[0]["stores"][0]["records"] == [["p", "plain"]]
    assert len(document.missing) == 1
    assert "own of database keys: 1 records (a CryptoKey)" in document.missing[0]
    assert "hush" not in document.missing[0]


async def test_many_records_are_read_in_parts(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(
            """new Promise((done, failed) => {
                 const request = indexedDB.open("many");
                 request.onupgradeneeded = () => {
                   const store = request.result.createObjectStore("own", { keyPath: "id" });
                   for (let id = 0; id < 1001; id++) store.put({ id });
                 };
                 request.onsuccess = () => { request.result.close(); done(); };
                 request.onerror = failed;
               })"""
        )
        document = await capture(browser.devtools)
    records = document.origins[0].databases[0]["stores"][0]["records"]
    assert [value["id"] for _, value in records] == list(range(1001))


async def test_a_browser_that_is_gone_is_an_error(tmp_path: Path) -> None:
    async with running_browser(tmp_path / "one") as browser:
        await browser.close()
        await browser.devtools.closed.wait()
        with pytest.raises(DevToolsGone):
            await capture(browser.devtools)


async def test_history_scroll_and_permissions_are_there(tmp_path: Path, place: Place, kind: str) -> None:
    async with running_browser(tmp_path / "one", kind) as browser, browser.first_page() as page:
        for path in ("/one", "/two", "/three"):
            await page.goto(place.at(path=path))
        await page.evaluate("history.pushState(null, '', '/four'); document.title = 'the fourth'")
        await page.evaluate("new Promise((done) => { onpopstate = () => done(); history.back() })")
        await page.evaluate("document.body.style.height = '5000px'; scrollTo(0, 700)")
        grant = {"permissions": ["geolocation", "notifications", "clipboardReadWrite"], "origin": place.origin()}
        await browser.devtools.send("Browser.grantPermissions", grant)
        async with browser.new_page(place.at("plain.localhost")):
            document = await capture(browser.devtools, profile=browser.profile)
        tab, other = document.tabs
        assert [entry.url for entry in tab.history] == [
            place.at(path=f"/{it}") for it in ("one", "two", "three", "four")
        ]
        assert (tab.index, tab.url, tab.history[0].title) == (2, place.at(path="/three"), "app")
        assert tab.history[3].title == "the fourth"
        assert not other.history
        assert (tab.scroll, other.scroll) == ((0, 700), (0, 0))
        given = {(permission.origin, permission.name) for permission in document.permissions}
        assert {(place.origin(), name) for name in ("geolocation", "notifications", "clipboard-read")} <= given
        assert {origin for origin, _ in given} == {place.origin()}
        assert "camera" not in {name for _, name in given}
        assert parse(json.loads(json.dumps(document.to_json()))) == document
        await browser.devtools.send("Browser.resetPermissions")
        assert (await capture(browser.devtools)).permissions == ()
