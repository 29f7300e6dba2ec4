"""What a browser measures of a page."""

from gateway.pages.measure import measured
from tests.pages.tab import fresh
from tests.site.app import Site

PAINTED = """() => new Promise((done) => {
    new PerformanceObserver(() => done()).observe({type: 'largest-contentful-paint', buffered: true});
})"""


async def test_a_page_is_measured(site: Site) -> None:
    async with fresh() as context:
        page = await context.new_page()
        await page.goto(f"{site.url}/page/1")
        await page.evaluate(PAINTED)  # which may be later than loaded
        speed = await measured(page)
        assert speed.url == f"{site.url}/page/1"
        assert speed.navigation["type"] == "navigate"
        loaded = speed.navigation["loadEventEnd"]
        # A whole number of milliseconds is an int in JSON.
        assert isinstance(loaded, (int, float))
        assert loaded > 0
        assert speed.paint["first-contentful-paint"] > 0
        assert speed.largest_contentful_paint is not None
        assert speed.cumulative_layout_shift >= 0
        assert speed.metrics["Nodes"] > 0
        await page.goto("about:blank")
        assert (await measured(page)).largest_contentful_paint is None
