"""What Chromium cannot take or deliver is said aloud: Close 1009 with words, and no caller waits for ever."""

import asyncio
import json
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.relay.frames import LIMIT
from tests.journeys.driving import ClientError, Wire, driver, wire
from tests.journeys.running import Gateway, Starter, eventually
from tests.journeys.test_bad_luck import memory

MIB = 1 << 20
GROWTH = 16 * MIB
# Answers of Chromium, before their base64: one that it cannot deliver, and one of which three cannot wait.
ALONE = 194 * MIB
THIRD = 90 * MIB


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_message_over_100_mib_is_1009_and_hurts_nobody_else(start_gateway: Starter, fragmented: bool) -> None:
    gateway = await start_gateway()
    session = await gateway.create()
    async with wire(gateway.driver()) as other, wire(observer(gateway, session["id"])) as beside:
        assert await other.call("Browser.getVersion")
        # The client library's transport, closed with much still to be sent, does not bear its abort on Python 3.11.
        with suppress(AttributeError):
            async with wire(session["connect"]) as cdp:
                assert await cdp.evaluate("window.kept = 7", await cdp.page()) == 7
                before = memory(gateway, "VmRSS")
                message = "x" * (LIMIT + 1)
                with suppress(ConnectionClosed):
                    await cdp.socket.send([message[: 60 * MIB], message[60 * MIB :]] if fragmented else message)
                code, reason = await cdp.closed()
        assert (code, reason) == (1009, f"a message holds at most {LIMIT} bytes")
        assert memory(gateway, "VmHWM") - before < GROWTH
        assert await other.call("Browser.getVersion")
        assert await beside.call("Browser.getVersion")
    async with wire(session["connect"]) as cdp:
        assert await cdp.evaluate("window.kept", await cdp.page()) == 7


def observer(gateway: Gateway, session: str) -> str:
    """The URL of a debugging client on the session's browser."""
    return gateway.driver(f"/devtools/browser/{session}")


