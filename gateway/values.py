"""How a setting is read from text: one function a kind, which raises ValueError saying what is wanted."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from gateway.egress.pattern import pattern

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?\Z")
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def duration(text: str) -> float:
    """`30s`, `5m`, `1h`, `90d`, or plain milliseconds; in seconds."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError("a duration is wanted: 30s, 5m, 1h, 90d or plain milliseconds")
    return float(match[1]) * _UNITS[match[2] or "ms"]


def size(text: str) -> int:
    """`10MiB` or plain bytes; in bytes."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError("a size is wanted: 10MiB or plain bytes")
    return int(match[1]) * _SIZES[match[2] or "B"]


def count(text: str) -> int:
    """A whole number, zero or more."""
    if not text.strip().isdigit():
        raise ValueError("a whole number, zero or more, is wanted")
    return int(text)


def port(text: str) -> int:
    """0 to 65535; 0 takes a free one."""
    number = count(text)
    if number > 65535:
        raise ValueError("a port is wanted: 0 to 65535")
    return number


def path(text: str) -> Path:
    """A file or directory; `~` is the home directory."""
    return Path(text).expanduser().absolute()


def paths(text: str) -> tuple[Path, ...]:
    """Files or directories, comma separated."""
    return tuple(path(word) for word in words(text))


def switch(text: str) -> bool:
    """true or false."""
    if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError("true or false is wanted")
    return text.lower() in ("true", "1", "yes")


def words(text: str) -> tuple[str, ...]:
    """Comma separated."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def keys(text: str) -> tuple[bytes, ...]:
    """Base64 of 32 bytes each, comma separated, newest first."""
    found = []
    for word in words(text):
        try:
            key = base64.b64decode(word, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != 32:
            raise ValueError("base64 of 32 bytes is wanted; make one with: openssl rand -base64 32")
        found.append(key)
    return tuple(found)


def secret(text: str) -> str:
    """1 to 512 visible ASCII characters."""
    if not re.fullmatch(r"[!-~]{1,512}", text):
        raise ValueError("1 to 512 visible ASCII characters without spaces are wanted")
    return text


def url(text: str) -> str:
    """http(s)://HOST[:PORT], without a path."""
    parts = urlsplit(text)
    rest = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.netloc or rest:
        raise ValueError("http://HOST:PORT or https://HOST is wanted")
    return text.rstrip("/")


def node(text: str) -> str:
    """HOST:PORT, or the URL of it."""
    try:
        return url(text if "://" in text else f"http://{text}")
    except ValueError:
        raise ValueError("HOST:PORT, http://HOST:PORT or https://HOST:PORT is wanted") from None


def redis(text: str) -> str:
    """redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, unix:///PATH, or redis+sentinel://HOSTS/NAME."""
    scheme, _, rest = text.partition("://")
    if scheme in ("redis+sentinel", "rediss+sentinel"):  # of several hosts, for which urlsplit has no name
        hosts, _, name = rest.rpartition("@")[2].partition("/")
        where: str | None = hosts and name
    else:
        parts = urlsplit(text)
        where = {"unix": parts.path, "redis": parts.hostname, "rediss": parts.hostname}.get(parts.scheme)
    if not where:
        raise ValueError(
            "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss://…, unix:///PATH"
            " or redis+sentinel://HOST[:PORT],…/NAME[/DB] is wanted"
        )
    return text


def snapshots(text: str) -> str:
    """file:DIR or s3://BUCKET[/PREFIX][?endpoint=URL&region=R]."""
    kind, _, rest = text.partition(":")
    if kind == "file" and rest.startswith("/"):
        return text
    parts = urlsplit(text)
    if kind != "s3" or not parts.hostname:
        raise ValueError("file:/DIR or s3://BUCKET[/PREFIX][?endpoint=URL&region=R] is wanted")
    return text


def networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Addresses and networks in CIDR form, comma separated."""
    try:
        return tuple(ipaddress.ip_network(word) for word in words(text))
    except ValueError as error:
        raise ValueError(f"addresses or networks like 10.0.0.0/8 are wanted: {error}") from None


def destinations(text: str) -> tuple[str, ...]:
    """Patterns of hosts, networks and ports, comma separated."""
    for word in words(text):
        pattern(word)
    return words(text)


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)} is wanted")
        return text

    return read
