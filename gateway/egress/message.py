"""HTTP/1.1 heads and framing (RFC 9112), read strictly and written anew. Pure.

A head is never passed on as it came: what a server is sent was made from what we understood, so that nobody behind
us can understand anything else (request smuggling). What has two meanings is refused: a bare LF, a folded line, space
before a colon, Content-Length beside Transfer-Encoding or twice, any coding but chunked. The usual parsers for Python
take some of these for the sake of old software, or cost as much as the rest of the way together.
"""

import re
from dataclasses import dataclass
from enum import Enum

from gateway.egress.address import BadHost, Host, authority, written

HEAD_LIMIT = 128 << 10  # bytes; Chromium itself stops at 256 KiB
LINES_LIMIT = 512
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
_TARGET = re.compile(rb"[\x21-\x7e]+\Z")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")
_DIGITS = re.compile(rb"[0-9]{1,18}\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\Z")
# Meant for this connection alone (RFC 9110 section 7.6.1), beside what Connection names.
_HOP = frozenset(
    (
        b"connection proxy-connection keep-alive te trailer transfer-encoding upgrade proxy-authorization "
        b"proxy-authenticate proxy-authentication-info"
    ).split()
)
# What Connection must not be able to take away.
_ENDURING = frozenset(b"host content-length content-type authorization cookie cache-control expect".split())


class BadMessage(ValueError):
    """What is no proper HTTP/1.1. `status` is for whoever sent it, if it was the client."""

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.status = status


class Framing(Enum):
    """How the end of a body is known; LENGTH has the number of bytes beside it."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is what the server is sent, b"" for CONNECT; `headers` as they came, without Host."""

    method: bytes
    host: Host
    port: int
    path: bytes
    headers: Headers
    framing: Framing
    length: int
    upgrade: bytes | None
    persistent: bool

    @property
    def tunnel(self) -> bool:
        """A CONNECT."""
        return self.method == b"CONNECT"

    @property
    def repeatable(self) -> bool:
        """It may be sent again where a connection was closed by the server in the same moment (RFC 9110 9.2.2)."""
        return self.method in (b"GET", b"HEAD", b"OPTIONS") and self.framing is Framing.NONE and self.upgrade is None

    def head(self, *, absolute: bool = False, more: Headers = ()) -> bytes:
        """What is sent on: to the server, or with `absolute` to another proxy. No Via: it would tell on the session."""
        host = written(self.host, None if self.port == 80 else self.port).encode()
        target = b"http://" + host + self.path if absolute else self.path
        return _written(
            b"%s %s HTTP/1.1" % (self.method, target),
            ((b"Host", host), *kept(self.headers), *more),
            self.framing,
            self.upgrade,
        )


@dataclass(frozen=True, slots=True)
class Response:
    """`persistent`: the server goes on after it."""

    status: int
    reason: bytes
    headers: Headers
    framing: Framing
    length: int
    upgrade: bytes | None
    persistent: bool

    @property
    def interim(self) -> bool:
        """Another one follows (1xx)."""
        return self.status < 200 and self.status != 101

    def head(self, *, persistent: bool) -> bytes:
        """What the client is sent."""
        more: Headers = () if persistent or self.status < 200 else ((b"Connection", b"close"),)
        line = b"HTTP/1.1 %d %s" % (self.status, self.reason)
        upgrade = self.upgrade if self.status == 101 else None
        return _written(line, (*kept(self.headers), *more), self.framing, upgrade)


def request(head: bytes) -> Request:
    """A proxy's request: absolute form or CONNECT, up to and without its empty line. Raises BadMessage."""
    line, headers = _split(head)
    words = line.split(b" ")
    if len(words) != 3 or not _TOKEN.match(words[0]) or not _TARGET.match(words[1]):
        raise BadMessage("the request line is not proper")
    method, target, version = words
    if version != b"HTTP/1.1":
        raise BadMessage("only HTTP/1.1 is spoken here", 505)
    named = _all(headers, b"host")
    if len(named) != 1:
        raise BadMessage("exactly one Host is wanted")
    framing, length = _framing(headers)
    if framing is Framing.CHUNKED and method == b"CONNECT":
        raise BadMessage("CONNECT has no body")
    host, port, path = _target(method, target)
    tokens = _tokens(headers, b"connection") | _tokens(headers, b"proxy-connection")
    upgrade = _upgrade(headers, tokens)
    rest = tuple(item for item in headers if item[0].lower() != b"host")
    return Request(method, host, port, path, rest, framing, length, upgrade, b"close" not in tokens)


