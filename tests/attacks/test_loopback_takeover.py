"""A page of one browser takes over another through the port of its DevTools, which has no lock but its number."""

import asyncio

from browser_pool.spec import LaunchSpec
from tests.attacks.conftest import Pools, page_of, run_as
from tests.attacks.test_devtools_page import listed
from tests.browser_pool.roads import OpenRoads

# As a page of that address would: Chromium takes its own host as origin of a websocket.
TAKE_OVER = """fetch('/json/version').then(answer => answer.json()).then(found => new Promise((done, fail) => {
    const socket = new WebSocket(found.webSocketDebuggerUrl);
    socket.onopen = () => socket.send('{"id": 1, "method": "Target.getTargets"}');
    socket.onmessage = message => done(message.data);
    socket.onerror = () => fail(new Error('no socket'));
}))"""


async def test_devtools_port_of_another_browser(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """What its road would refuse, and by the ways round it: another proxy for a context, or none."""
    async with pools(OpenRoads()) as pool, pool.lease(spec) as other:
        target = f"127.0.0.1:{other.port}"
        pool.roads = OpenRoads(target) if confined else None
        async with pool.lease(spec) as mine:
            for context in ({}, {"proxyServer": "direct://"}, {"proxyServer": f"http://{target}"}):
                if context and not confined and context["proxyServer"] != "direct://":
                    continue  # it is no proxy: that it can be reached is shown already
                async with page_of(mine, **context) as page:
                    seen = await page.open(f"http://{target}/json/list")
                    assert ("webSocketDebuggerUrl" in seen) is not confined, seen
                    taken = str(await page.run(TAKE_OVER))
                    assert ("targetInfos" in taken) is not confined, taken
            if confined:
                assert mine.road is not None


async def test_closing_another_ones_tab(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """/json/close/ID ends it with a plain GET."""
    async with pools(OpenRoads()) as pool, pool.lease(spec) as other:
        target = f"127.0.0.1:{other.port}"
        pool.roads = OpenRoads(target) if confined else None
        tab = (await other.devtools.send("Target.createTarget", {"url": "data:text/html,mine"}))["targetId"]
        async with pool.lease(spec) as mine, page_of(mine, proxyServer="direct://") as page:
            await page.open(f"http://{target}/json/close/{tab}")
        while not confined and await listed(other, tab):  # noqa: ASYNC110  # answered before it is gone
            await asyncio.sleep(0.02)
        assert await listed(other, tab) is confined


async def test_the_port_of_its_road_elsewhere(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """Landlock knows ports and no addresses: Chromium itself must find no other host, in any context."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ninside")
        writer.close()

    async with pools(OpenRoads()) as pool, pool.lease(spec) as mine:
        server = await asyncio.start_server(serve, "127.0.0.2", mine.road.port if mine.road else 0)
        port = server.sockets[0].getsockname()[1]
        async with page_of(mine, proxyServer="direct://") as page:
            seen = await page.open(f"http://127.0.0.2:{port}/")
            assert (seen == "inside") is not confined, seen
            assert ("ERR_NAME_NOT_RESOLVED" in seen) is confined
        server.close()
        await server.wait_closed()


async def test_any_port_of_this_machine(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """By a program that has taken the browser's process over: TCP to another browser, and a name looked up by UDP."""
    get = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print('connected')"
    ask = (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)); print('sent')"
    )
    async with pools(OpenRoads()) as pool, pool.lease(spec) as mine, pool.lease(spec) as other:
        _, said = await run_as(mine, pool, "/usr/bin/python3", "-c", get, str(other.port))
        assert ("connected" in said) is not confined, said
        _, said = await run_as(mine, pool, "/usr/bin/python3", "-c", ask)
        assert ("sent" in said) is not confined, said
        if mine.road is not None:  # and there is one way that is open
            _, said = await run_as(mine, pool, "/usr/bin/python3", "-c", get, str(mine.road.port))
            assert "connected" in said
