"""Redis under Sentinel (redis.io, "High availability with Redis Sentinel"): who is the primary is asked, not known.

    redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT],HOST[:PORT],…/NAME[/DB][?sentinel_password=P&…]

`NAME` is what the sentinels call it, USER and PASSWORD are the Redis servers' own. `rediss+sentinel://` speaks TLS to
sentinels as well. They are asked for every connection that is made; one that breaks, or leads to a server that is a
primary no more, is made anew.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from browser_pool.tasks import to_the_end

SCHEMES = ("redis+sentinel", "rediss+sentinel")
OPTIONS = ("sentinel_username", "sentinel_password")
PORT = 26379
PATIENCE = 0.7  # seconds for one sentinel, to connect and to answer: the next one is to have its turn


@dataclass(frozen=True, slots=True)
class Watched:
    """A primary by the name that its sentinels give it. `plain` is the URL of one server with the same options."""

    sentinels: tuple[tuple[str, int], ...]
    name: str
    plain: str
    tls: bool
    username: str | None
    password: str | None

    def __repr__(self) -> str:  # the URL has a password
        return f"Watched({self.name})"


def is_watched(url: str) -> bool:
    """Whether it is a URL of this kind."""
    return url.partition("://")[0] in SCHEMES


def watched(url: str) -> Watched:
    """Raises ValueError, which says what is wrong with the URL, and has nothing secret of it."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    path, question, query = path.partition("?")
    user, at, hosts = authority.rpartition("@")
    name, _, db = path.partition("/")
    if "#" in url:
        raise ValueError("it has a fragment; a password's # is written as %23")
    if not slash or not name:
        raise ValueError("it names no primary: …/NAME is wanted")
    if db and not db.isdecimal():
        raise ValueError("after the primary's name the number of a database is wanted")
    given = parse_qsl(query, keep_blank_values=True)
    own = {key: value for key, value in given if key in OPTIONS}
    plain_query = urlencode([(key, value) for key, value in given if key not in OPTIONS])
    plain = f"{scheme.partition('+')[0]}://{user}{at}sentinel/{db}{question if plain_query else ''}{plain_query}"
    return Watched(
        tuple(_sentinel(host) for host in hosts.split(",")),
        unquote(name),
        plain,
        scheme.startswith("rediss"),
        own.get("sentinel_username"),
        own.get("sentinel_password"),
    )


class Pool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary, for which callers wait as for those of BlockingConnectionPool."""

    def __init__(self, name: str, sentinel: Any, **options: Any) -> None:
        super().__init__(name, sentinel, **options)  # type: ignore[no-untyped-call]


@asynccontextmanager
async def found(where: Watched, **options: Any) -> AsyncIterator[Pool]:
    """A pool of connections to the primary, for this block. Raises ValueError, RedisError for options that are none."""
    kwargs: dict[str, Any] = {**parse_url(where.plain)}
    for key in ("host", "port", "connection_class"):
        kwargs.pop(key, None)
    async with _asked(where, kwargs) as sentinel:
        yield Pool(where.name, sentinel, ssl=where.tls, **{**kwargs, **options})


async def addresses(where: Watched) -> frozenset[tuple[str, int]]:
    """What sentinels, primary and replicas are reached at now: as many as can be learnt."""
    async with _asked(where, {}) as sentinel:
        known = set(where.sentinels)
        for one in sentinel.sentinels:
            try:
                async with asyncio.timeout(3 * PATIENCE):
                    states = [(await one.sentinel_masters())[where.name]]
                    states += await one.sentinel_slaves(where.name)
                    states += await one.sentinel_sentinels(where.name)
            except (RedisError, OSError, TimeoutError, LookupError):
                continue  # another may know
            known |= {(str(state["ip"]), int(state["port"])) for state in states}
    return frozenset(known)


@asynccontextmanager
async def _asked(where: Watched, kwargs: dict[str, Any]) -> AsyncIterator[Any]:  # its types leave half of it out
    tls = {key: value for key, value in kwargs.items() if key.startswith("ssl_")}
    own = {
        "username": where.username,
        "password": where.password,
        "socket_connect_timeout": PATIENCE,
        "socket_timeout": PATIENCE,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **({"ssl": True, **tls} if where.tls else {}),
    }
    sentinel: Any = Sentinel(where.sentinels, sentinel_kwargs=own)  # type: ignore[no-untyped-call]
    try:
        yield sentinel
    finally:
        await to_the_end(sentinel.aclose())


def _sentinel(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        raise ValueError("a sentinel's host or port cannot be read") from None
    if not parts.hostname or port == 0:
        raise ValueError("a sentinel has no host, or port 0")
    return parts.hostname, port or PORT
