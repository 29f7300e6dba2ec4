"""Websockets through a node that does not have the browser: what passes, how they end, and that nothing is kept."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from gateway.relay.browser_leg import HIGH_WATER
from gateway.relay.encoding import BINARY, CONTINUATION, TEXT, encode, encode_close
from gateway.web import splice
from gateway.web.connections import Bounds
from gateway.web.splice import Head, parsed
from tests.inside import until
from tests.web.certificates import make
from tests.web.nodes import Node, World, node, nodes
from tests.web.owners import context_of, driver, owner, trusting
from tests.web.raw import raw

MIB = 1 << 20


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Node, Node]]:
    async with nodes(2) as (first, second):
        first.world.at["s"] = second.name
        yield first, second


async def test_messages_pass_both_ways(pair: tuple[Node, Node]) -> None:
    first, second = pair
    async with driver(first) as client:
        for message in ("text", b"binary", "", "ü" * 70_000, bytes(300_000)):
            await client.send(message)
            assert await client.recv() == message
        await (await client.ping())
        assert first.forwards.open == 1
        assert len(first.connections) == 1, "it is counted until it is closed"
    await until(lambda: first.forwards.open == 0)
    assert first.forwards.counted.by_kind == {"websocket": 1}
    assert (first.asked, second.asked) == (1, 1)
    await second.cancelled.wait()


async def test_the_owners_close_code_is_the_clients(pair: tuple[Node, Node]) -> None:
    async with driver(pair[0]) as client:
        await client.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4004, "rotated")


async def test_the_clients_close_is_the_owners(pair: tuple[Node, Node]) -> None:
    first, second = pair
    client = await driver(first)
    await client.close(3001, "done")
    assert client.close_code == 1000, "which aiohttp answers"
    await second.cancelled.wait()
    assert second.closes == [3001]
    await until(lambda: first.forwards.open == 0)


async def test_clients_are_counted_where_they_come_in() -> None:
    """Not where they are forwarded to: there all come from one address."""
    world, few = World(), Bounds(connections=100, per_address=3)
    async with node(world, bounds=few) as second, node(world, bounds=few) as first:
        world.at["s"] = second.name
        clients = [await driver(first) for _ in range(3)]
        async with raw(first.name) as late:  # which is told before it asks
            assert (await late.answer()).status == 429
        assert first.forwards.open == 3
        async with driver(second) as own:  # its own clients have a number of their own
            await own.send("x")
            assert await own.recv() == "x"
        for client in clients:
            await client.close()
        await until(lambda: first.forwards.open == 0)
        async with driver(first) as again:
            await again.send("x")
            assert await again.recv() == "x"


async def test_a_client_that_vanishes_is_noticed_by_the_owner(pair: tuple[Node, Node]) -> None:
    first, second = pair
    client = await driver(first)
    client.transport.abort()
    async with asyncio.timeout(20):
        await second.cancelled.wait()
    await until(lambda: first.forwards.open == 0)


def buffered(first: Node) -> int:
    """Bytes that wait in the first node."""
    return max(
        transport.get_write_buffer_size()
        for spliced in first.forwards._splices
        for transport in (spliced._client.transport, spliced._owner.transport)
    )


async def test_a_client_that_does_not_read_holds_the_owner(pair: tuple[Node, Node]) -> None:
    first, second = pair
    async with driver(first, max_queue=1) as client:
        client.transport.pause_reading()
        for _ in range(4):
            await client.send("big 16")
        (spliced,) = first.forwards._splices
        await until(lambda: not spliced._owner.transport.is_reading())
        for _ in range(20):
            await asyncio.sleep(0)
            assert buffered(first) < HIGH_WATER + 2 * MIB
        client.transport.resume_reading()
        for _ in range(4):
            assert len(await client.recv()) == 16 * MIB
    assert second.asked == 1


async def test_an_owner_that_does_not_read_holds_the_client() -> None:
    go_on, got = asyncio.Event(), 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await go_on.wait()
        while got < 32 * MIB:
            got += len(await reader.read(MIB))
        writer.write(encode(b"all"))
        await reader.read()

    async with owner(slow) as name, nodes(1) as (first,):
        first.world.at["s"] = name
        async with driver(first) as client:
            sending = asyncio.create_task(client.send(bytes(32 * MIB)))
            await until(lambda: bool(first.forwards._splices))
            (spliced,) = first.forwards._splices
            await until(lambda: not spliced._client.transport.is_reading())
            assert buffered(first) < HIGH_WATER + 2 * MIB
            go_on.set()
            await sending
            assert await client.recv() == "all"
            client.transport.abort()  # this owner answers no Close


def fragments() -> bytes:
    return bytes([TEXT, 3]) + b"one" + bytes([CONTINUATION, 3]) + b"two"


@pytest.mark.parametrize(
    ("said", "heard", "code"),
    [
        pytest.param(b"", [], 1012, id="nothing"),
        pytest.param(encode(b"whole") + encode(b"two"), ["whole", "two"], 1012, id="between two messages"),
        pytest.param(encode(b"x" * 70_000), ["x" * 70_000], 1012, id="behind a long message"),
        pytest.param(fragments(), [], 1012, id="between two fragments"),
        pytest.param(encode(b"whole") + encode(b"torn")[:1], ["whole"], None, id="in a frame's header"),
        pytest.param(encode(b"x" * 70_000)[:5], [], None, id="in a long frame's header"),
        pytest.param(encode(b"whole") + encode(b"torn")[:4], ["whole"], None, id="in a frame"),
        pytest.param(encode(b"x" * 70_000, BINARY)[:60_000], [], None, id="in a long frame"),
        pytest.param(encode_close(4004, "own"), [], 4004, id="behind its own close"),
    ],
)
async def test_an_owner_that_is_lost(said: bytes, heard: list[str], code: int | None) -> None:
    """None: in the middle of a frame nothing can be said, and the connection ends without a Close."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(6)  # the client's first message, so that it listens
        writer.write(said)
        await writer.drain()
        writer.close()  # as the kernel of a killed process does

    async with owner(speak) as name, nodes(1) as (first,):
        first.world.at["s"] = name
        async with driver(first) as client:
            await client.send("")
            assert [await client.recv() for _ in heard] == heard
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        rcvd = closed.value.rcvd
        assert (None if rcvd is None else rcvd.code) == code
        if code == 1012:
            assert rcvd is not None
            assert rcvd.reason == "the node that owned the browser is gone: reconnect"
        await until(lambda: first.forwards.open == 0)


