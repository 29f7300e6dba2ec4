"""What survives what: one session goes through every end that it can have, and a client looks for what it left.

`bench/survival.py` measures the same and prints it as a table.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from tests.journeys.driving import Driver, driver, needs_shell, wire
from tests.journeys.running import Gateway, Starter, eventually
from tests.site.app import Site

TYPED = "half a sent"
SCROLLED = 2000  # pixels
INTERVAL = 1  # seconds between checkpoints
MARGIN = 10.0  # seconds that a checkpoint may take on a busy machine; from the profile alone it would be 30 or more
SCRIPTS = frozenset({"JS heap"})  # what ends with the page's process
PAGES = SCRIPTS | {"typed text"}  # what a page that is loaded anew has not
SHELL = {"the active tab"}  # what the headless shell never had: each of its tabs is visible
PROFILE = {"Cache Storage and the service worker"}  # what is in no document, and so in no other kind of browser


@dataclass(frozen=True)
class Left:
    """What the site's pages had when their client went."""

    seen: Any
    tabs: list[str]


async def leave(client: Driver, site: Site) -> Left:
    """Log in, install the service worker, and have two tabs; the one in use has a history."""
    await client.log_in(site)
    await client.goto(f"{site.url}/embed")
    await client.do("waitFor", selector="html[data-ready]")
    await client.goto(f"{site.url}/worker")
    await client.shown("found")
    for number in (1, 2):
        await client.goto(f"{site.url}/page/{number}")
        await client.shown("found")
    await client.do("newPage")
    await client.goto(f"{site.url}/page/5")
    await client.shown("found")
    await client.do("usePage", url=f"{site.url}/page/2")
    await touch(client)
    await client.evaluate("write('the-last-word')")
    return Left(await client.evaluate("look()"), sorted(await client.do("pages")))


async def touch(client: Driver) -> None:
    """What nobody but this page knows of: typed text, the scroll position, a variable."""
    await client.cdp("Page.bringToFront")
    await client.evaluate("typed.value = ''")
    await client.do("type", selector="#typed", text=TYPED)
    await client.evaluate(f"scrollTo(0, {SCROLLED}), window.heap = 42")


async def lost(client: Driver, endpoint: str, site: Site, left: Left) -> set[str]:
    """Connect, and name what is no longer as it was left. The client stays connected, to the first tab."""
    tabs = sorted((await client.connect(endpoint))["pages"])
    assert tabs == left.tabs
    await client.do("usePage", url=f"{site.url}/page/2")
    await client.do("waitFor", selector="html[data-ready]")
    now, before = await client.evaluate("look()"), left.seen
    found = await client.shown("found")
    history = (await client.cdp("Page.getNavigationHistory"))["entries"]
    is_there = {
        "session cookies": now["server"]["cookies"].get("sid") == before["server"]["cookies"]["sid"],
        "other cookies": now["server"]["cookies"] == before["server"]["cookies"],
        "the login": now["server"]["user"] == "alice",
        "what the first script finds": (found["token"], found["draft"]) == (before["token"], before["draft"])
        and ("remember=alice" in found["cookie"], found["notes"], found["created"]) == (True, [1], False),
        "localStorage": now["token"] == before["token"],
        "IndexedDB": now["notes"] == before["notes"],
        "sessionStorage": now["draft"] == before["draft"] and now["loads"] >= before["loads"],
        "what was written last": now["last"] == before["last"],
        "Cache Storage and the service worker": now["offline"],
        "the active tab": await client.evaluate("document.visibilityState") == "visible",
        "history": f"{site.url}/page/1" in [entry["url"] for entry in history],
        "scroll": await client.evaluate("scrollY") == SCROLLED,
        "typed text": await client.evaluate("typed.value") == TYPED,
        "JS heap": await client.evaluate("window.heap === 42"),
    }
    return {what for what, there in is_there.items() if not there}


async def nothing_is_written_again(client: Driver, site: Site) -> None:
    """Go on in a restored session: what the application writes now, its next page finds."""
    assert not await client.evaluate("told"), "nobody else has written to localStorage"
    loads = int((await client.evaluate("look()"))["loads"])
    for visit in (1, 2):
        await client.goto(f"{site.url}/account")
        found = await client.shown("found")
        assert await client.do("text", selector="#title") == "Hello alice", "the token of the last visit"
        assert found["loads"] == loads + visit - 1
        assert found["token"] == site.tokens[-2]
    await client.goto(f"{site.url}/embed")
    await client.do("waitFor", selector="html[data-ready]")
    assert await client.evaluate("document.documentElement.dataset.frame") == site.chips[0], "a partitioned cookie"
    assert len(site.chips) == 1


async def leave_again(client: Driver, gateway: Gateway, session: Any) -> None:
    """Go on in the first tab, and go."""
    await touch(client)
    await client.do("disconnect")
    await gateway.status(session["id"], "detached")


