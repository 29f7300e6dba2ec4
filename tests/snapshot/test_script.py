"""Functions in a page, called from here."""

import json

import pytest

from browser_pool.devtools import DevToolsGone
from gateway.snapshot.script import ScriptFailed, isolated, run
from tests.snapshot.live import Browser, Place


async def test_arguments_arrive_as_they_are(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        for version, name in enumerate(("__proto__", "quote\"'\u2028</script>", "\ud800 \U0001f600"), 1):
            await page.evaluate(
                f"new Promise((done) => indexedDB.open({json.dumps(name)}, {version}).onsuccess = () => done())"
            )
            found = await run(browser.devtools, page.session, "schema", name, timeout=30)
            assert found == {"version": version, "stores": []}


async def test_an_error_of_the_page_is_told(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        with pytest.raises(ScriptFailed, match="TypeError"):
            await run(browser.devtools, page.session, "granted", 5, timeout=30)


async def test_a_page_that_hangs_costs_the_time_given(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate("setTimeout(() => { for (;;) {} })")
        with pytest.raises(DevToolsGone):
            await run(browser.devtools, page.session, "look", None, 0, timeout=0.5)


async def test_functions_stay_in_an_isolated_world_and_remember(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        # Neither an element nor a script of the page is in the way.
        await page.evaluate("document.body.id = 'context'; window.context = 1; window.JSON = null; localStorage.a = 1")
        ask = await isolated(browser.devtools, page.session, page.target, timeout=30)
        first = (await ask("look", 0, None))["local"]
        assert (first["whole"], first["set"], first["gone"]) == (True, [["a", "1"]], [])
        await page.evaluate("localStorage.b = 2; localStorage.removeItem('a')")
        again = await isolated(browser.devtools, page.session, page.target, timeout=30)
        second = (await again("look", first["generation"], None))["local"]
        assert (second["whole"], second["set"], second["gone"]) == (False, [["b", "2"]], ["a"])
        missed = (await again("look", first["generation"], None))["local"]
        assert (missed["whole"], missed["set"]) == (True, [["b", "2"]])
        assert (await again("look", missed["generation"], None))["local"]["set"] == []
        await page.goto(place.at(path="/other"))
        new = await isolated(browser.devtools, page.session, page.target, timeout=30)
        assert (await new("look", missed["generation"], None))["local"]["whole"] is True
        assert await page.evaluate("Object.getOwnPropertySymbols(globalThis).length") == 0
