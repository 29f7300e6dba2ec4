"""A node is gone, killed with all that it ran, or since nothing reaches it: what it had goes on elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from websockets.exceptions import InvalidStatus

from tests.fleet.nodes import TIMEOUT, Fleet, Node, fleet
from tests.fleet.test_routing import at, told
from tests.journeys.driving import ClientError, Driver, driver, wire
from tests.journeys.running import eventually_asked
from tests.site.app import Site

T = TypeVar("T")
GONE = 1012
MARGIN = 15.0  # seconds that a busy machine may take to notice


async def back(connect: Callable[[], Awaitable[T]]) -> T:
    """What it returns: who is told to come again, since the nodes have to say first what they have, does."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await connect()
            except (ClientError, InvalidStatus) as error:
                if "503" not in str(error):
                    raise
            await asyncio.sleep(0.2)


async def suspended(node: Node, session: str) -> None:
    """Until its record says that another node may have it. Before that its node is asked, which does not answer."""

    async def look() -> bool:
        reply = await node.runs.request("GET", f"/session/{session}")
        assert reply.status in (200, 503), reply.body
        return reply.status == 200 and reply.body["status"] == "suspended"

    await eventually_asked("it is suspended", look, TIMEOUT + MARGIN)


async def settled(node: Node, session: str) -> None:
    """Until it has saved what its page has just done."""
    before = await told(node.runs, "POST", f"/session/{session}/snapshot", 201)
    assert before["version"] >= 1


async def test_a_node_is_killed_with_all_that_it_ran(tmp_path: Path, site: Site) -> None:
    site.uses = 99
    async with fleet(tmp_path, node_timeout=f"{TIMEOUT}s") as three:
        made = await three.nodes[0].runs.create(processKeepAlive=120_000)
        session, owner = made["id"], await three.owner(made["id"])
        near, far = three.others(owner)
        async with driver("puppeteer") as client:
            await client.connect(at(near, made["connect"]))
            await client.log_in(site)
            await settled(near, session)
            await client.do("disconnect")
        standard = await kept_on(three, owner)
        async with wire(at(near, made["connect"])) as client, wire(at(far, standard)) as other:
            began = time.monotonic()
            owner.lose()
            assert (await client.closed())[0] == GONE
            code, words = await other.closed()
            assert (code, "reconnect" in words) == (GONE, True)
            # Its record says so within the time that the setting names.
            await suspended(far, session)
            assert time.monotonic() - began < TIMEOUT + MARGIN
        record = await near.runs.record(session)
        assert record["reason"] == "node_lost"
        async with driver("playwright") as client:
            await back(lambda: client.connect(at(far, made["connect"])))
            assert (await client.state(site))["user"] == "alice"
        assert await three.owner(session) in (near, far)
        # A browser that only `reconnect` kept went with its node, and nobody waits for it.
        refused = await near.runs.request("GET", at(near, standard).replace("ws://", "http://"), headers=UPGRADE)
        assert refused.refused(410)
        # Its machine comes back: nothing that it knew counts any more, and it takes part again.
        await three.start(owner)
        assert (await owner.runs.status(session, "detached"))["id"] == session
        assert owner.sessions() == set()
        async with driver("puppeteer") as client:
            await back(lambda: client.connect(at(owner, made["connect"])))
            assert (await client.state(site))["user"] == "alice"
        assert site.logins == 1
        for node in three.nodes:
            pressure = (await told(node.runs, "GET", "/pressure"))["pressure"]
            assert (pressure["running"], pressure["maxConcurrent"], pressure["queued"]) == (1, 12, 0)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


async def kept_on(three: Fleet, node: Node) -> str:
    """A standard session on that node, which is kept: its URL."""
    for _ in range(12):
        async with wire(node.runs.driver("/")) as client:
            kept = await client.call("Gateway.reconnect", {"timeout": 120_000})
            number = kept["browserWSEndpoint"].rpartition("/")[2].partition(".")[0]
            if await three.owner(number) is node:
                return str(kept["browserWSEndpoint"])
            await client.call("Browser.close")
    raise AssertionError("none was placed there")


