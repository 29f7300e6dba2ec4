"""Our side of a websocket to Chromium: the handshake, then its bytes to the client as they come.

Its counterpart is `client_leg.py`. Chromium's habits are in docs/architecture.md: it wants an IP as Host,
no Origin and no extensions, and drops a connection whose frames come with the upgrade request.
"""

import asyncio
import socket
import struct
from base64 import b64encode
from os import urandom
from typing import TYPE_CHECKING, Any, cast

from gateway.relay.encoding import encode_masked
from gateway.relay.frames import BrowserFrames
from gateway.relay.replies import Replies, question

if TYPE_CHECKING:
    from gateway.relay.client_leg import ClientLeg

GOODBYE = b"\x88\x82\0\0\0\0\x03\xe8"  # a client's Close frame with code 1000, masked with zeros
HIGH_WATER = 1 << 20  # bytes buffered for a slow reader before its counterpart is no longer read
LAST_DATA = struct.Struct("44xI4xI")  # in struct tcp_info: ms since data was last sent, and received
TICK = 50  # ms: clocks are compared, and read late on a busy machine


class BrowserUnreachable(ConnectionError):
    """Chromium did not open the websocket; the message has what it said."""


class BrowserLeg(asyncio.Protocol):
    """`attach` starts the flow to a client and `finish` ends it; `detach` takes leave of Chromium.

    `gone` is done when Chromium's end of the connection is. `finished` is done when the client gets nothing
    more: True if the last it got is a Close frame, so that it knows.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[bool] = loop.create_future()
        self.head: asyncio.Future[bytes] = loop.create_future()  # the HTTP response to our upgrade; empty: none came
        self._frames = BrowserFrames()
        self._client: ClientLeg | None = None
        self._early = b""  # what came before there was a client
        self._waiting: list[bytes] = []  # frames of ours for the next message boundary
        self.queued = 0  # their bytes
        self._finishing = False  # the last of them is a Close
        # What Chromium needs to have a whole message of what its client sent last, before anything else may be said;
        # None: too much of it is missing.
        self.unfinished: bytes | None = b""
        self._questions: dict[int, asyncio.Future[dict[str, Any] | None]] = {}
        self._replies: Replies | None = None  # while there are questions

    def attach(self, client: "ClientLeg") -> None:
        """Everything from now on, and what came before, goes to `client`."""
        self._client = client
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def inject(self, frame: bytes, *, control: bool = False) -> None:
        """Put a whole frame of ours in, at once or at the next boundary. Control frames may interrupt a message."""
        if self._client is None:
            return  # nobody to read it
        if not self._waiting and (self._frames.idle or (control and not self._frames.torn)):
            self._client.write(frame)
        else:
            self._waiting.append(frame)
            self.queued += len(frame)

    def finish(self, close: bytes) -> None:
        """Let the Close frame `close` be the last that the client gets: now or, in a message, at its end.

        Only the first call counts; a Close that Chromium has sent stands instead.
        """
        if self._finishing or self._client is None:
            return
        self._finishing = True
        if self._frames.closed and not self._frames.torn:
            self._mute(True)
            return
        if self.gone.done():
            self._waiting.clear()  # the boundary that they wait for will not come
        self.inject(close, control=True)
        if not self._waiting:
            self._mute(True)
        elif self.gone.done():
            self._mute(False)

    def ask(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> "asyncio.Future[dict[str, Any] | None]":
        """A command of ours on the client's connection; its `result`, None for an error or where there is no answer.

        The client must stand between two messages, or have gone. It sees nothing of it.
        """
        number, message = question(method, params or {}, session)
        answer: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        if self.gone.done() or self.transport.is_closing() or self.unfinished is None:
            answer.set_result(None)
            return answer
        if self.unfinished:
            self.transport.write(self.unfinished)
            self.unfinished = b""
        if self._replies is None:
            self._replies = Replies(self._frames)
        self._questions[number] = answer
        self.transport.write(encode_masked(message))
        return answer

    def cut(self) -> None:
        """Pass nothing on any more, wherever the client is in a message."""
        self._mute(False)

    def detach(self) -> None:
        """Leave, behind all that the client sent; `gone` will tell. Behind half a message nothing can be said."""
        self.cut()
        if self.unfinished != b"":
            self.abort()
        elif not self.transport.is_closing():
            # Not just the end of the stream: closing a socket with unread input resets the connection, and
            # commands still under way would be lost. Chromium answers a Close and then closes by itself.
            self.transport.write(GOODBYE)

    def abort(self) -> None:
        """Drop the connection."""
        self._client = None
        if not self.gone.done():  # asyncio's transports do not bear it after their end
            self.transport.abort()

    def hold(self) -> None:
        """Read no more from Chromium: the client does not keep up."""
        if self._client is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def free(self) -> None:
        """The client has caught up."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    @property
    def stalled(self) -> bool:
        """Chromium is not read now, since the client does not keep up."""
        return self._client is not None and not self.transport.is_closing() and not self.transport.is_reading()

    def waits(self, quiet: float) -> bool:
        """Chromium got something and has said nothing since, nor in the last `quiet` seconds.

        It is the kernel that remembers (TCP_INFO), in steps of a few ms: within one of them an answer that came
        looks like one that did not.
        """
        raw = self.transport.get_extra_info("socket")
        if raw is None or self.transport.is_closing() or not hasattr(socket, "TCP_INFO"):
            return False
        sent, heard = LAST_DATA.unpack(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_DATA.size))
        return bool(sent <= heard and heard + TICK >= quiet * 1000)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._replies is not None:
            data = self._without_answers(self._replies, data)
            if not data:
                return
        client = self._client
        if client is None:
            self._keep(data)
            return
        at = self._frames.feed(data)
        if self._waiting:
            data = self._with_ours(data, at)
        client.write(data)

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
            self.head.set_result(b"")
        if not self.gone.done():
            self.gone.set_result(None)
        for answer in self._questions.values():
            if not answer.done():
                answer.set_result(None)
        if self._client is not None:
            self._client.browser_lost()
        if self._finishing and self._client is not None:
            # The boundary that our replies wait for will not come; the Close behind them may stand between fragments.
            said = bool(self._waiting) and not (self._frames.torn or self._frames.closed)
            if said:
                self._client.write(self._waiting[-1])
            self._mute(said)

    def _without_answers(self, replies: Replies, data: bytes) -> bytes:
        """`data` without the answers to our questions, which are told."""
        data, found = replies.feed(data)
        for message in found:
            answer = self._questions.pop(message["id"], None)
            if answer is not None and not answer.done():  # who asked may have given up
                answer.set_result(message.get("result"))
        if not self._questions:
            self._replies = None
            data += replies.rest()
        return data

    def _with_ours(self, data: bytes, at: int) -> bytes:
        """`data` with what waits put in at the boundary `at`, if there is one, and cut there if that is a Close."""
        if at < 0:
            if self._finishing and self._frames.closed and not self._frames.torn:
                self._mute(True)  # Chromium's own Close came first
            return data
        ours = b"".join(self._waiting)
        self._waiting.clear()
        self.queued = 0
        if self._finishing:
            self._mute(True)
            return data[:at] + ours
        if self._client is not None:
            self._client.free("replies")
        return b"".join((data[:at], ours, data[at:]))

    def _mute(self, said: bool) -> None:
        self._client = None
        self._waiting.clear()
        if not self.finished.done():
            self.finished.set_result(said)
        self.free()  # to see Chromium's end

    def _keep(self, data: bytes) -> None:
        if self.finished.done():
            self._frames.feed(data)  # nobody wants it; but an answer of ours may stand behind it
            return
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
                if not head:
                    raise BrowserUnreachable("Chromium closed the connection during the handshake")
                if not head.startswith(b"HTTP/1.1 101"):
                    raise BrowserUnreachable(f"Chromium answered {status_line(head)}")
            except BaseException:  # a cancel too: nobody else knows of this socket yet
                leg.abort()
                raise
            return leg
    except TimeoutError:
        raise BrowserUnreachable(f"Chromium did not answer within {timeout:g} s") from None
    except ConnectionRefusedError:
        raise BrowserUnreachable("Chromium does not listen any more") from None
    except ConnectionResetError:
        raise BrowserUnreachable("Chromium reset the connection") from None


def status_line(head: bytes) -> str:
    """The first line of an HTTP response."""
    return head.partition(b"\r\n")[0].decode("latin-1")
