"""Looking at a session beside its driver: discovery, bare debugging sockets, a DevTools window."""

import asyncio
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from browser_pool.binary import Binaries
from browser_pool.spec import Mode
from tests.journeys.driving import driver, refused_upgrade, wire
from tests.journeys.running import Gateway, eventually_asked
from tests.site.app import Site

SCREENSHOTS = Path(__file__).parents[1] / "screenshots"
VERSION_KEYS = {"Browser", "Protocol-Version", "User-Agent", "V8-Version", "WebKit-Version", "webSocketDebuggerUrl"}
TARGET_KEYS = {"id", "type", "title", "url", "webSocketDebuggerUrl", "devtoolsFrontendUrl"}


async def pages(gateway: Gateway, where: str) -> list[Any]:
    """The pages in a list of targets."""
    listed = (await gateway.request("GET", where)).ok()
    return [target for target in listed if target["type"] == "page"]


@pytest.mark.parametrize("path", ["/json/version", "/json/version/"])
async def test_version_hands_out_a_browser(gateway: Gateway, path: str) -> None:
    by_query = (await gateway.request("GET", f"{path}?token={gateway.token}", auth=False)).ok()
    by_header = (await gateway.request("GET", path)).ok()
    for version in (by_query, by_header):
        assert set(version) >= VERSION_KEYS
        assert version["Browser"].startswith(("Chrome/", "HeadlessChrome/"))
        assert version["webSocketDebuggerUrl"].startswith(gateway.ws)
        assert gateway.token not in version["webSocketDebuggerUrl"]
    assert not gateway.directories(), "asking costs no browser"
    async with wire(by_header["webSocketDebuggerUrl"]) as cdp:
        assert await cdp.evaluate("1 + 1", await cdp.page()) == 2
    (await gateway.request("GET", path, auth=False)).refused(401)


async def test_the_gateway_lists_the_targets_of_all_sessions(gateway: Gateway, site: Site) -> None:
    first = await gateway.create(url=f"{site.url}/counter")
    second = await gateway.create(url=f"{site.url}/login")

    async def both() -> bool:  # Chromium lists a page's title and URL a moment after it has loaded
        titles = {(target["url"], target["title"]) for target in await pages(gateway, "/json/list")}
        return titles == {(f"{site.url}/counter", "Counter"), (f"{site.url}/login", "Log in")}

    await eventually_asked("both pages listed", both)
    for path in ("/json", "/json/", "/json/list/"):
        found = await pages(gateway, path)
        assert len(found) == 2
        assert all(set(target) >= TARGET_KEYS for target in found)
    for session, title in ((first, "Counter"), (second, "Log in")):
        (only,) = await pages(gateway, f"/session/{session['id']}/json/list")
        assert only["title"] == title
        async with wire(only["webSocketDebuggerUrl"]) as cdp:
            assert await cdp.evaluate("document.title") == title


