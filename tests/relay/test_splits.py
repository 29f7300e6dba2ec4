"""Streams cut in every place and in every two places: nothing depends on how the network cuts them.

Both scanners by themselves, and both legs together with a reply put in at every point of Chromium's stream. What
must come out is what `websockets`' own parser reads.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import combinations_with_replacement
from typing import cast

import pytest

from gateway.relay.browser_leg import BrowserLeg
from gateway.relay.client_leg import ClientLeg, Pulse
from gateway.relay.commands import Answerable, answer
from gateway.relay.encoding import CLOSE, CONTINUATION, PING, PONG, TEXT, encode
from gateway.relay.frames import BrowserFrames
from gateway.relay.overrides import Override
from gateway.relay.places import Places
from tests.relay.test_frames import boundaries, expected_segments, frame, masked, messages, oracle, read

# Every kind of frame next to others: empty, each form of length, fragments with control frames in between.
SAID = (
    frame(b"{}"),
    frame(b""),
    frame(b"ab", TEXT, fin=False),
    frame(b"!", PING),
    frame(b"", CONTINUATION, fin=False),
    frame(b"c", CONTINUATION),
    frame(b"long", form=126),
    frame(b"longer", form=127),
    frame(b"", PONG),
    frame(b"x" * 126),
)
ASKED = (
    masked(b"a"),
    masked(b"Gateway.1"),
    masked(b"", TEXT, fin=False),
    masked(b"?", PING),
    masked(b"Gateway", CONTINUATION),
    masked(b"Gateway.2", form=126),
    masked(b"b", form=127),
    masked(b"", PONG),
    masked(b"Gateway.3"),
)
ENDS = [b"", frame(b"\x03\xe8bye", CLOSE)]


def in_two_places(stream: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """In three pieces in every way; some of them empty."""
    for first, second in combinations_with_replacement(range(len(stream) + 1), 2):
        yield stream[:first], stream[first:second], stream[second:]


@pytest.mark.parametrize("end", ENDS)
def test_the_boundaries_of_what_chromium_says(end: bytes) -> None:
    stream = b"".join(SAID) + end
    places = boundaries(stream)
    for pieces in in_two_places(stream):
        frames, offset = BrowserFrames(), 0
        for piece in filter(None, pieces):
            expected = min((at - offset for at in places if offset <= at <= offset + len(piece)), default=-1)
            assert frames.feed(piece) == expected
            offset += len(piece)
        assert frames.closed == bool(end)


@pytest.mark.parametrize("end", [b"", masked(b"\x03\xe8bye", CLOSE)])
def test_what_is_made_of_what_a_client_says(end: bytes) -> None:
    stream = b"".join(ASKED) + end
    expected = expected_segments(stream)
    for first, second in combinations_with_replacement(range(len(stream) + 1), 2):
        assert read(stream, (first, second)) == expected


class Collected(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It has room for all."""

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        """It does not read."""


class Answers:
    """Answers each command of ours at once."""

    rewrites = False
    places: Places | None = None

    def __init__(self) -> None:
        self.pulse = Pulse(0.0)

    def perform(self, command: Answerable, client: ClientLeg) -> None:
        client.reply(answer(command, {}))

    def note(self, override: Override, client: ClientLeg) -> bool:
        return False

    def let_go(self, client: ClientLeg) -> bool:
        return False

    def parting(self, browser: BrowserLeg) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def run(self) -> None:
        """All is answered already."""


def legs() -> tuple[BrowserLeg, ClientLeg, Callable[[], bytes]]:
    """Both legs, attached, without a network; and what the client has got so far."""
    browser, to_client = BrowserLeg(), Collected()
    browser.connection_made(Collected())
    client = ClientLeg(cast(asyncio.Transport, to_client), browser, Answers(), lambda: None)
    browser.attach(client)
    return browser, client, lambda: b"".join(to_client.written)


QUESTIONS = [masked(b'{"id":%d,"method":"Gateway.info"}' % number) for number in (1, 2)]
REPLIES = [encode(b'{"id":%d,"result":{}}' % number) for number in (1, 2)]


async def test_replies_put_in_at_every_two_places_of_what_chromium_says() -> None:
    """Each at once or at the next boundary, in their order, and the rest as it was."""
    stream = b"".join(SAID)
    places = boundaries(stream)
    for pieces in in_two_places(stream):
        browser, client, got = legs()
        offset, due = 0, []
        for piece, question in zip(pieces, [*QUESTIONS, b""], strict=True):
            browser.data_received(piece)
            offset += len(piece)
            if question:
                client.data_received(question)
                due.append(next(place for place in places if place >= offset))
        assert browser.queued == 0
        first, second = due
        assert got() == stream[:first] + REPLIES[0] + stream[first:second] + REPLIES[1] + stream[second:]


async def test_pings_answered_at_every_place_of_what_chromium_says() -> None:
    """A pong may stand between the fragments of a message, but in no frame."""
    stream = b"".join(SAID)
    for cut in range(len(stream) + 1):
        browser, client, got = legs()
        browser.data_received(stream[:cut])
        client.data_received(masked(b"here?", PING))
        browser.data_received(stream[cut:])
        seen = messages(got(), mask=False)
        assert seen.count((PONG, b"here?")) == 1
        assert [message for message in seen if message != (PONG, b"here?")] == messages(stream, mask=False)


@pytest.mark.parametrize("end", ENDS)
async def test_a_farewell_at_every_place_of_what_chromium_says(end: bytes) -> None:
    """Whole frames, then one Close and nothing behind it; Chromium's own stands if it was there first."""
    stream = b"".join(SAID) + end
    before = [item.frame for item in oracle(stream, mask=False)]
    for cut in range(len(stream) + 1):
        browser, _, got = legs()
        browser.data_received(stream[:cut])
        browser.finish(encode(b"\x0f\xa0stopped", CLOSE))
        browser.data_received(stream[cut:])
        assert browser.finished.result()
        *seen, last = [item.frame for item in oracle(got(), mask=False)]
        assert seen == before[: len(seen)]
        assert last.opcode == CLOSE
        own_began = cut > len(b"".join(SAID))
        assert bytes(last.data) == (b"\x03\xe8bye" if own_began else b"\x0f\xa0stopped")
