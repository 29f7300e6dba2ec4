"""relay.py: the whole way between a client and Chromium, and every manner in which it ends."""

import asyncio
from hashlib import sha256
from itertools import count
from os import urandom

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from gateway.errors import CloseCode
from gateway.relay import client_leg, relay
from gateway.relay.browser_leg import HIGH_WATER
from gateway.relay.client_leg import ClientLeg
from tests.fakes.chromium import PATIENCE, Wire, echo, frame, header, soon
from tests.relay.rig import Rig, until

MESSAGES = [b'{"method":"Network.dataReceived","params":{"number":%d}}' % number for number in range(5000)]


def open_client(rig: Rig) -> connect:
    return connect(
        rig.url,
        ssl=rig.tls,
        max_size=None,
        compression=None,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
    )


async def closed(client: ClientConnection) -> tuple[list[bytes], ConnectionClosed]:
    """All messages until the end, and how it ended."""
    got: list[bytes] = []
    try:
        while True:
            got.append(await client.recv(decode=False))
    except ConnectionClosed as end:
        return got, end


def told(end: ConnectionClosed) -> tuple[int, str] | None:
    """Code and reason of the Close that was received, if there was one."""
    return (end.rcvd.code, end.rcvd.reason) if end.rcvd is not None else None


# --- messages ---


@pytest.mark.parametrize("megabytes", [1, 20, pytest.param(99, id="99")])
async def test_big_messages_both_ways(rig: Rig, megabytes: int) -> None:
    """The largest that Chromium takes is 100 MiB."""
    rig.fake.behave = echo
    payload = urandom(1 << 20) * megabytes
    async with open_client(rig) as client:
        await client.send(payload, text=True)
        back = await client.recv(decode=False)
    assert sha256(back).digest() == sha256(payload).digest()


async def test_many_messages_both_ways(rig: Rig) -> None:
    """Sizes around every form of a frame's length, and around what is held back whole."""
    rig.fake.behave = echo
    sizes = [0, 1, 125, 126, 127, 65535, 65536, 65537, 70000, 3] * 30
    async with open_client(rig) as client:

        async def send() -> None:
            for size in sizes:
                await client.send(b"m" * size, text=True)

        sending = asyncio.ensure_future(send())
        assert [len(await client.recv(decode=False)) for _ in sizes] == sizes
        await sending


async def test_a_message_in_fragments(rig: Rig) -> None:
    rig.fake.behave = echo
    async with open_client(rig) as client:
        await client.send(["frag", "men", "ted"])
        assert await client.recv() == "fragmented"
        await (await client.ping("between"))


# --- the client is first ---


async def test_a_client_that_closes_after_thousands_of_messages(rig: Rig) -> None:
    async with open_client(rig) as client:
        browser = await rig.fake.connection()
        for message in MESSAGES:
            await client.send(message, text=True)
        closing = asyncio.ensure_future(client.close())
        assert await browser.messages(len(MESSAGES)) == MESSAGES
        assert await browser.close_frame() == (1000, "")
        browser.drop()
        await closing
        assert (client.close_code, client.close_reason) == (1000, "")


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_client_torn_in_mid_message_takes_its_socket_to_chromium_along(rig: Rig, fragmented: bool) -> None:
    """Chromium would wait for the rest of the frame; nothing may be written into it."""
    client, browser, visit = await rig.connect()
    await client.say(b"whole")
    if fragmented:
        await client.send(client.frame(b"x" * 100, fin=False))
    else:
        await client.send(header(1 << 20, mask=True), b"x" * 300)
    assert await browser.message() == b"whole"
    rest = await browser.reader.readexactly(106 if fragmented else 314)
    assert rest[0] == (0x01 if fragmented else 0x81)
    client.reset()
    await visit.ended()
    assert visit.left_in == [None]
    assert await browser.rest() == b""  # not even a Close
    assert visit.browser.transport.is_closing()