def _target(method: bytes, target: bytes) -> tuple[Host, int, bytes]:
    text = target.decode("ascii")
    try:
        if method == b"CONNECT":
            return *authority(text, None), b""
        if not text[:7].lower() == "http://":
            raise BadMessage("this is a forward proxy: a request for http://HOST/…, or CONNECT, is wanted")
        rest = text[7:]
        end = min((at for at in (rest.find(mark) for mark in "/?#") if at >= 0), default=len(rest))
        place, path = rest[:end], rest[end:]
        if "#" in path:
            raise BadMessage("a fragment is not sent to servers")
        if not path.startswith("/"):  # OPTIONS of the whole server (RFC 9112 section 3.2.4)
            path = "*" if method == b"OPTIONS" and not path else f"/{path}"
        return *authority(place, 80), path.encode()
    except BadHost as error:
        raise BadMessage(str(error)) from None


def response(head: bytes, method: bytes) -> Response:
    """A server's answer to `method`, up to and without its empty line. Raises BadMessage."""
    line, headers = _split(head)
    match = _STATUS.match(line)
    if match is None:
        raise BadMessage("the status line is not proper")
    modern, status = match[1] == b"1", int(match[2])
    framing, length = _framing(headers)
    if method == b"HEAD" or status < 200 or status in (204, 304):
        framing, length = Framing.NONE, 0
    elif framing is Framing.NONE and not _all(headers, b"content-length"):
        framing = Framing.CLOSE
    elif framing is Framing.NONE:
        framing = Framing.LENGTH
    tokens = _tokens(headers, b"connection")
    persistent = b"close" not in tokens and (modern or b"keep-alive" in tokens) and framing is not Framing.CLOSE
    if framing is Framing.CHUNKED and not modern:
        raise BadMessage("HTTP/1.0 has no chunks")
    return Response(status, match[3] or b"", headers, framing, length, _upgrade(headers, tokens), persistent)


def kept(headers: Headers) -> Headers:
    """Without what is meant for one connection alone."""
    named = (_tokens(headers, b"connection") | _tokens(headers, b"proxy-connection")) - _ENDURING
    return tuple((name, value) for name, value in headers if (low := name.lower()) not in _HOP and low not in named)


def chunk_size(line: bytes) -> int:
    """The size that a chunk's first line announces (RFC 9112 section 7.1). Raises BadMessage."""
    match = _CHUNK.match(line)
    if match is None:
        raise BadMessage("the size of a chunk is not proper")
    return int(match[1], 16)


def _split(head: bytes) -> tuple[bytes, Headers]:
    lines = head.split(b"\r\n")
    if len(lines) > LINES_LIMIT:
        raise BadMessage(f"more than {LINES_LIMIT} header fields", 431)
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.match(name):
            raise BadMessage("a header field is not proper")
        value = value.strip(b" \t")
        if not _VALUE.match(value):
            raise BadMessage("a header field's value is not proper")
        headers.append((name, value))
    return lines[0], tuple(headers)


def _framing(headers: Headers) -> tuple[Framing, int]:
    """NONE where nothing is said, and where the length is 0."""
    lengths, codings = _all(headers, b"content-length"), _all(headers, b"transfer-encoding")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadMessage("the length of the body is said in more than one way")
        return Framing.CHUNKED, 0
    if not lengths:
        return Framing.NONE, 0
    if len(lengths) > 1 or not _DIGITS.match(lengths[0]):
        raise BadMessage("the length of the body is not proper")
    return (Framing.LENGTH, length) if (length := int(lengths[0])) else (Framing.NONE, 0)


def _upgrade(headers: Headers, tokens: frozenset[bytes]) -> bytes | None:
    """Only to a websocket: other protocols (h2c) would go unread past us."""
    wanted = _all(headers, b"upgrade")
    return b"websocket" if b"upgrade" in tokens and [one.lower() for one in wanted] == [b"websocket"] else None


def _all(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def _tokens(headers: Headers, name: bytes) -> frozenset[bytes]:
    found = (token.strip(b" \t").lower() for value in _all(headers, name) for token in value.split(b","))
    return frozenset(token for token in found if token)


def _written(line: bytes, headers: Headers, framing: Framing, upgrade: bytes | None) -> bytes:
    lines = [line, *(name + b": " + value for name, value in headers)]
    if framing is Framing.CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    if upgrade is not None:
        lines += [b"Connection: Upgrade", b"Upgrade: " + upgrade]
    return b"\r\n".join((*lines, b"", b""))
