"""A browser that waits for its next client: the same tabs, the same JS heap, whatever way the first one went."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import async_playwright

from tests.journeys.driving import CdpError, ClientError, Driver, driver, refused_upgrade, run_script, wire
from tests.journeys.running import Gateway
from tests.site.app import Site


async def counting(client: Driver, site: Site) -> str:
    """Leave a counter at 2 in the page in use; what its JS heap can be told by."""
    await client.goto(f"{site.url}/counter")
    assert await client.evaluate("bump() && bump()") == 2
    return str(await client.evaluate("birth"))


async def keep(client: Driver, **params: Any) -> str:
    """Ask for `reconnect` on the page in use; the URL to come back to."""
    granted = await client.cdp("Gateway.reconnect", {"timeout": 30_000, **params})
    return str(granted["browserWSEndpoint"])


async def still_counting(endpoint: str, library: str, site: Site, birth: str) -> None:
    """Connect, find the counter's own heap again, and leave."""
    async with driver(library) as client:
        found = await client.connect(endpoint)
        assert f"{site.url}/counter" in found["pages"]
        await client.do("usePage", url=f"{site.url}/counter")
        assert await client.evaluate("birth") == birth
        assert await client.evaluate("bump()") == 3
        assert await client.goto(f"{site.url}/") == 200
        await client.do("close")


async def test_the_guides_reconnect_script(gateway: Gateway, site: Site) -> None:
    said = await run_script(
        "seed_reconnect.mjs", GATEWAY_WS=gateway.ws, BROWSERLESS_TOKEN=gateway.token, TARGET=site.url
    )
    assert said["before"] == said["after"] == "Hello alice"
    assert said["error"] is None, "the alias has an error in its result, null when all is well"
    assert "?" not in said["reconnectWSEndpoint"]
    assert gateway.token not in said["reconnectWSEndpoint"]
    assert site.logins == 1
    await gateway.all_browsers_gone()


@pytest.mark.parametrize("domain", ["Gateway", "Browserless"])
@pytest.mark.parametrize("on_page", [False, True], ids=["browser-session", "page-session"])
async def test_what_reconnect_answers(gateway: Gateway, domain: str, on_page: bool) -> None:
    async with wire(gateway.driver()) as cdp:
        session = await cdp.page() if on_page else None
        granted = await cdp.call(f"{domain}.reconnect", {"timeout": 45_000}, session)
        assert granted["timeout"] == 45_000
        assert granted["browserWSEndpoint"].startswith(f"{gateway.ws}/reconnect/")
        left = (datetime.fromisoformat(granted["expiresAt"]) - datetime.now(UTC)).total_seconds()
        assert 15 < left < 46
        assert ("error" in granted) is (domain == "Browserless")
        assert granted.get("error") is None
        assert (await cdp.call(f"{domain}.reconnect", {}, session))["timeout"] == 60_000
        assert (await cdp.call(f"{domain}.reconnect", {"timeout": 36_000_000}, session))["timeout"] == 3_600_000
        assert await cdp.evaluate("1 + 1", session or await cdp.page()) == 2


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": "long"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"auth": 5}, "auth"),
        ({"auth": ""}, "auth"),
        ({"detach": "yes"}, "detach"),
        ({"timeuot": 1000}, "timeuot"),
    ],
)
async def test_bad_parameters_are_refused_by_name(gateway: Gateway, params: dict[str, Any], named: str) -> None:
    async with wire(gateway.driver()) as cdp:
        with pytest.raises(CdpError) as refusal:
            await cdp.call("Gateway.reconnect", params)
        assert refusal.value.code == -32602
        assert named in refusal.value.message
        assert await cdp.call("Browser.getVersion"), "the connection goes on"


