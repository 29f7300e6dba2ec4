"""Bodies and answers through a node that only passes them on: in pieces, whole or visibly broken."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession, ClientTimeout
from multidict import CIMultiDict

from gateway.web.forward_http import onward
from tests.inside import until
from tests.web.nodes import AUTH, PIECE, Node, nodes
from tests.web.owners import answering
from tests.web.raw import raw

MIB = 1 << 20


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Node, Node]]:
    async with nodes(2) as (first, second):
        first.world.at["s"] = second.name
        yield first, second


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(headers=AUTH, read_bufsize=1 << 16) as client:
        yield client


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "by length"])
async def test_an_upload_of_any_size(pair: tuple[Node, Node], http: ClientSession, chunked: bool) -> None:
    """It is larger than what a handler may read whole (client_max_size)."""
    first, second = pair
    count = 16 * MIB // len(PIECE)
    headers = {} if chunked else {"Content-Length": str(count * len(PIECE))}
    async with http.post(f"{first.name}/session/s/files", data=pieces(count), headers=headers) as answer:
        said = await answer.json()
    assert (said["node"], said["size"]) == (second.name, 16 * MIB)
    assert said["sha"] == hashlib.sha256(PIECE * count).hexdigest()
    assert first.asked == 1


async def test_an_upload_waits_for_who_reads_it(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    sent = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal sent
        async for piece in pieces(48 * MIB // len(PIECE)):
            sent += len(piece)
            yield piece

    asking = asyncio.create_task(http.post(f"{first.name}/session/s/files?wait", data=counted()).__aenter__())
    await second.begun.wait()
    before = -1
    while sent != before:  # until nothing moves: two kernels' buffers and ours are full
        before = sent
        await asyncio.sleep(0.2)
    assert sent < 32 * MIB
    second.go_on.set()
    answer = await asking
    assert (await answer.json())["size"] == 48 * MIB
    answer.release()


@pytest.mark.parametrize("how", ["", "&length"], ids=["chunked", "by length"])
async def test_an_answer_of_any_size(pair: tuple[Node, Node], http: ClientSession, how: str) -> None:
    first, second = pair
    count = 16 * MIB // len(PIECE)
    async with http.get(f"{first.name}/session/s/files?pieces={count}{how}") as answer:
        assert ("Content-Length" in answer.headers) == bool(how)
        assert answer.headers["X-Node"] == second.name
        seen, size = hashlib.sha256(), 0
        async for piece in answer.content.iter_any():
            seen.update(piece)
            size += len(piece)
    assert size == 16 * MIB
    assert seen.hexdigest() == hashlib.sha256(PIECE * count).hexdigest()


async def test_an_answer_waits_for_who_reads_it(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    count = 48 * MIB // len(PIECE)
    async with http.get(f"{first.name}/session/s/files?pieces={count}") as answer:
        before = -1
        while second.got != before:
            before = second.got
            await asyncio.sleep(0.2)
        assert second.got < 32 * MIB
        assert len(await answer.read()) == 48 * MIB


async def test_an_answer_begins_before_it_ends(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    async with http.get(f"{first.name}/session/s/files?pieces=2&wait") as answer:
        assert len(await answer.content.readexactly(len(PIECE))) == len(PIECE)
        second.go_on.set()
        assert await answer.content.read() == PIECE


@pytest.mark.parametrize("how", ["", "&length"], ids=["chunked", "by length"])
async def test_an_answer_that_breaks_off_is_seen_to(pair: tuple[Node, Node], http: ClientSession, how: str) -> None:
    first, _ = pair
    with pytest.raises(ClientPayloadError):
        async with http.get(f"{first.name}/session/s/files?pieces=9&break{how}") as answer:
            await answer.read()
    assert first.forwards.under_way == 0


async def test_a_node_that_dies_in_the_middle_of_its_answer(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    async with http.get(f"{first.name}/session/s/files?pieces=9&wait") as answer:
        await answer.content.readexactly(len(PIECE))
        first.world.gone[second.name].set()
        with pytest.raises(ClientPayloadError):
            await answer.read()
    await second.cancelled.wait()


async def test_a_client_that_goes_in_the_middle(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    async with http.get(f"{first.name}/session/s/files?pieces=9&wait") as answer:
        await answer.content.readexactly(len(PIECE))
    async with asyncio.timeout(20):
        await second.cancelled.wait()


async def test_an_upload_that_breaks_off(pair: tuple[Node, Node]) -> None:
    first, second = pair
    async with raw(first.name) as client:
        client.send(
            "POST /session/s/files?token=the-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf"
        )
        await second.begun.wait()
    async with asyncio.timeout(20):
        await second.cancelled.wait()


async def test_who_asks_whether_to_go_on_is_told_once(pair: tuple[Node, Node]) -> None:
    async with raw(pair[0].name) as client:
        client.send(
            "POST /session/s/files?token=the-token HTTP/1.1\r\nHost: localhost\r\n"
            "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        assert (await client.answer()).status == 100
        client.send("body")
        answer = await client.answer()
        assert (answer.status, answer.body["size"]) == (200, 4)


async def test_connections_are_kept(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    for _ in range(5):
        async with http.get(f"{first.name}/session/s") as answer:
            assert (await answer.json())["node"] == second.name
    assert len(second.connections) == 1


async def test_a_body_that_cannot_be_sent_twice() -> None:
    """The node that it went to is not the one, and it is gone with it."""

    async def misdirected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 421 X\r\nX-Gateway-Owner: y\r\nContent-Length: 0\r\n\r\n")

    async def small() -> AsyncIterator[bytes]:
        yield b"small"

    async with answering(misdirected) as name, nodes(1) as (first,), ClientSession(headers=AUTH) as http:
        first.world.at["s"] = name
        async with http.post(f"{first.name}/session/s/files", data=small()) as answer:
            said = await answer.json()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert said["error"]["code"] == "node_unreachable"
            assert "send it again" in said["error"]["message"]
        assert first.asked == 1


async def test_a_node_that_hangs_up_is_another_thing_than_one_that_is_not_there() -> None:
    heard = asyncio.Event()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        writer.close()

    async with answering(hang_up) as name, nodes(1) as (first,), ClientSession(headers=AUTH) as http:
        first.world.at["s"] = name
        async with http.post(f"{first.name}/session/s") as answer:
            assert answer.status == 503
            assert "whether it was done" in (await answer.json())["error"]["message"]
        assert heard.is_set()


async def test_who_speaks_http_1_0_gets_the_end_of_the_connection(pair: tuple[Node, Node]) -> None:
    async with raw(pair[0].name) as client:
        client.send("GET /session/s/files?pieces=2&token=the-token HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head, _, body = (await client.end()).partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body == PIECE * 2


async def test_the_end_of_the_block_lets_connections_go() -> None:
    async with nodes(1) as (second,):
        async with nodes(1, second.world) as (first,), ClientSession(headers=AUTH) as http:
            second.world.at["s"] = second.name
            async with http.get(f"{first.name}/session/s") as answer:
                assert answer.status == 200
            assert len(second.connections) == 1
        await until(lambda: len(second.connections) == 0)
        with pytest.raises(ClientError):
            async with ClientSession(timeout=ClientTimeout(5)) as http, http.get(first.name):
                pass


def test_what_is_for_one_hop_stays_there() -> None:
    headers = CIMultiDict(
        [
            ("Host", "h"),
            ("Connection", "keep-alive, X-Mine"),
            ("X-Mine", "1"),
            ("Keep-Alive", "5"),
            ("TE", "trailers"),
            ("Trailer", "x"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Expect", "100-continue"),
            ("Proxy-Connection", "x"),
            ("X-Gateway-Hop", "forged"),
            ("X-Gateway-Owner", "forged"),
            ("Set-Cookie", "a"),
            ("Set-Cookie", "b"),
            ("Authorization", "Bearer t"),
        ]
    )
    assert list(onward(headers).items()) == [
        ("Host", "h"),
        ("Set-Cookie", "a"),
        ("Set-Cookie", "b"),
        ("Authorization", "Bearer t"),
    ]
