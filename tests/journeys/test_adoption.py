"""The gateway is killed, or replaced: its browsers run on, and the next gateway on the data directory adopts them."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.journeys.driving import driver, refused_upgrade, wire
from tests.journeys.running import Gateway, Starter, eventually
from tests.site.app import Site


def moved(url: str, gateway: Gateway) -> str:
    """A URL of the gateway before, at the port of this one."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{gateway.url.partition('://')[2]}/{rest.partition('/')[2]}"


async def bumped(endpoint: str, times: int) -> Any:
    """Connect with Puppeteer to a page that counts: `{"counter", "birth"}` after so many more bumps."""
    async with driver("puppeteer") as client:
        await client.connect(endpoint)
        await client.do("waitFor", selector="#bump")  # it may be loading
        for _ in range(times):
            await client.evaluate("bump()")
        found = await client.evaluate("({counter, birth, user: document.cookie})")
        await client.do("disconnect")
        return found


@pytest.mark.parametrize("library", ["puppeteer", "playwright"])
async def test_a_killed_gateways_sessions_go_on(start_gateway: Starter, site: Site, library: str) -> None:
    first = await start_gateway(park_after="1s")
    session = await first.create(processKeepAlive=120_000)
    left = await first.create(processKeepAlive=60_000, url=f"{site.url}/counter")
    await first.status(left["id"], "detached")
    until = (await first.record(left["id"]))["expiresAt"]
    async with driver(library) as client, driver(library) as standard, driver("puppeteer") as ephemeral:
        await client.connect(session["connect"])
        await client.log_in(site)
        await client.goto(f"{site.url}/counter")
        await client.evaluate("bump(), bump()")
        before = await client.evaluate("({counter, birth})")
        await standard.connect(first.driver())
        await standard.goto(f"{site.url}/counter")
        await standard.evaluate("bump()")
        kept = await standard.cdp("Gateway.reconnect", {"timeout": 60_000, "auth": "mine"})
        birth = await standard.evaluate("birth")
        await ephemeral.connect(first.driver())
        assert len(first.browsers()) == 4
        running = {process.pid for process in first.browsers()}
        await asyncio.to_thread(first.kill)
    second = await start_gateway()
    assert {process.pid for process in second.browsers()} < running, "one had nobody to wait for"
    assert len(second.browsers()) == 3
    assert (await second.record(session["id"]))["status"] == "detached"
    assert (await second.record(left["id"]))["expiresAt"] == until
    # The same URLs, the same pages, the same heap.
    found = await bumped(moved(session["connect"], second), 1)
    assert (found["counter"], found["birth"]) == (before["counter"] + 1, before["birth"])
    (await refused_upgrade(moved(kept["browserWSEndpoint"], second))).refused(401)
    assert (await bumped(f"{moved(kept['browserWSEndpoint'], second)}?token=mine", 1))["birth"] == birth
    assert (await bumped(moved(left["connect"], second), 1))["counter"] == 1
    # And they end as ever.
    for one in (session, left):
        (await second.request("DELETE", f"/session/{one['id']}")).ok()
    assert (await second.record(session["id"]))["status"] == "stopped"
    restored = (await second.request("POST", f"/session/{session['id']}/restore")).ok(201)
    async with driver("puppeteer") as client:
        await client.connect(restored["connect"])
        assert (await client.state(site))["user"] == "alice"


async def test_the_time_that_was_left(start_gateway: Starter, site: Site) -> None:
    first = await start_gateway()
    session = await first.create(processKeepAlive=6_000)
    await asyncio.to_thread(first.kill)
    await asyncio.sleep(4)  # what is to pass is time itself
    began = time.monotonic()
    second = await start_gateway()
    record = await second.status(session["id"], "suspended")
    assert time.monotonic() - began < 6, "it was not given all of it anew"
    assert record["reason"] == "keep_alive"
    assert second.nothing_left()


