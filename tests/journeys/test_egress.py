"""The egress guard from outside: what a user is told, what the operator sees, and a proxy that a session keeps."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.fakes.upstreams import PASSWORD, USER, Upstream, upstream
from tests.inside import ask
from tests.journeys.running import Gateway, Starter, eventually, eventually_asked
from tests.site.app import Site

NAME = "shop.example"  # known to the proxy alone


@pytest.fixture
async def through(site: Site) -> AsyncIterator[Upstream]:
    """Somebody's proxy, through which the site has a name of its own."""
    async with upstream("http") as running:
        running.names = {NAME: "127.0.0.1"}
        yield running


async def titles(gateway: Gateway, session: str) -> list[str]:
    return [target["title"] for target in (await gateway.request("GET", f"/session/{session}/json/list")).ok()]


async def refused(gateway: Gateway, session: str, rule: str) -> None:
    """Its page was refused by that rule: a create is answered when its page begins to load."""

    async def told() -> bool:
        return rule in rules(await gateway.record(session))

    await eventually_asked(f"refused: {rule}", told)


async def titled(gateway: Gateway, session: str) -> list[str]:
    """Its titles, once the page has one: Chromium tells of it a moment after the page is there."""

    async def there() -> list[str]:
        found = await titles(gateway, session)
        early = ("", "about:blank")  # or its URL
        return found if not any(title in early or "127.0.0.1" in title for title in found) else []

    return await eventually_asked("a title", there)


def rules(session: Any) -> list[str]:
    return [one["rule"] for one in session["egress"]["refused"]]


async def test_this_machine_is_closed_unless_it_is_opened(start_gateway: Starter, site: Site) -> None:
    gateway = await start_gateway(egress_allow="")
    place = site.url.partition("//")[2]
    closed = await gateway.create(url=site.url)
    assert await titled(gateway, closed["id"]) == ["Refused by the egress rules"]
    shown = (await gateway.record(closed["id"]))["egress"]
    assert {"rule": "loopback-address", "domain": "127.0.0.1", "count": 1} in shown["refused"]
    # Whoever runs the gateway may open it for a session of theirs.
    opened = await gateway.create(url=site.url, egress={"allow": [place]})
    assert await titled(gateway, opened["id"]) != ["Refused by the egress rules"]
    mine = next(
        one for one in (await gateway.record(opened["id"]))["egress"]["domains"] if one["domain"] == "127.0.0.1"
    )
    assert mine["bytesIn"] > 0
    denied = await gateway.create(url=site.url, egress={"allow": [place], "deny": ["127.0.0.0/8"]})
    await refused(gateway, denied["id"], "denied: 127.0.0.0/8")
    # The gateway's own port, and another's DevTools, stay closed even then.
    own = await gateway.create(url=gateway.url, egress={"allow": ["127.0.0.1"]})
    await refused(gateway, own["id"], "gateway")
    stopped = (await gateway.request("DELETE", f"/session/{denied['id']}")).ok()
    assert "denied: 127.0.0.0/8" in rules(stopped), "it is remembered"
    metrics = (await gateway.request("GET", "/metrics")).ok()
    assert 'gateway_egress_bytes_total{direction="in"}' in metrics
    assert "127.0.0.1" not in metrics
    assert 'event": "egress_refused"' in gateway.log.read_text()


async def test_a_session_keeps_its_proxy_for_life(gateway: Gateway, site: Site, through: Upstream) -> None:
    port = site.url.rpartition(":")[2]
    page = f"http://{NAME}:{port}/page/1"
    proxy = {"server": f"http://127.0.0.1:{through.port}", "username": USER, "password": PASSWORD}
    first = await gateway.create(url=page, proxy=proxy)
    asked = f"GET {page}"
    await eventually("its page is asked for through the proxy", lambda: asked in through.asked)
    assert first["proxy"] == {"server": proxy["server"], "bypass": []}

    async def loaded_again(session: str) -> bool:
        """Its tab is loaded behind the answer."""
        return asked in through.asked and (await gateway.record(session))["status"] == "detached"

    through.asked.clear()
    (fork,) = (await gateway.request("POST", f"/session/{first['id']}/fork", json={})).ok(201)["sessions"]
    await eventually_asked("the fork goes through the proxy", lambda: loaded_again(fork["id"]))
    (await gateway.request("DELETE", f"/session/{first['id']}")).ok()
    through.asked.clear()
    again = (await gateway.request("POST", f"/session/{first['id']}/restore", json={})).ok(201)
    await eventually_asked("the restored one goes through the proxy", lambda: loaded_again(again["id"]))
    assert through.refused == 0
    replies = [await gateway.record(session["id"]) for session in (first, fork, again)]
    assert PASSWORD not in str([first, fork, again, replies]) + gateway.log.read_text()
    assert USER not in str(replies)


async def test_a_proxy_of_a_websocket_session(gateway: Gateway, site: Site, through: Upstream) -> None:
    port = site.url.rpartition(":")[2]
    server = f"http://{USER}:{PASSWORD.replace(':', '%3A')}@127.0.0.1:{through.port}"
    async with connect(gateway.driver(proxyServer=server), max_size=None, compression=None) as socket:
        targets = (await ask(socket, "Target.getTargets"))["result"]["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        flat = {"targetId": target, "flatten": True}
        session = (await ask(socket, "Target.attachToTarget", flat))["result"]["sessionId"]
        url = f"http://{NAME}:{port}/page/2"
        await ask(socket, "Page.navigate", {"url": url}, sessionId=session)
        await eventually("the page is asked for through the proxy", lambda: f"GET {url}" in through.asked)
    assert PASSWORD not in gateway.log.read_text()
