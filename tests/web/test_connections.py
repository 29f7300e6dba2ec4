"""How many connections there may be, and of whom; and websockets whose client does not read."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import structlog
from websockets.asyncio.client import ClientConnection

from gateway.web import connection, connections
from tests.inside import ask, inside, until
from tests.web.raw import Raw, get, raw

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _told_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER", 0.1)


async def is_served(client: Raw) -> bool:
    """Whether a request is answered, and not with a refusal."""
    client.send(get("/readyz"))
    return (await client.answer()).status == 200


async def test_all_connections_are_bounded(tmp_path: Path) -> None:
    async with inside(tmp_path, max_connections="4") as gateway, AsyncExitStack() as stack:
        sources = [f"127.0.0.{number}" for number in (2, 3, 4, 5)]  # no address has more than half
        clients = [await stack.enter_async_context(raw(gateway.base, source=source)) for source in sources]
        assert all([await is_served(client) for client in clients])
        async with raw(gateway.base, source="127.0.0.6") as late:
            answer = await late.answer()  # said at once
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "overloaded", "5")
            assert answer.headers["connection"] == "close"
            assert await late.end() == b""
        assert await is_served(clients[0]), "the others do not notice"
        clients[0].writer.close()

        async def free() -> bool:
            async with raw(gateway.base, source="127.0.0.6") as next_one:
                return await is_served(next_one)

        async with asyncio.timeout(60):
            while not await free():
                pass


async def test_those_of_one_address_are_bounded_too(tmp_path: Path) -> None:
    async with inside(tmp_path, max_connections_per_address="2") as gateway, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw(gateway.base, source="127.0.0.2")) for _ in range(3)]
        assert [await is_served(client) for client in clients[:2]] == [True, True]
        answer = await clients[2].answer()
        assert (answer.status, answer.code) == (429, "too_many_connections")
        other = await stack.enter_async_context(raw(gateway.base, source="127.0.0.3"))
        assert await is_served(other)


async def test_a_flood_is_dropped_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER", 0.5)
    monkeypatch.setattr(connections, "MOST_REFUSED", 3)
    async with inside(tmp_path, max_connections_per_address="1") as gateway, AsyncExitStack() as stack:
        first = await stack.enter_async_context(raw(gateway.base, source="127.0.0.2"))
        assert await is_served(first)
        opening = (stack.enter_async_context(raw(gateway.base, source="127.0.0.2")) for _ in range(200))
        clients = await asyncio.gather(*opening)  # at once: who was told is not gone before the last one comes
        ends = await asyncio.gather(*(client.end() for client in clients))
        told = [end for end in ends if end]
        assert 1 <= len(told) < 200
        assert all(end.startswith(b"HTTP/1.1 429") for end in told)


async def test_a_websocket_counts_until_it_closes(tmp_path: Path) -> None:
    async with inside(tmp_path, max_connections_per_address="2") as gateway:
        await gateway.http.close()  # its connections count too
        async with gateway.connect() as socket:
            await ask(socket, "Browser.getVersion")
            async with raw(gateway.base) as second:
                assert await is_served(second)
                async with raw(gateway.base) as third:
                    assert (await third.answer()).code == "too_many_connections"
        async with raw(gateway.base) as one, raw(gateway.base) as two:
            assert await is_served(one)
            assert await is_served(two)


def forwarded(address: str) -> str:
    return f"X-Forwarded-For: {address}"


async def test_behind_a_proxy_websockets_are_counted_for_whom_they_are(tmp_path: Path) -> None:
    settings = {"max_connections_per_address": "1", "trusted_proxies": "127.0.0.1"}
    async with inside(tmp_path, **settings) as gateway, AsyncExitStack() as stack:
        _, session = await gateway.call("POST", "/session", json={})
        _, targets = await gateway.call("GET", f"/session/{session['id']}/json/list")
        path = targets[0]["webSocketDebuggerUrl"].partition("/session/")[2]

        async def opened(address: str) -> int:
            client = await stack.enter_async_context(raw(gateway.base))
            key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key)
            client.send(get(f"/session/{path}", forwarded(address), *upgrade))
            return (await client.answer()).status

        assert await opened("192.0.2.1") == 101
        assert await opened("192.0.2.2") == 101
        assert await opened("192.0.2.1") == 429
        assert await opened("2001:db8::1") == 101
        assert await opened("2001:db8::2") == 429, "one IPv6 customer"


async def test_a_websocket_whose_client_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    async with inside(tmp_path, socket_stall_timeout="500ms") as gateway, asyncio.timeout(80):
        with structlog.testing.capture_logs() as logs:
            async with gateway.connect() as socket:
                transport = socket.transport
                await flood(socket, 40)
                transport.pause_reading()
                await until(lambda: any(line["event"] == "client_cut_off" for line in logs))
                transport.resume_reading()
                await socket.wait_closed()
        cut = [line for line in logs if line["event"] == "client_cut_off"]
        assert [(line["why"], line["client"]) for line in cut] == [("websocket_not_read", "127.0.0.1")]


async def flood(socket: ClientConnection, megabytes: int) -> None:
    """Ask for much, and do not read it."""
    targets = await ask(socket, "Target.getTargets")
    page = next(one for one in targets["result"]["targetInfos"] if one["type"] == "page")
    attached = await ask(socket, "Target.attachToTarget", {"targetId": page["targetId"], "flatten": True})
    session = attached["result"]["sessionId"]
    for number in range(megabytes):
        expression = {"expression": f"'{number}'.padEnd({MIB}, 'x')"}
        command = {"id": 100 + number, "method": "Runtime.evaluate", "params": expression, "sessionId": session}
        await socket.send(json.dumps(command))
