"""A road as such: whose it is, how much it bears, and its end."""

import asyncio
from contextlib import suppress

import pytest

from gateway.egress import proxy
from gateway.egress.pattern import BadPattern
from gateway.egress.proxy import Services, bound, serving
from gateway.egress.terms import Terms
from gateway.records import Egress, Rules
from tests.egress.rig import LOCAL, get, origin, road, told
from tests.inside import until


async def test_it_leads_nowhere_until_it_is_somebodys() -> None:
    services = Services(node=LOCAL)
    async with origin() as server, serving(bound(), services) as way:
        assert b"X-Egress-Rule: not-assigned" in await told(way.port, get(server.url))
        assert b"X-Egress-Rule: not-assigned" in await told(way.port, get("127.0.0.1:1", method="CONNECT"))
        with pytest.raises(BadPattern):
            way.assign(Terms(Rules(("not a pattern",))))
        assert b"not-assigned" in await told(way.port, get(server.url))
        way.assign(Terms(session=Egress(deny=("*:1",))))
        assert b" 200 " in await told(way.port, get(server.url))
        assert b"denied: *:1" in await told(way.port, get("127.0.0.1:1", method="CONNECT"))
        assert len(server.requests) == 1


async def test_a_browser_that_runs_already_waits_for_its_session() -> None:
    async with origin() as server, serving(bound(), Services(node=LOCAL), patient=True) as way:
        asked = asyncio.ensure_future(told(way.port, get(server.url)))
        await asyncio.sleep(0.05)
        assert not asked.done()
        way.assign(Terms())
        assert b" 200 " in await asked


async def test_the_tenants_rules_hold() -> None:
    async with origin() as server, serving(bound(), Services()) as way:
        way.assign(Terms())
        assert b"loopback-address" in await told(way.port, get(server.url))
        way.assign(Terms(LOCAL))
        assert b" 200 " in await told(way.port, get(server.url))


async def test_the_port_of_another_road() -> None:
    """It would be a way round one's own terms."""
    services = Services(node=LOCAL)
    async with serving(bound(), services, Terms()) as mine, serving(bound(), services, Terms()) as other:
        answer = await told(mine.port, get(f"127.0.0.1:{other.port}", method="CONNECT"))
        assert b"X-Egress-Rule: gateway" in answer
    assert not services.own


async def test_the_same_port_again() -> None:
    async with road() as first:
        port = first.port
        await told(port, get("http://10.0.0.1/"))
        with pytest.raises(OSError, match="in use"):
            bound(port)
    listener = bound(port)
    assert listener.getsockname() == ("127.0.0.1", port)
    listener.close()


async def test_too_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "CLIENTS", 2)
    async with road() as way:
        held = [await asyncio.open_connection("127.0.0.1", way.port) for _ in range(2)]
        await asyncio.sleep(0)
        answer = await told(way.port, b"")
        assert b"too-many-connections" in answer
        for _, writer in held:
            writer.close()

        async def again() -> bytes:
            return await told(way.port, get("http://10.0.0.1/"))

        async with asyncio.timeout(60):
            while b"private-address" not in await again():
                pass


async def test_its_end_ends_everything() -> None:
    async with origin() as server:
        async with road() as way:
            reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
            writer.write(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_usage() -> None:
    heard: list[tuple[int, str, str]] = []
    services = Services(node=LOCAL, told=lambda *refusal: heard.append(refusal))
    async with origin() as server, road(services) as way:
        await told(way.port, get(server.url, "Content-Length: 1000", method="POST") + b"x" * 1000)
        for _ in range(3):
            await told(way.port, get("http://10.0.0.1/"))
        await until(lambda: way.usage().bytes_in > 1000)
        usage = way.usage()
        assert usage.requests == 1
        assert usage.bytes_out > 1000
        assert [(one.rule, one.domain, one.count) for one in usage.refusals] == [("private-address", "10.0.0.1", 3)]
        assert heard == [(way.port, "private-address", "10.0.0.1")]
