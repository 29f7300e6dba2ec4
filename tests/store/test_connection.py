"""Commands to a real Redis, also while it is frozen, killed, restarted, demoted, or behind a password and TLS."""

import asyncio
import datetime
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import Code, GatewayError
from gateway.store import connection as module
from gateway.store.connection import Connection, Script, check_url, open_redis, script, shown
from tests.ports import free_port
from tests.redis_server import RedisServer, redis_server

SOURCE = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
ADDED = Script(SOURCE, sha1(SOURCE.encode()).hexdigest())
WITHIN = 5.0  # seconds, in which every call has failed
LIMITS = {name: getattr(module, name) for name in ("PATIENCE", "CONNECT_TIMEOUT", "ANSWER_TIMEOUT", "TURN_TIMEOUT")}
SLACK = 5.0  # for a machine that does other things too
Call = Callable[[Connection], Coroutine[Any, Any, Any]]
CALLS: dict[str, Call] = {
    "command": lambda connection: connection.call("GET", "key"),
    "script": lambda connection: connection.run(ADDED, ("number",), (1,)),
    "several": lambda connection: connection.together([("GET", "key"), ("GET", "other")]),
}


async def unavailable(work: Coroutine[Any, Any, Any]) -> GatewayError:
    began = time.monotonic()
    with pytest.raises(GatewayError) as refused:
        await work
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert time.monotonic() - began < WITHIN + SLACK
    return refused.value


