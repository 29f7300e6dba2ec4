"""Channels: reading, passing on, and who waits for whom."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from browser_pool.tasks import running
from gateway.egress.channel import HIGH, Channel, Gone, spliced
from gateway.egress.message import BadMessage, Framing


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel, and the other end of its connection."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname())
    sock, _ = listener.accept()
    listener.close()
    for one in (sock, peer):
        one.setblocking(False)
    _, channel = await loop.create_connection(Channel, sock=sock)
    try:
        yield channel, peer
    finally:
        channel.abort()
        peer.close()
        await asyncio.sleep(0)


async def read(sock: socket.socket, count: int) -> bytes:
    found = b""
    async with asyncio.timeout(60):
        while len(found) < count and (more := await asyncio.get_running_loop().sock_recv(sock, 1 << 20)):
            found += more
    return found


async def test_a_head_in_pieces() -> None:
    loop = asyncio.get_running_loop()
    async with pair() as (channel, peer):
        reading = asyncio.ensure_future(channel.head())
        for piece in (b"GET / HT", b"TP/1.1\r", b"\n\r", b"\nrest"):
            await loop.sock_sendall(peer, piece)
            await asyncio.sleep(0.01)
        assert await reading == b"GET / HTTP/1.1"
        assert channel.buffer == b"rest"


async def test_a_head_without_end() -> None:
    async with pair() as (channel, peer):
        peer.setblocking(True)
        sending = asyncio.ensure_future(asyncio.to_thread(peer.sendall, b"x" * (1 << 20)))
        with pytest.raises(BadMessage) as refused:
            await channel.head()
        assert refused.value.status == 431
        assert len(channel.buffer) < 2 * HIGH
        channel.abort()
        with suppress(OSError):  # unless all of it had gone into the kernel's buffers
            await sending


async def test_the_end() -> None:
    async with pair() as (channel, peer):
        peer.sendall(b"half a he")
        peer.close()
        with pytest.raises(Gone):
            await channel.head()


@pytest.mark.parametrize(
    ("framing", "length", "sent", "passed"),
    [
        (Framing.LENGTH, 5, b"12345", b"12345"),
        (
            Framing.CHUNKED,
            0,
            b"3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n",
        ),
        (Framing.NONE, 0, b"", b""),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_bodies(framing: Framing, length: int, sent: bytes, passed: bytes, at_once: bool) -> None:
    loop = asyncio.get_running_loop()
    async with pair() as (one, client), pair() as (two, server):
        work = asyncio.ensure_future(one.body(framing, length, two))
        for piece in [sent + b"NEXT"] if at_once else [bytes([byte]) for byte in sent + b"NEXT"]:
            await loop.sock_sendall(client, piece)
            await asyncio.sleep(0)
        await work
        while len(one.buffer) < 4:
            await one.more()
        assert one.buffer == b"NEXT"
        two.finish()
        assert await read(server, 1 << 20) == passed


async def test_a_body_until_the_end() -> None:
    async with pair() as (one, client), pair() as (two, server):
        client.sendall(b"all of it")
        client.close()
        await one.body(Framing.CLOSE, 0, two)
        assert await read(server, 9) == b"all of it"


@pytest.mark.parametrize(
    ("framing", "sent"), [(Framing.LENGTH, b"1234"), (Framing.CHUNKED, b"5\r\n123"), (Framing.CHUNKED, b"3\r\nabc\r\n")]
)
async def test_a_body_that_breaks_off(framing: Framing, sent: bytes) -> None:
    async with pair() as (one, client), pair() as (two, _):
        client.sendall(sent)
        client.close()
        with pytest.raises(Gone):
            await one.body(framing, 5, two)


async def test_chunks_that_lie() -> None:
    async with pair() as (one, client), pair() as (two, _):
        client.sendall(b"3\r\nabcdef\r\n0\r\n\r\n")
        with pytest.raises(BadMessage):
            await one.body(Framing.CHUNKED, 0, two)


async def test_a_reader_that_stalls_stops_the_sender() -> None:
    loop = asyncio.get_running_loop()
    async with pair() as (one, client), pair() as (two, server):
        total = 64 << 20

        async def send() -> None:
            await loop.sock_sendall(client, b"x" * total)

        async with running(send(), "send"):
            work = asyncio.ensure_future(one.body(Framing.LENGTH, total, two))
            await asyncio.sleep(0.3)
            assert two.transport.get_write_buffer_size() < 4 * HIGH
            assert not work.done()
            left = total
            while left:
                left -= len(await loop.sock_recv(server, 1 << 20))
            await work


async def test_two_that_are_spliced() -> None:
    loop = asyncio.get_running_loop()
    answered: list[bool] = []
    async with pair() as (one, client), pair() as (two, server):
        work = asyncio.ensure_future(spliced(one, two, lambda: answered.append(True)))
        await loop.sock_sendall(client, b"ping")
        assert await read(server, 4) == b"ping"
        assert not answered
        await loop.sock_sendall(server, b"pong")
        assert await read(client, 4) == b"pong"
        assert answered == [True]
        client.shutdown(socket.SHUT_WR)
        assert await read(server, 1) == b""
        await loop.sock_sendall(server, b"last words")
        server.shutdown(socket.SHUT_WR)
        assert await read(client, 10) == b"last words"
        await work


async def test_what_came_before_the_splice() -> None:
    async with pair() as (one, client), pair() as (two, server):
        client.sendall(b"early")
        await one.more()
        work = asyncio.ensure_future(spliced(one, two, lambda: None))
        assert await read(server, 5) == b"early"
        server.close()
        client.close()
        await work
