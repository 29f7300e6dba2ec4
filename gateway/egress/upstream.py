"""Proxies that a session's requests go through: HTTP, HTTPS and SOCKS5, with a user name and a password.

The name of the destination is resolved there, in its network, which we know nothing of: lists of names hold as ever,
and addresses that are given as such are judged, but what a name resolves to there is the upstream's to allow. What
means this machine (127.0.0.1, localhost) never goes there.
"""

import asyncio
import base64
import re
import ssl
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote, urlsplit

from gateway.egress.address import BadHost, Host, is_loopback, parsed_host, written
from gateway.egress.channel import Channel, Gone
from gateway.egress.dial import CONNECT_TIMEOUT, Dialer
from gateway.egress.message import BadMessage, Headers, response
from gateway.egress.pattern import BadPattern, Pattern, pattern
from gateway.egress.refusal import Refused
from gateway.records import Upstream

PORTS = {"http": 80, "https": 443, "socks5": 1080}
_SCHEMES = {"http": "http", "https": "https", "socks5": "socks5", "socks": "socks5", "socks5h": "socks5"}
_BYPASS = re.compile(r"[;,\s]+")
# RFC 1928 section 6
_SOCKS_REPLIES = {
    1: "a general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "the time to live expired",
}


class BadUpstream(ValueError):
    """A proxy that is not understood; the message says why, without its password."""


def parsed_upstream(
    server: str, username: str | None = None, password: str | None = None, bypass: str | None = None
) -> Upstream | None:
    """From `[scheme://][user:password@]host[:port]` as Chromium and its drivers write it. None for `direct://`.

    `bypass` is Chromium's list (net/docs/proxy.md): hosts, `*.host`, `.host`, networks, `<local>`, `<-loopback>`.
    Raises BadUpstream.
    """
    if server == "direct://":
        return None
    try:
        parts = urlsplit(server if "://" in server else f"http://{server}")
        port = parts.port
    except ValueError:
        raise BadUpstream("scheme://host:port is wanted") from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None:
        raise BadUpstream("http, https or socks5 is wanted as its scheme")
    if parts.path not in ("", "/") or parts.query or parts.fragment or not parts.hostname:
        raise BadUpstream("scheme://host:port is wanted")
    try:
        host = parsed_host(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)
    except BadHost as error:
        raise BadUpstream(str(error)) from None
    username = username if username is not None else parts.username and unquote(parts.username)
    password = password if password is not None else parts.password and unquote(parts.password)
    for what, text in (("username", username), ("password", password)):
        if text is not None and (len(text.encode()) > 255 or any(char in text for char in "\r\n\0")):
            raise BadUpstream(f"its {what} is longer than 255 bytes, or has a line's end in it")
    if scheme != "socks5" and username is not None and ":" in username:
        raise BadUpstream("a user name with a colon cannot be sent (RFC 7617)")
    return Upstream(scheme, written(host), port or PORTS[scheme], username, password, _bypassed(bypass or ""))


def _bypassed(text: str) -> tuple[str, ...]:
    found = []
    for word in _BYPASS.split(text.strip()):
        word = word.rpartition("://")[2].lower()
        if word in ("", "<-loopback>"):  # loopback never goes there: it would be the upstream's own
            continue
        if word != "<local>":
            word = f"*{word}" if word.startswith(".") else word
            try:
                pattern(word)
            except BadPattern as error:
                raise BadUpstream(f"its bypass list: {error}") from None
        found.append(word)
    return tuple(found)


