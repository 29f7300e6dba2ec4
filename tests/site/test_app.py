"""The test application itself: its login must be one that cannot be had without the form and the cookie."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.journeys.driving import Driver, driver
from tests.journeys.running import Gateway
from tests.site.app import PASSWORD, USER, Site


async def csrf(client: aiohttp.ClientSession, site: Site) -> str:
    async with client.get(f"{site.url}/login") as form:
        return (await form.text()).partition('name="csrf" value="')[2].partition('"')[0]


async def test_login_wants_the_form_and_the_password(site: Site) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        fields = {"username": USER, "password": PASSWORD}
        assert (await client.post(f"{site.url}/login", data={**fields, "csrf": "guessed"})).status == 403
        wrong = {**fields, "password": "looking-glass", "csrf": await csrf(client, site)}
        assert (await client.post(f"{site.url}/login", data=wrong)).status == 401
        token = await csrf(client, site)
        async with client.post(f"{site.url}/login", data={**fields, "csrf": token}) as reply:
            assert reply.url.path == "/account"
            assert "Hello alice" in await reply.text()
            session, persistent, host_only = reply.history[0].headers.getall("Set-Cookie")
        assert "Secure" in host_only
        assert "HttpOnly" in session
        assert "Max-Age" not in session
        assert "Max-Age=2592000" in persistent
        assert (await client.post(f"{site.url}/login", data={**fields, "csrf": token})).status == 403, "used twice"


async def test_account_is_only_for_a_valid_session_and_logout_ends_it(site: Site) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.get(f"{site.url}/account") as reply:
            assert reply.url.path == "/login"
        fields = {"username": USER, "password": PASSWORD, "csrf": await csrf(client, site)}
        await client.post(f"{site.url}/login", data=fields)
        kept = {cookie.key: cookie.value for cookie in client.cookie_jar}
        await client.post(f"{site.url}/logout")
        async with client.get(f"{site.url}/account", cookies=kept, allow_redirects=False) as reply:
            assert reply.status == 303, "the server has forgotten that session"


async def test_a_token_is_taken_as_often_as_it_may(site: Site) -> None:
    site.uses = 2
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        fields = {"username": USER, "password": PASSWORD, "csrf": await csrf(client, site)}
        await client.post(f"{site.url}/login", data=fields)

        async def show(token: str) -> tuple[int, str]:
            async with client.post(f"{site.url}/token", data=token) as reply:
                return reply.status, await reply.text()

        assert await show("") == (200, site.tokens[0]), "the login itself is the first proof"
        assert [(await show(site.tokens[0]))[0] for _ in range(3)] == [200, 200, 403]
        assert await show("") == (403, "no token")
        assert await show("guessed") == (403, "no token")
        assert (await show(site.tokens[2]))[0] == 200
    assert site.refused == ["an old token", "no token", "no token"]


async def title(client: Driver) -> str:
    await client.do("waitFor", selector="html[data-ready]")
    return str(await client.do("text", selector="#title"))


@pytest.fixture
async def client(gateway: Gateway, site: Site) -> AsyncIterator[Driver]:
    """Puppeteer on a browser in which alice is logged in."""
    async with driver("puppeteer") as running:
        await running.connect(gateway.driver())
        await running.log_in(site)
        yield running
        await running.do("close")


async def test_each_visit_wants_the_token_of_the_last(client: Driver, site: Site) -> None:
    assert (await client.shown("found"))["token"] is None
    await client.goto(f"{site.url}/account")
    found = await client.shown("found")
    assert (found["token"], found["draft"], found["loads"]) == (site.tokens[0], "a letter of visit 1", 1)
    assert (found["notes"], found["created"], found["cookie"]) == ([1], False, "remember=alice")
    state = await client.state(site)
    assert state["localStorage"]["token"] == site.tokens[1]
    assert [entry for _, entry in state["notes"]["log"]["entries"]] == ["visit 1", "visit 2"]
    await client.evaluate(f"localStorage.setItem('token', '{site.tokens[0]}')")
    await client.goto(f"{site.url}/account")
    assert await title(client) == "Logged out: an old token"
    await client.evaluate("localStorage.clear()")
    await client.goto(f"{site.url}/account")
    assert await title(client) == "Logged out: no token"


async def test_the_service_worker_answers_without_the_server(client: Driver, site: Site) -> None:
    await client.goto(f"{site.url}/worker")
    shown = await client.shown("found")
    assert shown["caches"] == ["app-v1"]
    assert "Kept for when there is no server" in shown["offline"]
    await client.goto(f"{site.url}/offline")
    assert await client.do("text", selector="#title") == "Kept for when there is no server"
    assert site.asked["/offline"] == 1
    assert (await client.state(site))["controlled"]


async def test_cookies_of_both_kinds_reach_the_server(client: Driver, site: Site) -> None:
    await client.goto(f"{site.url}/embed")
    await client.do("waitFor", selector="html[data-frame='']")
    await client.goto(f"{site.url}/embed")
    await client.do("waitFor", selector="html[data-ready]")
    assert await client.evaluate("document.documentElement.dataset.frame") == site.chips[0], "the frame's, partitioned"
    cookies = await client.evaluate("fetch('/whoami').then((reply) => reply.json())")
    assert cookies["user"] == "alice"
    assert set(cookies["cookies"]) == {"sid", "remember", "__Host-device"}


async def test_pages_are_long_and_tell_what_they_found(client: Driver, site: Site) -> None:
    await client.goto(f"{site.url}/page/9")
    found = await client.shown("found")
    assert (found["token"], found["loads"], found["notes"]) == (site.tokens[0], 1, [1])
    assert await client.evaluate("document.documentElement.scrollHeight") > 6000
    await client.do("clickAndWait", selector="#next")
    assert await client.do("url") == f"{site.url}/page/1"
    assert site.asked["/page/9"] == 1


async def test_megabytes_are_millions_of_bytes(site: Site) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"{site.url}/megabytes/3") as reply:
        assert len(await reply.read()) == 3_000_000