async def test_a_node_that_is_cut_off_loses_what_moved_and_cannot_write_over_it(tmp_path: Path, site: Site) -> None:
    site.uses = 99
    async with fleet(tmp_path, node_timeout=f"{TIMEOUT}s") as three:
        made = await three.nodes[0].runs.create(processKeepAlive=120_000)
        session, owner = made["id"], await three.owner(made["id"])
        near, far = three.others(owner)
        async with driver("puppeteer") as cut_off:
            await cut_off.connect(at(owner, made["connect"]))  # a client that reaches the node yet
            await cut_off.log_in(site)
            await cut_off.evaluate("localStorage.setItem('who', 'both')")
            version = (await told(near.runs, "POST", f"/session/{session}/snapshot", 201))["version"]
            async with wire(at(near, made["live"].replace("http", "ws", 1) + "/socket")) as watcher:
                owner.cut()
                code, _ = await watcher.closed()
                assert code == GONE
            # What it does there is saved nowhere, once another node has the session.
            await suspended(far, session)
            async with driver("playwright") as client:
                await back(lambda: client.connect(at(far, made["connect"])))
                assert (await client.state(site))["user"] == "alice"
                await client.evaluate("localStorage.setItem('who', 'the new one')")
                moved = (await told(far.runs, "POST", f"/session/{session}/snapshot", 201))["version"]
                assert moved > version
                await scribbled(cut_off, three, owner)
                assert await client.evaluate("localStorage.getItem('who')") == "the new one"
                owner.mend()
                # It learns what it lost: its client is told, its browser ends.
                await cut_off.line(event="disconnected")
                await owner_has_none(owner)
                assert await client.evaluate("localStorage.getItem('who')") == "the new one"
        assert (await told(owner.runs, "DELETE", f"/session/{session}?force=true"))["status"] == "stopped"
        context = await told(owner.runs, "GET", f"/session/{session}/context")
        [origin] = [one for one in context["origins"] if one["origin"] == site.url]
        assert {"name": "who", "value": "the new one"} in origin["localStorage"]
        restored = await told(near.runs, "POST", f"/session/{session}/restore", 201)
        async with driver("puppeteer") as client:
            await client.connect(at(owner, restored["connect"]))
            await client.state(site)
            assert await client.evaluate("localStorage.getItem('who')") == "the new one"
        assert site.logins == 1


async def scribbled(client: Driver, three: Fleet, owner: Node) -> None:
    """The cut-off browser goes on, and its node tries to save what it does: until that has been refused."""
    log = owner.runs.log

    async def refused() -> bool:
        await client.evaluate(f"localStorage.setItem('who', 'the old one {time.monotonic()}')")
        return "fenced" in log.read_text() or "was taken over" in log.read_text()

    await eventually_asked("the old node's save is refused", refused, 40)
    assert three.browsers() == 2


async def owner_has_none(owner: Node) -> None:
    async def none() -> bool:
        await asyncio.sleep(0)
        return not owner.runs.browsers()

    await eventually_asked("the old browser ends", none, 30)


async def test_a_node_that_stood_still_for_too_long(tmp_path: Path, site: Site) -> None:
    async with fleet(tmp_path, 2, node_timeout=f"{TIMEOUT}s") as two:
        made = await two.nodes[0].runs.create(processKeepAlive=120_000)
        session, owner = made["id"], await two.owner(made["id"])
        [other] = two.others(owner)
        await settled(other, session)
        async with wire(at(owner, made["connect"])) as client:
            await client.call("Browser.getVersion")
            owner.freeze()
            await suspended(other, session)
            async with AsyncExitStack() as stack:
                second = await back(lambda: stack.enter_async_context(wire(at(other, made["connect"]))))
                assert await second.call("Browser.getVersion")
                owner.thaw()
                assert (await client.closed())[0] == GONE
                await owner_has_none(owner)
                assert await second.call("Browser.getVersion")
        assert (await owner.runs.record(session))["status"] in ("connected", "detached")
        assert await two.owner(session) is other


async def test_a_gateway_that_is_killed_alone_finds_its_browsers_again(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2, node_timeout="30s") as two:
        made = await two.nodes[0].runs.create(processKeepAlive=120_000)
        owner = await two.owner(made["id"])
        [other] = two.others(owner)
        async with wire(at(other, made["connect"])) as client:
            await client.evaluate("window.heap = 42", await client.page())
            owner.runs.kill()
            assert (await client.closed())[0] == GONE
        await two.start(owner)
        for node in (other, owner):
            async with wire(at(node, made["connect"])) as client:
                assert await client.evaluate("window.heap", await client.page()) == 42
        assert await two.owner(made["id"]) is owner
        assert (await told(other.runs, "GET", "/pressure"))["pressure"]["running"] == 1
