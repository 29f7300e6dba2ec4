"""What is blocked in a running browser, wherever in it is asked, and beside what its driver does with requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser as Remote
from playwright.async_api import Request, Route, async_playwright

from browser_pool.binary import Binaries
from browser_pool.browser import launched
from browser_pool.spec import LaunchSpec, Mode
from gateway.adblock.blocking import Blocked, blocking
from gateway.adblock.filters import Filter, Filters
from tests.inside import inside
from tests.journeys.driving import run_script

# As EasyList has such filters.
LIST = """/ads/banners/*$image
/ads/show.$script
/ads/frame.$subdocument
/pixel?$xmlhttprequest
||localhost^$third-party
"""
INNER = "<script src='/ads/show.js?{0}'></script><script src='/app.js?{0}'></script>"
WORKER = "const go = () => Promise.allSettled(['/pixel?{0}', '/data?{0}'].map((url) => fetch(url)));"
PAGE = f"""<title>page</title>
<img src="/ads/banners/1.png"><img src="/wanted.png">
{INNER.format("page")}
<iframe src="/frame"></iframe><iframe src="/ads/frame.html"></iframe>
<iframe srcdoc="{INNER.format("srcdoc")}"></iframe>
<script>
const told = (port) => new Promise((done) => (port.onmessage = done));
const everywhere = async () => {{
  await Promise.allSettled([fetch("/pixel?page"), fetch("/data?page")]);
  await Promise.all([told(new Worker("/worker.js")), told(new SharedWorker("/shared.js").port)]);
  await navigator.serviceWorker.register("/service.js");
  (await navigator.serviceWorker.ready).active.postMessage(1);
  await told(navigator.serviceWorker);
}};
</script>"""
ANSWERS = {
    "/": PAGE,
    "/frame": INNER.format("frame"),
    "/popup": INNER.format("popup"),
    "/ads/frame.html": INNER.format("advertisement"),
    "/worker.js": WORKER.format("worker") + "go().then(() => postMessage(1))",
    "/shared.js": WORKER.format("shared") + "onconnect = (event) => go().then(() => event.ports[0].postMessage(1))",
    "/service.js": WORKER.format("service")
    + "oninstall = () => skipWaiting(); onmessage = (event) => go().then(() => event.source.postMessage(1));",
}


@dataclass
class Shop:
    """A site with advertisements; `asked` has every path that its server was asked for."""

    url: str = ""
    asked: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.add(request.path_qs)
        kind = "text/javascript" if request.path.endswith(".js") else "text/html"
        return web.Response(text=ANSWERS.get(request.path, ""), headers={"Content-Type": kind})

    def unwanted(self) -> set[str]:
        """What of it should not have been asked for."""
        return {path for path in self.asked if path.startswith(("/ads/", "/pixel"))}


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_get("/{path:.*}", shop.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield shop
    await runner.cleanup()


@pytest.fixture
async def filters(tmp_path: Path) -> Filter:
    file = tmp_path / "list.txt"
    file.write_text(LIST)
    return await Filters([file]).engine()


@asynccontextmanager
async def driven(directory: Path, mode: Mode, wanted: Filter | None) -> AsyncIterator[tuple[Remote, Blocked]]:
    """Playwright's browser, and what is blocked in it."""
    async with launched(LaunchSpec(mode=mode), directory / "browser", Binaries()) as browser, async_playwright() as pw:
        remote = await pw.chromium.connect_over_cdp(browser.url)
        if wanted is None:
            yield remote, Blocked()
        else:
            async with blocking(browser.url, wanted) as blocked:
                yield remote, blocked
        await remote.close()


EVERYWHERE = {f"/data?{place}" for place in ("page", "worker", "shared", "service")}
EVERYWHERE |= {f"/app.js?{place}" for place in ("page", "frame", "srcdoc", "popup")}


async def visited(remote: Remote, shop: Shop) -> None:
    """The shop in a page of the browser's own context, with all its places, and a window that it opens."""
    page = remote.contexts[0].pages[0]
    await page.goto(shop.url + "/", wait_until="load")
    await page.evaluate("everywhere()")
    async with page.expect_popup() as popup:
        await page.evaluate("void open('/popup')")
    await (await popup.value).wait_for_load_state("load")
    async with page.expect_popup() as popup:
        await page.evaluate("void open('/ads/frame.html', '', 'noopener')")
    await (await popup.value).wait_for_load_state("load")


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_every_place_of_a_browser(tmp_path: Path, shop: Shop, filters: Filter, mode: Mode) -> None:
    async with driven(tmp_path, mode, filters) as (remote, blocked):
        await visited(remote, shop)
        # What somebody opens as a page of its own is no advertisement; what it loads may be.
        assert shop.unwanted() == {"/ads/frame.html"}
        assert shop.asked >= EVERYWHERE | {"/wanted.png", "/app.js?advertisement"}
        assert blocked.requests == 11

        shop.asked.clear()
        page = await (await remote.new_context()).new_page()  # a context that the client made
        await page.goto(shop.url + "/", wait_until="load")
        assert shop.unwanted() == set()
        assert "/app.js?page" in shop.asked
        await page.goto(shop.url.replace("127.0.0.1", "localhost") + "/frame")
        assert "/app.js?frame" in shop.asked, "to its own site"


async def test_without_it_all_is_loaded(tmp_path: Path, shop: Shop) -> None:
    async with driven(tmp_path, Mode.SHELL, None) as (remote, _):
        await visited(remote, shop)
    assert shop.unwanted() >= {"/ads/banners/1.png", "/ads/frame.html", "/pixel?service", "/ads/show.js?popup"}


async def test_beside_playwrights_interception(tmp_path: Path, shop: Shop, filters: Filter) -> None:
    async with driven(tmp_path, Mode.HEADLESS, filters) as (remote, _):
        page = remote.contexts[0].pages[0]
        failed: dict[str, str | None] = {}
        page.on("requestfailed", lambda request: failed.update({path_of(request, shop): request.failure}))

        async def own(route: Route) -> None:
            await route.fulfill(body="the client's own")

        await page.route("**/own", own)
        await page.route("**/app.js*", lambda route: route.continue_(url=route.request.url + "&changed"))
        await page.goto(shop.url + "/", wait_until="load")
        assert await page.evaluate("fetch('/own').then((answer) => answer.text())") == "the client's own"
        assert await page.evaluate("fetch('/pixel?a').catch((error) => error.name)") == "TypeError"
        assert str(failed["/ads/show.js?page"]).startswith("net::ERR_BLOCKED_BY_CLIENT")
        assert "/app.js?page&changed" in shop.asked
        assert shop.unwanted() == set()


