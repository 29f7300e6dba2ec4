"""Functions in a page, called from here."""

import pytest

from browser_pool.devtools import DevToolsGone
from gateway.snapshot.script import ScriptFailed, run
from tests.snapshot.live import Browser, Place


async def test_arguments_arrive_as_they_are(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        items = [["__proto__", "a"], ["quote\"'\u2028</script>", "\ud800 \U0001f600"]]
        assert await run(browser.devtools, page.session, "putSession", items, timeout=5) == []
        frame = await run(browser.devtools, page.session, "frame", timeout=5)
        assert sorted(frame["sessionStorage"]) == sorted(items)
        assert frame["origin"] == place.origin()


async def test_an_error_of_the_page_is_told(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        with pytest.raises(ScriptFailed, match="TypeError"):
            await run(browser.devtools, page.session, "putSession", 5, timeout=5)


async def test_a_page_that_hangs_costs_the_time_given(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate("setTimeout(() => { for (;;) {} })")
        with pytest.raises(DevToolsGone):
            await run(browser.devtools, page.session, "frame", timeout=0.5)


async def test_a_database_held_open_by_another_page_is_no_hang(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(
            """new Promise((done) => {
                 const request = indexedDB.open("held", 1);
                 request.onsuccess = () => {
                   window.held = request.result; // it does not heed versionchange
                   indexedDB.open("held", 2); // and waits; every later open waits behind it
                   setTimeout(done);
                 };
               })"""
        )
        dumped = await run(browser.devtools, page.session, "dump", 1000, 4000, timeout=5)
    assert dumped["indexedDB"] == []
    assert dumped["lost"] == ["database held: could not be opened in time"]
