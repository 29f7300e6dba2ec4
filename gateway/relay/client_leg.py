"""The client's side of a websocket, taken over from aiohttp once it is accepted: its bytes to Chromium as they come.

Its counterpart is `browser_leg.py`. Close, ping and pong are answered here and never reach Chromium;
commands of ours are shown to `Commands`.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from gateway.errors import CloseCode, Farewell
from gateway.relay.browser_leg import HIGH_WATER, BrowserLeg
from gateway.relay.commands import CONCERNS, Answerable, Reject, Rewrite, recognise, refuse
from gateway.relay.frames import (
    CLOSE,
    NO_CODE,
    PING,
    PONG,
    ClientFrames,
    Command,
    Control,
    Violation,
    encode,
    encode_close,
    encode_masked,
    parse_close,
)

CLOSE_TIMEOUT = 3.0  # seconds for the client to read our Close and answer it
BOUNDARY_TIMEOUT = 1.0  # seconds for a frame under way to its end, before a Close is said
DEAD_AFTER = 60_000  # ms without an acknowledgement, then the kernel gives the connection up
REPLIES_LIMIT = 256 << 10  # bytes of our own replies that may wait before the client is no longer read


class Commands(Protocol):
    """What answers the client's `Gateway.*` commands."""

    rewrites: bool  # whether contexts shall outlive this connection

    def perform(self, command: Answerable, client: "ClientLeg") -> None:
        """Answer with `client.reply`, now or from `run`."""

    async def run(self) -> None:
        """Work beside the connection, on commands that take their time."""


class ClientLeg(asyncio.Protocol):
    """`over` is done when there is nothing more to pass on; `gone` when the client's own Close or end was seen."""

    def __init__(
        self, transport: asyncio.Transport, browser: BrowserLeg, commands: Commands, leave: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self.torn = False  # at the end: whether Chromium was left with an incomplete frame
        self.write = transport.write
        self._transport = transport
        self._browser = browser
        self._commands = commands
        self._leave = leave
        self._frames = ClientFrames(CONCERNS)
        self._held: set[str] = set()
        self._stalled = False
        self._closing = False
        transport.set_write_buffer_limits(HIGH_WATER)

    def reply(self, message: bytes) -> None:
        """Send a message of ours: the answer to a command of ours."""
        if self._closing:
            return
        self._browser.inject(encode(message))
        if self._stalled or self._browser.queued > REPLIES_LIMIT:
            self.hold("replies")  # one who asks and does not read shall not fill our memory

    def say_goodbye(self) -> None:
        """Close right behind what was replied: the client asked to be detached."""
        self._browser.inject(encode_close(CloseCode.DONE, "detached"))
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

    async def close(self, farewell: Farewell) -> None:
        """End in good order (RFC 6455 section 7.1): our Close, unless one went out, then the client's."""
        if not self.gone.done():
            await self._say(farewell)
        self._browser.detach()
        # Reading on until the client's own Close: closing with unread input would reset the connection,
        # and the client would never see why.
        self._held.clear()
        if not self._transport.is_closing():
            self._transport.resume_reading()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await asyncio.wait([self.gone])
                self._transport.close()
                await asyncio.wait([self._lost])
        except TimeoutError:
            self._transport.abort()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    async def _say(self, farewell: Farewell) -> None:
        try:
            async with asyncio.timeout(BOUNDARY_TIMEOUT):
                await self._browser.boundary()
        except TimeoutError:
            pass  # in the middle of a frame that does not end: no Close can be said
        if self._closing:
            return  # a Close has gone out, or the client was first
        self._closing = True
        if self._browser.torn:
            self._transport.abort()
        elif not self._browser.closed:
            self.write(encode_close(farewell.close, farewell.words))

    # --- asyncio.Protocol ---

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        for segment in self._frames.feed(data):
            if isinstance(segment, bytes):
                if not self._closing:
                    self._browser.transport.write(segment)
            elif isinstance(segment, Command):
                if not self._closing:
                    self._command(segment)
            elif isinstance(segment, Control):
                self._control(segment)
            else:
                self._violation(segment)

    def pause_writing(self) -> None:
        """The client does not keep up: read no more from Chromium."""
        self._stalled = True
        self._browser.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stalled = False
        if not self._browser.transport.is_closing():
            self._browser.transport.resume_reading()
        self.free("replies")

    def eof_received(self) -> bool:
        """The client ends its side: so do we."""
        self._left()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._left()
        if not self._lost.done():
            self._lost.set_result(None)

    def _end(self) -> None:
        """Pass nothing on any more, and free the seat."""
        self._closing = True
        if not self.over.done():
            self.torn = self._frames.torn
            self._leave()
            self.over.set_result(None)

    def _left(self) -> None:
        """The client has closed its side."""
        self._end()
        if not self.gone.done():
            self.gone.set_result(None)

    def _command(self, segment: Command) -> None:
        own = recognise(segment.payload)
        if isinstance(own, Reject):
            self.reply(refuse(own, own.code, own.message))
        elif isinstance(own, Rewrite):
            self._browser.transport.write(encode_masked(own.payload) if self._commands.rewrites else segment.frame)
        elif own is None:
            self._browser.transport.write(segment.frame)
        else:
            self._commands.perform(own, self)

    def _control(self, segment: Control) -> None:
        if segment.opcode == PING and not self._closing:
            self._browser.inject(encode(segment.payload, PONG), control=True)
            if self._stalled or self._browser.queued > REPLIES_LIMIT:
                self.hold("replies")
        elif segment.opcode == CLOSE:
            if not self._closing:
                code, _ = parse_close(segment.payload)
                if not self._browser.torn:
                    self.write(encode_close(code if code in (CloseCode.DONE, NO_CODE) else CloseCode.DONE, ""))
            self._left()

    def _violation(self, segment: Violation) -> None:
        if not self._closing and not self._browser.torn:
            self.write(encode_close(segment.code, segment.reason))
        self._end()


class _Tail:
    """Handed to aiohttp as the parser of the upgraded connection: collects what came behind the request."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called with bytes that aiohttp had read already."""
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing to end."""


def take_over(
    request: web.Request, accept: str, browser: BrowserLeg, commands: Commands, leave: Callable[[], None]
) -> ClientLeg:
    """Answer the upgrade with 101 and take the connection from aiohttp. Raises ConnectionResetError if it is gone.

    `accept` is the Sec-WebSocket-Accept of RFC 6455 section 4.2.2. Works on asyncio and uvloop transports,
    plain and TLS.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client left before the upgrade")
    transport.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    _detect_death(transport)
    tail = _Tail()
    request.protocol.set_parser(tail)  # type: ignore[arg-type]  # marks the upgrade as taken, yields early bytes
    client = ClientLeg(transport, browser, commands, leave)
    transport.set_protocol(client)
    browser.attach(client)
    if tail.data:
        client.data_received(tail.data)
    if not transport.is_closing():
        transport.resume_reading()  # aiohttp pauses when more than 64 KB came early
    return client


def _detect_death(transport: asyncio.Transport) -> None:
    """A client whose machine vanished sends no end of stream; unacknowledged pings end it instead."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER)