class Road:
    """How one session's requests leave: directly or through its proxy. `tls` is what an HTTPS proxy is verified by."""

    def __init__(self, upstream: Upstream | None, dialer: Dialer, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = upstream
        self._dialer = dialer
        self._tls = tls
        bypass = upstream.bypass if upstream is not None else ()
        self._local = "<local>" in bypass
        self._bypass: tuple[Pattern, ...] = tuple(pattern(text) for text in bypass if text != "<local>")

    def proxied(self, host: Host, port: int) -> Upstream | None:
        """The proxy that a request to `host` goes through; None for none."""
        if self._upstream is None or is_loopback(host):
            return None
        if self._local and isinstance(host, str) and "." not in host:
            return None
        address = host if not isinstance(host, str) else None
        if any(one.names(host, port) or (address and one.holds(address, port)) for one in self._bypass):
            return None
        return self._upstream

    def judge(self, host: Host, port: int) -> None:
        """Whether the rules let it go there, as far as can be said without its address. Raises Refused."""
        policy = self._dialer.policy
        if isinstance(host, str):
            through = self.proxied(host, port) is not None
            rule = policy.of_upstream_name(host, port) if through else policy.of_name(host, port)
        else:
            rule = policy.of_address(host, port, host)
        if rule is not None:
            raise Refused(rule)

    async def tunnel(self, host: Host, port: int) -> Channel:
        """A connection that carries bytes to `host` and back. Raises Refused."""
        self.judge(host, port)
        upstream = self.proxied(host, port)
        if upstream is None:
            return await self._dialer.reach(host, port)
        channel = await self._to(upstream)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                if upstream.scheme == "socks5":
                    await _socks(channel, upstream, host, port)
                else:
                    await _connect(channel, upstream, host, port)
        except TimeoutError:
            channel.abort()
            raise Refused("upstream-failed", why="the session's proxy did not answer in time") from None
        except (Gone, BadMessage) as error:
            channel.abort()
            raise Refused("upstream-failed", why="the session's proxy broke the connection off") from error
        except BaseException:  # a refusal by it, or a cancel
            channel.abort()
            raise
        channel.received = 0  # what the proxy itself said is none of the destination's answer
        return channel

    def form(self, host: Host, port: int) -> tuple[bool, Headers]:
        """How plain HTTP to `host` is asked for: in the absolute form of proxies or not, and which fields it wants.

        An HTTP proxy is given the request itself, not a tunnel: many allow tunnels to port 443 only.
        """
        upstream = self.proxied(host, port)
        if upstream is None or upstream.scheme == "socks5":
            return False, ()
        return True, _authorization(upstream)

    async def plain(self, host: Host, port: int) -> Channel:
        """A connection for plain HTTP to `host`, in that `form`. Raises Refused."""
        upstream = self.proxied(host, port)
        if upstream is None or upstream.scheme == "socks5":
            return await self.tunnel(host, port)
        self.judge(host, port)
        return await self._to(upstream)

    async def _to(self, upstream: Upstream) -> Channel:
        tls = None
        if upstream.scheme == "https":
            self._tls = tls = self._tls or ssl.create_default_context()
        host = parsed_host(upstream.host)
        policy = self._dialer.policy.for_proxy(written(host, upstream.port))
        try:
            return await self._dialer.reach(host, upstream.port, policy=policy, tls=tls)
        except Refused as refused:
            if refused.by_policy:
                raise Refused(refused.rule, why="the session's proxy is not where browsers may go") from None
            raise Refused("upstream-failed", why=f"the session's proxy: {refused.why}") from refused


def _authorization(upstream: Upstream) -> Headers:
    if upstream.username is None and upstream.password is None:
        return ()
    pair = f"{upstream.username or ''}:{upstream.password or ''}".encode()
    return ((b"Proxy-Authorization", b"Basic " + base64.b64encode(pair)),)


def connect_head(upstream: Upstream, host: Host, port: int) -> bytes:
    """RFC 9110 section 9.3.6."""
    place = written(host, port).encode()
    lines = [b"CONNECT %s HTTP/1.1" % place, b"Host: " + place]
    lines += [name + b": " + value for name, value in _authorization(upstream)]
    return b"\r\n".join((*lines, b"", b""))


async def _connect(channel: Channel, upstream: Upstream, host: Host, port: int) -> None:
    channel.write(connect_head(upstream, host, port))
    while (answer := response(await channel.head(), b"GET")).interim:
        pass
    if not 200 <= answer.status < 300:
        raise refused_by(answer.status)


def refused_by(status: int) -> Refused:
    """An upstream proxy's own refusal. Its 407 must not reach the browser, which would ask for our password."""
    if status == 407:
        return Refused("upstream-failed", why="the session's proxy does not take its user name and password")
    return Refused("upstream-failed", why=f"the session's proxy refused with status {status}")


async def _socks(channel: Channel, upstream: Upstream, host: Host, port: int) -> None:
    """RFC 1928, with RFC 1929 for user name and password."""
    named = upstream.username is not None or upstream.password is not None
    channel.write(b"\x05\x02\x00\x02" if named else b"\x05\x01\x00")
    version, method = await _exactly(channel, 2)
    if version != 5 or method not in ((0, 2) if named else (0,)):
        raise Refused("upstream-failed", why="the session's proxy wants another way of authentication")
    if method == 2:
        name, password = (upstream.username or "").encode(), (upstream.password or "").encode()
        channel.write(bytes((1, len(name))) + name + bytes((len(password),)) + password)
        if (await _exactly(channel, 2))[1] != 0:
            raise refused_by(407)
    channel.write(b"\x05\x01\x00" + _socks_host(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = await _exactly(channel, 4)
    if version != 5 or reply != 0:
        raise Refused("upstream-failed", why=f"the session's proxy: {_SOCKS_REPLIES.get(reply, 'refused')}")
    length = {1: 4, 4: 16}.get(kind)
    if length is None:
        length = (await _exactly(channel, 1))[0]
    await _exactly(channel, length + 2)


def _socks_host(host: Host) -> bytes:
    match host:
        case IPv4Address():
            return b"\x01" + host.packed
        case IPv6Address():
            return b"\x04" + host.packed
    name = host.encode("ascii")
    return b"\x03" + bytes((len(name),)) + name


async def _exactly(channel: Channel, count: int) -> bytes:
    while len(channel.buffer) < count:
        await channel.more()
    found = bytes(channel.buffer[:count])
    del channel.buffer[:count]
    return found