async def waiting(connection: Connection) -> None:
    """Until a client is blocked; that it is idle after a command that blocks is another matter."""
    while not re.search(rb" flags=\w*b", await connection.call("CLIENT", "LIST")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def clients(connection: Connection) -> set[bytes]:
    """The ids of those that are connected."""
    return set(re.findall(rb"^id=(\d+)", await connection.call("CLIENT", "LIST"), re.MULTILINE))


async def heard(messages: AsyncIterator[bytes]) -> bytes:
    return await anext(messages)


async def subscribed(connection: Connection) -> None:
    async with connection.listening("channel"):
        pass


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A server of the test's own, whose data outlives it."""
    async with redis_server(tmp_path / "redis", keeps=True) as server:
        yield server


# --- replies ---


async def test_replies_are_as_redis_has_them(connection: Connection) -> None:
    assert await connection.call("SET", "key", b"\x00\xff") == b"OK"
    assert await connection.call("GET", "key") == b"\x00\xff"
    assert await connection.call("GET", "none") is None
    assert await connection.call("ZADD", "set", 1.5, "one", 2, "two") == 2
    assert await connection.call("ZRANGE", "set", 0, -1, "WITHSCORES") == [b"one", b"1.5", b"two", b"2"]
    assert await connection.call("HGETALL", "none") == []
    assert await connection.together([("INCR", "n"), ("GET", "n")]) == [1, b"1"]
    assert await connection.together([]) == []


async def test_a_script_is_sent_once(connection: Connection) -> None:
    source = "return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}"
    mine = Script(source, "0" * 40)
    assert await connection.run(mine, ("k",), (7,)) == [b"k", b"7", 1]  # EVALSHA did not know it
    real = script("gateway.store", "leads")
    assert await connection.run(real, ("turn",), ("me", 1000)) == 1
    before = connection.sent
    assert await connection.run(real, ("turn",), ("me", 1000)) == 1
    assert connection.sent == before + 1


async def test_what_redis_refuses_is_said_without_the_arguments(connection: Connection) -> None:
    error = await unavailable(connection.call("NOSUCHCOMMAND", "secret"))
    assert "unknown command" in error.message
    assert "secret" not in error.message


async def test_about(connection: Connection) -> None:
    about = await connection.about()
    assert about.version >= (6, 2)
    assert (about.policy, about.logged) == ("noeviction", False)


async def test_a_redis_that_will_not_do(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST", (99,))
    assert "too old: at least 99 is needed" in (await unavailable(connection.about())).message


async def test_more_callers_than_connections(connection: Connection) -> None:
    before = await clients(connection)  # its first one, and of those before us who has not been seen to go
    await asyncio.gather(*(connection.run(ADDED, ("number",), (1,)) for _ in range(300)))
    assert await connection.call("GET", "number") == b"300"
    assert len(await clients(connection) - before) < module.CONNECTIONS


async def test_a_cancelled_caller_takes_no_connection_along(redis: RedisServer, connection: Connection) -> None:
    async with open_redis(redis.url, connections=1) as one:
        blocked = asyncio.ensure_future(one.call("BLPOP", "list", 0))
        await waiting(connection)
        blocked.cancel()
        await connection.call("RPUSH", "list", "item")
        with pytest.raises(asyncio.CancelledError):
            await blocked
        assert await one.call("PING") == b"PONG"


async def test_many_that_are_cancelled(redis: RedisServer) -> None:
    async with open_redis(redis.url, connections=2) as two:
        every = [asyncio.ensure_future(two.run(ADDED, (f"number{number}",), (number,))) for number in range(200)]
        await every[9]
        for number, call in enumerate(every):
            if number % 3:
                call.cancel()
        await asyncio.wait(every)
        assert all(call.cancelled() or call.result() == number for number, call in enumerate(every))
        assert not any(every[number].cancelled() for number in range(0, 200, 3))
        assert await asyncio.gather(*(two.call("ECHO", number) for number in range(5))) == [
            b"0",
            b"1",
            b"2",
            b"3",
            b"4",
        ]


# --- messages ---


async def test_messages(connection: Connection) -> None:
    async with connection.listening("channel") as messages:
        assert await connection.call("PUBLISH", "channel", b"\xff") == 1
        await connection.call("PUBLISH", "other", "not for us")
        await connection.call("PUBLISH", "channel", "two")
        assert [await anext(messages), await anext(messages)] == [b"\xff", b"two"]
    while await connection.call("PUBLISH", "channel", "three") != 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_subscription_outlives_a_silence(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 0.05)
    async with connection.listening("channel") as messages:
        first = asyncio.ensure_future(heard(messages))
        while b"cmd=ping" not in await connection.call("CLIENT", "LIST", "TYPE", "pubsub"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await connection.call("PUBLISH", "channel", "one")
        assert await first == b"one"


async def test_a_subscription_that_breaks_says_so(own: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 0.2)
    async with open_redis(own.url) as connection:
        async with connection.listening("channel") as messages:
            own.freeze()
            await unavailable(heard(messages))
            own.thaw()
        async with connection.listening("channel") as messages:
            await own.end()
            await unavailable(heard(messages))
        await unavailable(subscribed(connection))


# --- Redis goes and comes ---


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_redis_that_is_gone_and_back(own: RedisServer, call: Call) -> None:
    async with open_redis(own.url) as connection:
        await asyncio.gather(*(call(connection) for _ in range(20)))
        await own.end()
        error = await unavailable(call(connection))
        assert error.retry_after == module.RETRY_AFTER
        assert error.message == "Redis cannot be used: there is no connection to it"
        await own.start()
        # Every connection that there was is dead: nobody notices.
        await asyncio.gather(*(call(connection) for _ in range(20)))


async def test_a_frozen_redis(own: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in LIMITS.items():  # as they are
        monkeypatch.setattr(module, name, limit)
    async with open_redis(own.url) as connection:
        for call in CALLS.values():
            await call(connection)
        own.freeze()
        began = time.monotonic()
        some = (unavailable(call(connection)) for call in CALLS.values() for _ in range(10))
        assert "Redis cannot be used: it does not answer" in {error.message for error in await asyncio.gather(*some)}
        assert time.monotonic() - began < WITHIN + SLACK
        own.thaw()
        # No answer that came too late is taken for another's.
        await asyncio.gather(*(connection.call("SET", f"key{number}", number) for number in range(30)))
        found = await asyncio.gather(*(connection.call("GET", f"key{number}") for number in range(30)))
        assert [int(value) for value in found] == [*range(30)]
        assert len((await connection.call("CLIENT", "LIST", "TYPE", "normal")).splitlines()) <= module.CONNECTIONS


async def test_a_connection_that_breaks_before_the_answer(own: RedisServer) -> None:
    async with open_redis(own.url) as connection, open_redis(own.url) as other:
        for repeat in (True, False):
            blocked = asyncio.ensure_future(connection.call("BLPOP", "list", 0, repeat=repeat))
            await waiting(other)
            await other.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            if repeat:
                await other.call("RPUSH", "list", "item")
                assert await blocked == [b"list", b"item"]
            else:
                with pytest.raises(GatewayError):
                    await blocked


async def test_a_primary_that_is_one_no_longer(own: RedisServer) -> None:
    async with open_redis(own.url) as connection:
        await connection.call("SET", "key", "value")
        await connection.call("REPLICAOF", "127.0.0.1", "1")
        assert "read only replica" in (await unavailable(connection.call("SET", "key", "other"))).message
        assert "read only replica" in (await unavailable(connection.run(ADDED, ("number",), (1,)))).message
        await connection.call("REPLICAOF", "NO", "ONE")
        assert await connection.call("SET", "key", "other") == b"OK"


async def test_no_connection_is_left(redis: RedisServer, connection: Connection) -> None:
    before = await clients(connection)
    async with open_redis(redis.url) as other:
        await asyncio.gather(*(other.call("PING") for _ in range(20)))
        async with other.listening("channel"):
            pass
    while await clients(connection) - before:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


# --- URLs ---


def certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = directory / "server.crt", directory / "server.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return files


async def test_users_databases_sockets_and_tls(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    secure = free_port()
    tls = ("--tls-port", str(secure), "--tls-cert-file", str(crt), "--tls-key-file", str(key))
    options = ("--unixsocket", str(tmp_path / "s"), *tls, "--tls-auth-clients", "no")
    server = RedisServer(tmp_path, options=options)
    await server.start()
    try:
        async with open_redis(f"redis://127.0.0.1:{server.port}/3") as connection:
            await connection.call("SET", "where", "three")
            await connection.call("ACL", "SETUSER", "me", "on", ">p@ss/word", "~*", "&*", "+@all")
            await connection.call("ACL", "SETUSER", "default", "resetpass", ">other")
        for url in (
            f"redis://me:p%40ss%2Fword@127.0.0.1:{server.port}/3",
            f"redis://:other@127.0.0.1:{server.port}/3",
            f"unix://me:p%40ss%2Fword@{tmp_path}/s?db=3",
            f"rediss://me:p%40ss%2Fword@localhost:{secure}/3?ssl_ca_certs={crt}",
        ):
            async with open_redis(url) as connection:
                assert await connection.call("GET", "where") == b"three"
        for url, words in (
            (f"redis://me:wrong-secret@127.0.0.1:{server.port}/3", "it refuses the user or password"),
            (f"redis://127.0.0.1:{server.port}/3", "it refuses the user or password"),
            (f"rediss://me:wrong-secret@localhost:{secure}/3", "no connection"),  # nobody vouches for its certificate
        ):
            async with open_redis(url) as connection:
                error = await unavailable(connection.call("GET", "where"))
                assert words in error.message
                assert "wrong-secret" not in error.message
    finally:
        await server.end()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host", "begin with redis://"),
        ("host:6379", "begin with redis://"),
        ("redis:///0", "names no host"),
        ("redis://host:0", "names no host"),
        ("redis://host:secret", "host or port cannot be read"),
        ("redis://:se/cret@host", "host or port cannot be read"),
        ("redis://user:se#cret@host", "cannot be used"),
        ("redis://host/secret", "number of a database"),
        ("redis://host/0?password=secret", "option other than"),
        ("redis://host/0#secret", "fragment"),
        ("unix://", "names no socket"),
    ],
)
def test_urls_that_will_not_do(url: str, words: str) -> None:
    with pytest.raises(GatewayError) as refused:
        check_url(url)
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert words in refused.value.message
    assert "cret" not in refused.value.message


async def test_an_option_that_cannot_be_read() -> None:
    with pytest.raises(GatewayError, match="parts cannot be read"):
        await open_redis("redis://host/0?ssl_cert_reqs=optional&db=secret").__aenter__()


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("redis://user:secret@host:6379/0", "redis://***@host:6379/0"),
        ("redis://host/0?x=secret", "redis://host/0"),
        ("unix://:secret@/run/redis.sock?db=1", "unix://***@/run/redis.sock"),
    ],
)
def test_urls_are_shown_without_what_is_secret(url: str, there: str) -> None:
    assert shown(url) == there