def path_of(request: Request, shop: Shop) -> str:
    return request.url.removeprefix(shop.url)


async def test_beside_puppeteers_interception_over_the_gateway(tmp_path: Path, shop: Shop) -> None:
    file = tmp_path / "list.txt"
    file.write_text(LIST)
    async with inside(tmp_path / "data", filter_lists=str(file)) as gateway:
        endpoint = f"{gateway.ws}/?token=inside-token&blockAds=true&headless=shell"
        async with asyncio.timeout(80):
            saw = await run_script("intercept.mjs", ENDPOINT=endpoint, SITE=shop.url + "/")
        assert (saw["own"], saw["ad"], saw["script"]) == ("the client's own", "", "blocked")
        assert ["/ads/show.js", "net::ERR_BLOCKED_BY_CLIENT.Inspector"] in saw["failed"]
        assert not any(path.startswith(("/ads/banners", "/ads/show")) for path in shop.asked)
        assert {"/app.js?page", "/wanted.png", "/ads/index/1?a"} <= shop.asked


async def test_a_gateway_without_lists_says_so(tmp_path: Path) -> None:
    async with inside(tmp_path / "data", filter_lists=str(tmp_path / "gone.txt")) as gateway:
        status, body = await gateway.call("POST", "/session", json={"blockAds": True, "headless": "shell"})
        assert (status, body["error"]["code"]) == (422, "unsupported")
        assert "filter_lists" in body["error"]["message"]
