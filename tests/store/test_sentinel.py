"""A primary that sentinels watch: found, and found again when another has become it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config import load
from gateway.errors import Code, GatewayError
from gateway.member import backstage
from gateway.store.connection import check_url, open_redis, shown
from gateway.store.sentinel import Watched, addresses, is_watched, watched
from tests.journeys.running import eventually_asked
from tests.ports import free_port
from tests.redis_server import PROGRAM, RedisServer

SECRET, THEIRS = "pass-of-redis", "pass-of-sentinels"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        (
            "redis+sentinel://a,b:1,[::1]:2/main",
            Watched((("a", 26379), ("b", 1), ("::1", 2)), "main", "redis://sentinel/", False, None, None),
        ),
        (
            "redis+sentinel://u:p%40@a:5/the%20one/3",
            Watched((("a", 5),), "the one", "redis://u:p%40@sentinel/3", False, None, None),
        ),
        (
            "rediss+sentinel://:p@a/main?ssl_ca_certs=/ca&sentinel_password=q%26&sentinel_username=s",
            Watched((("a", 26379),), "main", "rediss://:p@sentinel/?ssl_ca_certs=%2Fca", True, "s", "q&"),
        ),
    ],
    ids=["several", "user", "tls"],
)
def test_urls(url: str, meant: Watched) -> None:
    assert is_watched(url)
    assert watched(url) == meant
    check_url(url)
    assert "p%40" not in f"{meant}{shown(url)}"
    assert not is_watched(meant.plain)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://a:1,b:2", "names no primary"),
        ("redis+sentinel://a:1/", "names no primary"),
        ("redis+sentinel:///main", "has no host"),
        ("redis+sentinel://a,,b/main", "has no host"),
        ("redis+sentinel://a:0/main", "or port 0"),
        ("redis+sentinel://a:x/main", "cannot be read"),
        ("redis+sentinel://a:99999/main", "cannot be read"),
        ("redis+sentinel://:secret@a/main/x", "number of a database"),
        ("redis+sentinel://:secret@a/main?user=secret", "an option other than"),
        ("redis+sentinel://:secret@a/main#b", "fragment"),
    ],
)
def test_urls_that_will_not_do(url: str, words: str) -> None:
    with pytest.raises(GatewayError, match=words) as refused:
        check_url(url)
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert "secret" not in refused.value.message


@dataclass(frozen=True)
class Setup:
    """A primary, its replica, and a sentinel that watches both, on ports of this machine."""

    primary: RedisServer
    replica: RedisServer
    port: int

    async def lost(self) -> None:
        """The primary is gone, and the sentinel is to notice."""
        await self.primary.end(signal.SIGKILL)
        async with open_redis(f"redis://:{THEIRS}@127.0.0.1:{self.port}") as sentinel:
            assert await sentinel.call("SENTINEL", "SET", "main", "down-after-milliseconds", 200) == b"OK"

    @property
    def url(self) -> str:
        """With another sentinel before it, which is not there."""
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{self.port}"
        return f"redis+sentinel://:{SECRET}@{hosts}/main?sentinel_password={THEIRS}"


@asynccontextmanager
async def setup(directory: Path) -> AsyncIterator[Setup]:
    """For this block, once the sentinel knows the replica and that has what the primary has."""
    primary = RedisServer(directory / "a")
    replica = RedisServer(directory / "b", options=("--replicaof", "127.0.0.1", str(primary.port)))
    made = Setup(primary, replica, free_port())
    async with AsyncExitStack() as stack:
        for server in (primary, replica):
            stack.push_async_callback(server.end, signal.SIGKILL)
            await server.start()

        async def synchronized() -> bool:
            return "master_link_status:up" in await replica.ask("INFO", "replication")

        await eventually_asked("the replica is up to date", synchronized, 30)
        for server in (primary, replica):
            assert await server.ask("CONFIG", "SET", "masterauth", SECRET) == "+OK\r\n"
            assert await server.ask("CONFIG", "SET", "requirepass", SECRET) == "+OK\r\n"
        file = directory / "sentinel.conf"
        lines = [f"port {made.port}", "bind 127.0.0.1", f"dir {directory}", f"requirepass {THEIRS}"]
        lines += [f"sentinel monitor main 127.0.0.1 {primary.port} 1", f"sentinel auth-pass main {SECRET}"]
        # Nobody is to be taken for dead by chance: `lost` says when.
        lines += ["sentinel down-after-milliseconds main 600000", "sentinel failover-timeout main 3000"]
        file.write_text("\n".join(lines) + "\n")
        quiet = asyncio.subprocess.DEVNULL
        sentinel = await asyncio.create_subprocess_exec(PROGRAM, str(file), "--sentinel", stdout=quiet, stderr=quiet)

        async def end() -> None:
            sentinel.kill()
            await sentinel.wait()

        stack.push_async_callback(end)

        async def known() -> bool:
            return {("127.0.0.1", server.port) for server in (primary, replica)} <= await addresses(watched(made.url))

        await eventually_asked("the sentinel knows both", known, 30)
        yield made


async def test_another_server_becomes_the_primary(tmp_path: Path) -> None:
    async with setup(tmp_path) as made, open_redis(made.url) as connection:
        assert (await connection.about()).version >= (6, 2)
        assert await connection.call("SET", "kept", "here") == b"OK"
        assert await connection.call("WAIT", 1, 10_000) == 1
        async with connection.listening("channel") as messages:
            await connection.call("PUBLISH", "channel", "word")
            assert await anext(messages) == b"word"
            await made.lost()
            with pytest.raises(GatewayError, match="no connection"):
                await anext(messages)

        refusals = set()

        async def written() -> bool:
            try:
                await connection.call("SET", "next", "there")
            except GatewayError as error:
                refusals.add((error.code, SECRET in error.message))
                return False
            return True

        await eventually_asked("the replica is the primary", written, 60)
        assert refusals <= {(Code.STORE_UNAVAILABLE, False)}
        assert await connection.call("MGET", "kept", "next") == [b"here", b"there"]
        async with connection.listening("channel") as messages:
            await connection.call("PUBLISH", "channel", "word")
            assert await anext(messages) == b"word"
        # No browser may reach any of them.
        fleet = {"cluster_key": "k", "token": "t", "snapshot_store": "file:/s", "redis_url": made.url}
        kept_from = await backstage(load(fleet, {}, None))
        assert kept_from >= {("127.0.0.1", port) for port in (made.primary.port, made.replica.port, made.port)}


async def test_sentinels_that_do_not_answer_or_know_no_such_primary(tmp_path: Path) -> None:
    gone = f"redis+sentinel://:{SECRET}@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/main"
    async with RunningAlone(tmp_path) as port:
        for url in (gone, f"redis+sentinel://:{SECRET}@127.0.0.1:{port}/main"):
            async with open_redis(url) as connection:
                with pytest.raises(GatewayError, match="there is no connection to it") as refused:
                    await connection.call("GET", "key")
                assert refused.value.code is Code.STORE_UNAVAILABLE
                assert refused.value.retry_after is not None
            assert await addresses(watched(url)) == frozenset(watched(url).sentinels)


class RunningAlone:
    """A sentinel that watches nobody."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "alone.conf"

    async def __aenter__(self) -> int:
        port = free_port()
        self._file.write_text(f"port {port}\nbind 127.0.0.1\ndir {self._file.parent}\n")
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM, str(self._file), "--sentinel", stdout=quiet, stderr=quiet
        )

        async def answers() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        await eventually_asked("the sentinel answers", answers, 30)
        return port

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()
