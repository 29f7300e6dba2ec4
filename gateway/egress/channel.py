"""One TCP (or TLS) connection: read by waiting, or spliced to another in the callbacks themselves.

What arrives is kept in `buffer`, of which there is never much: reading stops at HIGH bytes, so whoever sends too fast
waits. Once two channels are spliced nothing is kept, and a reader that stalls stops its counterpart from being read.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, cast

from gateway.egress.message import HEAD_LIMIT, BadMessage, Framing, chunk_size

HIGH = 512 << 10  # bytes
CHUNK_LINE = 4096  # bytes of a chunk's first line, and of a trailer's
Sink = Callable[[bytes], None]


class Gone(ConnectionError):
    """The other side has closed, or the connection has broken."""


class Meter(Protocol):
    """Where a channel's bytes are counted: those that came, and those that were sent."""

    bytes_in: int
    bytes_out: int


class Channel(asyncio.Protocol):
    """Made by the event loop. `received` counts bytes, on our side of TLS; so does the `meter` where there is one."""

    def __init__(self, made: Callable[["Channel"], None] | None = None) -> None:
        self.buffer = bytearray()
        self.ended = False  # the other side will send no more
        self.lost = False
        self.received = 0
        self.meter: Meter | None = None
        self.transport: asyncio.Transport
        self._made = made
        self._sink: Sink | None = None
        self._reading = True
        self._feeds: Channel | None = None  # whom we read for: it is not to send faster than we can write
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._feeder: Channel | None = None  # who reads for us
        self._watchers: list[Callable[[], None]] = []
        self._broken = False
        self.resting = False  # kept for a later request

    # --- asyncio's callbacks ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.meter is not None:
            self.meter.bytes_in += len(data)
        if self._sink is not None:
            self._sink(data)
            return
        self.buffer += data
        if len(self.buffer) > HIGH:
            self._pause()
        self._more.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._more.set()
        if self._feeds is not None:
            self._feeds.finish()
        self._tell()
        return self.transport.get_extra_info("ssl_object") is None  # TLS of asyncio knows no half of a connection

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = self.ended = True
        self._broken = error is not None
        self._more.set()
        self._room.set()
        self._tell()

    def _tell(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()

    def pause_writing(self) -> None:
        self._room.clear()
        if self._feeder is not None:
            self._feeder._pause()

    def resume_writing(self) -> None:
        self._room.set()
        if self._feeder is not None:
            self._feeder._resume()

    # --- reading ---

    async def more(self) -> None:
        """Wait until something has come, or the end has. Raises Gone if that was before."""
        if self.ended:
            raise Gone("closed")
        self._more.clear()
        if self._sink is None:
            self._resume()
        await self._more.wait()

    async def until(self, mark: bytes, limit: int) -> bytes:
        """What comes up to and without `mark`, which is taken as well. Raises BadMessage (431) if it is too much."""
        seen = 0
        while (at := self.buffer.find(mark, max(0, seen - len(mark) + 1))) < 0:
            seen = len(self.buffer)
            if seen > limit:
                raise BadMessage(f"more than {limit} bytes", 431)
            if self.ended:
                raise Gone("closed")
            await self.more()
        if at > limit:
            raise BadMessage(f"more than {limit} bytes", 431)
        found = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return found

    async def head(self) -> bytes:
        """The next message's head, without its empty line. Raises Gone, BadMessage."""
        return await self.until(b"\r\n\r\n", HEAD_LIMIT)

    async def body(self, framing: Framing, length: int, to: "Channel", head: bytes = b"") -> None:
        """Pass a body on behind `head`, in the framing that it has. Raises Gone where it breaks off, BadMessage."""
        if framing is Framing.LENGTH and self.buffer:
            # Both in one system call: most answers are small.
            first = bytes(self.buffer[:length])
            del self.buffer[:length]
            head, length = head + first, length - len(first)
        if head:
            to.write(head)
        match framing:
            case Framing.LENGTH:
                await self._exactly(length, to)
            case Framing.CHUNKED:
                await self._chunks(to)
            case Framing.CLOSE:
                await self._rest(to)

    async def _chunks(self, to: "Channel") -> None:
        """Chunks of the same size, without their extensions and trailers (RFC 9112 section 7.1)."""
        while size := chunk_size(await self.until(b"\r\n", CHUNK_LINE)):
            to.write(b"%x\r\n" % size)
            await self._exactly(size, to)
            await self._expect(b"\r\n")
            to.write(b"\r\n")
        while await self.until(b"\r\n", CHUNK_LINE):
            pass
        to.write(b"0\r\n\r\n")
        await to.drained()

    async def _expect(self, mark: bytes) -> None:
        while len(self.buffer) < len(mark):
            await self.more()
        if not self.buffer.startswith(mark):
            raise BadMessage("a chunk does not end where it should")
        del self.buffer[: len(mark)]

    async def _exactly(self, count: int, to: "Channel") -> None:
        """Pass `count` bytes on as they come, the callbacks doing all the work."""
        if self.buffer and count:
            first = bytes(self.buffer[:count])
            del self.buffer[:count]
            to.write(first)
            count -= len(first)
        if count:
            left, done = count, asyncio.Event()

            def sink(data: bytes) -> None:
                nonlocal left
                if len(data) >= left:
                    to.write(data[:left])
                    self._sink = None
                    if len(data) > left:
                        self.buffer += data[left:]
                    left = 0
                    done.set()
                else:
                    left -= len(data)
                    to.write(data)

            with self._fed(to, sink, done):
                await done.wait()
            if left:
                raise Gone("the body broke off")
        await to.drained()

    async def _rest(self, to: "Channel") -> None:
        if self.buffer:
            to.write(bytes(self.buffer))
            self.buffer.clear()
        if not self.ended:
            done = asyncio.Event()
            with self._fed(to, to.write, done):
                await done.wait()
        if self._broken or to.lost:
            raise Gone("the body broke off")
        await to.drained()

    @contextmanager
    def _fed(self, to: "Channel", sink: Sink, done: asyncio.Event) -> Iterator[None]:
        """Data goes to `sink` for this block; `done` is set when none will come, or nobody takes it any more."""
        if self.ended or to.lost:
            raise Gone("closed")
        self._sink, to._feeder = sink, self
        if to._room.is_set():
            self._resume()
        else:
            self._pause()
        try:
            with self.watched(done.set), to.watched(done.set):
                yield
        finally:
            self._sink = to._feeder = None

    # --- writing ---

    def write(self, data: bytes) -> None:
        """What a connection that is lost is given goes nowhere."""
        if not self.transport.is_closing():
            if self.meter is not None:
                self.meter.bytes_out += len(data)
            self.transport.write(data)

    async def drained(self) -> None:
        """Wait until most of it is on its way. Raises Gone."""
        await self._room.wait()
        if self.lost:
            raise Gone("closed")

    def finish(self) -> None:
        """Send no more: half of the connection is closed where it has halves."""
        if self.lost or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def close(self) -> None:
        """What was written is still sent."""
        self.transport.close()

    def abort(self) -> None:
        """At once."""
        self.transport.abort()

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """The same during this block."""
        self.watch(watcher)
        try:
            yield
        finally:
            self.unwatch(watcher)

    def watch(self, watcher: Callable[[], None]) -> None:
        """`watcher` is called when the other side will send no more, and when the connection is lost."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Not any more."""
        self._watchers.remove(watcher)

    @property
    def idle(self) -> bool:
        """Open, and nothing has come that nobody asked for."""
        return not self.ended and not self.buffer and not self.transport.is_closing()

    def rest(self) -> None:
        """Nobody waits for anything: but its end is to be noticed."""
        self._resume()

    def _pause(self) -> None:
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def _resume(self) -> None:
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()


async def spliced(one: Channel, two: Channel, answered: Callable[[], None]) -> None:
    """Pass everything either way until both directions have ended, or one of the connections has broken.

    `answered` is called when the first bytes of `two` have come.
    """
    done = asyncio.Event()

    def over() -> None:
        if (one.ended and two.ended) or one.lost or two.lost:
            done.set()

    def first(data: bytes) -> None:
        two._sink = one.write
        one.write(data)
        answered()

    for a, b, sink in ((one, two, two.write), (two, one, first)):
        a._sink, a._feeds, b._feeder = sink, b, a
        if a.buffer:
            sink(bytes(a.buffer))
            a.buffer.clear()
        if a.ended:
            b.finish()
        elif b._room.is_set():
            a._resume()
        else:
            a._pause()
    over()
    try:
        with one.watched(over), two.watched(over):
            await done.wait()
    finally:
        for a in (one, two):
            a._sink = a._feeds = a._feeder = None