async def test_the_largest_message_that_chromium_takes_passes(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as cdp:
        message = json.dumps({"id": 99, "method": "Browser.getVersion"})
        await cdp.socket.send(message + " " * (LIMIT - len(message)))
        assert json.loads(await cdp.socket.recv())["id"] == 99


async def test_puppeteer_with_a_message_over_100_mib(gateway: Gateway) -> None:
    session = await gateway.create()
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        assert await client.evaluate("window.kept = 7") == 7
        with pytest.raises(ClientError, match="closed"):
            await client.evaluate(f"'{'x' * LIMIT}'.length")
        await client.connect(session["connect"])
        assert await client.evaluate("window.kept") == 7


async def blob(cdp: Wire, page: str, size: int) -> str:
    """A stream's handle (IO.read) on `size` bytes: Chromium makes big answers of it quickly."""
    expression = f"new Blob([new ArrayBuffer({size})])"
    made = (await cdp.call("Runtime.evaluate", {"expression": expression}, page))["result"]
    return "blob:" + str((await cdp.call("IO.resolveBlob", {"objectId": made["objectId"]}, page))["uuid"])


async def ask_for(cdp: Wire, page: str, handle: str, size: int) -> None:
    """Ask for `size` bytes, and wait for nothing."""
    params = {"handle": handle, "size": size, "offset": 0}
    await cdp.socket.send(json.dumps({"id": 9999, "method": "IO.read", "params": params, "sessionId": page}))


async def test_a_response_over_256_mib_is_1009_for_the_one_who_asked(gateway: Gateway) -> None:
    session = await gateway.create()
    async with wire(session["connect"]) as cdp, wire(observer(gateway, session["id"])) as beside:
        await beside.call("Target.setDiscoverTargets", {"discover": True})
        page = await cdp.page()
        await cdp.evaluate("window.kept = 7", page)
        handle = await blob(cdp, page, ALONE)
        created = await cdp.call("Target.createTarget", {"url": "about:blank"})  # an event for the other, which idles
        await cdp.call("Target.closeTarget", created)
        await ask_for(cdp, page, handle, ALONE)
        assert await cdp.closed() == (
            1009,
            "Chromium dropped a response, over 256 MiB: ask for less at a time; the browser goes on, reconnect",
        )
        assert await beside.call("Browser.getVersion")
    async with wire(session["connect"]) as cdp:
        assert await cdp.evaluate("window.kept", await cdp.page()) == 7


async def test_responses_that_are_left_unread_are_1009_once_they_are_read(gateway: Gateway) -> None:
    """Three that Chromium could deliver one by one."""
    async with wire(gateway.driver()) as cdp:
        url = (await cdp.call("Gateway.reconnect"))["browserWSEndpoint"]
        page = await cdp.page()
        handle = await blob(cdp, page, THIRD)
        log = len(gateway.log.read_bytes())
        cdp.socket.transport.pause_reading()
        for _ in range(3):
            await ask_for(cdp, page, handle, THIRD)
        await eventually("it is noticed", lambda: b"message_dropped" in gateway.log.read_bytes()[log:], 30)
        cdp.socket.transport.resume_reading()
        first = await cdp.socket.recv()
        assert len(first) > THIRD
        assert await cdp.closed() == (
            1009,
            "Chromium dropped a response: over 256 MiB were left unread; the browser goes on, reconnect",
        )
    async with wire(url) as cdp:
        assert await cdp.call("Browser.getVersion")


FLOOD = """(async () => {
  for (let i = 0; !window.enough; i++) {
    console.log(i, "x".repeat(i % 700));
    if (i % 50 === 0) await new Promise((go) => setTimeout(go));
  }
})()"""


async def test_replies_of_ours_between_a_flood_of_events(gateway: Gateway) -> None:
    """Each comes, and no event is lost, changed or out of its order."""
    async with wire(gateway.driver()) as cdp:
        page = await cdp.page()
        await cdp.call("Runtime.enable", session=page)
        evaluate = {"id": 100, "method": "Runtime.evaluate", "sessionId": page}
        await cdp.socket.send(json.dumps({**evaluate, "params": {"expression": FLOOD}}))
        events = 0
        asked, replies = 1000, list[int]()
        async with asyncio.timeout(60):
            while len(replies) < 500:
                message = json.loads(await cdp.socket.recv())
                if message.get("method") == "Runtime.consoleAPICalled":
                    number, text = (argument["value"] for argument in message["params"]["args"])
                    assert (number, text) == (events, "x" * (events % 700))
                    events += 1
                    if len(replies) == asked - 1000:  # all are there: the next ten, while the flood goes on
                        for _ in range(10):
                            asked += 1
                            await cdp.socket.send(json.dumps({"id": asked, "method": "Gateway.info"}))
                elif message.get("id", 0) > 1000:
                    assert message["result"]["status"] == "connected"
                    replies.append(message["id"])
        assert replies == list(range(1001, 1501))
        assert events >= 50, "ten replies behind an event each time"
        await cdp.socket.send(json.dumps({**evaluate, "params": {"expression": "window.enough = true"}}))


async def test_all_that_was_said_before_a_close_is_done(gateway: Gateway) -> None:
    """Under full load both ways."""
    session = await gateway.create()
    async with wire(session["connect"]) as cdp:
        page = await cdp.page()
        await cdp.evaluate("window.count = 0", page)
        await cdp.call("Runtime.enable", session=page)
        params = {"expression": "console.log(++count, 'x'.repeat(2000))"}
        for number in range(100, 3100):
            await cdp.socket.send(
                json.dumps({"id": number, "method": "Runtime.evaluate", "params": params, "sessionId": page})
            )
        async with asyncio.TaskGroup() as group:
            group.create_task(cdp.closed())  # the library sees the end only when what came before it is read
            await cdp.socket.close()
    async with wire(session["connect"]) as cdp:
        assert await cdp.evaluate("window.count", await cdp.page()) == 3000
