"""client_leg.py: taking over from aiohttp, and what a client's Close, pings, commands and abuse meet."""

import asyncio
import json
import socket
import time

import pytest

from browser_pool.tasks import running
from gateway.relay import client_leg, relay
from gateway.relay.browser_leg import HIGH_WATER
from gateway.relay.commands import Reconnect, Snapshot
from gateway.relay.frames import LIMIT
from tests.fakes.chromium import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    Frame,
    Wire,
    frame,
    header,
    soon,
)
from tests.relay.rig import MOST_BUFFERED, Rig, memory, until, upgraded

INFO = b'{"id":1,"method":"Gateway.info"}'
PAYLOAD = b"p" * 125  # the most that a control frame holds
INFORMED = b'{"id":1,"result":{"sessionId":"7"}}'


async def test_early_data_above_what_aiohttp_reads_ahead(rig: Rig) -> None:
    """aiohttp stops reading at 64 KB; the rest must follow, in order, with frames cut anywhere."""
    rig.fake.release.clear()
    messages = [b"%d" % number + b"x" * 997 for number in range(500)]
    client = await rig.open(b"".join(frame(message, mask=True) for message in messages))
    await until(lambda: len(rig.fake.requests) == 1)
    rig.fake.release.set()
    browser = await rig.fake.connection()
    assert await browser.messages(500) == messages
    assert rig.fake.impatient == []
    await upgraded(client)
    await client.say(b"and so on")
    assert await browser.message() == b"and so on"


async def test_a_command_of_ours_and_a_close_in_the_early_data(rig: Rig) -> None:
    client, browser, visit = await rig.connect(frame(INFO, mask=True) + frame(b"", CLOSE, mask=True))
    assert await client.message() == INFORMED
    assert await client.close_frame() == (NO_CODE, "")
    assert await client.rest() == b""
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


async def test_a_client_that_went_during_the_handshake(rig: Rig) -> None:
    rig.fake.release.clear()
    client = await rig.open()
    await until(lambda: len(rig.fake.requests) == 1)
    client.reset()
    await until(lambda: rig.fake.impatient == [b""])  # the handshake with Chromium was given up


@pytest.mark.parametrize("code", [1000, 1001, 4321])
async def test_a_close_is_answered_and_frees_the_seat_at_once(rig: Rig, code: int) -> None:
    client, browser, visit = await rig.connect()
    await client.say_close(code, "bye")
    assert await client.close_frame() == (1000, "")
    assert visit.left.is_set()
    assert visit.left_in == [None]  # in the very callback that saw the Close
    assert not visit.over.is_set()
    assert await client.rest() == b""
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


