"""A websocket that another node answers: its bytes both ways as they come, without a look at what the client says.

What the owner says is followed from frame to frame (`BrowserFrames`), so that a Close of ours stands between two of
them when the owner is gone or this node stops.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from multidict import CIMultiDict

from gateway.errors import CloseCode, Farewell
from gateway.relay.browser_leg import HIGH_WATER
from gateway.relay.client_leg import BOUNDARY_TIMEOUT, CLOSE_TIMEOUT
from gateway.relay.encoding import CLOSE, FIN, MASKED, encode_close
from gateway.relay.frames import BrowserFrames
from gateway.relay.upgrade import accepted, let_go
from gateway.web.keepalive import keep_alive

GONE = Farewell(CloseCode.NODE_GONE, "the node that owned the browser is gone: reconnect")
MOST_HEAD = 64 << 10  # bytes of a response's head
MOST_REFUSAL = 1 << 20  # bytes of a refusal's body
END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """A response's head: parsed, and as it came."""

    status: int
    reason: str
    headers: CIMultiDict[str]
    raw: bytes


class Owner(asyncio.Protocol):
    """The end towards the node that answers. `gone` is done when it is; `finished` when the client gets no more.

    `finished` is True if the last that the client got is a Close frame.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.head: asyncio.Future[Head | None] = loop.create_future()  # None: none came
        self.gone: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[bool] = loop.create_future()
        self._early = bytearray()  # before there is a client
        self._frames = BrowserFrames()
        self._client: Client | None = None
        self._last = b""  # a Close of ours, that waits for the frame under way to end
        self._more: asyncio.Event = asyncio.Event()

    def attach(self, client: "Client") -> None:
        """All that comes, and came behind the head, goes to `client`."""
        self._client = client
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early)

    def finish(self, close: bytes) -> None:
        """Let `close` be the last that the client gets: now, or behind the message under way. Only the first counts."""
        client = self._client
        if client is None or self._last:
            return
        if self._frames.closed:
            self._mute(not self._frames.torn)
        elif not self._frames.torn:
            client.transport.write(close)
            self._mute(True)
        elif self.gone.done():  # in the middle of a frame nothing can be said
            self._mute(False)
        else:
            self._last = close

    def cut(self) -> None:
        """Pass nothing on any more, wherever the client is in a message."""
        self._mute(False)

    def abort(self) -> None:
        """Drop the connection."""
        self._mute(False)
        if not self.gone.done():  # transports do not bear it after their end
            self.transport.abort()

    @property
    def said_goodbye(self) -> bool:
        """Its own Close went to the client whole."""
        return self._frames.closed and not self._frames.torn

    async def body(self, size: int) -> bytes:
        """The first `size` bytes behind the head. Raises ConnectionError if the connection ends before."""
        while len(self._early) < size:
            if self.gone.done():
                raise ConnectionResetError("the answer broke off")
            self._more.clear()
            await self._more.wait()
        return bytes(self._early[:size])

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        keep_alive(self.transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        client = self._client
        if client is None:
            if not self.finished.done():
                self._begin(data)
            return
        at = self._frames.feed(data)
        if not self._last:
            client.transport.write(data)
        elif at >= 0:
            client.transport.write(data[:at] + self._last)
            self._mute(True)
        else:
            client.transport.write(data)
            if not self._frames.torn:  # between two fragments, or behind the owner's own Close
                if not self._frames.closed:
                    client.transport.write(self._last)
                self._mute(True)

    def eof_received(self) -> bool:
        """Its end is the connection's."""
        return False

    def pause_writing(self) -> None:
        """The owner does not keep up: read no more from the client."""
        if self._client is not None:
            self._client.hold()

    def resume_writing(self) -> None:
        """The owner has caught up."""
        if self._client is not None:
            self._client.free()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._more.set()
        if not self.head.done():
            self.head.set_result(None)
        if not self.gone.done():
            self.gone.set_result(None)
        if self._client is not None:
            self._client.owner_lost()
        if self._last:
            self._mute(False)

    def _begin(self, data: bytes) -> None:
        """The head, and what follows it until there is a client."""
        self._early += data
        self._more.set()
        if self.head.done():
            if len(self._early) > MOST_REFUSAL:
                self.transport.abort()
            return
        at = self._early.find(END)
        if at >= 0:
            raw = bytes(self._early[: at + len(END)])
            del self._early[: at + len(END)]
            self.head.set_result(parsed(raw))
            if self.head.result() is None:
                self.transport.abort()
        elif len(self._early) > MOST_HEAD:
            self.transport.abort()

    def _mute(self, said: bool) -> None:
        self._client = None
        if not self.finished.done():
            self.finished.set_result(said)


