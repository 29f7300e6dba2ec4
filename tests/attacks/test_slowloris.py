"""Connections that are held open with a byte now and then, until there is none left for anybody else."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.inside import inside
from tests.web.raw import Raw, get, raw

MOST = 20
SOURCES = ("127.0.0.2", "127.0.0.3")  # no address may have more than half
HEAD = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = "POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize("how", [HEAD, BODY], ids=["head", "body"])
@pytest.mark.parametrize("bounded", [False, True], ids=["open", "refused"])
async def test_all_connections_are_taken(tmp_path: Path, how: str, bounded: bool) -> None:
    settings = {"head_timeout": "500ms", "idle_timeout": "500ms"} if bounded else {"head_timeout": "1h"}
    if not bounded:
        settings["idle_timeout"] = "1h"
    async with inside(tmp_path, max_connections=str(MOST), **settings) as gateway, AsyncExitStack() as stack:
        slow = [
            await stack.enter_async_context(raw(gateway.base, source=source))
            for source in SOURCES
            for _ in range(MOST // 2)
        ]
        async with asyncio.TaskGroup() as group:
            dripping = [group.create_task(drip(client, how)) for client in slow]
            async with asyncio.timeout(60):
                while not bounded and await is_answered(gateway.base):
                    pass  # until all have been let in
            served = await is_served(gateway.base, patience=60 if bounded else 1)
            for task in dripping:
                task.cancel()
        assert served is bounded


async def drip(client: Raw, beginning: str) -> None:
    """Say little, and never the end."""
    client.send(beginning)
    with suppress(ConnectionError):
        while True:
            client.send("a")
            await client.writer.drain()
            await asyncio.sleep(0.05)


async def is_answered(base: str) -> bool:
    """Whether somebody else gets an answer that is no refusal."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        async with raw(base, source="127.0.0.4") as client:
            client.send(get())
            return (await client.answer()).status == 200
    return False


async def is_served(base: str, patience: float) -> bool:
    """Whether they do within `patience` seconds, asking again and again."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not await is_answered(base):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return True
    return False
