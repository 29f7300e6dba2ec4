"""Our side of a websocket to Chromium: the handshake, then its bytes to the client as they come.

Its counterpart is `client_leg.py`. Chromium's habits are in docs/architecture.md: it wants an IP as Host,
no Origin and no extensions, and drops a connection whose frames come with the upgrade request.
"""

import asyncio
from base64 import b64encode
from os import urandom
from typing import TYPE_CHECKING, cast

from gateway.relay.frames import BrowserFrames

if TYPE_CHECKING:
    from gateway.relay.client_leg import ClientLeg

HIGH_WATER = 1 << 20  # bytes buffered for a slow reader before its counterpart is no longer read


class BrowserUnreachable(ConnectionError):
    """Chromium did not open the websocket; the message has what it said."""


class BrowserLeg(asyncio.Protocol):
    """`gone` is done when Chromium's end of the connection is; `attach` starts the flow to a client."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.head: asyncio.Future[bytes] = loop.create_future()  # the HTTP response to our upgrade
        self._frames = BrowserFrames()
        self._client: ClientLeg | None = None
        self._early = b""  # what came before there was a client
        self._waiting: list[bytes] = []  # frames of ours for the next message boundary
        self._boundary: asyncio.Future[None] | None = None

    @property
    def torn(self) -> bool:
        """The client is in the middle of a frame: not even a Close may be put in."""
        return self._frames.torn

    @property
    def closed(self) -> bool:
        """Chromium has sent a Close of its own, which went to the client."""
        return self._frames.closed

    @property
    def queued(self) -> int:
        """Bytes of ours that wait for a message boundary."""
        return sum(map(len, self._waiting))

    def attach(self, client: "ClientLeg") -> None:
        """Everything from now on, and what came before, goes to `client`."""
        self._client = client
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def detach(self) -> None:
        """Pass nothing on any more and close the connection; what the client sent is still delivered."""
        self._client = None
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self.transport.close()

    def abort(self) -> None:
        """Drop the connection: its last frame from the client is incomplete."""
        self._client = None
        self.transport.abort()

    def inject(self, frame: bytes, *, control: bool = False) -> None:
        """Put a whole frame of ours in, at once or at the next boundary. Control frames may interrupt a message."""
        if self._client is not None and (self._frames.idle or (control and not self._frames.torn)):
            self._client.write(frame)
        else:
            self._waiting.append(frame)

    async def boundary(self) -> None:
        """Return at a point where a Close may be sent, and nothing of ours waits any more."""
        if self._frames.torn or self._waiting:
            self._boundary = asyncio.get_running_loop().create_future()
            await self._boundary

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        client = self._client
        if client is None:
            self._keep(data)
            return
        at = self._frames.feed(data)
        if at >= 0 and self._waiting:
            data = b"".join((data[:at], *self._waiting, data[at:]))
            self._waiting.clear()
            client.free("replies")
        client.write(data)
        if self._boundary is not None and not (self._frames.torn or self._waiting or self._boundary.done()):
            self._boundary.set_result(None)

    def pause_writing(self) -> None:
        """Chromium does not keep up: read no more from the client."""
        if self._client is not None:
            self._client.hold("browser")

    def resume_writing(self) -> None:
        """Chromium has caught up."""
        if self._client is not None:
            self._client.free("browser")

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        if not self.head.done():
            self.head.set_exception(BrowserUnreachable("Chromium closed the connection during the handshake"))
        if not self.gone.done():
            self.gone.set_result(None)
        if self._boundary is not None and not self._boundary.done():
            self._boundary.set_result(None)

    def _keep(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # detached: nobody wants it
        self._early += data
        if not self.head.done() and b"\r\n\r\n" in self._early:
            head, _, self._early = self._early.partition(b"\r\n\r\n")
            self.head.set_result(head)


async def dial(port: int, path: str, *, timeout: float = 10.0) -> BrowserLeg:
    """An open websocket to Chromium's `path` on 127.0.0.1:`port`. Raises BrowserUnreachable. `timeout` in seconds."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, leg = await loop.create_connection(BrowserLeg, "127.0.0.1", port)
            try:
                key = b64encode(urandom(16)).decode()
                leg.transport.write(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
                )
                head = await leg.head
                if not head.startswith(b"HTTP/1.1 101"):
                    raise BrowserUnreachable(f"Chromium answered {status_line(head)}")
            except BaseException:
                leg.abort()
                raise
            return leg
    except TimeoutError:
        raise BrowserUnreachable(f"Chromium did not answer within {timeout:g} s") from None
    except ConnectionRefusedError:
        raise BrowserUnreachable("Chromium does not listen any more") from None


def status_line(head: bytes) -> str:
    """The first line of an HTTP response."""
    return head.partition(b"\r\n")[0].decode("latin-1")
