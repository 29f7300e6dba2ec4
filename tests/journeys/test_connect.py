"""A client connects, drives a browser of its own, and goes: whichever client, by whatever road."""

import base64
import json
from typing import Any

import pytest
from playwright.async_api import async_playwright

from tests.journeys.driving import driver, needs_shell, wire, wire_for_a_while
from tests.journeys.running import Gateway, command_line, eventually
from tests.site.app import Site

ONE_BLANK_PAGE = {"contexts": 1, "pages": ["about:blank"]}


@pytest.mark.parametrize("library", ["puppeteer", "playwright"])
async def test_node_clients_connect_by_websocket(gateway: Gateway, site: Site, library: str) -> None:
    async with driver(library) as client:
        assert await client.connect(gateway.driver()) == ONE_BLANK_PAGE
        await client.log_in(site)
        assert len(gateway.browsers()) == 1
        assert len(gateway.directories()) == 1
        await client.do("close")
        await gateway.all_browsers_gone()


async def test_playwright_connects_by_http(gateway: Gateway, site: Site) -> None:
    async with driver("playwright") as client:
        assert await client.connect(f"{gateway.url}/?token={gateway.token}") == ONE_BLANK_PAGE
        await client.log_in(site)
        await client.do("close")
        await gateway.all_browsers_gone()


async def test_playwright_connects_by_http_with_a_header(gateway: Gateway) -> None:
    async with driver("playwright") as client:
        headers = {"Authorization": f"Bearer {gateway.token}"}
        assert await client.connect(gateway.url, headers=headers) == ONE_BLANK_PAGE


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_playwright_for_python_connects(gateway: Gateway, site: Site, scheme: str) -> None:
    endpoint = gateway.driver() if scheme == "ws" else f"{gateway.url}/?token={gateway.token}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(endpoint)
        page = browser.contexts[0].pages[0]
        await page.goto(f"{site.url}/counter")
        assert await page.evaluate("bump() + bump()") == 3
        own = await browser.new_page()
        await own.goto(f"{site.url}/megabytes/3")
        assert len(await own.inner_text("body")) == 3_000_000
        await browser.close()
        await gateway.all_browsers_gone()


@pytest.mark.parametrize("path", ["", "/", "/chromium", "/chrome"])
async def test_paths_of_a_standard_session(gateway: Gateway, path: str) -> None:
    async with wire(f"{gateway.ws}{path}?apiKey={gateway.token}") as cdp:
        assert await cdp.evaluate("1 + 1", await cdp.page()) == 2


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "steel-api-key"])
async def test_bare_cdp_with_the_token_in_a_header(gateway: Gateway, name: str) -> None:
    value = f"Bearer {gateway.token}" if name == "authorization" else gateway.token
    async with wire(gateway.ws, **{name: value}) as cdp:
        assert (await cdp.call("Browser.getVersion"))["product"].startswith("Chrome/")
        assert await cdp.evaluate("1 + 1", await cdp.page()) == 2
    await gateway.all_browsers_gone()


async def test_each_client_has_a_browser_of_its_own(gateway: Gateway, site: Site) -> None:
    async with driver("puppeteer") as alice, driver("puppeteer") as other:
        await alice.connect(gateway.driver())
        await other.connect(gateway.driver())
        await alice.log_in(site)
        assert (await other.state(site))["user"] == ""
        assert len(gateway.browsers()) == 2
        await alice.do("disconnect")
        await eventually("one browser left", lambda: len(gateway.browsers()) == 1)
        assert await other.evaluate("1 + 1") == 2


async def test_a_client_killed_in_the_middle_of_a_command_leaves_nothing(gateway: Gateway, site: Site) -> None:
    async with driver("puppeteer") as client:
        await client.connect(gateway.driver())
        await client.send("goto", url=f"{site.url}/slow?ms=60000")
        await site.slow_started.wait()
        await client.kill()
        await gateway.all_browsers_gone()


def packed(launch: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(launch).encode()).decode()


@pytest.mark.parametrize("write", [json.dumps, packed], ids=["json", "base64"])
async def test_launch_options(gateway: Gateway, write: Any) -> None:
    launch = {"headless": True, "args": ["--window-size=800,600", "--lang=de"], "stealth": True}
    async with wire(gateway.driver(launch=write(launch))) as cdp:
        (browser,) = gateway.browsers()
        argv = command_line(browser)
        assert "--window-size=800,600" in argv
        assert "--lang=de" in argv
        assert await cdp.evaluate("navigator.webdriver", await cdp.page()) is False


async def test_the_viewport_of_launch_options(gateway: Gateway) -> None:
    launch = json.dumps({"viewport": {"width": 640, "height": 480}})
    async with wire(gateway.driver(launch=launch)) as cdp:
        assert await cdp.evaluate("[innerWidth, outerWidth].includes(640)", await cdp.page())


@needs_shell
async def test_the_headless_shell(gateway: Gateway, site: Site) -> None:
    async with driver("playwright") as client:
        assert await client.connect(gateway.driver(headless="shell")) == ONE_BLANK_PAGE
        assert "shell" in command_line(gateway.browsers()[0])[0]
        await client.log_in(site)


async def test_a_flag_in_the_query(gateway: Gateway) -> None:
    async with wire(gateway.driver(**{"--window-size": "800,600"})) as cdp:
        assert await cdp.evaluate("[outerWidth, outerHeight]", await cdp.page()) == [800, 600]


async def test_a_session_whose_time_is_up_is_closed_with_4001(gateway: Gateway) -> None:
    async def short(time: int) -> str:
        return gateway.driver(timeout=str(time))

    async with wire_for_a_while(short) as cdp:
        code, reason = await cdp.closed()
    assert code == 4001
    assert reason
    await gateway.all_browsers_gone()


async def test_browser_close_ends_a_standard_session(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as cdp:
        await cdp.call("Browser.close")
        code, _ = await cdp.closed()
        assert code == 1000
        await gateway.all_browsers_gone()


async def test_info_tells_about_the_session(gateway: Gateway) -> None:
    async with wire(gateway.driver(trackingId="job-17")) as cdp:
        for method in ("Gateway.info", "Browserless.info"):
            told = await cdp.call(method)
            record = await gateway.record(told["id"] if "id" in told else told["sessionId"])
            assert record["status"] == "connected"
            assert record["kind"] == "standard"
