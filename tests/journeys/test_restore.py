"""A login that lasts: put away and revived, stopped and restored, with the gateway started anew in between."""

import asyncio

import pytest

from tests.journeys.driving import driver, needs_shell
from tests.journeys.login import connect_and_see, log_in_and_leave
from tests.journeys.running import Gateway, Starter
from tests.site.app import Site


async def test_put_away_and_revived_by_the_same_url(gateway: Gateway, site: Site) -> None:
    session = await gateway.create(processKeepAlive=300)
    await log_in_and_leave(session, site)
    await gateway.status(session["id"], "suspended")
    assert gateway.nothing_left(), "suspended is said once the browser is gone"
    await connect_and_see(session["connect"], site)
    assert (await gateway.status(session["id"], "suspended"))["id"] == session["id"]


async def test_connecting_while_it_is_put_away_waits_for_the_next_browser(gateway: Gateway, site: Site) -> None:
    session = await gateway.create(processKeepAlive=1)
    await log_in_and_leave(session, site)
    await connect_and_see(session["connect"], site)


@pytest.mark.parametrize("headless", [True, pytest.param("shell", marks=needs_shell)])
async def test_stop_saves_before_it_answers_and_restore_brings_it_back(
    gateway: Gateway, site: Site, headless: bool | str
) -> None:
    session = await gateway.create(headless=headless)
    await log_in_and_leave(session, site)
    stopped = await gateway.request("DELETE", f"/session/{session['id']}")
    assert gateway.nothing_left(), "the answer comes when the browser is gone"
    stopped.ok()
    saved = (await gateway.request("GET", f"/session/{session['id']}/snapshots")).ok()["snapshots"]
    assert saved
    assert {"version", "createdAt", "bytes", "reason"} <= set(saved[0])
    restored = (await gateway.request("POST", f"/session/{session['id']}/restore")).ok(201)
    assert restored["id"] != session["id"]
    await connect_and_see(restored["connect"], site)


