"""Browsers that are ready before they are asked for, as clients meet them."""

import asyncio
import os
import signal
from functools import partial
from typing import Any

import psutil

from browser_pool.memory import memory
from tests.journeys.driving import driver, refused_upgrade, wire
from tests.journeys.running import Gateway, Starter, eventually, eventually_asked
from tests.site.app import Site

BURST = 20


async def warm(gateway: Gateway, number: int) -> None:
    """Wait until that many are ready."""

    async def ready() -> bool:
        pressure = (await gateway.request("GET", "/pressure")).ok()["pressure"]
        return bool(pressure["warm"] == number)

    await eventually_asked(f"{number} browsers are ready", ready, 60)


async def from_where(gateway: Gateway) -> dict[str, int]:
    """How many leases there were, by where the browser came from."""
    text: str = (await gateway.request("GET", "/metrics")).ok()
    lines = [line for line in text.splitlines() if line.startswith("gateway_leases_total")]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}


def ended(process: psutil.Process) -> bool:
    return not process.is_running()


async def test_a_client_gets_the_ready_browser_and_the_next_one_another(start_gateway: Starter, site: Site) -> None:
    gateway = await start_gateway(warm="1")
    for _ in range(2):
        await warm(gateway, 1)
        (ready,) = gateway.browsers()
        async with driver("puppeteer") as client:
            await client.connect(gateway.driver())
            assert ready.is_running()
            await client.log_in(site)  # refused if anything of the one before were there
            await client.do("close")
        await eventually("the used browser is gone", partial(ended, ready))
    assert await from_where(gateway) == {"warm": 2, "launched": 0, "adopted": 0}


async def test_a_session_in_a_window_of_its_own_size_and_with_a_given_context(start_gateway: Starter) -> None:
    gateway = await start_gateway(warm="1")
    await warm(gateway, 1)
    cookie = {"name": "who", "value": "alice", "domain": "127.0.0.1", "path": "/", "expires": -1}
    session = await gateway.create(
        identity={"viewport": {"width": 1111, "height": 777}}, context={"cookies": [cookie], "origins": []}
    )
    assert await from_where(gateway) == {"warm": 1, "launched": 0, "adopted": 0}
    async with wire(session["connect"]) as cdp:
        page = await cdp.page()

        async def fits() -> bool:
            return bool(await cdp.evaluate("`${outerWidth}x${outerHeight}`", page) == "1111x777")

        # The window has its size; its page is told a moment later.
        await eventually_asked("the page knows its size", fits)
        cookies = (await cdp.call("Storage.getCookies"))["cookies"]
        assert [(one["name"], one["value"]) for one in cookies] == [("who", "alice")]


async def test_a_restored_session_is_never_put_into_a_used_profile(start_gateway: Starter) -> None:
    gateway = await start_gateway(warm="1")
    await warm(gateway, 1)
    session = await gateway.create()
    (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
    await warm(gateway, 1)
    (await gateway.request("POST", f"/session/{session['id']}/restore", json={})).ok(201)
    assert await from_where(gateway) == {"warm": 1, "launched": 1, "adopted": 0}


async def test_a_ready_browser_that_was_killed_is_nobodys(start_gateway: Starter) -> None:
    gateway = await start_gateway(warm="1")
    await warm(gateway, 1)
    (ready,) = gateway.browsers()
    os.kill(ready.pid, signal.SIGKILL)
    async with wire(gateway.driver()) as cdp:
        assert (await cdp.call("Browser.getVersion"))["product"].startswith("Chrome/")
    await warm(gateway, 1)


async def test_a_burst_of_clients_all_get_a_page(start_gateway: Starter, site: Site) -> None:
    gateway = await start_gateway(warm="2", max_sessions="40")
    burst = min(BURST, max(4, memory().room() // 2))  # what a small machine has memory for
    await warm(gateway, 1)
    arrived = 0
    everyone = asyncio.Event()

    async def visit() -> Any:
        nonlocal arrived
        async with wire(gateway.driver()) as cdp:
            page = await cdp.page()
            await cdp.goto(f"{site.url}/counter", page)
            found = await cdp.evaluate("location.pathname", page)
            arrived += 1
            if arrived == burst:
                everyone.set()
            await everyone.wait()  # all at once
        return found

    assert await asyncio.gather(*(visit() for _ in range(burst))) == ["/counter"] * burst
    origins = await from_where(gateway)
    assert origins["warm"] >= 1
    assert sum(origins.values()) == burst
    await warm(gateway, 2)  # after so many one alone is not enough


async def test_above_the_limit_they_queue_and_above_that_are_turned_away(start_gateway: Starter) -> None:
    gateway = await start_gateway(warm="1", max_sessions="1", queue_length="1", queue_timeout="60s")
    await warm(gateway, 1)
    async with wire(gateway.driver()) as first:
        await first.call("Browser.getVersion")
        second = asyncio.ensure_future(gateway.create(ttl=60_000))

        async def queued() -> bool:
            return bool((await gateway.request("GET", "/pressure")).ok()["pressure"]["queued"])

        await eventually_asked("one waits", queued)
        answer = await refused_upgrade(gateway.driver())
        assert "queue" in answer.refused(429)
        assert answer.headers["Retry-After"]
    assert (await second)["status"] == "detached"
