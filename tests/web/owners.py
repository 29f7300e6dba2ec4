"""Nodes that answer websockets by a script, and clients that come by way of another."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import connect

from tests.web.nodes import Node

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def driver(at: Node, session: str = "s", token: str = "the-token", **more: object) -> connect:
    url = f"{at.name.replace('http', 'ws', 1)}/session/connect/{session}?token={token}"
    return connect(url, max_size=None, compression=None, open_timeout=60, **more)  # type: ignore[arg-type]


def context_of(crt: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return context


def trusting(crt: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(crt))


def switching(head: bytes) -> bytes:
    """The 101 for a request's head."""
    lines = head.decode().split("\r\n")
    key = next(line.partition(": ")[2] for line in lines if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def owner(script: Script) -> AsyncIterator[str]:
    """A node that speaks by `script`, once it has read a request's head and answered 101; its name."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching(head))
        try:
            await script(reader, writer)
        finally:
            writer.transport.abort()

    async with answering(serve) as name:
        yield name


@asynccontextmanager
async def answering(serve: Script) -> AsyncIterator[str]:
    """The same by hand: `serve` reads the head, too."""

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