class Client(asyncio.Protocol):
    """The client's end. `gone` is done when it is; `over`, while we close, when it has said its own Close."""

    def __init__(self, transport: asyncio.Transport, owner: Owner) -> None:
        loop = asyncio.get_running_loop()
        self.transport = transport
        self.gone: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._owner = owner
        self._forward: Callable[[bytes], None] = owner.transport.write
        self._closing = False
        transport.set_write_buffer_limits(HIGH_WATER)

    def start(self, early: bytes) -> None:
        """Begin to read, with what it sent behind its request."""
        if early:
            self.data_received(early)
        self.free()  # aiohttp pauses when much came early

    def hold(self) -> None:
        """Read no more: the owner does not keep up."""
        if not self._closing and not self.transport.is_closing():
            self.transport.pause_reading()

    def free(self) -> None:
        """Read on."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def owner_lost(self) -> None:
        """What it says goes nowhere."""
        self._forward = _discard
        self.free()

    def ending(self) -> None:
        """What it still says is read, to see its end, and dropped."""
        self._closing = True
        self.free()

    # --- asyncio.Protocol ---

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self._closing:
            self._forward(data)
        elif _looks_like_close(data) and not self.over.done():
            self.over.set_result(None)

    def eof_received(self) -> bool:
        """It says no more, and may still read the owner's Close."""
        if not self.over.done():
            self.over.set_result(None)
        owner = self._owner.transport
        if not owner.is_closing():
            if owner.can_write_eof():
                owner.write_eof()
            else:  # TLS has no half of a connection
                owner.close()
        return self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """It does not keep up: read no more from the owner."""
        if not self._owner.transport.is_closing():
            self._owner.transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        if not self._owner.transport.is_closing():
            self._owner.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._owner.cut()
        for future in (self.over, self.gone):
            if not future.done():
                future.set_result(None)


class Splice:
    """One websocket of a client's and its continuation, once both are open. `farewell` ends it from our side."""

    def __init__(self, node: str, client: Client, owner: Owner) -> None:
        self.node = node
        self._client = client
        self._owner = owner
        self._farewell: asyncio.Future[Farewell] = asyncio.get_running_loop().create_future()

    def end(self, farewell: Farewell) -> None:
        """Close it so. Only the first call counts."""
        if not self._farewell.done():
            self._farewell.set_result(farewell)

    async def run(self) -> None:
        """Return when both ends are closed."""
        client, owner = self._client, self._owner
        try:
            ends: list[asyncio.Future[Any]] = [client.gone, owner.gone, self._farewell]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if client.gone.done():
                owner.transport.close()  # what the client said last is still passed on
                await asyncio.wait([owner.gone], timeout=CLOSE_TIMEOUT)
                return
            if not self._farewell.done() and not owner.said_goodbye and not client.over.done():
                self._farewell.set_result(GONE)
            if self._farewell.done():
                await self._part(self._farewell.result())
            client.transport.close()
            await asyncio.wait([client.gone], timeout=CLOSE_TIMEOUT)
        finally:
            owner.abort()
            if not client.gone.done():  # transports do not bear it after their end
                client.transport.abort()

    async def _part(self, farewell: Farewell) -> None:
        """Say it, at the end of a frame, and wait for the client's own Close."""
        client, owner = self._client, self._owner
        # Read on until its Close: a connection that is closed with unread input is reset, and the client would not see
        # why.
        client.ending()
        owner.finish(encode_close(farewell.close, farewell.words))
        await asyncio.wait([owner.finished], timeout=BOUNDARY_TIMEOUT)
        owner.cut()
        if owner.finished.result():
            await asyncio.wait([client.over], timeout=CLOSE_TIMEOUT)


def splice(request: web.Request, node: str, head: Head, owner: Owner) -> Splice:
    """Pass the owner's 101 on and take the client's connection from aiohttp. Raises ConnectionResetError if it is gone.

    aiohttp forgets the connection; `web/connections.py` counts it on.
    """
    transport, early = accepted(request, head.raw)
    client = Client(transport, owner)
    transport.set_protocol(client)
    owner.attach(client)
    client.start(early)
    let_go(request)
    return Splice(node, client, owner)


def parsed(raw: bytes) -> Head | None:
    """The head of a response of ours (RFC 9112 section 4); None if that is none."""
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or len(code) != 3 or not code.isdigit():
        return None
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        headers.add(name, value.strip())
    return Head(int(code), reason, headers, raw)


def _discard(data: bytes) -> None:
    """In place of a write to the owner, once it is gone."""


def _looks_like_close(data: bytes) -> bool:
    """Whether it is a client's Close frame alone. Where its frames begin nobody has followed: it is a good guess,
    and at worst the wait for the Close is cut short."""
    return len(data) >= 6 and data[0] == FIN | CLOSE and data[1] >= MASKED and len(data) == 6 + (data[1] & 0x7F)
