"""A Chromium that does what a test tells it: a TCP server that answers a websocket's handshake and then is a `Wire`.

A `Wire` is a websocket by hand, of either side. It reads nothing until it is asked, so whoever does not ask
is a stalled reader, and it writes whatever bytes a test likes. Frames are made and read by the letter of RFC 6455
section 5.2, without the code under test.
"""

import asyncio
import base64
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform: the same in Python
    from websockets.utils import apply_mask

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x37\xfa\x21\x3d"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 60  # seconds for anything to come
NO_CODE = 1005  # what an empty Close is told as


T = TypeVar("T")


async def soon(awaitable: Awaitable[T]) -> T:
    """What must happen, or the test fails instead of hanging."""
    async with asyncio.timeout(PATIENCE):
        return await awaitable


@dataclass(frozen=True)
class Frame:
    """What came: `payload` is unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True


def header(length: int, opcode: int = TEXT, *, fin: bool = True, mask: bool = False) -> bytes:
    """The beginning of a frame with a payload of `length` bytes; with `mask` the masking key is at its end."""
    form = length if length < 126 else 126 if length < 1 << 16 else 127
    extended = {126: 2, 127: 8}.get(form, 0)
    head = bytes((fin << 7 | opcode, mask << 7 | form)) + (length.to_bytes(extended, "big") if extended else b"")
    return head + MASK if mask else head


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, mask: bool = False) -> bytes:
    """A whole frame."""
    return header(len(payload), opcode, fin=fin, mask=mask) + (apply_mask(payload, MASK) if mask else payload)


class Wire:
    """One end of a websocket; `masks` for a client's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, masks: bool) -> None:
        self.reader = reader
        self.writer = writer
        self.written = 0  # bytes of `stream` that the transport has taken
        self._masks = masks

    def frame(self, payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
        """A frame as this side makes it."""
        return frame(payload, opcode, fin=fin, mask=self._masks)

    async def send(self, *data: bytes) -> None:
        """Write raw bytes, and wait until there is room for more. Raises ConnectionError."""
        if self.writer.is_closing():
            raise ConnectionResetError("dropped")
        self.writer.writelines(data)
        await self.writer.drain()

    async def say(self, *payloads: bytes) -> None:
        """Send text messages."""
        await self.send(*(self.frame(payload) for payload in payloads))

    async def stream(self, payload: bytes, chunk: int = 1 << 18) -> None:
        """Send one big message no faster than it is read."""
        data = memoryview(self.frame(payload))
        for start in range(0, len(data), chunk):
            await self.send(bytes(data[start : start + chunk]))
            self.written = min(start + chunk, len(data))

    async def read(self) -> Frame:
        """The next frame. Raises IncompleteReadError or ConnectionError at the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            return await self._frame()

    async def _frame(self) -> Frame:
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
        assert first & 0x70 == 0, "reserved bits"
        assert bool(second & 0x80) != self._masks, "the wrong side masks"
        mask = await self.reader.readexactly(4) if second & 0x80 else b""
        payload = await self.reader.readexactly(length)
        return Frame(first & 0x0F, apply_mask(payload, mask) if mask else payload, first > 0x7F)

    async def message(self) -> bytes:
        """The next text message, which must be the next thing that comes."""
        got = await self.read()
        assert got.opcode == TEXT, got
        payload = got.payload
        while not got.fin:
            got = await self.read()
            assert got.opcode == CONTINUATION, got
            payload += got.payload
        return payload

    async def messages(self, count: int) -> list[bytes]:
        """The next `count` text messages."""
        return [await self.message() for _ in range(count)]

    async def close_frame(self) -> tuple[int, str]:
        """Code and reason of the Close that must be the next thing that comes."""
        got = await self.read()
        assert got.opcode == CLOSE, got
        return (int.from_bytes(got.payload[:2], "big") if got.payload else NO_CODE), got.payload[2:].decode()

    async def rest(self) -> bytes:
        """All that still comes, to the end of the stream in good order. Raises ConnectionError."""
        return await soon(self.reader.read())

    async def ended(self) -> None:
        """Read on until the connection is gone, in whatever way."""
        try:
            while await soon(self.reader.read(1 << 20)):
                pass
        except ConnectionError:
            pass  # a reset is an end as well

    async def say_close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close."""
        await self.send(self.frame(code.to_bytes(2, "big") + reason.encode(), CLOSE))

    def reset(self) -> None:
        """Be gone at once: the other side meets a reset."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()

    def drop(self) -> None:
        """Forget what is still to be written, and close."""
        with suppress(AttributeError):  # asyncio's, of a transport that is closed already, on Python 3.11
            self.writer.transport.abort()


Behaviour = Callable[[Wire], Awaitable[None]]


async def wait(wire: Wire) -> None:
    """Do nothing: the test speaks for itself."""


async def echo(wire: Wire) -> None:
    """Send each message back, until the other side closes; then do as Chromium does: answer 1000 and close."""
    while (got := await wire.read()).opcode != CLOSE:
        await wire.send(frame(got.payload, got.opcode, fin=got.fin))
    await wire.say_close()
    wire.writer.close()


@dataclass
class FakeChromium:
    """It listens on `port`. `release` lets handshakes be answered; without it they wait."""

    port: int = 0
    behave: Behaviour = wait
    glued: bytes = b""  # sent in one packet with the 101
    answer: bytes | None = None  # instead of the 101; b"" for none at all: the connection is closed
    release: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[bytes] = field(default_factory=list)  # heads of the upgrade requests
    impatient: list[bytes] = field(default_factory=list)  # bytes that came before the 101
    _opened: "asyncio.Queue[Wire]" = field(default_factory=asyncio.Queue)
    _wires: list[Wire] = field(default_factory=list)

    async def connection(self) -> Wire:
        """The next connection on which the handshake was answered."""
        return await soon(self._opened.get())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        wire = Wire(reader, writer, masks=False)
        self._wires.append(wire)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            if not self.release.is_set():
                await self._watch(reader)
            if self.answer is not None:
                await wire.send(self.answer)
                writer.close()
                return
            await wire.send(accepting(head) + self.glued)
            self._opened.put_nowait(wire)
            await self.behave(wire)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has gone: what that means is the test's affair

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        """Until `release`, note what should not come yet."""
        early = asyncio.ensure_future(reader.read(1))
        released = asyncio.ensure_future(self.release.wait())
        await asyncio.wait([early, released], return_when=asyncio.FIRST_COMPLETED)
        for task in (early, released):
            task.cancel()
        await asyncio.wait([early, released])
        if not early.cancelled():
            self.impatient.append(early.result())

    def end(self) -> None:
        """Drop all connections."""
        for wire in self._wires:
            wire.drop()


def accepting(head: bytes) -> bytes:
    """The 101 to an upgrade request, as Chromium words it."""
    key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


@asynccontextmanager
async def chromium(behave: Behaviour = wait, *, held: bool = False) -> AsyncIterator[FakeChromium]:
    """A fake that listens while the block lasts; `held`: handshakes wait for `release`."""
    fake = FakeChromium(behave=behave)
    if not held:
        fake.release.set()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.end()
        await server.wait_closed()