async def test_an_end_without_a_close(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await client.say(b"last words")
    client.writer.close()
    assert await browser.message() == b"last words"
    assert await browser.close_frame() == (1000, "")
    assert visit.left_in == [None]
    browser.drop()
    await visit.ended()


async def test_a_half_closed_client_is_gone(plain: Rig) -> None:
    client, browser, visit = await plain.connect()
    await client.say(b"last words")
    client.writer.write_eof()
    assert await browser.messages(1) == [b"last words"]
    assert await client.rest() == b""
    browser.drop()
    await visit.ended()


async def test_a_reset(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await client.say(b"last words")
    assert await browser.message() == b"last words"
    client.reset()
    assert await browser.close_frame() == (1000, "")
    assert visit.left_in == [None]
    browser.drop()
    await visit.ended()


async def test_a_close_while_a_big_message_streams_is_answered_at_its_end(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await browser.send(header(1 << 20), bytes(1 << 19))
    await client.say_close()
    await soon(visit.left.wait())
    await browser.send(bytes(1 << 19), frame(b"too late"))
    assert await client.message() == bytes(1 << 20)
    assert await client.close_frame() == (1000, "")
    assert await client.rest() == b""
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


async def test_nothing_follows_a_close(rig: Rig) -> None:
    """However much Chromium still says."""
    client, browser, visit = await rig.connect()

    async def flood() -> None:
        while True:
            await browser.say(*(b"event %d" % number for number in range(1000)))
            await asyncio.sleep(0)

    flooding = asyncio.ensure_future(flood())
    assert len(await client.messages(10)) == 10
    await client.say_close()
    while (got := await client.read()).opcode != CLOSE:
        assert got.opcode == TEXT
    assert await client.rest() == b""
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()
    with pytest.raises(ConnectionError):
        await flooding


async def test_pings_are_answered_here_and_pongs_swallowed(rig: Rig) -> None:
    client, browser, _ = await rig.connect()
    await client.send(client.frame(b"unasked", PONG), client.frame(b"a" * 125, PING), client.frame(b"", PING))
    assert await client.read() == Frame(PONG, b"a" * 125)
    assert await client.read() == Frame(PONG, b"")
    # Inside the client's own fragmented message as well.
    await client.send(client.frame(b"ab", fin=False), client.frame(b"still here?", PING))
    await client.send(client.frame(b"cd", CONTINUATION))
    assert await client.read() == Frame(PONG, b"still here?")
    assert await browser.message() == b"abcd"  # nothing but this came


async def test_messages_are_use_of_the_session_and_pings_and_pongs_are_not(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await client.send(client.frame(b"unasked", PONG), client.frame(b"here?", PING))
    assert await client.read() == Frame(PONG, b"here?")
    assert visit.pulse.at == 0.0
    for said in (b"short", b"x" * 70_000, INFO):  # the short way, in pieces, and one that is answered here
        visit.pulse.at = 0.0
        before = time.time()
        await client.say(said)
        assert await (client if said == INFO else browser).message() == (INFORMED if said == INFO else said)
        assert before <= visit.pulse.at <= time.time()


async def test_a_ping_while_a_big_message_streams_is_answered_at_its_end(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await browser.send(header(1 << 20), bytes(1 << 19))
    await client.send(client.frame(b"1", PING), client.frame(b"2", PING))
    await until(lambda: visit.browser.queued > 0)
    await browser.send(bytes(1 << 19), frame(b"next"))
    assert await client.message() == bytes(1 << 20)
    assert [(await client.read()).payload for _ in range(3)] == [b"1", b"2", b"next"]


async def test_pings_of_our_own(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PING_PERIOD", 0.02)
    client, browser, _ = await rig.connect()
    async with running(rig.relays.ping(), "pings"):
        for _ in range(3):
            assert await client.read() == Frame(PING, b"")
            await client.send(client.frame(b"", PONG))
        await client.say(b"x")
        assert await browser.message() == b"x"


UNMASKED = frame(b"{}")
VIOLATIONS = [
    pytest.param(UNMASKED, 1002, "a client must mask its frames", id="unmasked"),
    pytest.param(b"\x83\x80\0\0\0\0", 1002, "opcode 3 is reserved", id="opcode"),
    pytest.param(b"\xc1\x80\0\0\0\0", 1002, "reserved bits are set: no extension was negotiated", id="compressed"),
    pytest.param(frame(b"x", BINARY, mask=True), 1003, "CDP is text: binary messages are not taken", id="binary"),
    pytest.param(header(LIMIT + 1, mask=True), 1009, f"a message holds at most {LIMIT} bytes", id="too-big"),
]


@pytest.mark.parametrize(("bad", "code", "reason"), VIOLATIONS)
async def test_violations(rig: Rig, bad: bytes, code: int, reason: str) -> None:
    """What was said before reaches Chromium; the socket ends without a reset, so that the Close is read."""
    client, browser, visit = await rig.connect()
    await client.send(client.frame(b"good"), bad)
    assert await client.close_frame() == (code, reason)
    assert visit.left_in == [None]
    client.writer.close()
    assert await browser.message() == b"good"
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


@pytest.mark.parametrize(("bad", "code", "reason"), [VIOLATIONS[0], VIOLATIONS[4]])
async def test_a_violation_by_one_who_goes_on_sending(rig: Rig, bad: bytes, code: int, reason: str) -> None:
    client, browser, visit = await rig.connect()
    await client.send(bad)
    chunk = bytes(1 << 20)
    for _ in range(100):
        await client.send(chunk)
    assert await client.close_frame() == (code, reason)
    client.writer.close()
    browser.drop()
    await visit.ended()


async def test_fragments_that_are_too_much_together(rig: Rig) -> None:
    """Chromium has got some of them: that socket is of no use any more."""
    client, browser, visit = await rig.connect()
    part = bytes(1 << 20)
    receiving = asyncio.ensure_future(browser.ended())
    before = memory()
    try:
        for number in range(200):
            await client.send(client.frame(part, CONTINUATION if number else TEXT, fin=False))
    except ConnectionError:
        pass  # it is no longer listened to
    assert await client.close_frame() == (1009, f"a message holds at most {LIMIT} bytes")
    assert memory() - before < 40 << 20
    client.writer.close()
    await receiving
    await visit.ended()


async def test_a_violation_while_a_big_message_streams_is_told_at_its_end(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await browser.send(header(1 << 20), bytes(1 << 19))
    await client.send(UNMASKED)
    await soon(visit.left.wait())
    await browser.send(bytes(1 << 19), frame(b"too late"))
    assert await client.message() == bytes(1 << 20)
    assert await client.close_frame() == (1002, "a client must mask its frames")
    client.writer.close()
    browser.drop()
    await visit.ended()


async def test_a_violator_that_answers_our_close_is_let_go_at_once(plain: Rig) -> None:
    """Its Close cannot be understood any more; the end of the stream, behind ours, tells it to go."""
    client, browser, visit = await plain.connect()
    await client.send(UNMASKED)
    assert (await client.close_frame())[0] == 1002
    assert await client.rest() == b""
    client.writer.close()
    browser.drop()
    await visit.ended()


async def test_commands_of_ours(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await client.say(
        b"first",
        INFO,
        b'{"id":2,"sessionId":"S","method":"Gateway.nothing"}',
        b'{"id":3,"method":"Browser.close"}',
        b'{"id":4,"method":"Target.createBrowserContext","params":{"disposeOnDetach":true}}',
        b'{"id":5,"method":"Page.navigate","params":{"url":"\\"Gateway.info\\""}}',
        b'{"id":6,"method":"Runtime.evaluate","params":{"expression":"Gateway.","x":"Gateway.info"}}',
    )
    assert await client.message() == INFORMED
    assert json.loads(await client.message()) == {
        "id": 2,
        "error": {"code": -32601, "message": "'Gateway.nothing' wasn't found"},
        "sessionId": "S",
    }
    assert json.loads(await client.message())["id"] == 3
    assert await browser.message() == b"first"
    rewritten = {"id": 4, "method": "Target.createBrowserContext", "params": {"disposeOnDetach": False}}
    assert json.loads(await browser.message()) == rewritten
    assert [json.loads(message)["id"] for message in await browser.messages(2)] == [5, 6]
    assert [type(command).__name__ for command in visit.performed] == ["Info", "CloseBrowser"]


async def test_a_debugging_clients_contexts_are_left_alone(plain: Rig) -> None:
    client, browser, visit = await plain.connect()
    visit.rewrites = False
    create = b'{"id":4,"method":"Target.createBrowserContext","params":{"disposeOnDetach":true}}'
    await client.say(create)
    assert await browser.message() == create


async def test_a_command_that_takes_its_time(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await client.say(b'{"id":1,"method":"Gateway.snapshot"}', b"meanwhile")
    assert await browser.message() == b"meanwhile"
    assert visit.performed == [Snapshot(1, None, False)]
    visit.saved.set()
    assert await client.message() == b'{"id":1,"result":{"version":1}}'


@pytest.mark.parametrize("streaming", [False, True])
async def test_detach(rig: Rig, streaming: bool) -> None:
    """The reply, then a Close, and nothing behind it; what was commanded before reaches Chromium."""
    client, browser, visit = await rig.connect()
    if streaming:
        await browser.send(header(1 << 20), bytes(1 << 19))
    await client.say(b"before", b'{"id":1,"method":"Gateway.reconnect","params":{"detach":true}}', b"after", INFO)
    assert await browser.message() == b"before"
    assert visit.left_in == [None]
    if streaming:
        await browser.send(bytes(1 << 19), frame(b"too late"))
        assert await client.message() == bytes(1 << 20)
    assert await client.message() == b'{"id":1,"result":{"timeout":1}}'
    assert await client.close_frame() == (1000, "detached")
    await client.say_close()
    assert await client.rest() == b""
    assert await browser.close_frame() == (1000, "")
    assert visit.performed == [Reconnect(1, None, False, None, None, True)]
    browser.drop()
    await visit.ended()


@pytest.mark.parametrize(("kind", "streaming"), [("pings", True), ("commands", False), ("commands", True)])
async def test_one_who_asks_and_does_not_read_is_not_read(rig: Rig, kind: str, streaming: bool) -> None:
    """`streaming`: while the replies wait for the end of a message."""
    client, browser, visit = await rig.connect()
    if streaming:
        await browser.send(header(1 << 20), bytes(1 << 19))
    session = b"S" * 4000  # comes back in the reply
    one = (
        client.frame(INFO[:-1] + b',"sessionId":"%s"}' % session) if kind == "commands" else client.frame(PAYLOAD, PING)
    )
    batch, count = one * 100, 0
    before = memory()

    async def flood() -> None:
        nonlocal count
        while True:
            await client.send(batch)
            count += 100
            await asyncio.sleep(0)

    flooding = asyncio.ensure_future(flood())
    reached = -1
    while count != reached:  # until the sender stands still
        reached = count
        await asyncio.wait([flooding], timeout=0.2)
    assert visit.buffered < MOST_BUFFERED
    assert memory() - before < 40 << 20
    flooding.cancel()
    await asyncio.wait([flooding])
    if streaming:
        await browser.send(bytes(1 << 19))
        assert await client.message() == bytes(1 << 20)
    reply = INFORMED[:-1] + b',"sessionId":"%s"}' % session
    expected = Frame(TEXT, reply) if kind == "commands" else Frame(PONG, PAYLOAD)
    for _ in range(count):
        assert await client.read() == expected
    client.drop()
    browser.drop()
    await visit.ended()


async def test_a_client_that_does_not_read_stalls_its_browser(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    payload = b"0123456789abcdef" * (3 << 18)  # 12 MB a message
    before = memory()

    async def send() -> None:
        for _ in range(8):
            await browser.stream(payload)

    sending = asyncio.ensure_future(send())
    await stands_still(browser, sending)
    assert visit.buffered < MOST_BUFFERED
    assert memory() - before < 40 << 20
    await client.say(b"still heard")
    assert await browser.message() == b"still heard"
    for _ in range(8):
        assert await client.message() == payload
    await sending


async def stands_still(sender: Wire, sending: "asyncio.Future[None]") -> None:
    """Wait until what is sent by `Wire.stream` moves no more."""
    written = -1
    while sender.written != written or not written:
        written = sender.written
        await asyncio.wait([sending], timeout=0.2)
    assert not sending.done()


async def test_a_close_with_much_still_to_be_written(rig: Rig) -> None:
    """It reaches a client that reads late, behind all that was said before."""
    client, browser, visit = await rig.connect()
    message = bytes(1 << 16)
    talking = asyncio.ensure_future(browser.say(*[message] * 2000))
    await until(lambda: visit.transport.get_write_buffer_size() > HIGH_WATER)
    await client.say_close()
    await soon(visit.left.wait())
    while (got := await client.read()).opcode == TEXT:
        assert got.payload == message
    assert got == Frame(CLOSE, b"\x03\xe8")
    assert await client.rest() == b""
    await talking
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


async def test_a_close_behind_whole_messages_still_to_be_written(plain: Rig) -> None:
    """The transport is closed while it still has them, and ends by itself once they are read."""
    client, browser, visit = await plain.connect(window=1 << 14)
    visit.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    message = bytes(1 << 16)
    await browser.say(*[message] * 14)  # less than stalls Chromium, more than the kernel takes
    await until(lambda: visit.transport.get_write_buffer_size() > 1 << 16)
    await client.say_close()
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    while (got := await client.read()).opcode == TEXT:
        assert got.payload == message
    assert got == Frame(CLOSE, b"\x03\xe8")
    assert await client.rest() == b""
    await visit.ended()


async def test_a_stalled_client_that_closes_or_dies_is_seen(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_leg, "BOUNDARY_TIMEOUT", 0.05)
    monkeypatch.setattr(client_leg, "CLOSE_TIMEOUT", 0.1)
    client, browser, visit = await rig.connect()
    sending = asyncio.ensure_future(browser.stream(bytes(64 << 20)))
    await stands_still(browser, sending)
    await client.say_close()
    await soon(visit.left.wait())
    await sending  # nobody holds Chromium up any more
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()
    await client.ended()
