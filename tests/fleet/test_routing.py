"""Any gateway leads to any session: whatever a client may ask of one comes to a node that has not got it."""

import asyncio
import io
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from tests.fleet.nodes import Fleet, Node, fleet
from tests.journeys.driving import driver, wire
from tests.journeys.running import Gateway
from tests.site.app import Site


def at(node: Node, url: str) -> str:
    """The same URL, at another node."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{urlsplit(node.runs.url).netloc}/{rest.partition('/')[2]}"


async def told(gateway: Gateway, method: str, path: str, status: int = 200, **options: Any) -> Any:
    return (await gateway.request(method, path, **options)).ok(status)


@pytest.fixture
def settings() -> dict[str, str]:
    return {}


async def test_any_node_leads_to_any_session(tmp_path: Path, site: Site) -> None:
    site.uses = 99
    async with fleet(tmp_path) as three:
        made = await three.nodes[0].runs.create(name="shop", processKeepAlive=120_000)
        session = made["id"]
        owner = await three.owner(session)
        near, far = three.others(owner)
        await clients(near, far, made, site)
        await requests(three, owner, near, far, session)
        await targets(near, far, session, site)
        await files(three, near, far, session)
        await names(three, session)
        await kept(three, site)
        # Stopped through one, restored through another, logged in at a third.
        assert (await told(near.runs, "DELETE", f"/session/{session}?force=true"))["status"] == "stopped"
        assert (await owner.runs.record(session))["status"] == "stopped"
        restored = await told(far.runs, "POST", f"/session/{session}/restore", 201)
        async with driver("puppeteer") as client:
            await client.connect(at(owner, restored["connect"]))
            assert (await client.state(site))["user"] == "alice"
        assert site.logins == 1
        metrics = await told(near.runs, "GET", "/metrics")
        assert 'gateway_forwarded_total{kind="websocket"}' in metrics


async def clients(near: Node, far: Node, made: Any, site: Site) -> None:
    """Puppeteer logs in over one node, Playwright goes on over another."""
    async with driver("puppeteer") as client:
        await client.connect(at(near, made["connect"]))
        await client.log_in(site)
        # One driver at a time, also where the second comes by another road.
        with pytest.raises(InvalidStatus) as refused:
            async with wire(at(far, made["connect"])):
                pass
        assert refused.value.response.status_code == 409
        await client.do("disconnect")
    async with driver("playwright") as client:
        await client.connect(at(far, made["connect"]))
        assert (await client.state(site))["user"] == "alice"


async def requests(three: Fleet, owner: Node, near: Node, far: Node, session: str) -> None:
    """The REST lifecycle, and who may not."""
    for node in three.nodes:
        assert (await node.runs.status(session, "detached"))["name"] == "shop"
        listed = (await told(node.runs, "GET", "/sessions?name=shop"))["sessions"]
        assert [one["id"] for one in listed] == [session]
        (await node.runs.request("GET", f"/session/{session}", auth=False)).refused(401)
        pressure = (await told(node.runs, "GET", "/pressure"))["pressure"]
        assert (pressure["running"], pressure["maxConcurrent"]) == (1, 12)
    changed = await told(near.runs, "PATCH", f"/session/{session}", json={"labels": {"team": "a"}})
    assert changed["labels"] == {"team": "a"}
    assert (await told(far.runs, "POST", f"/session/{session}/snapshot", 201))["version"] >= 1
    context = await told(near.runs, "GET", f"/session/{session}/context?format=playwright")
    assert "sid" in {cookie["name"] for cookie in context["cookies"]}
    steel = await told(far.runs, "GET", f"/v1/sessions/{session}/live-details")
    assert steel["pages"]
    again = await told(near.runs, "GET", "/v1/sessions/shop")
    assert again["id"] == session
    shot = await far.runs.request("POST", f"/content?sessionId={session}", json={"html": "<p>here</p>"})
    assert "<p>here</p>" in shot.ok()
    assert owner.sessions() == {session}


async def targets(near: Node, far: Node, session: str, site: Site) -> None:
    """Discovery, and a debugging client."""
    listed = {}
    for node in (near, far):
        found = await told(node.runs, "GET", "/json/list")
        [listed[node.port]] = [one for one in found if one["type"] == "page"][:1]
        assert listed[node.port]["sessionId"] == session
    target = listed[near.port]["id"]
    assert listed[far.port]["id"] == target
    own = await told(near.runs, "GET", f"/session/{session}/json/list")
    assert target in {one["id"] for one in own}
    for url in (
        listed[near.port]["webSocketDebuggerUrl"],
        far.runs.driver(f"/devtools/page/{target}"),
    ):
        async with wire(url) as debugger:
            assert await debugger.evaluate("1 + 1") == 2
    (await near.runs.request("GET", f"/json/activate/{target}")).ok()
    opened = (await far.runs.request("PUT", f"/json/new?{site.url}/page/1")).ok()
    assert opened["sessionId"] == session
    (await near.runs.request("GET", f"/json/close/{opened['id']}")).ok()
    page = (await far.runs.request("GET", f"/session/{session}/devtools/inspector.html")).status
    assert page == 302
    (await near.runs.request("GET", "/json/close/0123456789ABCDEF")).refused(404)


async def files(three: Fleet, near: Node, far: Node, session: str) -> None:
    """What was put there over one node is fetched over another, also when the browser is gone."""
    content = b"0123456789abcdef" * 131072  # 2 MiB
    path = f"/session/{session}/files"
    added = await told(near.runs, "POST", f"{path}?name=a.bin", 201, data=io.BytesIO(content))
    assert added["files"][0]["size"] == len(content)
    for node in three.nodes:
        fetched = await node.runs.request("GET", f"{path}/a.bin?kind=upload")
        assert fetched.ok().encode() == content
    (await far.runs.request("DELETE", f"{path}/a.bin?kind=upload")).ok(204)
    (await near.runs.request("GET", f"{path}/a.bin?kind=upload")).refused(404)


async def names(three: Fleet, session: str) -> None:
    """A name is one session's, on whatever node."""
    refused = await asyncio.gather(
        *(node.runs.request("POST", "/session", json={"name": "shop"}) for node in three.nodes)
    )
    assert [reply.status for reply in refused] == [409] * 3
    for node in three.nodes:
        joined = await told(node.runs, "POST", "/session", json={"name": "shop", "attach": True})
        assert joined["id"] == session


