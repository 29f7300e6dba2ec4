"""browser_leg.py: the handshake with Chromium, and its side of the flow, against a fake that misbehaves."""

import asyncio
from hashlib import sha256

import pytest

from gateway.relay import client_leg
from gateway.relay.browser_leg import HIGH_WATER, BrowserLeg, BrowserUnreachable, dial
from tests.fakes.chromium import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FakeChromium,
    Wire,
    accepting,
    frame,
    header,
    soon,
)
from tests.ports import free_port
from tests.relay.rig import MOST_BUFFERED, PATH, Rig, memory, until, upgraded

INFO = b'{"id":1,"method":"Gateway.info"}'
INFORMED = b'{"id":1,"result":{"sessionId":"7"}}'


async def test_the_handshake_is_what_chromium_wants(fake: FakeChromium) -> None:
    leg = await dial(fake.port, PATH)
    lines = fake.requests[0].decode().split("\r\n")
    leg.abort()
    assert lines[0] == f"GET {PATH} HTTP/1.1"
    fields = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:] if line}
    assert len(fields.pop("sec-websocket-key")) == 24
    assert fields == {
        "host": f"127.0.0.1:{fake.port}",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
    }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nlost", "Chromium answered HTTP/1.1 404 Not Found"),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "Chromium answered HTTP/1.1 500 Internal Server Error"),
        (b"HTTP/1.1 101 Web", "Chromium closed the connection during the handshake"),
        (b"", "Chromium closed the connection during the handshake"),
    ],
)
async def test_a_refused_handshake(fake: FakeChromium, answer: bytes, words: str) -> None:
    fake.answer = answer
    with pytest.raises(BrowserUnreachable, match=words):
        await dial(fake.port, PATH)


async def test_a_handshake_that_is_never_answered(fake: FakeChromium) -> None:
    fake.release.clear()
    with pytest.raises(BrowserUnreachable, match=r"within 0\.3 s"):
        await dial(fake.port, PATH, timeout=0.3)
    await until(lambda: fake.impatient == [b""] or not fake.requests)  # the connection was closed


async def test_a_handshake_that_is_given_up(fake: FakeChromium) -> None:
    fake.release.clear()
    dialling = asyncio.ensure_future(dial(fake.port, PATH))
    await until(lambda: len(fake.requests) == 1)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    await until(lambda: fake.impatient == [b""])


async def test_nobody_listens() -> None:
    with pytest.raises(BrowserUnreachable, match="does not listen"):
        await dial(free_port(), PATH)


async def test_what_is_glued_to_the_handshake_comes_first(plain: Rig) -> None:
    """The 101 in two pieces, and behind it a message and a half."""
    fake = plain.fake
    fake.glued = frame(b"one") + header(6) + b"two"
    client, browser, _ = await plain.connect()
    await browser.send(b"two", frame(b"three"))
    assert await client.messages(3) == [b"one", b"twotwo", b"three"]


async def test_a_handshake_in_crumbs() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in accepting(await reader.readuntil(b"\r\n\r\n")):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        leg = await dial(server.sockets[0].getsockname()[1], PATH)
        assert (await leg.head).startswith(b"HTTP/1.1 101 ")
        await soon(asyncio.wait([leg.gone]))
        assert leg.gone.done()


async def test_nothing_of_the_client_comes_before_the_101(rig: Rig) -> None:
    """Chromium drops a connection whose frames come with the upgrade request."""
    fake = rig.fake
    fake.release.clear()
    client = await rig.open(frame(b"early", mask=True))
    await until(lambda: len(fake.requests) == 1)
    await client.say(b"impatient")
    fake.release.set()
    browser = await fake.connection()
    assert await browser.messages(2) == [b"early", b"impatient"]
    assert fake.impatient == []
    await upgraded(client)


async def test_frames_of_ours_wait_for_the_end_of_a_message(rig: Rig) -> None:
    """A reply goes behind the whole message, a pong may stand between its fragments."""
    client, browser, visit = await rig.connect()
    await browser.send(header(4, TEXT, fin=False), b"ab")
    assert await client.reader.readexactly(4) == b"\x01\x04ab"
    await client.send(client.frame(INFO), client.frame(b"here?", PING))
    await until(lambda: visit.browser.queued > 0)
    await browser.send(b"cd", frame(b"ef", CONTINUATION, fin=False), frame(b"gh", CONTINUATION), frame(b"next"))
    assert await client.reader.readexactly(10) == b"cd" + frame(b"ef", CONTINUATION, fin=False) + b"\x80\x02gh"
    assert await client.message() == INFORMED
    assert (await client.read()).opcode == PONG
    assert await client.message() == b"next"
    assert visit.browser.queued == 0


