"""The Redis that a fleet shares: commands and scripts over a few connections, each with an end in sight.

Whatever goes wrong is a GatewayError STORE_UNAVAILABLE with `retry_after`, within `PATIENCE` seconds. Replies are as
RESP2 has them: bytes, int, None and lists of these. The URL's password is in no error and no text of ours.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import TimeoutError as Slow

from browser_pool.tasks import to_the_end
from gateway.errors import Code, GatewayError
from gateway.store import sentinel

PREFIX = "cdpg:"  # of all keys and channels
PATIENCE = 4.5  # seconds until a call has failed at the latest
CONNECTIONS = 8  # at most, of one node, for commands: a thousand nodes stay below Redis' usual limit of 10,000
CONNECT_TIMEOUT = 1.5
ANSWER_TIMEOUT = 2.0
TURN_TIMEOUT = 1.5  # for one of the connections
QUIET = 5.0  # seconds without a message after which a subscription is asked whether it is still there
RETRY_AFTER = 2
OLDEST = (6, 2)  # ZRANGE BYSCORE REV LIMIT
OPTIONS = ("db", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
# RuntimeError is what uvloop says of a transport that was closed in the moment when redis-py writes to it.
FAULTS = (RedisError, OSError, TimeoutError, RuntimeError)
Arg = bytes | str | int | float


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the SHA-1 by which Redis knows it once it has run it (EVALSHA)."""

    source: str
    sha: str


@dataclass(frozen=True, slots=True)
class About:
    """What a Redis says of itself (INFO).

    `policy` is what it does when its memory is full (`noeviction` is the one that keeps sessions), `logged` whether it
    has an append-only file, without which what it is told in its last minutes is lost when it crashes.
    """

    version: tuple[int, ...]
    policy: str
    logged: bool


def script(package: str, *names: str) -> Script:
    """The script that these files of a package's `lua` directory make in that order: `script("gateway.store", "a")`."""
    source = "\n".join((files(package) / "lua" / f"{name}.lua").read_text("utf-8") for name in names)
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