PROCESS = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from tests.web.owners import owner
from gateway.relay.encoding import encode

async def speak(reader, writer):
    writer.write(encode(b"ready"))
    await reader.read()

async def main():
    async with owner(speak) as name:
        print(name, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_owners_process_is_killed() -> None:
    root = str(Path(__file__).parents[2])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        name = (await process.stdout.readline()).decode().strip()
        async with nodes(1) as (first,):
            first.world.at["s"] = name
            clients = [await driver(first) for _ in range(3)]
            for client in clients:
                assert await client.recv() == "ready"
            process.send_signal(signal.SIGKILL)
            for client in clients:
                with pytest.raises(ConnectionClosedError) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
            await until(lambda: first.forwards.open == 0)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_node_that_is_known_to_be_dead(pair: tuple[Node, Node]) -> None:
    """Its machine may be cut off: nothing comes from there, not even an end."""
    first, second = pair
    async with driver(first) as client, driver(second) as own:
        await client.send("x")
        await client.recv()
        first.world.gone[second.name].set()
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        await own.send("still there")
        assert await own.recv() == "still there"


async def test_a_dead_node_in_the_middle_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "BOUNDARY_TIMEOUT", 0.2)  # what is missing never comes

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(b"whole") + encode(b"x" * 70_000)[:100])
        await reader.read()

    async with owner(speak) as name, nodes(1) as (first,):
        first.world.at["s"] = name
        async with driver(first) as client:
            assert await client.recv() == "whole"
            first.forwards.died(name)
            with pytest.raises(ConnectionClosedError) as closed:
                await client.recv()
            assert closed.value.rcvd is None
        await until(lambda: first.forwards.open == 0)


async def test_a_node_that_stops_closes_what_it_forwards() -> None:
    world = World()
    async with node(world) as second:
        async with node(world) as first:
            world.at["s"] = second.name
            client = await driver(first)
            await client.send("x")
            await client.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the gateway is stopping: reconnect")


async def test_a_close_of_ours_waits_for_the_message_under_way() -> None:
    go_on = asyncio.Event()
    whole = encode(b"x" * 70_000)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(b"whole") + whole[:100])
        await go_on.wait()
        writer.write(whole[100:] + encode(b"not any more"))
        await reader.read()

    async with owner(speak) as name, nodes(1) as (first,):
        first.world.at["s"] = name
        async with driver(first) as client:
            assert await client.recv() == "whole"
            (spliced,) = first.forwards._splices
            first.forwards.close_all()
            await until(lambda: bool(spliced._owner._last))
            go_on.set()
            assert await client.recv() == "x" * 70_000
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001


async def test_over_tls(tmp_path: Path) -> None:
    crt, key = make(tmp_path)
    world = World()
    async with (
        node(world, server=context_of(crt, key), client=trusting(crt)) as second,
        node(world, server=context_of(crt, key), client=trusting(crt)) as first,
    ):
        world.at["s"] = second.name
        assert second.name.startswith("https://")
        async with driver(first, ssl=trusting(crt)) as client:
            for message in ("text", "x" * MIB):
                await client.send(message)
                assert await client.recv() == message
            world.gone[second.name].set()
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        await until(lambda: first.forwards.open == 0)
    async with node(world, client=None) as stranger, node(world, server=context_of(crt, key)) as second:
        world.at["s"] = second.name
        with pytest.raises(InvalidStatus) as refused:  # nobody has signed that certificate
            await driver(stranger)
        assert refused.value.response.status_code == 503


async def test_the_kernel_looks_after_an_idle_connection(pair: tuple[Node, Node]) -> None:
    async with driver(pair[0]):
        (spliced,) = pair[0].forwards._splices
        raw = spliced._owner.transport.get_extra_info("socket")
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        own = spliced._client.transport.get_extra_info("socket")
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n", 101),
        (b"HTTP/1.0 404\r\nA: b\r\n\r\n", 404),
        (b"HTTP/1.1 99 X\r\n\r\n", None),
        (b"HTTP/2 200 X\r\n\r\n", None),
        (b"HTTP/1.1 200 X\r\nno colon\r\n\r\n", None),
        (b"\xff\xfe\r\n\r\n", None),
    ],
    ids=["101", "no reason", "two digits", "another version", "no header", "no text"],
)
def test_a_responses_head(raw: bytes, status: int | None) -> None:
    head = parsed(raw)
    assert (None if head is None else head.status) == status
    assert head is None or isinstance(head, Head)
    if head is not None:
        assert (head.headers["a"], head.raw) == ("b", raw)
