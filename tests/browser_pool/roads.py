"""Roads for tests: a small forward proxy for each browser, which lets everything through and remembers what it was.

But to `refused` hosts, `HOST:PORT`: there it closes the connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(eq=False)
class OpenRoad:
    """One that is open; `asked` are the hosts that were asked for, `HOST:PORT`."""

    port: int
    asked: list[str] = field(default_factory=list)


class OpenRoads:
    """All that were opened, in `roads`."""

    def __init__(self, *refused: str) -> None:
        self.roads: list[OpenRoad] = []
        self._refused = refused

    def open(self, port: int | None = None) -> AbstractAsyncContextManager[OpenRoad]:
        """As of browser_pool.road.Roads."""
        return self._opened(port or 0)

    @asynccontextmanager
    async def _opened(self, port: int) -> AsyncIterator[OpenRoad]:
        road = OpenRoad(port)
        writers: set[asyncio.StreamWriter] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.add(writer)
            with suppress(OSError, asyncio.IncompleteReadError):
                await _pass(road, reader, writer, self._refused)
            writer.close()
            writers.discard(writer)

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        road.port = server.sockets[0].getsockname()[1]
        self.roads.append(road)
        try:
            yield road
        finally:
            server.close()
            for writer in tuple(writers):
                writer.transport.abort()
            while writers:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def _pass(
    road: OpenRoad, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, refused: tuple[str, ...]
) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, target, rest = head.split(b" ", 2)
    if method == b"CONNECT":
        host, _, port = target.decode().rpartition(":")
        first = b""
    else:
        parts = urlsplit(target.decode())
        host, port = parts.hostname or "", str(parts.port or 80)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        first = b" ".join((method, path.encode() or b"/", rest))
        first = first.replace(b"Proxy-Connection: keep-alive", b"Connection: close")
    road.asked.append(f"{host}:{port}")
    if road.asked[-1] in refused:
        return
    there, back = await asyncio.open_connection(host, int(port))
    if first:
        back.write(first)
    else:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, back))
            group.create_task(_copy(there, writer))
    finally:
        back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