async def test_killed_with_all_its_browsers(start_gateway: Starter, site: Site) -> None:
    """What was there is revived from the last checkpoint, no older than the interval, and the profile."""
    first = await start_gateway(checkpoint_interval="1s", warm="1")
    session = await first.create()
    unused = await first.create()
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.log_in(site)
        before = await client.state(site)
        await client.evaluate("void setInterval(() => { document.cookie = `tick=${Date.now()}` }, 100)")
        await first.saved_twice(session["id"])
        first.process.kill()
        for process in first.processes():
            with suppress(psutil.NoSuchProcess):  # what ends with the gateway by itself
                process.kill()
        await asyncio.to_thread(first.kill)
    second = await start_gateway()
    assert second.nothing_left()
    assert (await second.record(unused["id"]))["status"] == "suspended"
    assert (await second.record(session["id"]))["reason"] == "gateway_killed"
    async with driver("puppeteer") as client:
        await client.connect(moved(session["connect"], second))
        after = await client.state(site)
    assert after["user"] == "alice"
    assert (after["localStorage"], after["notes"]) == (before["localStorage"], before["notes"])
    assert site.logins == 1


async def test_an_upgrade(start_gateway: Starter, site: Site) -> None:
    """SIGUSR2: clients are told, the gateway leaves, its browsers wait for the next one."""
    first = await start_gateway()
    session = await first.create(processKeepAlive=60_000, url=f"{site.url}/counter")
    async with wire(session["connect"]) as cdp:
        assert await cdp.call("Browser.getVersion")
        first.process.send_signal(signal.SIGUSR2)
        code, reason = await cdp.closed()
        assert (code, "connect again" in reason) == (1012, True)
    assert await asyncio.to_thread(first.process.wait, 45) == 0
    await asyncio.to_thread(first.kill)  # it is gone: only its output is still to be read
    running = {process.pid for process in first.browsers()}
    assert len(running) == 1
    second = await start_gateway()
    assert {process.pid for process in second.browsers()} == running
    assert (await bumped(moved(session["connect"], second), 1))["counter"] == 1


async def test_nobody_comes_for_them(start_gateway: Starter, site: Site) -> None:
    first = await start_gateway(adopt_timeout="1s")
    session = await first.create(processKeepAlive=60_000)
    async with wire(first.driver()) as cdp:
        assert await cdp.call("Browser.getVersion")
        await asyncio.to_thread(first.kill)
    await eventually("their guard has ended them", lambda: not first.processes())
    second = await start_gateway()
    assert (await second.record(session["id"]))["status"] == "suspended"
    assert second.nothing_left()


async def test_a_parked_browser_is_killed_and_connected_to_at_once(start_gateway: Starter, site: Site) -> None:
    gateway = await start_gateway(park_after="100ms", checkpoint_interval="1s")
    session = await gateway.create(processKeepAlive=60_000, url=f"{site.url}/counter")
    for _ in range(3):
        (main,) = gateway.browsers()
        await eventually("it is parked", lambda main=main: main.status() == psutil.STATUS_STOPPED)  # type: ignore[misc]
        main.kill()
        assert (await bumped(session["connect"], 1))["counter"] == 1


async def test_without_adoption_they_end_with_it(start_gateway: Starter) -> None:
    first = await start_gateway(adopt_timeout="0")
    await first.create()
    await asyncio.to_thread(first.kill)
    await eventually("all have ended", lambda: not first.processes())
    second = await start_gateway()
    assert second.nothing_left()


async def test_a_parked_browser_is_adopted(start_gateway: Starter, site: Site) -> None:
    first = await start_gateway(park_after="100ms")
    session = await first.create(processKeepAlive=60_000, url=f"{site.url}/counter")
    main = first.browsers()[0]
    await eventually("it is parked", lambda: main.status() == psutil.STATUS_STOPPED)
    await asyncio.to_thread(first.kill)
    second = await start_gateway()
    assert (await bumped(moved(session["connect"], second), 1))["counter"] == 1
    os.kill(main.pid, signal.SIGKILL)
    await second.status(session["id"], "suspended")