async def stop_and_restore(gateway: Gateway, session: Any) -> Any:
    (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
    return (await gateway.request("POST", f"/session/{session['id']}/restore")).ok(201)


async def put_away(gateway: Gateway, session: Any) -> None:
    (await gateway.request("PATCH", f"/session/{session['id']}", json={"processKeepAlive": 1})).ok()
    await gateway.status(session["id"], "suspended")


async def test_on_full_chromium(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        left = await leave(client, site)
        await client.do("disconnect")
        assert await lost(client, session["connect"], site, left) == set(), "the client disconnects"
        await leave_again(client, gateway, session)
        await put_away(gateway, session)
        assert await lost(client, session["connect"], site, left) <= PAGES, "put away and revived"
        await leave_again(client, gateway, session)
        session = await stop_and_restore(gateway, session)
        assert await lost(client, session["connect"], site, left) <= PAGES, "stopped and restored"
        await nothing_is_written_again(client, site)
    assert site.logins == 1
    assert site.asked["/offline"] == 1


@needs_shell
async def test_on_the_headless_shell_and_from_there_on_full_chromium(gateway: Gateway, site: Site) -> None:
    session = await gateway.create(headless="shell")
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        left = await leave(client, site)
        await client.do("disconnect")
        session = await stop_and_restore(gateway, session)
        assert await lost(client, session["connect"], site, left) <= PAGES, "stopped and restored"
        await leave_again(client, gateway, session)
        (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
        other = await gateway.create(restore=session["id"], headless=True)
        missing = await lost(client, other["connect"], site, left)
        assert missing <= PAGES | PROFILE | SHELL, "in another kind of browser"
        await nothing_is_written_again(client, site)
    assert site.logins == 1


async def test_kill_9_of_the_gateway_alone(start_gateway: Starter, site: Site) -> None:
    first = await start_gateway()
    session = await first.create()
    async with driver("puppeteer") as client, driver("playwright") as other:
        await client.connect(session["connect"])
        left = await leave(client, site)
        await other.connect(first.driver())
        await other.goto(f"{site.url}/counter")
        birth = await other.evaluate("birth")
        kept = (await other.cdp("Gateway.reconnect", {"timeout": 60_000}))["browserWSEndpoint"]
        async with wire(first.driver()) as ephemeral:
            assert await ephemeral.call("Browser.getVersion")
            assert len(first.browsers()) == 3
            await asyncio.to_thread(first.kill)
        second = await start_gateway()
        await eventually("the browser that nobody has kept is gone", lambda: len(second.browsers()) == 2)
        assert (await second.record(session["id"]))["status"] == "detached"
        endpoint = session["connect"].replace(first.ws, second.ws)
        assert await lost(client, endpoint, site, left) == set()
        await other.connect(kept.replace(first.ws, second.ws))
        await other.do("usePage", url=f"{site.url}/counter")
        assert await other.evaluate("birth") == birth


async def ticking(client: Driver) -> None:
    """Let the page write the time into its storage and two cookies, ten times a second."""
    tick = "document.cookie = `tick=${now}`, document.cookie = `tock=${now}; max-age=9999`, localStorage.tick = now"
    await client.evaluate(f"void setInterval((now = Date.now()) => {{ {tick} }}, 100)")


async def age_of_ticks(client: Driver, killed_at: float) -> float:
    """How many seconds before the kill the oldest of storage and cookies is from, as the first script found them."""
    cookies = "...[/tick=(\\d+)/, /tock=(\\d+)/].map((one) => found.cookie.match(one)?.[1])"
    ticks = await client.evaluate(f"[found.localStorage.tick, {cookies}].map((tick) => Number(tick ?? 0))")
    return killed_at - float(min(ticks)) / 1000


async def test_kill_9_of_chromium_and_of_everything(start_gateway: Starter, site: Site) -> None:
    gateway = await start_gateway(checkpoint_interval=f"{INTERVAL}s")
    session = await gateway.create()
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        left = await leave(client, site)
        await ticking(client)
        await gateway.saved_twice(session["id"])
        killed_at = time.time()
        gateway.browsers()[0].kill()
        await client.line(event="disconnected")
        assert await lost(client, session["connect"], site, left) <= PAGES, "Chromium is killed"
        assert await age_of_ticks(client, killed_at) < INTERVAL + MARGIN

        await ticking(client)
        await touch(client)
        await gateway.saved_twice(session["id"])
        killed_at = time.time()
        gateway.process.kill()
        for process in gateway.processes():
            with suppress(psutil.NoSuchProcess):  # what ends with the gateway by itself
                process.kill()
        await asyncio.to_thread(gateway.kill)
        second = await start_gateway(checkpoint_interval=f"{INTERVAL}s")
        endpoint = session["connect"].replace(gateway.ws, second.ws)
        assert await lost(client, endpoint, site, left) <= PAGES, "the gateway and its browsers are killed"
        assert await age_of_ticks(client, killed_at) < INTERVAL + MARGIN
    assert not site.refused