async def test_new_activate_and_close_in_a_session(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    base = f"/session/{session['id']}/json"
    made = (await gateway.request("PUT", f"{base}/new?{site.url}/counter")).ok()
    assert made["type"] == "page"
    async with wire(made["webSocketDebuggerUrl"]) as cdp:
        assert await cdp.evaluate("document.readyState")
    assert len(await pages(gateway, f"{base}/list")) == 2
    (await gateway.request("GET", f"{base}/activate/{made['id']}")).ok()
    (await gateway.request("GET", f"{base}/close/{made['id']}")).ok()

    async def closed() -> bool:
        return made["id"] not in [page["id"] for page in await pages(gateway, f"{base}/list")]

    await eventually_asked("the page is closed", closed)
    assert (await gateway.request("GET", f"{base}/new")).status == 405, "as in Chromium, PUT only"
    for action in ("activate", "close"):
        assert (await gateway.request("GET", f"{base}/{action}/ABCDEF0123456789ABCDEF0123456789")).status == 404


async def test_new_activate_and_close_at_the_root(gateway: Gateway, site: Site) -> None:
    session = await gateway.create(url=f"{site.url}/login")
    made = (await gateway.request("PUT", f"/json/new?{site.url}/counter")).ok()
    assert set(made) >= TARGET_KEYS
    assert made["id"] in [target["id"] for target in await pages(gateway, "/json/list")]
    (await gateway.request("GET", f"/json/activate/{made['id']}")).ok()
    (await gateway.request("GET", f"/json/close/{made['id']}")).ok()
    assert (await gateway.record(session["id"]))["status"] == "detached", "the other page and its session stay"
    (await gateway.request("GET", "/json/close/ABCDEF0123456789ABCDEF0123456789")).refused(404)


async def test_the_protocol(gateway: Gateway) -> None:
    session = await gateway.create()
    for path in ("/json/protocol", "/json/protocol/", f"/session/{session['id']}/json/protocol"):
        domains = {domain["domain"] for domain in (await gateway.request("GET", path)).ok()["domains"]}
        assert {"Page", "Runtime", "Network"} <= domains


async def test_debugging_sockets_sit_beside_the_driver(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    identity = session["id"]
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.goto(f"{site.url}/counter")
        await client.evaluate("bump()")
        (page,) = await pages(gateway, f"/session/{identity}/json/list")
        version = (await gateway.request("GET", f"/session/{identity}/json/version")).ok()
        for url in (
            page["webSocketDebuggerUrl"],
            gateway.driver(f"/devtools/page/{page['id']}"),
            gateway.driver(f"/session/{identity}/devtools/page/{page['id']}"),
        ):
            async with wire(url) as cdp:
                assert await cdp.evaluate("counter") == 1
        for url in (
            version["webSocketDebuggerUrl"],
            gateway.driver(f"/devtools/browser/{identity}"),
            gateway.driver(f"/session/{identity}/devtools/browser/{identity}"),
        ):
            async with wire(url) as cdp:
                assert await cdp.evaluate("counter", await cdp.page()) == 1
        assert await client.evaluate("bump()") == 2, "the driver was not disturbed"
        await client.do("disconnect")
    await gateway.status(identity, "detached")
    (await refused_upgrade(gateway.driver("/devtools/page/ABCDEF0123456789ABCDEF0123456789"))).refused(404)
    (await refused_upgrade(gateway.driver("/devtools/browser/00000000-0000-4000-8000-000000000000"))).refused(404)


async def test_a_debugging_client_does_not_hold_up_a_stop(gateway: Gateway) -> None:
    session = await gateway.create()
    async with wire(gateway.driver(f"/devtools/browser/{session['id']}")) as cdp, asyncio.TaskGroup() as group:
        assert await cdp.call("Browser.getVersion")
        stopping = group.create_task(gateway.request("DELETE", f"/session/{session['id']}"))
        code, reason = await cdp.closed()
        assert code == 4000
        assert reason
    stopping.result().ok()


async def test_the_inspector_wants_a_credential(gateway: Gateway) -> None:
    session = await gateway.create()
    path = f"/session/{session['id']}/devtools/inspector.html"
    (await gateway.request("GET", path, auth=False)).refused(401)
    by_token = await gateway.request("GET", f"{path}?token={gateway.token}", auth=False)
    assert by_token.status in (302, 303, 307), by_token.body
    assert gateway.token not in by_token.headers["Location"], "the token does not stay in the address bar"


async def test_a_devtools_window_shows_the_page_and_follows_it(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    chromium = Binaries().path(Mode.HEADLESS)
    async with driver("puppeteer") as client, async_playwright() as playwright:
        await client.connect(session["connect"])
        await client.goto(f"{site.url}/counter")
        window = await playwright.chromium.launch(executable_path=chromium)
        page = await window.new_page(viewport={"width": 1200, "height": 800})
        inspector = f"{gateway.url}/session/{session['id']}/devtools/inspector.html?token={gateway.token}"
        await page.goto(inspector)
        elements = page.locator(".elements-disclosure")  # Playwright's selectors go through open shadow roots
        await elements.get_by_text("bump()").first.wait_for(timeout=60_000)
        await client.evaluate("document.body.append(Object.assign(document.createElement('b'), {id: 'just-added'}))")
        await elements.get_by_text("just-added").first.wait_for(timeout=60_000)
        SCREENSHOTS.mkdir(exist_ok=True)
        picture = await page.screenshot(path=SCREENSHOTS / "devtools.png")
        assert shades(picture) > 20, "the window is blank"
        assert gateway.token not in page.url
        await window.close()
        assert await client.evaluate("bump()") == 1, "the driver was not disturbed"


async def test_the_devtools_link_of_a_session_opens_without_the_token(gateway: Gateway) -> None:
    session = await gateway.create()
    assert gateway.token not in session["devtools"]
    reply = await gateway.request("GET", session["devtools"], auth=False)
    while reply.status in (302, 303, 307):
        where = gateway.url + reply.headers["Location"].removeprefix(gateway.url)
        reply = await gateway.request("GET", where, auth=False)
    assert reply.status == 200
    assert "<html" in str(reply.body).lower()


def shades(png: bytes) -> int:
    """How many different bytes a PNG's picture has: a blank one has a handful."""
    position, packed = 8, b""
    while position < len(png):
        length = int.from_bytes(png[position : position + 4])
        if png[position + 4 : position + 8] == b"IDAT":
            packed += png[position + 8 : position + 8 + length]
        position += length + 12
    return len(set(zlib.decompress(packed)))
