"""Empty pages of any origin."""

import pytest

from gateway.snapshot.blank import WrongOrigin, address, blank_page, intercepted
from tests.snapshot.live import Browser, Place


async def test_no_server_is_asked_and_the_page_goes_away(browser: Browser, place: Place) -> None:
    before = {info["targetId"] for info in await browser.targets()}
    async with blank_page(browser.devtools) as page:
        for origin in (place.origin(), "https://unknown.invalid"):
            await page.visit(origin, timeout=5)
            assert await page.run("putLocal", [["a", origin]], timeout=5) == []
            assert (await page.run("dump", 1000, 4000, timeout=5))["localStorage"] == [["a", origin]]
    assert place.requests == []
    assert {info["targetId"] for info in await browser.targets()} == before


async def test_an_origin_that_cannot_be_opened_is_told(browser: Browser) -> None:
    async with blank_page(browser.devtools) as page:
        with pytest.raises(WrongOrigin):
            await page.visit("http://no host", timeout=5)


async def test_a_page_has_its_network_again_afterwards(browser: Browser, place: Place) -> None:
    async with browser.first_page() as page:
        async with intercepted(browser.devtools, page.session) as blank:
            await blank.visit(place.origin(), timeout=5)
        await page.goto(place.at())
        assert await page.evaluate("first.history") is not None
    assert [path for path, _ in place.requests] == ["/"]


async def test_an_empty_page_stands_for_the_one_that_follows(browser: Browser, place: Place) -> None:
    url = place.at(path="/a?b=%23#c d")
    async with browser.first_page() as page:
        async with intercepted(browser.devtools, page.session) as blank:
            await blank.visit(place.origin(), timeout=5, instead_of=url)
            await page.loaded()
        shown = (await browser.urls())[0]
    assert shown != url
    assert address(shown) == url
    assert address(url) == url