async def kept(three: Fleet, site: Site) -> None:
    """A standard session, wherever it was made, that `reconnect` keeps: the way back leads over any node."""
    for number, node in enumerate(three.nodes):
        async with wire(node.runs.driver("/")) as first:
            page = await first.page()
            await first.evaluate(f"window.left = {number}", page)
            kept = await first.call("Gateway.reconnect", {"timeout": 60_000})
        for other in three.nodes:
            async with wire(at(other, kept["browserWSEndpoint"])) as again:
                assert await again.evaluate("window.left", await again.page()) == number
                kept = await again.call("Gateway.reconnect", {"timeout": 60_000})
        # With a secret of its own nothing else opens it.
        async with wire(at(node, kept["browserWSEndpoint"])) as again:
            kept = await again.call("Gateway.reconnect", {"timeout": 60_000, "auth": "sesame"})
        bare = f"/reconnect/{kept['browserWSEndpoint'].rpartition('/')[2].partition('.')[0]}"
        for other in three.nodes:
            with pytest.raises(InvalidStatus) as refused:
                async with wire(other.runs.driver(bare)):
                    pass
            assert refused.value.response.status_code == 401
        async with wire(f"{three.nodes[number - 1].runs.ws}{bare}?token=sesame") as again:
            await again.call("Browser.close")
