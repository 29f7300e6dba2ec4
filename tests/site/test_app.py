"""The test application itself: its login must be one that cannot be had without the form and the cookie."""

import aiohttp

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
            session, persistent = reply.history[0].headers.getall("Set-Cookie")
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


async def test_megabytes_are_millions_of_bytes(site: Site) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"{site.url}/megabytes/3") as reply:
        assert len(await reply.read()) == 3_000_000
