"""Websockets through a node that does not have the browser: what passes, how they end, and that nothing is kept."""

import asyncio
import base64
import hashlib
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from gateway.cluster.fleet import Lease
from gateway.records import new_session_id
from gateway.relay.browser_leg import HIGH_WATER
from gateway.relay.encoding import BINARY, CONTINUATION, FIN, TEXT, encode, encode_close
from gateway.tenancy.capability import tag
from gateway.web.connections import Bounds
from gateway.web.splice import Head, parsed
from tests.inside import until
from tests.web.certificates import make
from tests.web.nodes import ACCESS, Node, World, node, nodes
from tests.web.raw import raw

MIB = 1 << 20
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def driver(at: Node, session: str = "s", token: str = "the-token", **more: object) -> connect:
    base = at.name.replace("http", "ws", 1)
    return connect(f"{base}/session/connect/{session}?token={token}", max_size=None, compression=None, **more)  # type: ignore[arg-type]


def context_of(crt: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return context


def trusting(crt: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(crt))


def switching(head: bytes) -> bytes:
    """The 101 for a request's head."""
    lines = head.decode().split("\r\n")
    key = next(line.partition(": ")[2] for line in lines if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def owner(script: Script) -> AsyncIterator[str]:
    """A node that speaks by `script`, once it has read a request's head and answered 101; its name."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching(head))
        try:
            await script(reader, writer)
        finally:
            writer.transport.abort()

    async with answering(serve) as name:
        yield name


@asynccontextmanager
async def answering(serve: Script) -> AsyncIterator[str]:
    """The same by hand: `serve` reads the head, too."""

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


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
    assert first.forwards.counts == {"websocket": 1}
    assert (first.asked, second.asked) == (1, 1)
    await second.cancelled.wait()


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
from tests.web.test_splice import owner
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


async def test_a_dead_node_in_the_middle_of_a_message() -> None:
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
        assert first.forwards._asked == {}


async def test_a_node_that_is_not_there() -> None:
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
