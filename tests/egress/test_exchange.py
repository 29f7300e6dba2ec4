"""Requests and tunnels over one road, with raw bytes and with a usual client."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.egress.breaker import LEAST
from gateway.egress.proxy import Services
from gateway.egress.usage import Refusal
from gateway.records import Egress
from tests.egress.rig import LOCAL, Names, get, origin, road, told
from tests.inside import until


async def test_requests() -> None:
    async with origin() as server, road() as way, aiohttp.ClientSession() as http:
        proxy = f"http://127.0.0.1:{way.port}"
        for path in ("/a?b=c", "/chunked", "/status/404"):
            async with http.get(server.url + path, proxy=proxy) as through, http.get(server.url + path) as direct:
                assert (through.status, await through.read()) == (direct.status, await direct.read())
        assert "Proxy-Connection" not in server.requests[0][2]
        assert len({id(one) for one in server.connections}) == 2, "one connection each way is used again"


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_bodies_of_requests(size: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"y" * (size // 3)

    async with origin() as server, road() as way, aiohttp.ClientSession() as http:
        proxy = f"http://127.0.0.1:{way.port}"
        for body in (b"x" * size, pieces()):
            async with http.post(server.url, data=body, proxy=proxy, expect100=True) as answer:
                assert len(await answer.read()) in (size, 3 * (size // 3), 5)
                assert answer.status == 200
        assert [len(body) for _, _, _, body in server.requests] == [size, 3 * (size // 3)]


async def test_tunnels() -> None:
    async with origin() as server, road() as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        writer.write(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        writer.write(b"GET /inside HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"hello")
        writer.close()
        assert server.requests[0][1] == "/inside"
        usage = way.usage()
        assert (usage.domains[0].domain, usage.requests) == ("127.0.0.1", 1)
        assert usage.bytes_in > 100
        assert usage.bytes_out == 52


async def test_websockets_without_a_tunnel() -> None:
    async with origin() as server, road() as way, aiohttp.ClientSession() as http:
        proxy = f"http://127.0.0.1:{way.port}"
        async with http.ws_connect(server.url + "/echo", proxy=proxy) as socket:
            await socket.send_str("hi")
            assert await socket.receive_str() == "echo hi"


async def test_a_refusal_leaves_the_connection_open() -> None:
    async with origin() as server, road() as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        writer.write(b"GET http://10.0.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"X-Egress-Rule: private-address" in head
        await reader.readuntil(b"</html>\n")
        writer.write(get(server.url + "/next"))
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_tunnel_that_is_refused_has_the_page_too() -> None:
    async with road() as way:
        found = await told(way.port, get("10.0.0.1:443", method="CONNECT"))
    assert found.startswith(b"HTTP/1.1 403 ")
    assert b"private-address" in found


async def test_bad_requests() -> None:
    async with origin() as server, road() as way:
        for sent in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01" + b"x" * 200_000, b"hello\r\n\r\n"):
            found = await told(way.port, sent)
            assert found.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
        smuggled = get(server.url, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\nGET /x"
        assert (await told(way.port, smuggled)).startswith(b"HTTP/1.1 400 ")
        assert not server.requests


async def test_an_answer_that_breaks_off_is_not_taken_for_whole() -> None:
    async with origin() as server, road() as way, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with http.get(server.url + "/break", proxy=f"http://127.0.0.1:{way.port}") as answer:
                await answer.read()


async def serve_raw(answer: bytes) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (b"", "broken-off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "bad-response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "bad-response"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "bad-response"),
    ],
)
async def test_servers_that_speak_no_http(answer: bytes, rule: str) -> None:
    server, port = await serve_raw(answer)
    async with server, road() as way:
        assert await told(way.port, get(f"http://127.0.0.1:{port}/")) == b"", "as if the server had said nothing"
        assert way.usage().refusals == (Refusal(rule, "127.0.0.1", 1),)


async def test_an_answer_without_a_length() -> None:
    server, port = await serve_raw(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    async with server, road() as way:
        found = await told(way.port, get(f"http://127.0.0.1:{port}/"))
        assert found == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"


async def test_a_client_that_goes_ends_the_request() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # the request, and the end
        gone.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, road() as way:
        _, writer = await asyncio.open_connection("127.0.0.1", way.port)
        writer.write(get(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
        await until(lambda: way.usage().bytes_out > 0)
        writer.close()
        async with asyncio.timeout(60):
            await gone.wait()


async def test_waves_of_refusals_open_the_circuit() -> None:
    async with origin() as server, road() as way, aiohttp.ClientSession() as http:
        statuses = []
        for _ in range(LEAST + 2):
            async with http.get(server.url + "/status/429", proxy=f"http://127.0.0.1:{way.port}") as answer:
                statuses.append((answer.status, answer.headers.get("X-Egress-Rule")))
        assert statuses == [(429, None)] * LEAST + [(503, "circuit-open")] * 2
        assert len(server.requests) == LEAST
        assert way.usage().domains[0].circuit == "open"


async def test_waves_under_tls_do_as_well() -> None:
    """Of a tunnel only its outcome is seen: here the server takes what it is sent, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, road() as way:
        found = []
        for _ in range(LEAST + 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
            writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
            found.append(await reader.readline())
            writer.write(b"\x16\x03\x01 hello")
            await reader.read()
            writer.close()
        assert [line.split()[1] for line in found] == [b"200"] * LEAST + [b"503"]


async def test_connections_to_one_domain() -> None:
    session = Egress(connections=1)
    async with origin() as server, road(session=session) as way, aiohttp.ClientSession() as http:
        proxy = f"http://127.0.0.1:{way.port}"
        async with http.ws_connect(server.url + "/echo", proxy=proxy):
            asked = asyncio.ensure_future(told(way.port, get(server.url)))
            await until(lambda: way.usage().requests == 2)
            assert not asked.done()
        assert b" 200 " in await asked


async def test_redirects_are_requests_like_others() -> None:
    async with origin() as server, road() as way, aiohttp.ClientSession() as http:
        url = f"{server.url}/redirect?to=http://169.254.169.254/latest"
        async with http.get(url, proxy=f"http://127.0.0.1:{way.port}") as answer:
            assert (answer.status, answer.headers["X-Egress-Rule"]) == (403, "metadata-address")


async def test_names_are_judged_at_each_connection() -> None:
    names = Names(a__example=[["127.0.0.1"], ["10.0.0.1"]])
    async with origin() as server, road(Services(node=LOCAL, resolver=names)) as way:
        url = f"http://a.example:{server.port}/"
        assert b" 200 " in await told(way.port, get(url))
        tunnel = await told(way.port, get(f"a.example:{server.port}", method="CONNECT"))
        assert b"private-address" in tunnel
