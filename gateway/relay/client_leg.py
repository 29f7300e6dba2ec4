"""The client's side of a websocket, once `upgrade.py` has accepted it: its bytes to Chromium as they come.

Its counterpart is `browser_leg.py`. Close, ping and pong are answered here and never reach Chromium;
commands of ours are shown to `Commands`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import time
from typing import Protocol

from gateway.errors import CloseCode, Farewell
from gateway.relay.browser_leg import HIGH_WATER, BrowserLeg
from gateway.relay.commands import CONCERNS, Answerable, LetGo, Reject, Rewrite, recognise, refuse
from gateway.relay.encoding import CLOSE, NO_CODE, PING, PONG, encode, encode_close, encode_masked, parse_close
from gateway.relay.frames import ClientFrames, Command, Control, Segment, Violation
from gateway.relay.overrides import Override
from gateway.relay.places import Places

CLOSE_TIMEOUT = 3.0  # seconds for the client to read our Close and answer it
BOUNDARY_TIMEOUT = 1.0  # seconds for a frame under way to its end, before a Close is said
REPLIES_LIMIT = 256 << 10  # bytes of our own replies that may wait before the client is no longer read


@dataclass(slots=True)
class Pulse:
    """`at` is the instant of a session's last use: each message of a client's moves it, pings and pongs do not."""

    at: float


class Commands(Protocol):
    """What answers the client's `Gateway.*` commands."""

    pulse: Pulse
    rewrites: bool  # whether contexts shall outlive this connection
    places: Places | None  # where the session's files are, if they are to be kept there

    def perform(self, command: Answerable, client: "ClientLeg") -> None:
        """Answer with `client.reply`, now or later."""

    def note(self, override: Override, client: "ClientLeg") -> bool:
        """The client sets something. True: it shall wait, and all behind it, until `client.go_on()`."""

    def let_go(self, client: "ClientLeg") -> bool:
        """The client lets a target go. True: that shall wait, and all behind it, until `client.go_on()`."""

    def parting(self, browser: BrowserLeg) -> AbstractAsyncContextManager[None]:
        """Around the end of the connection to Chromium, which the client is done with, by whatever road it went."""


