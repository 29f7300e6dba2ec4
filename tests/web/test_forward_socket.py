"""The opening of a websocket over a hop: where to, with which head, and what comes back in its place."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import make_mocked_request
from websockets.exceptions import InvalidStatus

from gateway.cluster.fleet import Lease
from gateway.cluster.hop import HEADER
from gateway.records import new_session_id
from gateway.relay.encoding import FIN, TEXT, encode
from gateway.tenancy.capability import tag
from gateway.web.forward_http import Misdirected, OwnerUnreachable
from gateway.web.forward_socket import dialled, refused, upgrade_head
from gateway.web.splice import Owner
from tests.web.nodes import ACCESS, Node, World, node, nodes
from tests.web.owners import answering, driver


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Node, Node]]:
    async with nodes(2) as (first, second):
        first.world.at["s"] = second.name
        yield first, second


@pytest.fixture
async def name() -> AsyncIterator[str]:
    """A node that says what it is asked."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await reader.read()

    async with answering(echo) as node:
        yield node


async def asked(name: str, said: bytes) -> Owner:
    owner = await dialled(name, 2)
    owner.data_received(said)
    return owner


def test_the_head_is_the_clients_and_ours() -> None:
    headers = {
        "Host": "gate.example",
        "Connection": "keep-alive, Upgrade",
        "Upgrade": "WebSocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Authorization": "Bearer t",
        HEADER: "forged",
    }
    request = make_mocked_request("GET", "/session/connect/x?token=a&c=", headers)
    first, *lines = upgrade_head(request, "signed").decode().split("\r\n")
    assert first == "GET /session/connect/x?token=a&c= HTTP/1.1"
    assert lines[-2:] == ["", ""]
    assert sorted(lines[:-2]) == [
        "Authorization: Bearer t",
        "Connection: Upgrade",
        "Host: gate.example",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Upgrade: websocket",
        f"{HEADER}: signed",
    ]


async def test_a_node_that_is_not_there() -> None:
    for there in ("http://127.0.0.1:1", "http://[::1]:1", "https://127.0.0.1:1"):
        with pytest.raises(OwnerUnreachable) as error:
            await dialled(there, 5)
        assert not error.value.sent


async def test_a_refusal(name: str) -> None:
    owner = await asked(name, b"HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\nX-A: 1\r\nKeep-Alive: 5\r\n\r\nbo")
    owner.data_received(b"dy")
    head = await owner.head
    assert head is not None
    response = await refused(head, owner)
    assert (response.status, response.reason, response.headers["X-A"]) == (409, "Conflict", "1")
    assert "Keep-Alive" not in response.headers
    assert response.body == b"body"  # type: ignore[attr-defined]
    await owner.gone


async def test_one_that_is_not_the_one(name: str) -> None:
    owner = await asked(name, b"HTTP/1.1 421 X\r\nX-Gateway-Owner: y\r\nContent-Length: 0\r\n\r\n")
    head = await owner.head
    assert head is not None
    with pytest.raises(Misdirected):
        await refused(head, owner)
    await owner.gone


@pytest.mark.parametrize("length", ["", "Content-Length: x\r\n", "Content-Length: 99999999\r\n"])
async def test_an_answer_of_no_known_length(name: str, length: str) -> None:
    owner = await asked(name, f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
    head = await owner.head
    assert head is not None
    with pytest.raises(OwnerUnreachable):
        await refused(head, owner)
    await owner.gone


async def test_a_hint_leads_a_websocket_too(pair: tuple[Node, Node]) -> None:
    first, second = pair
    session = new_session_id()
    first.world.at[session] = second.name
    secret = ACCESS.capabilities.capability(session, hint=tag(second.name))
    async with driver(first, session, secret) as client:
        await client.send("x")
        assert await client.recv() == "x"
    assert (first.asked, second.asked) == (0, 1)


async def test_what_comes_with_the_upgrade_is_not_lost(pair: tuple[Node, Node]) -> None:
    first, _ = pair
    reader, writer = await asyncio.open_connection("127.0.0.1", int(first.name.rpartition(":")[2]))
    masked = bytes([FIN | TEXT, 0x80 | 5, 0, 0, 0, 0]) + b"early"
    writer.write(
        b"GET /session/connect/s?token=the-token HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        + masked
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455 section 1.3
    assert await reader.readexactly(7) == encode(b"early")
    writer.close()


@pytest.mark.parametrize("status", [401, 404, 409, 410, 429, 503])
async def test_refusals_pass(status: int) -> None:
    body = b'{"error": {"code": "of-its-own"}}'

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} Words\r\nContent-Length: {len(body)}\r\nRetry-After: 7\r\n".encode())
        writer.write(b"Connection: close\r\nX-Own: 1\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    async with answering(refuse) as name, nodes(1) as (first,):
        first.world.at["s"] = name
        with pytest.raises(InvalidStatus) as refused:
            await driver(first)
        response = refused.value.response
        assert (response.status_code, response.body) == (status, body)
        assert (response.headers["Retry-After"], response.headers["X-Own"]) == ("7", "1")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nhalf", id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="no length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, id="a long head"),
    ],
)
async def test_what_is_no_answer(said: bytes) -> None:
    async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with answering(mumble) as name, nodes(1) as (first,):
        first.world.at["s"] = name
        with pytest.raises(InvalidStatus) as refused:
            await driver(first)
        assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "2")
        assert b"node_unreachable" in refused.value.response.body
        assert first.forwards.under_way == 0


async def test_a_place_on_a_node_that_is_not_there() -> None:
    async with nodes(1) as (first,):
        lease = Lease(new_session_id(), "http://127.0.0.1:1", "n")
        first.world.grants[lease.session] = lease
        with pytest.raises(InvalidStatus) as refused:
            await driver(first, lease.session)
        assert refused.value.response.status_code == 503
        assert first.world.released == [lease]


async def test_a_node_with_another_key() -> None:
    world = World()
    async with node(world) as first, node(world, key=b"another") as second:
        lease = Lease(new_session_id(), second.name, "n")
        world.grants[lease.session] = lease
        with pytest.raises(InvalidStatus) as refused:
            await driver(first, lease.session)
        assert refused.value.response.status_code == 503
        assert world.released == [lease]


async def test_a_client_that_does_not_wait() -> None:
    """It goes while the other node looks for a place: that is given up there."""
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert await reader.read() == b""
        given_up.set()
        writer.close()

    async with answering(wait) as name, nodes(1) as (first,):
        lease = Lease(new_session_id(), name, "n")
        first.world.grants[lease.session] = lease
        connecting = asyncio.ensure_future(driver(first, lease.session))
        await asked.wait()
        connecting.cancel()
        async with asyncio.timeout(20):
            await given_up.wait()
        await asyncio.wait([connecting])
        assert first.world.released == [], "who has heard of it gives it back"


async def test_one_that_moved_is_found() -> None:
    async with nodes(3) as (first, second, third):
        session = new_session_id()
        first.world.at[session] = third.name
        first.world.grants[session] = Lease(session, second.name, "n")
        async with driver(first, session) as client:
            await client.send("x")
            assert await client.recv() == "x"
        assert (first.asked, second.asked, third.asked) == (2, 1, 1)
