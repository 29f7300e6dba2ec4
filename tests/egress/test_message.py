"""HTTP heads: what is taken, what is sent on, and what has two meanings."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.egress.message import BadMessage, Framing, chunk_size, kept, request, response


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1")


def test_a_request() -> None:
    found = request(head("GET http://Example.com:8080/a?b=c HTTP/1.1", "Host: example.com:8080", "Accept: */*"))
    assert (found.host, found.port, found.path) == ("example.com", 8080, b"/a?b=c")
    assert found.head() == b"GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\n\r\n"
    assert found.head(absolute=True).startswith(b"GET http://example.com:8080/a?b=c HTTP/1.1\r\n")
    assert found.repeatable
    assert found.persistent


def test_the_host_is_that_of_the_url() -> None:
    found = request(head("GET http://good.example/ HTTP/1.1", "Host: evil.example"))
    assert b"evil" not in found.head()


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://a", b"/"), ("http://a?b", b"/?b"), ("HTTP://a/x//y", b"/x//y"), ("http://a:/", b"/")],
)
def test_targets(target: str, path: bytes) -> None:
    assert request(head(f"GET {target} HTTP/1.1", "Host: a")).path == path


def test_options_of_a_server() -> None:
    assert request(head("OPTIONS http://a HTTP/1.1", "Host: a")).path == b"*"


def test_a_tunnel() -> None:
    found = request(head("CONNECT 1.2.3.4:443 HTTP/1.1", "Host: 1.2.3.4:443", "Proxy-Connection: keep-alive"))
    assert found.tunnel
    assert (found.host, found.port) == (IPv4Address("1.2.3.4"), 443)


SMUGGLED = [
    ("GET http://a/ HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Content-Length: 5, 5"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Content-Length: +5"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Content-Length: 0x5"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Content-Length: "),
    ("GET http://a/ HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Transfer-Encoding : chunked"),
    ("GET http://a/ HTTP/1.1", "Host: a", " Transfer-Encoding: chunked"),
    ("GET http://a/ HTTP/1.1", "Host: a", "X: y\nTransfer-Encoding: chunked"),
    ("GET http://a/ HTTP/1.1", "Host: a", "X: y\rTransfer-Encoding: chunked"),
    ("GET http://a/ HTTP/1.1", "Host: a", "X: y\0"),
    ("GET http://a/ HTTP/1.1", "Host: a", "Host: b"),
    ("GET http://a/ HTTP/1.1", "X: y"),
    ("GET http://a/ HTTP/1.0", "Host: a"),
    ("GET  http://a/ HTTP/1.1", "Host: a"),
    ("GET http://a/ b HTTP/1.1", "Host: a"),
    ("GET http://a/#b HTTP/1.1", "Host: a"),
    ("GET http://user@a/ HTTP/1.1", "Host: a"),
    ("GET http:///x HTTP/1.1", "Host: a"),
    ("GET https://a/ HTTP/1.1", "Host: a"),
    ("GET ftp://a/ HTTP/1.1", "Host: a"),
    ("GET / HTTP/1.1", "Host: a"),
    ("CONNECT a HTTP/1.1", "Host: a"),
    ("CONNECT http://a/ HTTP/1.1", "Host: a"),
    ("CONNECT a:443 HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"),
    ("G(T http://a/ HTTP/1.1", "Host: a"),
    ("", "Host: a"),
]


@pytest.mark.parametrize("lines", SMUGGLED, ids=lambda lines: repr(lines[-1])[:40])
def test_what_has_two_meanings_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadMessage):
        request(head(*lines))


def test_too_many_fields() -> None:
    with pytest.raises(BadMessage) as refused:
        request(head("GET http://a/ HTTP/1.1", "Host: a", *(["X: y"] * 600)))
    assert refused.value.status == 431


def test_what_is_for_one_connection_goes_no_further() -> None:
    fields = (
        "Connection: close, X-Mine",
        "X-Mine: 1",
        "Proxy-Authorization: Basic eA==",
        "TE: trailers",
        "Cookie: a=b",
    )
    found = request(head("GET http://a/ HTTP/1.1", "Host: a", *fields))
    assert not found.persistent
    assert found.head() == b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n"


def test_connection_takes_nothing_away_that_others_rely_on() -> None:
    fields = (
        (b"Connection", b"Host, Cookie, Content-Length, X"),
        (b"Cookie", b"a"),
        (b"Content-Length", b"1"),
        (b"X", b""),
    )
    assert kept(fields) == ((b"Cookie", b"a"), (b"Content-Length", b"1"))


def test_upgrades() -> None:
    fields = ("Connection: Upgrade", "Upgrade: websocket")
    found = request(head("GET http://a/ HTTP/1.1", "Host: a", *fields))
    assert found.head().endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    other = request(head("GET http://a/ HTTP/1.1", "Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
    assert other.upgrade is None
    assert b"pgrade" not in other.head()


@pytest.mark.parametrize(
    ("method", "lines", "framing", "length"),
    [
        ("GET", ("HTTP/1.1 200 OK", "Content-Length: 5"), Framing.LENGTH, 5),
        ("GET", ("HTTP/1.1 200 OK", "Content-Length: 0"), Framing.LENGTH, 0),
        ("GET", ("HTTP/1.1 200", "Transfer-Encoding: Chunked"), Framing.CHUNKED, 0),
        ("GET", ("HTTP/1.1 200 OK",), Framing.CLOSE, 0),
        ("HEAD", ("HTTP/1.1 200 OK", "Content-Length: 5"), Framing.NONE, 0),
        ("GET", ("HTTP/1.1 304 Not Modified", "Content-Length: 5"), Framing.NONE, 0),
        ("GET", ("HTTP/1.1 204 No Content",), Framing.NONE, 0),
        ("GET", ("HTTP/1.1 100 Continue",), Framing.NONE, 0),
    ],
)
def test_the_end_of_an_answer(method: str, lines: tuple[str, ...], framing: Framing, length: int) -> None:
    found = response(head(*lines), method.encode())
    assert (found.framing, found.length) == (framing, length)


def test_an_answer_that_stays_open() -> None:
    assert response(head("HTTP/1.1 200 OK", "Content-Length: 5"), b"GET").persistent
    assert not response(head("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: close"), b"GET").persistent
    assert not response(head("HTTP/1.0 200 OK", "Content-Length: 5"), b"GET").persistent
    assert response(head("HTTP/1.0 200 OK", "Content-Length: 5", "Connection: keep-alive"), b"GET").persistent


def test_an_answer_is_written_anew() -> None:
    found = response(head("HTTP/1.0 404 Nöt", "Content-Length: 5", "Connection: x", "X: y", "Set-Cookie: a"), b"GET")
    assert found.head(persistent=True) == "HTTP/1.1 404 Nöt\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\n".encode(
        "latin-1"
    )
    assert b"\r\nConnection: close\r\n" in found.head(persistent=False)


@pytest.mark.parametrize(
    "lines",
    [
        ("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"),
        ("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 7"),
        ("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"),
        ("HTTP/2 200 OK",),
        ("HTTP/1.1 20 OK",),
        ("ICY 200 OK",),
    ],
)
def test_answers_that_are_none(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadMessage):
        response(head(*lines), b"GET")


def test_chunks() -> None:
    assert chunk_size(b"1aF") == 0x1AF
    assert chunk_size(b"5 ; a=b") == 5
    for line in (b"", b"0x5", b"-1", b"+5", b"5 5", b"g", b"f" * 16, b"5;\n"):
        with pytest.raises(BadMessage):
            chunk_size(line)


@given(st.binary(max_size=200))
def test_no_head_does_harm(noise: bytes) -> None:
    """Whatever comes, it is refused, or what is sent on has one meaning for us as well."""
    for lines in (noise, b"GET http://a/ HTTP/1.1\r\nHost: a\r\n" + noise):
        try:
            found = request(lines)
        except BadMessage:
            continue
        again = request(found.head(absolute=True)[:-4]) if not found.tunnel else found
        assert (again.method, again.host, again.port, again.path) == (found.method, found.host, found.port, found.path)
        assert (again.framing, again.length) == (found.framing, found.length)
