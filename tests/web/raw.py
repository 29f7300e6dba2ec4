"""A client by hand, for what no HTTP library would send."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE = 60.0  # seconds; nothing here takes so long


@dataclass(frozen=True)
class Answer:
    """What came back; `body` decoded if it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(self.body["error"]["code"])


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def answer(self) -> Answer:
        """The next one, with its body by Content-Length."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        is_json = headers.get("content-type", "").startswith("application/json")
        return Answer(int(first.split()[1]), headers, json.loads(body) if is_json else body)

    async def end(self) -> bytes:
        """What still comes until the other side ends the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def raw(base: str, *, window: int | None = None, source: str | None = None) -> AsyncIterator[Raw]:
    """Connected to `http://HOST:PORT`; `window` bytes are received ahead, `source` is our own address."""
    host, _, port = base.partition("//")[2].rpartition(":")
    bare = socket.socket()
    bare.setblocking(False)
    if window is not None:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    if source is not None:
        bare.bind((source, 0))
    try:
        await asyncio.get_running_loop().sock_connect(bare, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=bare, limit=1 << 16)
    except BaseException:  # who tries to get in for a while gives up in the middle of it
        bare.close()
        raise
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        writer.transport.abort()


def get(path: str = "/healthz", *lines: str) -> str:
    """A request without a body."""
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *lines, "", ""))


def post(path: str, length: int, *lines: str) -> str:
    """The head of a request with a body."""
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *lines, "", ""))