async def test_a_small_frame_that_is_cut_off_never_reaches_chromium(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await client.send(client.frame(b"whole"), client.frame(b"x" * 1000)[:500])
    assert await browser.message() == b"whole"
    client.reset()
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


# --- the browser is first ---


async def test_all_that_a_browser_said_arrives_and_then_why_it_went(rig: Rig) -> None:
    async with open_client(rig) as client:
        browser, visit = await rig.fake.connection(), await rig.visits.get()
        await browser.say(*MESSAGES)
        browser.writer.close()
        visit.evict(CloseCode.CRASHED, "the browser crashed")
        got, end = await closed(client)
        assert told(end) == (4003, "the browser crashed")
        assert got == MESSAGES  # the crash was known before they were read
        await visit.ended()


async def test_a_browser_that_goes_without_a_word(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session says a moment later why; when nobody says anything, it is an end like another."""
    monkeypatch.setattr(relay, "VERDICT", 0.1)
    async with open_client(rig) as client:
        browser, visit = await rig.fake.connection(), await rig.visits.get()
        await browser.say(*MESSAGES)
        browser.writer.close()
        got, end = await closed(client)
        assert told(end) == (1000, "the browser closed the connection")
        assert got == MESSAGES
        await visit.ended()


async def test_a_verdict_that_comes_late(rig: Rig) -> None:
    """And commands meanwhile go nowhere, without a complaint."""
    async with open_client(rig) as client:
        browser, visit = await rig.fake.connection(), await rig.visits.get()
        await browser.say(b"last")
        browser.reset()
        assert await client.recv() == "last"
        await soon(asyncio.wait([visit.browser.gone]))
        for message in MESSAGES[:100]:
            await client.send(message, text=True)
        visit.evict(CloseCode.CRASHED, "the browser crashed")
        _, end = await closed(client)
        assert told(end) == (4003, "the browser crashed")
        await visit.ended()


async def test_a_browser_that_dies_in_mid_frame(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Close can be said there; whole messages before it arrive, and nothing is taken for a message."""
    monkeypatch.setattr(relay, "VERDICT", 0.1)
    async with open_client(rig) as client:
        browser, visit = await rig.fake.connection(), await rig.visits.get()
        await browser.send(*map(frame, MESSAGES), header(1000), b"half")
        browser.writer.close()
        got, end = await closed(client)
        assert got == MESSAGES
        assert isinstance(end, ConnectionClosedError)
        assert told(end) is None
        await visit.ended()


async def test_a_browser_that_dies_between_the_fragments_of_a_message(plain: Rig) -> None:
    """There a Close can be said, but not the reply that waited for the message's end."""
    client, browser, visit = await plain.connect()
    await browser.send(frame(b"ab", fin=False))
    await client.say(b'{"id":1,"method":"Gateway.info"}')
    await until(lambda: visit.browser.queued > 0)
    browser.drop()
    visit.evict()
    assert await client.read()
    assert await client.close_frame() == (4000, "stopped")
    client.drop()
    await visit.ended()


async def test_a_client_that_closes_under_full_load_both_ways(rig: Rig) -> None:
    """All that it said arrives, and what it got is what Chromium said, from the first, without a gap."""
    async with open_client(rig) as client:
        browser = await rig.fake.connection()
        talking = asyncio.ensure_future(talk_on(browser))
        for message in MESSAGES:
            await client.send(message, text=True)
        heard = [await client.recv(decode=False) for _ in range(100)]
        closing = asyncio.ensure_future(client.close())
        assert await browser.messages(len(MESSAGES)) == MESSAGES
        assert await browser.close_frame() == (1000, "")
        browser.drop()
        await closing
        heard += (await closed(client))[0]  # what came before its Close was answered
        assert heard == [b"%d" % number + bytes(999) for number in range(len(heard))]
        with pytest.raises(ConnectionError):
            await talking


async def talk_on(side: Wire) -> None:
    """Say numbered messages until the other side is gone."""
    for number in count():
        await side.say(b"%d" % number + bytes(999))
        await asyncio.sleep(0)


async def test_a_browser_that_ends_under_full_load_both_ways(rig: Rig) -> None:
    """All that it said arrives, and what it got is what the client said, from the first, without a gap."""
    client, browser, visit = await rig.connect()
    talking = asyncio.ensure_future(talk_on(client))
    ending = asyncio.ensure_future(browser.say(*MESSAGES))
    assert await browser.messages(100) == [b"%d" % number + bytes(999) for number in range(100)]
    assert await client.messages(len(MESSAGES)) == MESSAGES
    await ending
    await browser.say(*MESSAGES)
    browser.writer.write_eof()
    visit.evict(CloseCode.CRASHED, "the browser crashed")
    assert await client.messages(len(MESSAGES)) == MESSAGES
    assert await client.close_frame() == (4003, "the browser crashed")
    client.drop()
    with pytest.raises(ConnectionError):
        await talking
    browser.drop()
    await visit.ended()


# --- eviction ---


async def test_eviction(rig: Rig) -> None:
    async with open_client(rig) as client:
        browser, visit = await rig.fake.connection(), await rig.visits.get()
        visit.evict(CloseCode.TAKEN_OVER, "another client took over: ☞")
        got, end = await closed(client)
        assert (got, told(end)) == ([], (4002, "another client took over: ☞"))
        assert await browser.close_frame() == (1000, "")
        browser.drop()
        await visit.ended()


async def test_eviction_under_a_flood_of_messages(rig: Rig) -> None:
    """Chunks that end in the middle of a frame each time must not keep the Close from its place."""
    async with open_client(rig) as client:
        browser, visit = await rig.fake.connection(), await rig.visits.get()
        event = b"e" * 3000

        async def flood() -> None:
            while True:
                await browser.say(*[event] * 30)
                await asyncio.sleep(0)

        flooding = asyncio.ensure_future(flood())
        for _ in range(100):
            await client.recv()
        visit.evict()
        got, end = await closed(client)
        assert told(end) == (4000, "stopped")
        assert set(got) <= {event}
        assert await browser.close_frame() == (1000, "")
        browser.drop()
        await visit.ended()
        with pytest.raises(ConnectionError):
            await flooding


async def test_eviction_while_a_big_message_streams(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await browser.send(header(1 << 20), bytes(1 << 19))
    visit.evict()
    await until(lambda: visit.browser.queued > 0)
    await browser.send(bytes(1 << 19), frame(b"too late"))
    assert await client.message() == bytes(1 << 20)
    assert await client.close_frame() == (4000, "stopped")
    await client.say_close(4000)
    assert await client.rest() == b""
    browser.drop()
    await visit.ended()


async def test_eviction_in_a_message_that_does_not_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_leg, "BOUNDARY_TIMEOUT", 0.3)
    async with open_client(rig) as client:
        browser, visit = await rig.fake.connection(), await rig.visits.get()
        await browser.send(frame(b"whole"), header(1 << 20), bytes(1 << 19))
        loop = asyncio.get_running_loop()
        visit.evict()
        began = loop.time()
        got, end = await closed(client)
        assert loop.time() - began > 0.29, "its end was waited for"
        assert (got, told(end)) == ([b"whole"], None)
        assert await browser.close_frame() == (1000, "")
        browser.drop()
        await visit.ended()


@pytest.mark.parametrize("size", [1 << 16, 64 << 20])
async def test_eviction_of_one_who_does_not_read(rig: Rig, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Between messages the Close waits in vain to be sent, inside a message it cannot be said."""
    monkeypatch.setattr(client_leg, "BOUNDARY_TIMEOUT", 0.1)
    monkeypatch.setattr(client_leg, "CLOSE_TIMEOUT", 0.2)
    client, browser, visit = await rig.connect()

    async def flood() -> None:
        while True:
            await browser.stream(bytes(size))
            await asyncio.sleep(0)

    flooding = asyncio.ensure_future(flood())
    await until(lambda: visit.transport.get_write_buffer_size() > HIGH_WATER)
    visit.evict()
    await until(visit.browser.finished.done)
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()
    assert visit.transport.is_closing()
    with pytest.raises(ConnectionError):
        await flooding
    await client.ended()


async def test_eviction_of_one_who_ignores_our_close(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on talking, and is dropped after a while; nothing of it reaches Chromium any more."""
    monkeypatch.setattr(client_leg, "CLOSE_TIMEOUT", 0.2)
    client, browser, visit = await rig.connect()
    visit.evict()
    assert await client.close_frame() == (4000, "stopped")

    async def talk() -> None:
        while True:
            await client.say(b"x" * 1000)
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await talk()
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


async def test_a_browser_that_is_stalled_does_not_hold_an_eviction_up(
    plain: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the client sent last is not waited for for ever."""
    monkeypatch.setattr(relay, "DELIVERY", 0.1)
    client, browser, visit = await plain.connect()
    sending = asyncio.ensure_future(client.stream(bytes(64 << 20)))
    await until(lambda: visit.browser.transport.get_write_buffer_size() > HIGH_WATER)
    visit.evict()
    assert await client.close_frame() == (4000, "stopped")
    await sending  # it is read to its end, and dropped
    await client.say_close(4000)
    await visit.ended()
    assert visit.browser.gone.done()
    await browser.ended()


# --- the server goes ---


async def test_the_end_of_all_leaves_nothing(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await client.say(b"hello")
    assert await browser.message() == b"hello"
    ours = {"pings", "relay"}
    assert ours <= {task.get_name() for task in asyncio.all_tasks()}
    await rig.stop()
    await visit.ended()
    assert visit.transport.is_closing()
    assert visit.browser.transport.is_closing()
    await browser.ended()
    await client.ended()
    await soon(asyncio.wait([visit.browser.gone]))
    assert not {task for task in asyncio.all_tasks() if task.get_name() in ours}


async def test_the_end_of_all_while_saying_goodbye(rig: Rig) -> None:
    """A client that ignores our Close does not hold it up."""
    client, browser, visit = await rig.connect()
    visit.evict()
    assert await client.close_frame() == (4000, "stopped")
    await rig.stop()
    await visit.ended()
    await browser.ended()
    await client.ended()


async def test_a_defect_in_one_does_not_touch_the_others(plain: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, visit = await plain.connect()
    second, browser, _ = await plain.connect()
    with monkeypatch.context() as broken:
        broken.setattr(ClientLeg, "close", None)  # what no test can provoke: something of ours that fails
        visit.evict()
        await soon(visit.over.wait())
    await first.ended()
    await second.say(b"still here")
    assert await browser.message() == b"still here"


async def test_aiohttp_forgets_the_connection(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    server = rig.runner.server
    assert server is not None
    await until(lambda: not server.connections)  # from the 101 on
    await client.say_close()
    assert await client.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()
