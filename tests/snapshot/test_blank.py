"""Empty pages of any origin."""

from pathlib import Path

import pytest

from gateway.snapshot.blank import WrongOrigin, blank_page, intercepted
from tests.snapshot.live import Browser, Place, running_browser


async def test_no_server_is_asked_and_the_page_goes_away(browser: Browser, place: Place) -> None:
    before = {info["targetId"] for info in await browser.targets()}
    async with blank_page(browser.devtools) as page:
        for origin in (place.origin(), "https://unknown.invalid"):
            await page.visit(origin, timeout=30)
            assert await page.run("put", [["a", origin]], [], timeout=30) == {"lost": [], "made": []}
            assert (await page.run("look", 0, None, timeout=30))["local"]["set"] == [["a", origin]]
    assert place.requests == []
    assert {info["targetId"] for info in await browser.targets()} == before


async def test_an_origin_that_cannot_be_opened_is_told(browser: Browser) -> None:
    async with blank_page(browser.devtools) as page:
        with pytest.raises(WrongOrigin):
            await page.visit("http://no host", timeout=30)


async def test_a_page_has_its_network_again_afterwards(browser: Browser, place: Place) -> None:
    async with browser.first_page() as page:
        async with intercepted(browser.devtools, page.session) as blank:
            await blank.visit(place.origin(), timeout=30)
        await page.goto(place.at())
        assert await page.evaluate("first.history") is not None
    assert [path for path, _ in place.requests] == ["/"]


async def test_a_page_of_http_is_no_page_of_https(tmp_path: Path, kind: str) -> None:
    """The full browser tries https first: http://example.com has a storage of its own."""
    async with running_browser(tmp_path / "one", kind) as browser, blank_page(browser.devtools) as page:
        await page.visit("http://example.com", timeout=30)
        assert await page.run("put", [["a", "1"]], [], timeout=30) == {"lost": [], "made": []}
        await page.visit("https://example.com", timeout=30)
        seen = await page.run("look", 0, None, timeout=30)
        assert (seen["origin"], seen["local"]["set"]) == ("https://example.com", [])
