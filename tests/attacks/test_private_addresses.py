"""A page reaches what only this machine can reach: by name, by redirect, by rebinding, in odd forms, by websocket.

The server on loopback stands for a metadata service, or for whatever else listens there.
"""

from dataclasses import replace

import pytest

from browser_pool.spec import LaunchSpec
from gateway.egress.proxy import Services
from gateway.egress.terms import Terms
from gateway.records import Rules
from tests.attacks.conftest import Pools, page_of
from tests.browser_pool.roads import OpenRoads
from tests.egress.rig import GuardedRoads, Names, get, origin, told

# Where there is no guard Chromium itself takes every name for this machine.
NAMES = "--host-resolver-rules=MAP *.example 127.0.0.1"
SECRET = "hello"  # what the server says


@pytest.fixture
def named(spec: LaunchSpec) -> LaunchSpec:
    return replace(spec, args=(NAMES,))


def roads(*opened: str, **names: list[list[str]]) -> GuardedRoads:
    return GuardedRoads(Services(node=Rules(opened), resolver=Names(**names)), Terms())


async def test_by_name(pools: Pools, confined: bool, named: LaunchSpec) -> None:
    guard = roads(metadata__example=[["127.0.0.1"]], both__example=[["10.0.0.1", "::1", "127.0.0.1"]])
    async with origin() as server, pools(guard) as pool, pool.lease(named) as browser, page_of(browser) as page:
        for name in ("metadata.example", "both.example", "localhost", "a.localhost"):
            seen = await page.open(f"http://{name}:{server.port}/")
            assert (SECRET in seen) is not confined, (name, seen)
            if confined:
                assert "Refused by the egress rules" in seen
                assert "Rule: loopback-address" in seen or "Rule: private-address" in seen
        assert bool(server.requests) is not confined


@pytest.mark.parametrize(
    "form",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "①②⑦.0.0.1"],
)
async def test_by_an_odd_form(pools: Pools, confined: bool, spec: LaunchSpec, form: str) -> None:
    """Chromium makes one of all of them; a raw request is refused for the form alone (tests/egress/test_address.py)."""
    async with origin() as server, pools(roads()) as pool, pool.lease(spec) as browser, page_of(browser) as page:
        seen = await page.open(f"http://{form}:{server.port}/")
        assert (SECRET in seen) is not confined, seen
        assert ("Rule: loopback-address" in seen) is confined


async def test_by_redirect(pools: Pools, confined: bool, named: LaunchSpec) -> None:
    guard = roads("open.example", open__example=[["127.0.0.1"]])
    async with origin() as server, pools(guard) as pool, pool.lease(named) as browser, page_of(browser) as page:
        seen = await page.open(f"http://open.example:{server.port}/redirect?to=http://127.0.0.1:{server.port}/secret")
        assert (SECRET in seen) is not confined, seen
        asked = [path.partition("?")[0] for _, path, _, _ in server.requests]
        assert asked == (["/redirect"] if confined else ["/redirect", "/secret", "/favicon.ico"][: len(asked)])
        assert ("/secret" in asked) is not confined


async def test_by_rebinding(pools: Pools, confined: bool, named: LaunchSpec) -> None:
    """The name means an allowed address when the page is loaded, and this machine once it runs."""
    guard = roads("127.0.0.2", rebind__example=[["127.0.0.2"], ["127.0.0.1"]])
    async with origin() as server, origin("127.0.0.2", server.port):
        place = f"http://rebind.example:{server.port}"
        async with pools(guard) as pool, pool.lease(named) as browser, page_of(browser) as page:
            assert SECRET in await page.open(f"{place}/page?close")
            got = str(await page.run(f"fetch('{place}/secret').then(answer => answer.text(), String)"))
            assert (SECRET in got) is not confined, got
            assert ("Rule: <code" in got and "loopback-address" in got) is confined
        assert ("/secret" in [path for _, path, _, _ in server.requests]) is not confined


async def test_by_websocket(pools: Pools, confined: bool, named: LaunchSpec) -> None:
    guard = roads("open.example", open__example=[["127.0.0.1"]], inner__example=[["127.0.0.1"]])
    async with origin() as server, pools(guard) as pool, pool.lease(named) as browser, page_of(browser) as page:
        assert SECRET in await page.open(f"http://open.example:{server.port}/")
        opens = """new Promise(done => {{
            const socket = new WebSocket('ws://{}:{}/echo');
            socket.onopen = () => done('opened');
            socket.onerror = () => done('refused');
        }})"""
        assert await page.run(opens.format("open.example", server.port)) == "opened", "where it may"
        for host in ("inner.example", "127.0.0.1"):
            opened = await page.run(opens.format(host, server.port))
            assert opened == ("refused" if confined else "opened")
        if confined:
            assert {one.rule for one in guard.open_ones[-1].usage().refusals} >= {"loopback-address"}


async def test_devtools_of_another_browser_where_this_machine_is_open(
    pools: Pools, confined: bool, spec: LaunchSpec
) -> None:
    """The road leads out of a process that nothing holds to one port: it must not lead in again."""
    guard = roads("127.0.0.0/8", "::1")
    async with pools(guard) as pool, pool.lease(spec) as mine, pool.lease(spec) as other, page_of(mine) as page:
        for host in ("127.0.0.1", "localhost"):
            seen = await page.open(f"http://{host}:{other.port}/json/version")
            assert ("webSocketDebuggerUrl" in seen) is not confined, seen
            assert ("Rule: browser-endpoint" in seen) is confined


@pytest.mark.parametrize("guarded", [False, True], ids=["passed on", "refused"])
async def test_smuggling(guarded: bool) -> None:
    """A second request hidden in the first: whoever passes bytes on lets it through unjudged, for another host."""
    hidden = b"GET /secret HTTP/1.1\r\nHost: denied.example\r\nConnection: close\r\n\r\n"
    async with origin() as server:
        roads = GuardedRoads(Services(node=Rules(("127.0.0.1",), ("denied.example",)))) if guarded else OpenRoads()
        for fields in (("Content-Length: 4", "Transfer-Encoding: chunked"), ("Content-Length: 0",), ()):
            server.requests.clear()
            first = get(server.url, *fields, method="POST").replace(b"Connection: close\r\n", b"")
            async with roads.open() as road:
                answer = await told(road.port, first + (b"0\r\n\r\n" if len(fields) == 2 else b"") + hidden)
            if len(fields) == 2 and not guarded:
                continue  # this server refuses it as well: others do not
            seen = [(path, headers["Host"]) for _, path, headers, _ in server.requests]
            assert (("/secret", "denied.example") in seen) is not guarded, (fields, seen, answer)