async def test_a_pong_between_fragments(plain: Rig) -> None:
    client, browser, _ = await plain.connect()
    await browser.send(frame(b"ab", fin=False))
    assert not (await client.read()).fin
    await client.send(client.frame(b"here?", PING))
    got = await client.read()
    assert (got.opcode, got.payload) == (PONG, b"here?")
    await browser.send(frame(b"cd", CONTINUATION))
    assert (await client.read()).payload == b"cd"


async def test_replies_wait_in_the_order_of_their_commands(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await browser.send(header(1 << 20), bytes(1 << 19))
    for number in range(100):
        await client.say(b'{"id":%d,"method":"Gateway.info"}' % number, b'{"id":%d,"method":"Page.enable"}' % number)
    assert len(await browser.messages(100)) == 100
    assert len(visit.performed) == 100
    await browser.send(bytes(1 << 19), frame(b"behind"))
    assert await client.message() == bytes(1 << 20)
    for number in range(100):
        assert await client.message() == b'{"id":%d,"result":{"sessionId":"7"}}' % number
    assert await client.message() == b"behind"


async def test_a_browser_that_does_not_read_stalls_its_client(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    payload = b"0123456789abcdef" * (3 << 18)  # 12 MB a message
    before = memory()
    sending = asyncio.ensure_future(_send(client, payload, 8))
    await until(lambda: visit.browser.transport.get_write_buffer_size() >= HIGH_WATER)
    stuck = -1
    while client.written != stuck:  # until the sender stands still as well
        stuck = client.written
        await asyncio.wait([sending], timeout=0.2)
    assert not sending.done()
    assert visit.buffered < MOST_BUFFERED
    assert memory() - before < 40 << 20
    digest = sha256(payload).digest()
    for _ in range(8):
        assert sha256(await browser.message()).digest() == digest
    await sending


async def _send(client: Wire, payload: bytes, count: int) -> None:
    for _ in range(count):
        await client.stream(payload)


async def test_a_browser_that_lets_go_in_mid_stall(plain: Rig) -> None:
    """The client, no longer read because Chromium did not read, is read again when Chromium is gone."""
    client, browser, visit = await plain.connect()
    sending = asyncio.ensure_future(_send(client, bytes(1 << 20), 30))
    await until(lambda: visit.browser.transport.get_write_buffer_size() >= HIGH_WATER)
    browser.reset()
    await sending
    await client.say_close()
    assert await client.close_frame() == (1000, "")
    await visit.ended()


async def test_all_that_a_client_said_is_delivered_after_it_went(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also to a browser that has much to say itself and reads late."""
    monkeypatch.setattr(client_leg, "CLOSE_TIMEOUT", 0.2)  # this client does not read its answer
    client, browser, visit = await rig.connect()
    commands = [b'{"id":%d,"method":"Page.enable","params":{"x":"%s"}}' % (n, b"x" * 1000) for n in range(6000)]
    talking = asyncio.ensure_future(_talk(browser))
    await client.say(*commands)
    await client.say_close()
    assert await browser.messages(6000) == commands
    assert await browser.close_frame() == (1000, "")
    assert not visit.over.is_set()  # the relay waits for Chromium to close
    browser.drop()
    await visit.ended()
    with pytest.raises(ConnectionError):
        await talking


async def _talk(browser: Wire) -> None:
    while True:
        await browser.say(bytes(1 << 16))
        await asyncio.sleep(0)


async def test_chromiums_own_close_passes_and_is_the_only_one(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await browser.send(frame(b"last"), frame((1001).to_bytes(2, "big") + b"going", CLOSE))
    assert await client.message() == b"last"
    assert await client.close_frame() == (1001, "going")
    await client.say_close(1001)
    assert await client.rest() == b""
    browser.drop()
    await visit.ended()


async def test_who_waits_for_an_answer_and_who_does_not_read(plain: Rig) -> None:
    """What can be told of a leg when Chromium says that it dropped a message."""
    client, browser, visit = await plain.connect()
    leg = visit.browser
    await client.say(b"a question")
    assert await browser.message() == b"a question"
    assert leg.waits(0)
    assert not leg.waits(60), "something was heard within the last minute: the upgrade's answer"
    await until(lambda: leg.waits(0.2))
    await browser.say(b"an answer")
    assert await client.message() == b"an answer"
    assert not leg.waits(0)
    assert not leg.stalled
    sending = asyncio.ensure_future(_send(browser, bytes(1 << 20), 30))
    await until(lambda: leg.stalled)
    assert len(await client.messages(30)) == 30
    await sending
    await until(lambda: not leg.stalled)
    browser.drop()
    client.drop()
    await visit.ended()
    assert not leg.waits(0)
    assert not leg.stalled


async def test_a_leg_that_nobody_attached_ends_quietly(fake: FakeChromium) -> None:
    leg: BrowserLeg = await dial(fake.port, PATH)
    browser = await fake.connection()
    leg.abort()
    await browser.ended()
    await soon(asyncio.wait([leg.gone]))
    assert leg.gone.done()
