"""Tabs that come back: their history, where they were scrolled to, and that each page is asked for once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.snapshot.capture import capture
from gateway.snapshot.document import ContextDocument, Entry, Tab
from gateway.snapshot.reopen import MANY
from tests.snapshot.live import Browser, Page, Place, binary, restore, running_browser


def walked(place: Place, *paths: str, index: int) -> Tab:
    """A tab that was at those paths of localhost, one of another host after the first, now at that of `index`."""
    urls = [place.at("other.localhost" if number == 1 else "localhost", path) for number, path in enumerate(paths)]
    history = tuple(Entry(url, f"title {url}") for url in urls)
    return Tab(urls[index], True, {place.origin(): {"tab": "mine"}}, history, index, (30, 1200))


def urls(tab: Tab) -> list[str]:
    return [entry.url for entry in tab.history]


@asynccontextmanager
async def loading(browser: Browser, page: Page, url: str) -> AsyncIterator[None]:
    """What is done in this block lets the tab show `url`; at its end that is there, and loaded."""
    arrived = asyncio.Event()

    def look(method: str, params: dict[str, Any], session: str | None) -> None:
        shown = method in ("Page.frameNavigated", "Page.navigatedWithinDocument")
        if shown and session == page.session and params.get("frame", params).get("url") == url:
            arrived.set()

    with browser.devtools.listening(look):
        await browser.devtools.send("Page.enable", session=page.session)
        yield
        await asyncio.wait_for(arrived.wait(), 60)
    await page.loaded()


async def gone_to(browser: Browser, page: Page, step: str, url: str) -> None:
    """history.back() or history.forward(), as the page itself does it."""
    async with loading(browser, page, url):
        await page.evaluate(f"setTimeout(() => history.{step}()), null")


async def test_history_before_and_after_and_scroll(tmp_path: Path, place: Place, kind: str) -> None:
    tab = walked(place, "/a", "/b", "/tall", "/d", index=2)
    async with running_browser(tmp_path / "one", kind) as browser:
        assert await restore(browser.devtools, ContextDocument(tabs=(tab,)), storage=True) == ()
        assert [path for path, _ in place.requests] == ["/tall"], "the page that is shown, once"
        again = (await capture(browser.devtools)).tabs
        assert urls(again[0]) == urls(tab)
        assert (again[0].index, again[0].scroll) == (2, (30, 1200))
        async with browser.page_at(tab.url) as page:
            first = await page.evaluate("first")
            assert (first["history"], first["tab"], first["referrer"]) == (4, "mine", "")
            await page.evaluate("sessionStorage.tab = 'changed', null")
            await gone_to(browser, page, "back", tab.history[1].url)
            await gone_to(browser, page, "back", tab.history[0].url)
            first = await page.evaluate("first")
            assert (first["history"], first["tab"]) == (4, "changed"), "written once"
            for entry in tab.history[1:]:
                await gone_to(browser, page, "forward", entry.url)
            assert await page.evaluate("first.tab") == "changed"
        assert [path for path, _ in place.requests] == ["/tall", "/b", "/a", "/d"], "going forward there is a cache"


async def test_the_end_of_a_history_is_loaded_in_its_place(tmp_path: Path, place: Place, kind: str) -> None:
    tab = walked(place, "/a", "/b", "/tall", index=2)
    async with running_browser(tmp_path / "one", kind) as browser:
        assert await restore(browser.devtools, ContextDocument(tabs=(tab,)), storage=True) == ()
        async with browser.page_at(tab.url) as page:
            assert await page.history() == [entry.url for entry in tab.history]
            assert await page.evaluate("[scrollX, scrollY]") == [30, 1200]
            await page.evaluate("scrollTo(0, 7), location.hash = 'further', null")
            await gone_to(browser, page, "back", tab.url)
        assert [path for path, _ in place.requests] == ["/tall"], "a fragment asks for nothing"


async def test_many_tabs_load_when_they_are_looked_at(tmp_path: Path, place: Place) -> None:
    """In the full browser. Until then they show an empty page with the URL, the title and the storage of theirs."""
    names = [f"/{number}" for number in range(MANY + 2)]
    tabs = [walked(place, "/first", "/second", name, "/later", index=2) for name in names]
    tabs = [Tab(tab.url, tab.url.endswith("/3"), tab.session_storage, tab.history, 2, tab.scroll) for tab in tabs]
    async with running_browser(tmp_path / "one") as browser:
        assert await restore(browser.devtools, ContextDocument(tabs=tuple(tabs)), storage=True) == ()
        assert [path for path, _ in place.requests] == ["/3"]
        again = (await capture(browser.devtools)).tabs
        assert [tab.url for tab in again] == [tab.url for tab in tabs], "in order"
        assert [tab.active for tab in again] == [tab.active for tab in tabs]
        assert [urls(tab) for tab in again] == [urls(tab) for tab in tabs]
        assert {tab.scroll for tab in again if not tab.active} == {(30, 1200)}
        assert all(tab.session_storage == {place.origin(): {"tab": "mine"}} for tab in again)
        async with browser.page_at(tabs[5].url) as page:
            assert await page.evaluate("[document.title, typeof first]") == [f"title {tabs[5].url}", "undefined"]
            async with loading(browser, page, tabs[5].url):
                await browser.devtools.send("Target.activateTarget", {"targetId": page.target})
            assert await page.evaluate("[first.tab, first.history]") == ["mine", 4]
        async with browser.page_at(tabs[1].url) as page:
            async with loading(browser, page, tabs[1].url):
                await browser.devtools.send("Page.reload", session=page.session)
            assert await page.evaluate("[first.tab, first.history]") == ["mine", 4]
        assert [path for path, _ in place.requests] == ["/3", "/5", "/1"]


async def test_on_the_headless_shell_every_tab_can_be_seen(tmp_path: Path, place: Place) -> None:
    tabs = tuple(Tab(place.at(path=f"/{number}")) for number in range(MANY + 2))
    if binary("headless-shell") is None:
        pytest.skip("no headless shell here")
    async with running_browser(tmp_path / "one", "headless-shell") as browser:
        assert await restore(browser.devtools, ContextDocument(tabs=tabs), storage=True) == ()
        for tab in tabs:
            async with browser.page_at(tab.url) as page:
                await page.arrived()
        assert sorted(path for path, _ in place.requests) == [f"/{number}" for number in range(MANY + 2)]


async def test_a_tab_goes_on_from_its_snapshot_as_often_as_wanted(browser: Browser, place: Place) -> None:
    """What is captured of a tab that was restored restores it again."""
    tab = walked(place, "/a", "/b", "/tall", "/d", index=2)
    for _ in range(2):
        assert await restore(browser.devtools, ContextDocument(tabs=(tab,)), storage=True) == ()
        async with browser.page_at(tab.url) as page:
            await page.loaded()
        (again,) = (await capture(browser.devtools)).tabs
        assert urls(again) == urls(tab)
        assert replace(again, history=tab.history) == tab
        tab = again


async def test_pages_without_a_server_keep_their_history_too(browser: Browser, place: Place) -> None:
    data = "data:text/html,<title>hi</title>"
    urls = (place.at(path="/a"), data, place.at(path="/b"))
    history = tuple(Entry(url) for url in urls)
    tabs = tuple(Tab(url, index == 0, None, history, index) for index, url in enumerate(urls))
    assert await restore(browser.devtools, ContextDocument(tabs=tabs), storage=True) == ()
    again = (await capture(browser.devtools)).tabs
    assert [(tab.url, tab.index, tuple(entry.url for entry in tab.history)) for tab in again] == [
        (url, index, urls) for index, url in enumerate(urls)
    ]
    assert sorted(path for path, _ in place.requests) == ["/a", "/b"]


async def test_fragments_of_a_page_need_no_page_of_their_own(browser: Browser, place: Place) -> None:
    urls = [place.at(path=path) for path in ("/a", "/tall", "/tall#1", "/tall#2")]
    history = tuple(Entry(url) for url in urls)
    tab = Tab(urls[2], True, {place.origin(): {"tab": "mine"}}, history, 2, (0, 900))
    assert await restore(browser.devtools, ContextDocument(tabs=(tab,)), storage=True) == ()
    async with browser.page_at(tab.url) as page:
        assert await page.evaluate("[first.tab, first.history, scrollY]") == ["mine", 4, 900]
        await gone_to(browser, page, "forward", urls[3])
        await gone_to(browser, page, "back", urls[2])
        await gone_to(browser, page, "back", urls[1])
        assert await page.evaluate("first.tab") == "mine"
        await gone_to(browser, page, "back", urls[0])
    assert [path for path, _ in place.requests if path != "/tall"] == ["/a"]


async def test_session_storage_that_does_not_fit_is_told(browser: Browser, place: Place) -> None:
    items = {"small": "1", "large": "x" * (12 << 20)}
    tab = Tab(place.at(), True, {place.origin(): items})
    lost = await restore(browser.devtools, ContextDocument(tabs=(tab,)), storage=True)
    assert len(lost) == 1
    assert "large" in lost[0]
    async with browser.page_at(tab.url) as page:
        assert await page.evaluate("Object.keys(sessionStorage)") == ["small"]


async def test_what_an_empty_tab_is_given_is_there_wherever_it_goes_first(browser: Browser, place: Place) -> None:
    """As Steel's contexts come, which have no tabs."""
    here, there = place.origin(), place.origin("other.localhost")
    given = {here: {"token": "</script>one"}, "https://elsewhere.invalid": {"a": "b"}, there: {"token": "two"}}
    assert await restore(browser.devtools, ContextDocument(tabs=(Tab("about:blank", True, given),)), storage=True) == ()
    assert place.requests == []
    assert await browser.urls() == ["about:blank"]
    async with browser.page_at("about:blank") as page:
        assert await page.evaluate("history.length") == 1
        for origin in (there, here):
            await page.goto(origin)
            assert await page.evaluate("({...sessionStorage})") == given[origin]
