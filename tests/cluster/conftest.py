"""A Redis for the tests of a file."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.store import connection as limits
from gateway.store.connection import Connection, open_redis
from tests.redis_server import RedisServer


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no Redis that does not answer."""
    for limit in ("PATIENCE", "CONNECT_TIMEOUT", "ANSWER_TIMEOUT", "TURN_TIMEOUT"):
        monkeypatch.setattr(limits, limit, 40.0)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that several tests use: who ends or freezes it starts it again."""
    with asyncio.Runner() as runner:
        server = RedisServer(tmp_path_factory.mktemp("redis"))
        runner.run(server.start())
        yield server
        runner.run(server.end())


@pytest.fixture
async def connection(redis: RedisServer) -> AsyncIterator[Connection]:
    """To an empty database of it."""
    async with open_redis(redis.url) as connection:
        await connection.call("FLUSHALL")
        yield connection
