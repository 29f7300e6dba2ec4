"""The opening of a websocket over a hop: where to, with which head, and what comes back in its place."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.cluster.hop import HEADER
from gateway.web.forward_http import Misdirected, OwnerUnreachable
from gateway.web.forward_socket import dialled, refused, upgrade_head
from gateway.web.splice import Owner
from tests.web.test_splice import answering


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
    for node in ("http://127.0.0.1:1", "http://[::1]:1", "http://no-such-host.invalid:3000"):
        with pytest.raises(OwnerUnreachable) as error:
            await dialled(node, 5)
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
