"""Requests through real proxies that want a user name and a password."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from gateway.egress.dial import Dialer
from gateway.egress.local import Listeners
from gateway.egress.policy import EgressPolicy
from gateway.egress.proxy import Proxy, Services
from gateway.egress.upstream import BadUpstream, Road, connect_head, parsed_upstream
from gateway.records import Egress, Rules
from gateway.records import Upstream as Terms
from tests.egress.rig import LOCAL, Names, Origin, get, origin, road, told
from tests.fakes.upstreams import PASSWORD, USER, Upstream, certificates, upstream

KINDS = ("http", "https", "socks5")


@asynccontextmanager
async def proxied(
    scheme: str, directory: Path, password: str = PASSWORD, *, session: Egress | None = None, bypass: str = ""
) -> AsyncIterator[tuple[Proxy, Upstream, Origin]]:
    """A road through an upstream proxy, which knows a name that nobody else does."""
    server, client = certificates(directory)
    secure = server if scheme == "https" else None
    async with upstream("socks" if scheme == "socks5" else "http", secure) as through, origin() as there:
        through.names = {"inner.example": "127.0.0.1"}
        terms = parsed_upstream(f"{scheme}://127.0.0.1:{through.port}", USER, password, bypass)
        services = Services(node=LOCAL, resolver=Names(), tls=client)
        async with road(services, replace(session or Egress(), upstream=terms)) as way:
            yield way, through, there


@pytest.mark.parametrize("scheme", KINDS)
async def test_the_name_is_resolved_there(scheme: str, tmp_path: Path) -> None:
    async with proxied(scheme, tmp_path) as (way, through, there):
        place = f"inner.example:{there.port}"
        assert (await told(way.port, get(f"http://{place}/plain"))).endswith(b"hello")
        sent = get(place, method="CONNECT") + get("/tunnel")
        answer = await told(way.port, sent)
        assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK")
        assert [path for _, path, _, _ in there.requests] == ["/plain", "/tunnel"]
        assert "Proxy-Authorization" not in there.requests[0][2]
        if scheme == "socks5":
            assert through.asked == [f"name {place}"] * 2
        else:
            assert through.asked == [f"GET http://{place}/plain", f"CONNECT {place}"]
        assert way.usage().domains[0].bytes_in < 1000


@pytest.mark.parametrize("scheme", KINDS)
async def test_a_wrong_password(scheme: str, tmp_path: Path) -> None:
    async with proxied(scheme, tmp_path, "wrong") as (way, through, there):
        for sent in (get("http://inner.example/"), get("inner.example:443", method="CONNECT")):
            answer = await told(way.port, sent)
            assert answer.startswith(b"HTTP/1.1 502 ")
            assert b"X-Egress-Rule: upstream-failed" in answer
            assert b"Proxy-Authenticate" not in answer, "the browser must not be asked for it"
            assert b"user name and password" in answer
        assert through.refused == 2
        assert not there.requests


@pytest.mark.parametrize("scheme", KINDS)
async def test_the_rules_hold_there_too(scheme: str, tmp_path: Path) -> None:
    session = Egress(deny=("*.ads.example",))
    async with proxied(scheme, tmp_path, session=session) as (way, through, _):
        for url, rule in (
            ("http://169.254.169.254/latest", b"metadata-address"),
            ("http://[::ffff:10.0.0.1]/", b"private-address"),
            ("http://a.ads.example/", b"denied: *.ads.example"),
        ):
            assert b"X-Egress-Rule: " + rule in await told(way.port, get(url))
        assert not through.asked


async def test_this_machine_is_never_asked_for_there(tmp_path: Path) -> None:
    async with proxied("http", tmp_path) as (way, through, there):
        for host in ("127.0.0.1", "localhost"):
            assert (await told(way.port, get(f"http://{host}:{there.port}/"))).endswith(b"hello")
        assert not through.asked


async def test_what_goes_past_it(tmp_path: Path) -> None:
    async with proxied("http", tmp_path, bypass="*.direct.example;<local>") as (way, through, _):
        assert await told(way.port, get("http://a.direct.example/")) == b"", "our own resolver does not know it"
        assert await told(way.port, get("http://printer/")) == b""
        assert not through.asked
        assert {one.rule for one in way.usage().refusals} == {"not-resolved"}


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    server, _ = certificates(tmp_path)
    async with upstream("http", server) as through:
        terms = parsed_upstream(f"https://127.0.0.1:{through.port}", USER, PASSWORD)
        async with road(Services(node=LOCAL, tls=ssl.create_default_context()), Egress(upstream=terms)) as way:
            assert b"upstream-failed" in await told(way.port, get("http://inner.example/"))
        assert not through.asked


async def test_a_proxy_where_browsers_may_not_go() -> None:
    """A session's proxy is connected to from here: it must not be a way into the machine."""
    for opens, expected in ((False, b"X-Egress-Rule: loopback-address"), (True, b"X-Egress-Rule: upstream-failed")):
        terms = parsed_upstream("http://127.0.0.1:1")
        async with road(Services(node=Rules()), Egress(opens=opens, upstream=terms)) as way:
            assert expected in await told(way.port, get("http://inner.example/"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proxy.example:3128", ("http", "proxy.example", 3128, None, None)),
        ("proxy.example", ("http", "proxy.example", 80, None, None)),
        ("https://Proxy.example", ("https", "proxy.example", 443, None, None)),
        ("socks5://10.0.0.1", ("socks5", "10.0.0.1", 1080, None, None)),
        ("socks://[::1]:9", ("socks5", "[::1]", 9, None, None)),
        ("http://us%40er:p%3Ass@p.example:1/", ("http", "p.example", 1, "us@er", "p:ss")),
    ],
)
def test_servers(text: str, expected: tuple[object, ...]) -> None:
    found = parsed_upstream(text)
    assert found is not None
    assert (found.scheme, found.host, found.port, found.username, found.password) == expected


def test_no_proxy_at_all() -> None:
    assert parsed_upstream("direct://") is None


@pytest.mark.parametrize(
    "text",
    [
        "socks4://a:1",
        "ftp://a",
        "http://",
        "http://a:x",
        "http://a:99999",
        "a:1/path",
        "http=a:1;https=b:1",
        "0x7f.1:1",
    ],
)
def test_servers_that_are_none(text: str) -> None:
    with pytest.raises(BadUpstream):
        parsed_upstream(text)


def test_names_that_cannot_be_sent() -> None:
    for username, password in (("a:b", "x"), ("a", "x\r\nX: y"), ("a" * 256, "x")):
        with pytest.raises(BadUpstream) as refused:
            parsed_upstream("http://a", username, password)
        assert password not in str(refused.value) or password == "x"


def test_bypass_lists() -> None:
    found = parsed_upstream("http://a", None, None, "*.b.example; .c.example,10.0.0.0/8 <local>;<-loopback>;http://d")
    assert found is not None
    assert found.bypass == ("*.b.example", "*.c.example", "10.0.0.0/8", "<local>", "d")
    dialer = Dialer(EgressPolicy.joined(Rules(), Rules(), Egress()), Names(), Listeners(), set())
    way = Road(found, dialer)
    for host in ("x.b.example", "y.c.example", IPv4Address("10.1.1.1"), "printer", "d", "localhost"):
        assert way.proxied(host, 80) is None
    assert way.proxied("e.example", 80) is found
    with pytest.raises(BadUpstream):
        parsed_upstream("http://a", None, None, "**")


def test_a_tunnel_is_asked_for() -> None:
    head = connect_head(Terms("http", "p", 1, "u", "p"), "a.example", 443)
    assert head == b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
