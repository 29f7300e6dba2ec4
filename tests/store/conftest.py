"""A Redis for the tests of a file, and each kind of store that there is."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.store import connection as limits
from gateway.store.base import Store
from gateway.store.connection import Connection, open_redis
from tests.redis_server import RedisServer
from tests.store.stores import Place, RedisPlace, SqlitePlace


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no Redis that does not answer."""
    for limit in ("PATIENCE", "CONNECT_TIMEOUT", "ANSWER_TIMEOUT", "TURN_TIMEOUT"):
        monkeypatch.setattr(limits, limit, 40.0)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that several tests use: none ends or freezes it."""
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


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Of each kind one in turn, empty."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    server: RedisServer = request.getfixturevalue("redis")
    with socket.create_connection(("127.0.0.1", server.port)) as plain, plain.makefile("rwb") as lines:
        lines.write(b"FLUSHALL\r\n")
        lines.flush()
        assert lines.readline() == b"+OK\r\n"
    return RedisPlace(server.url)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """The store there."""
    async with place.open() as store:
        yield store