async def test_an_unknown_method_of_the_domain(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as cdp:
        with pytest.raises(CdpError) as refusal:
            await cdp.call("Gateway.dance")
        assert refusal.value.code == -32601


async def test_puppeteer_disconnects_and_comes_back(gateway: Gateway, site: Site) -> None:
    async with driver("puppeteer") as client:
        await client.connect(gateway.driver())
        birth = await counting(client, site)
        endpoint = await keep(client)
        await client.do("disconnect")
        await still_counting(f"{endpoint}?token={gateway.token}", "puppeteer", site, birth)
    await gateway.all_browsers_gone()


@pytest.mark.parametrize("own_context", [False, True], ids=["default-context", "newContext"])
async def test_playwright_closes_and_comes_back(gateway: Gateway, site: Site, own_context: bool) -> None:
    async with driver("playwright") as client:
        await client.connect(gateway.driver())
        await client.do("newPage", ownContext=own_context)
        birth = await counting(client, site)
        endpoint = await keep(client)
        await client.do("close")
        await still_counting(endpoint, "playwright", site, birth)


async def test_playwright_for_python_closes_and_comes_back(gateway: Gateway, site: Site) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(gateway.driver())
        page = await (await browser.new_context()).new_page()
        await page.goto(f"{site.url}/counter")
        assert await page.evaluate("bump() && bump()") == 2
        birth = await page.evaluate("birth")
        session = await browser.new_browser_cdp_session()
        granted = await session.send("Gateway.reconnect", {"timeout": 30_000})
        await browser.close()
        again = await playwright.chromium.connect_over_cdp(granted["browserWSEndpoint"])
        pages = [page for context in again.contexts for page in context.pages]
        (kept,) = [page for page in pages if page.url == f"{site.url}/counter"]
        assert await kept.evaluate("birth") == birth
        assert await kept.evaluate("bump()") == 3
        await again.close()


async def test_a_killed_client_leaves_the_browser_to_the_next(gateway: Gateway, site: Site) -> None:
    async with driver("puppeteer") as client:
        await client.connect(gateway.driver())
        birth = await counting(client, site)
        endpoint = await keep(client)
        await client.send("evaluate", expression="new Promise(() => {})")
        await client.kill()
    await still_counting(endpoint, "puppeteer", site, birth)


async def test_close_then_connect_never_meets_the_seat_taken(gateway: Gateway) -> None:
    async with driver("puppeteer") as client:
        await client.connect(gateway.driver())
        for _ in range(8):
            endpoint = await keep(client)
            await client.do("disconnect")
            await client.connect(endpoint)


async def test_the_next_client_must_ask_again(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as cdp:
        endpoint = (await cdp.call("Gateway.reconnect", {"timeout": 30_000}))["browserWSEndpoint"]
    async with wire(endpoint) as cdp:
        assert await cdp.call("Browser.getVersion")
        again = (await cdp.call("Gateway.reconnect", {"timeout": 30_000}))["browserWSEndpoint"]
    async with wire(again) as cdp:
        assert await cdp.call("Browser.getVersion")
    await gateway.all_browsers_gone()
    (await refused_upgrade(again)).refused(410)


async def test_time_up_ends_the_browser_and_the_url_is_gone(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as cdp:
        endpoint = (await cdp.call("Gateway.reconnect", {"timeout": 700}))["browserWSEndpoint"]
        session = await cdp.page()
        await cdp.evaluate("new Promise((resolve) => setTimeout(resolve, 1200))", session)
        assert await cdp.evaluate("1 + 1", session) == 2, "a client that stays is not cut off"
        leaves = time.monotonic()
    await gateway.all_browsers_gone()
    assert time.monotonic() - leaves > 0.69, "the time runs from the moment the client goes"
    (await refused_upgrade(endpoint)).refused(410)
    (await refused_upgrade(f"{endpoint}?token={gateway.token}")).refused(410)


async def test_auth_lets_in_only_who_has_it(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as cdp:
        params = {"timeout": 30_000, "auth": "open-sesame"}
        endpoint = (await cdp.call("Gateway.reconnect", params))["browserWSEndpoint"]
    (await refused_upgrade(endpoint)).refused(401)
    (await refused_upgrade(f"{endpoint}?token=open-barley")).refused(401)
    (await refused_upgrade(f"{endpoint}?token={gateway.token}")).refused(401)
    async with wire(f"{endpoint}?token=open-sesame") as cdp:
        assert await cdp.call("Browser.getVersion")


async def test_an_address_that_was_never_handed_out(gateway: Gateway) -> None:
    nobody = "/reconnect/00000000-0000-4000-8000-000000000000"
    (await refused_upgrade(gateway.driver(nobody))).refused(404)
    (await refused_upgrade(gateway.ws + nobody)).refused(401)


async def test_detach_closes_the_socket_after_the_reply(gateway: Gateway, site: Site) -> None:
    async with driver("playwright") as client:
        await client.connect(gateway.driver())
        birth = await counting(client, site)
        endpoint = await keep(client, detach=True)
        await client.line(event="disconnected")
        await still_counting(endpoint, "playwright", site, birth)


async def test_one_driver_at_a_time(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as first:
        endpoint = (await first.call("Gateway.reconnect", {"timeout": 30_000}))["browserWSEndpoint"]
        (await refused_upgrade(endpoint)).refused(409)
        assert await first.call("Browser.getVersion"), "the refusal does not disturb the driver"
        async with wire(f"{endpoint}?takeover=true") as second:
            code, reason = await first.closed()
            assert code == 4002
            assert reason
            assert await second.call("Browser.getVersion")


async def test_close_is_meant_though_reconnect_was_asked_for(gateway: Gateway) -> None:
    async with driver("puppeteer") as client:
        await client.connect(gateway.driver())
        endpoint = await keep(client)
        await client.do("close")
        await gateway.all_browsers_gone()
        (await refused_upgrade(endpoint)).refused(410)
        with pytest.raises(ClientError, match="410"):
            await client.connect(endpoint)


async def test_pages_that_wait_for_nobody_are_let_go(gateway: Gateway, site: Site) -> None:
    """Interception belongs to the client that left: the page loads without it."""
    async with wire(gateway.driver()) as cdp:
        session = await cdp.page()
        await cdp.call("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, session)
        endpoint = (await cdp.call("Gateway.reconnect", {"timeout": 30_000}))["browserWSEndpoint"]
    async with driver("playwright") as client:
        await client.connect(endpoint)
        assert await client.goto(f"{site.url}/") == 200