async def test_create_with_restore(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    await log_in_and_leave(session, site)
    (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
    restored = await gateway.create(restore=session["id"])
    await connect_and_see(restored["connect"], site)


async def test_the_gateway_restarts_between_stop_and_restore(start_gateway: Starter, site: Site) -> None:
    first = await start_gateway()
    session = await first.create()
    await log_in_and_leave(session, site)
    (await first.request("DELETE", f"/session/{session['id']}")).ok()
    await asyncio.to_thread(first.stop)
    second = await start_gateway()
    assert (await second.record(session["id"]))["status"] == "stopped"
    restored = (await second.request("POST", f"/session/{session['id']}/restore")).ok(201)
    await connect_and_see(restored["connect"], site)


async def test_browser_close_puts_away_and_the_session_goes_on(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    await log_in_and_leave(session, site)
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.do("close")
    await gateway.status(session["id"], "suspended")
    assert gateway.nothing_left()
    await connect_and_see(session["connect"], site)


async def test_what_the_application_changed_after_a_restore_stays(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    await log_in_and_leave(session, site)
    (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
    restored = (await gateway.request("POST", f"/session/{session['id']}/restore")).ok(201)
    async with driver("puppeteer") as client:
        await client.connect(restored["connect"])
        await client.do("usePage", url=f"{site.url}/state")
        await client.evaluate("localStorage.setItem('token', 'changed'), sessionStorage.setItem('draft', 'new')")
        state = await client.state(site)
        assert state["localStorage"]["token"] == "changed"
        assert state["sessionStorage"]["draft"] == "new"


async def test_purge_erases_what_was_saved(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    await log_in_and_leave(session, site)
    (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
    (await gateway.request("DELETE", f"/session/{session['id']}?purge=true")).ok()
    refusal = await gateway.request("POST", f"/session/{session['id']}/restore")
    assert refusal.status in (404, 409, 410)
    refusal.refused(refusal.status)
    kept = [path for path in gateway.data_dir.rglob("*") if session["id"] in path.name]
    assert not kept, "no file of it is left"


async def test_saving_by_hand(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.log_in(site)
        saved = await client.cdp("Gateway.snapshot")
        assert saved["version"] >= 1
        again = await gateway.request("POST", f"/session/{session['id']}/snapshot")
        assert again.status in (200, 201), again.body
        versions = (await gateway.request("GET", f"/session/{session['id']}/snapshots")).ok()["snapshots"]
        assert len(versions) >= 2
        assert await client.do("text", selector="#title") == "Hello alice", "the session runs on"


async def test_many_tabs_load_when_puppeteer_looks_at_them(gateway: Gateway, site: Site) -> None:
    """One after the other by bringToFront or reload. To Playwright every page is in front, so all of them load."""
    session = await gateway.create()
    paths = [f"/page/{number}" for number in range(1, 8)]
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        for number, path in enumerate(paths):
            if number:
                await client.do("newPage")
            await client.goto(f"{site.url}{path}")
            await client.shown("found")
    (await gateway.request("DELETE", f"/session/{session['id']}?force=true")).ok()
    asked = [site.asked[path] for path in paths]
    restored = (await gateway.request("POST", f"/session/{session['id']}/restore")).ok(201)
    async with driver("puppeteer") as client:
        shown = (await client.connect(restored["connect"]))["pages"]
        assert sorted(shown) == [f"{site.url}{path}" for path in paths]
        await client.do("usePage", url=f"{site.url}/page/7")
        assert await client.do("text", selector="#title") == "Page 7", "the active one is there"
        await client.do("usePage", url=f"{site.url}/page/2")
        assert await client.evaluate("document.querySelector('#title')") is None
        assert [site.asked[path] for path in paths] == [*asked[:6], asked[6] + 1], "the others have asked for nothing"
        await client.cdp("Page.bringToFront")
        await client.do("waitFor", selector="html[data-ready]")
        await client.do("usePage", url=f"{site.url}/page/3")
        await client.cdp("Page.reload")
        await client.do("waitFor", selector="html[data-ready]")
        assert [site.asked[path] for path in paths] == [
            asked[0],
            *(n + 1 for n in asked[1:3]),
            *asked[3:6],
            asked[6] + 1,
        ]
        await client.do("disconnect")
    async with driver("playwright") as client:
        await client.connect(restored["connect"])
        for path in paths:
            await client.do("usePage", url=f"{site.url}{path}")
            await client.do("waitFor", selector="html[data-ready]")
    assert [site.asked[path] for path in paths] == [number + 1 for number in asked]


async def test_what_was_granted_is_granted_before_the_first_script(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.goto(f"{site.url}/page/1")
        grant = {"origin": site.url, "permission": {"name": "geolocation"}, "setting": "granted"}
        await client.cdp("Browser.setPermission", grant, browser=True)
        assert await client.evaluate(ASKED) == "granted"
        (await gateway.request("POST", f"/session/{session['id']}/snapshot")).ok(201)
    (await gateway.request("DELETE", f"/session/{session['id']}?force=true")).ok()
    restored = (await gateway.request("POST", f"/session/{session['id']}/restore", json={"snapshot": 1})).ok(201)
    async with driver("puppeteer") as client:
        await client.connect(restored["connect"])
        assert await client.evaluate(ASKED) == "granted"
        # Chromium takes back all permissions when a client that has set one goes: ours are there again.
        await client.cdp("Browser.setPermission", {**grant, "permission": {"name": "notifications"}}, browser=True)
        await client.do("disconnect")
        await gateway.status(restored["id"], "detached")
        await client.connect(restored["connect"])
        await client.do("usePage", url=f"{site.url}/page/1")
        assert await client.evaluate(ASKED) == "granted"
        # What a driver decides otherwise is its own affair from then on.
        await client.cdp("Browser.setPermission", {**grant, "setting": "denied"}, browser=True)
        await client.do("disconnect")
        await gateway.status(restored["id"], "detached")
        await client.connect(restored["connect"])
        await client.do("usePage", url=f"{site.url}/page/1")
        assert await client.evaluate(ASKED) == "denied"


ASKED = "navigator.permissions.query({ name: 'geolocation' }).then(({ state }) => state)"