class Connection:
    """One Redis. Made by `open_redis`. A caller that is cancelled is so once its command is over: see `PATIENCE`."""

    def __init__(self, client: Redis, secret: str | None) -> None:
        self._client: Any = client  # whose types leave half of it out
        self._secret = secret
        self.sent = 0  # commands, so far

    async def call(self, *command: Arg, repeat: bool = True) -> Any:
        """A command and its reply: `call("GET", key)`.

        With `repeat` it is sent again, once, where the connection broke before the reply came. Redis may then have
        carried it out twice.
        """
        return await self._bounded(lambda: self._one(command), repeat)

    async def run(
        self, script: Script, keys: Sequence[Arg] = (), args: Sequence[Arg] = (), *, repeat: bool = True
    ) -> Any:
        """A script's reply; `repeat` as for `call`. One command, but where Redis does not know the script yet."""
        return await self._bounded(lambda: self._script(script, keys, args), repeat)

    async def together(self, commands: Sequence[Sequence[Arg]], *, repeat: bool = True) -> list[Any]:
        """Several commands in one round trip, which is no transaction; the first that fails is raised."""

        async def work() -> list[Any]:
            self.sent += len(commands)
            async with self._client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return list(await pipe.execute())

        return await self._bounded(work, repeat) if commands else []

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Messages that are published to `channel` from now on, over a connection of the block's own.

        When that breaks the iterator raises STORE_UNAVAILABLE, as the block's beginning does: listen anew then, and
        look whether something was missed.
        """
        async with self._client.pubsub() as subscription:
            try:
                async with asyncio.timeout(PATIENCE):
                    await subscription.subscribe(channel)
                    while await subscription.get_message(timeout=None) is None:
                        pass  # until Redis has confirmed it
            except FAULTS as error:
                raise self._refusal(error) from error
            async with aclosing(self._messages(subscription)) as messages:
                yield messages

    async def about(self) -> About:
        """Raises STORE_UNAVAILABLE also where this Redis is too old, or one part of a cluster."""
        lines = (await self.call("INFO")).decode("utf-8", "replace").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        version = tuple(int(part) for part in facts.get("redis_version", "0").split(".") if part.isdigit())
        if version < OLDEST:
            words = f"Redis {facts.get('redis_version')} is too old: at least {'.'.join(map(str, OLDEST))} is needed"
            raise GatewayError(Code.STORE_UNAVAILABLE, words)
        if facts.get("cluster_enabled") == "1":
            raise GatewayError(Code.STORE_UNAVAILABLE, "this Redis is part of a cluster: a single primary is needed")
        return About(version, facts.get("maxmemory_policy", "noeviction"), facts.get("aof_enabled") == "1")

    # --- within ---

    async def _bounded(self, work: Callable[[], Awaitable[Any]], repeat: bool) -> Any:
        try:
            return await to_the_end(self._tried(work, repeat))
        except FAULTS as error:
            raise self._refusal(error) from error

    async def _tried(self, work: Callable[[], Awaitable[Any]], repeat: bool) -> Any:
        # Its own task, see to_the_end: a caller that is cancelled must not take a connection out of the pool with it.
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            began = loop.time()
            try:
                return await work()
            except ResponseError as error:
                if not isinstance(error, ReadOnlyError) and "READONLY" not in str(error):  # the latter from a script
                    raise
                # What was the primary is one no longer, and has written nothing: a new connection finds the one now.
                await self._client.connection_pool.disconnect(inuse_connections=False)
            except (Broken, RuntimeError):
                if not repeat or loop.time() - began > PATIENCE / 3:
                    raise
            return await work()

    async def _one(self, command: Sequence[Arg]) -> Any:
        self.sent += 1
        return await self._client.execute_command(*command)

    async def _script(self, script: Script, keys: Sequence[Arg], args: Sequence[Arg]) -> Any:
        try:
            return await self._one(("EVALSHA", script.sha, len(keys), *keys, *args))
        except NoScriptError:
            return await self._one(("EVAL", script.source, len(keys), *keys, *args))

    async def _messages(self, subscription: Any) -> AsyncGenerator[bytes, None]:
        asked = False
        while True:
            try:
                message = await subscription.get_message(timeout=QUIET)
                if message is None:
                    if asked:
                        raise TimeoutError("a subscription does not answer")
                    await subscription.ping()
            except FAULTS as error:
                raise self._refusal(error) from error
            asked = message is None
            if message is not None and message["type"] == "message":
                yield message["data"]

    def _refusal(self, error: Exception) -> GatewayError:
        words = _words(error)
        if self._secret:
            words = words.replace(self._secret, "***")
        return GatewayError(Code.STORE_UNAVAILABLE, f"Redis cannot be used: {words}", retry_after=RETRY_AFTER)


@asynccontextmanager
async def open_redis(url: str, *, connections: int = CONNECTIONS) -> AsyncIterator[Connection]:
    """Connections to the Redis at `url`, made when they are needed: nothing is sent yet (`Connection.about` does).

    `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://` for TLS (with `?ssl_ca_certs=FILE` and the like),
    `redis+sentinel://` (`sentinel.py`) or `unix://[[USER]:PASSWORD@]/PATH[?db=DB]`. Raises STORE_UNAVAILABLE for
    another URL.
    """
    check_url(url)
    watched = sentinel.watched(url) if sentinel.is_watched(url) else None
    async with AsyncExitStack() as stack:
        # RESP2 and no greeting beyond AUTH and SELECT: every Redis and what calls itself compatible has these.
        options: dict[str, Any] = {
            "max_connections": connections,
            "timeout": TURN_TIMEOUT,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "socket_timeout": ANSWER_TIMEOUT,
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        try:
            pool: BlockingConnectionPool
            if watched is not None:
                pool = await stack.enter_async_context(sentinel.found(watched, **options))
            else:
                pool = BlockingConnectionPool.from_url(url, **options)
        except (ValueError, RedisError):
            raise _unusable("one of its parts cannot be read") from None
        client = Redis.from_pool(pool)
        client.response_callbacks.clear()  # replies as they come
        stack.push_async_callback(lambda: to_the_end(client.aclose()))
        yield Connection(client, urlsplit(url if watched is None else watched.plain).password)


def shown(url: str) -> str:
    """The URL without what is secret in it."""
    scheme, _, rest = url.partition("://")  # urlsplit knows only one host
    authority, slash, path = rest.partition("/")
    _, at, host = authority.rpartition("@")
    return f"{scheme}://{'***@' if at else ''}{host}{slash}{path.partition('?')[0]}"


def check_url(url: str) -> None:
    """Raises STORE_UNAVAILABLE, and says what is wrong, for a URL that `open_redis` does not take."""
    if sentinel.is_watched(url):
        try:
            url = sentinel.watched(url).plain
        except ValueError as error:
            raise _unusable(str(error)) from None
    try:
        parts = urlsplit(url)
        port_is_right = parts.port != 0
    except ValueError:
        raise _unusable("its host or port cannot be read; a password's /, @, # and : are written as %2F, ...") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise _unusable("it must begin with redis://, rediss://, redis+sentinel:// or unix://")
    if parts.scheme == "unix":
        if len(parts.path) < 2:
            raise _unusable("it names no socket")
    elif not parts.hostname or not port_is_right:
        raise _unusable("it names no host, or port 0")
    elif parts.path not in ("", "/") and not parts.path[1:].isdecimal():
        raise _unusable("its path must be the number of a database")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise _unusable(f"it has an option other than {', '.join(OPTIONS)}")
    if parts.fragment:
        raise _unusable("it has a fragment; a password's # is written as %23")


def _words(error: Exception) -> str:
    """For whoever asks the gateway: nothing about where Redis is. The exception's cause has more."""
    if isinstance(error, AuthenticationError):
        return "it refuses the user or password of its URL"
    if isinstance(error, BusyLoadingError):
        return "it is loading its data"
    if isinstance(error, TimeoutError | Slow):
        return "it does not answer"
    if isinstance(error, Broken | OSError):
        return "there is no connection to it"
    # What it quotes of a command that it does not know might be somebody's secret.
    return str(error).split(", with args")[0] or type(error).__name__


def _unusable(words: str) -> GatewayError:
    return GatewayError(Code.STORE_UNAVAILABLE, f"the URL of Redis cannot be used: {words}")