class ClientLeg(asyncio.Protocol):
    """`over` is done when there is nothing more to pass on; `gone` when the client's own Close or end was seen."""

    def __init__(
        self, transport: asyncio.Transport, browser: BrowserLeg, commands: Commands, leave: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self.write = transport.write
        self._transport = transport
        self._browser = browser
        self._forward: Callable[[bytes], None] = browser.transport.write
        self._commands = commands
        self._pulse = commands.pulse
        self._leave = leave
        self._frames = ClientFrames(CONCERNS)
        self._passes: Callable[[bytes], bool] = self._frames.passes
        self._held: set[str] = set()
        self._backlog: deque[Segment] = deque()  # not empty: what waits until `go_on`, the one that it is for first
        self._waiting = 0  # its bytes, or a few more
        self._stalled = False
        self._closing = False
        self._violated = False
        transport.set_write_buffer_limits(HIGH_WATER)

    def start(self, early: bytes) -> None:
        """Begin to read, with what the client sent `early`, behind its upgrade request."""
        if early:
            self.data_received(early)
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()  # aiohttp pauses when more than 64 KB came early

    def reply(self, message: bytes) -> None:
        """Send a message of ours: the answer to a command of ours."""
        if not self._closing:
            self._browser.inject(encode(message))
            self._hold_if_flooded()

    def say_goodbye(self) -> None:
        """Close right behind what was replied: the client asked to be detached."""
        self._browser.finish(encode_close(CloseCode.DONE, "detached"))
        self._end()

    def ping(self) -> None:
        """Keep the way between us open."""
        if not self._closing and not self._stalled:
            self._browser.inject(encode(b"", PING), control=True)

    def hold(self, why: str) -> None:
        """Read no more from the client until `free(why)`."""
        if not self._held and not self._transport.is_closing():
            self._transport.pause_reading()
        self._held.add(why)

    def free(self, why: str) -> None:
        """End one reason not to read."""
        if why in self._held:
            self._held.discard(why)
            if not self._held and not self._transport.is_closing():
                self._transport.resume_reading()

    def go_on(self) -> None:
        """What had to be done before a command of the client's could reach Chromium is done."""
        if self._closing or not self._backlog:
            return
        waited, self._backlog = self._backlog, deque()
        self._passes = self._frames.passes
        self._forward(_bytes(waited.popleft()))
        while waited:
            self._take(waited.popleft())
            if self._backlog:  # another that must wait
                self._backlog.extend(waited)
                return
        self._waiting = 0
        self.free("override")

    def browser_lost(self) -> None:
        """Chromium's end is gone: what the client still says is read, to see its end, and dropped."""
        self._forward = _discard
        self.free("browser")

    @property
    def browser(self) -> BrowserLeg:
        """The other side."""
        return self._browser

    async def finish(self, farewell: Farewell) -> None:
        """Say what there is to say last: our Close, unless one went out. Nothing reaches the client after it."""
        self._stop()
        self._browser.finish(encode_close(farewell.close, farewell.words))
        await asyncio.wait([self._browser.finished], timeout=BOUNDARY_TIMEOUT)
        self._browser.cut()

    async def close(self) -> None:
        """End in good order (RFC 6455 section 7.1), once `finish` is through: wait for the client's Close."""
        browser = self._browser
        # Reading on until the client's own Close: closing with unread input would reset the connection,
        # and the client would never see why.
        self._held.clear()
        if not self._transport.is_closing():
            self._transport.resume_reading()
        said = browser.finished.result()
        # In the middle of a frame no Close can be said, and behind a violation the client's is not understood:
        # the end of the stream has to do. TLS has no such thing.
        half_close = (self._violated or not said) and self._transport.can_write_eof() and not self.gone.done()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if half_close:
                    self._transport.write_eof()
                if said or half_close:
                    await asyncio.wait([self.gone])
                self._transport.close()
                await asyncio.wait([self._lost])
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        if not self._lost.done():  # asyncio's transports do not bear it after their end
            self._transport.abort()

    # --- asyncio.Protocol ---

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._passes(data):
            self._pulse.at = time()
            self._forward(data)
            return
        for segment in self._frames.feed(data):
            if isinstance(segment, bytes | Command):
                self._pulse.at = time()
            if self._backlog and isinstance(segment, bytes | Command):
                self._backlog.append(segment)
                self._waiting += len(_bytes(segment))
                if self._waiting > HIGH_WATER:  # until then it is read: its end shall be seen at once
                    self.hold("override")
            else:
                self._take(segment)

    def pause_writing(self) -> None:
        """The client does not keep up: read no more from Chromium."""
        self._stalled = True
        self._browser.hold()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stalled = False
        self._browser.free()
        self.free("replies")

    def eof_received(self) -> bool:
        """The client ends its side: so do we."""
        self._browser.cut()
        self._left()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._browser.cut()
        self._left()
        if not self._lost.done():
            self._lost.set_result(None)

    def _take(self, segment: Segment) -> None:
        if isinstance(segment, bytes):
            self._forward(segment)
        elif isinstance(segment, Command):
            self._command(segment)
        elif isinstance(segment, Control):
            self._control(segment)
        else:
            self._violation(segment)

    def _wait(self, segment: Command) -> None:
        """Let it and all that follows wait for `go_on`."""
        self._backlog.append(segment)
        self._passes = _never

    def _hurry(self) -> None:
        """Let nothing wait any more: this is the end."""
        waited, self._backlog = self._backlog, deque()
        if waited:
            self._forward(_bytes(waited.popleft()))
        while waited:
            self._take(waited.popleft())
            if self._backlog:  # it would wait
                self._forward(_bytes(self._backlog.pop()))

    def _stop(self) -> None:
        """Pass nothing on to Chromium any more."""
        self._hurry()
        if not self._closing:
            self._closing = True
            self._browser.unfinished = self._frames.completion()
            self._forward = _discard

    def _end(self) -> None:
        """Pass nothing on any more, and free the seat."""
        self._stop()
        if not self.over.done():
            self._leave()
            self.over.set_result(None)

    def _left(self) -> None:
        """The client has closed its side."""
        self._end()
        if not self.gone.done():
            self.gone.set_result(None)

    def _hold_if_flooded(self) -> None:
        if self._stalled or self._browser.queued > REPLIES_LIMIT:
            self.hold("replies")  # one who asks and does not read shall not fill our memory

    def _command(self, segment: Command) -> None:
        if self._closing:
            return
        own = recognise(segment.payload, self._commands.places)
        if isinstance(own, Reject):
            self.reply(refuse(own, own.code, own.message))
        elif isinstance(own, Rewrite):
            self._forward(encode_masked(own.payload) if own.always or self._commands.rewrites else segment.frame)
        elif own is None or (isinstance(own, Override) and not self._commands.note(own, self)):
            changed = own.payload if own is not None else None
            self._forward(segment.frame if changed is None else encode_masked(changed))
        elif isinstance(own, Override):
            self._wait(segment)
        elif isinstance(own, LetGo):
            if self._commands.let_go(self):
                self._wait(segment)
            else:
                self._forward(segment.frame)
        else:
            self._commands.perform(own, self)

    def _control(self, segment: Control) -> None:
        if segment.opcode == PING and not self._closing:
            self._browser.inject(encode(segment.payload, PONG), control=True)
            self._hold_if_flooded()
        elif segment.opcode == CLOSE:
            code, _ = parse_close(segment.payload)
            self._browser.finish(encode_close(code if code == NO_CODE else CloseCode.DONE, ""))
            self._left()

    def _violation(self, segment: Violation) -> None:
        self._violated = True
        self._browser.finish(encode_close(segment.code, segment.reason))
        self._end()


def _bytes(segment: Segment) -> bytes:
    """What waited, as it came: control frames never wait."""
    assert isinstance(segment, bytes | Command)
    return segment if isinstance(segment, bytes) else segment.frame


def _never(data: bytes) -> bool:
    """In place of the short way, while something waits."""
    return False


def _discard(data: bytes) -> None:
    """In place of a write to Chromium, once nothing is to go there."""
