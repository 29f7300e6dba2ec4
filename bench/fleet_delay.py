"""A way to a server that takes longer: what is written at one end arrives at the other so many seconds later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from browser_pool.tasks import Start, crew


@asynccontextmanager
async def delayed(port: int, seconds: float) -> AsyncIterator[int]:
    """The port of a way to that one of this machine, for this block. The order of what is written is kept."""
    async with crew() as start:
        writers: set[asyncio.StreamWriter] = set()

        async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            writers.update((writer, back))
            start(_pass(reader, back, seconds, start), "there")
            start(_pass(there, writer, seconds, start), "back")

        server = await asyncio.start_server(link, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in writers:
                writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float, start: Start) -> None:
    loop = asyncio.get_running_loop()
    arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await arriving.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)

    start(deliver(), "delivery")
    while True:
        try:
            data = await reader.read(65536)
        except OSError:
            data = b""
        arriving.put_nowait((loop.time() + seconds, data))
        if not data:
            return
