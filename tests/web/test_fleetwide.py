"""Over all sessions of a caller, on two nodes: listed, found by their targets, ended."""

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from websockets.asyncio.client import connect

from gateway.cluster.fleet import Elsewhere
from gateway.errors import Code, GatewayError
from gateway.records import Role
from gateway.tenancy.access import TENANT, Principal
from gateway.web import fleetwide
from gateway.web.fleetwide import Fleetwide
from tests.inside import TOKEN, Inside, ask, inside, until
from tests.web.pair import Pair, pair


async def pages(at: Inside, **options: Any) -> dict[str, str]:
    """Ids of the caller's pages, each with its session."""
    status, listed = await at.call("GET", "/json/list", **options)
    assert status == 200
    return {one["id"]: one["sessionId"] for one in listed if one["type"] == "page"}


async def test_over_two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleetwide, "PATIENCE", 30.0)
    async with pair(tmp_path) as fleet, AsyncExitStack() as stack:
        own: dict[str, Inside] = {}  # by session
        for at in fleet.both:
            await stack.enter_async_context(at.connect())
        for at in fleet.both:
            own |= dict.fromkeys(at.registry._live, at)
        assert {at.base for at in own.values()} == {at.base for at in fleet.both}, "both have one"
        await listed(fleet, own)
        await left_out(fleet)
        await found(fleet, own)
        await written_down(fleet, own)
        await ended(fleet, own)


async def listed(fleet: Pair, own: dict[str, Inside]) -> None:
    for at in fleet.both:
        assert set((await pages(at)).values()) == set(own)
    # A session's own secret leads to its own pages alone.
    for session, at in own.items():
        other = next(one for one in fleet.both if one is not at)
        record = at.registry.live(session)  # type: ignore[arg-type]
        assert record is not None
        secret = at.access.capabilities.capability(record.record.id, generation=1)
        assert set((await pages(other, headers={"Authorization": f"Bearer {secret}"})).values()) == {session}


async def left_out(fleet: Pair) -> None:
    """A node that does not say in time what it has."""
    (there,) = fleet.second.registry._live.values()
    assert there.browser is not None
    os.kill(there.browser.pid, signal.SIGSTOP)  # it takes connections, and answers nobody
    try:
        with pytest.MonkeyPatch.context() as patched, structlog.testing.capture_logs() as logs:
            patched.setattr(fleetwide, "PATIENCE", 0.2)
            assert set((await pages(fleet.first)).values()) == set(fleet.first.registry._live)
    finally:
        os.kill(there.browser.pid, signal.SIGCONT)
    assert [line["node"] for line in logs if line["event"] == "node_left_out"] == [fleet.second.base]


async def found(fleet: Pair, own: dict[str, Inside]) -> None:
    everything = await pages(fleet.first)
    for target, session in everything.items():
        other = next(one for one in fleet.both if one is not own[session])
        for path in (f"/devtools/page/{target}", f"/devtools/browser/{session}"):
            async with connect(f"{other.ws}{path}?token={TOKEN}") as debugger:
                assert "result" in await ask(debugger, "Browser.getVersion")
        async with other.http.get(f"/json/activate/{target}") as answer:
            assert await answer.text() == "Target activated"
        wide = Fleetwide(other.registry, fleet.forwards)
        with pytest.raises(Elsewhere) as elsewhere:
            await wide.with_target(Principal(TENANT, Role.USER), "page", target)
        assert elsewhere.value.node == own[session].base
        with pytest.raises(GatewayError) as strange:
            await wide.with_target(Principal("acme", Role.USER), "page", target)
        assert strange.value.code is Code.TARGET_NOT_FOUND
    for at in fleet.both:
        for path in ("/json/close/0123456789ABCDEF", "/json/activate/0123456789ABCDEF"):
            assert (await at.call("GET", path))[0] == 404
        status, refusal = await at.call("PUT", "/json/new?about:blank")
        assert (status, refusal["error"]["code"]) == (409, "not_running"), "several are running, though one here"


async def written_down(fleet: Pair, own: dict[str, Inside]) -> None:
    """What another node answers is counted and audited there, and nowhere else."""
    (session, at), *_ = own.items()
    other = next(one for one in fleet.both if one is not at)

    async def counted(node: Inside) -> int:
        async with node.http.get("/metrics", headers={"Accept": "application/json"}) as answer:
            return int((await answer.json())[0]["successful"])

    before = [await counted(node) for node in (at, other)]
    async with other.http.post(f"/content?sessionId={session}", json={"html": "<p>here</p>"}) as answer:
        assert "<p>here</p>" in await answer.text()
    assert [await counted(node) for node in (at, other)] == [before[0] + 1, before[1]]

    def audited(node: Inside) -> list[str]:
        text = (node.config.data_dir / "audit.log").read_text()
        return [line for line in text.splitlines() if '"page.content"' in line]

    await until(lambda: bool(audited(at)))
    (line,) = audited(at)
    assert '"127.0.0.1"' in line
    assert audited(other) == []


async def ended(fleet: Pair, own: dict[str, Inside]) -> None:
    (session, at), *_ = own.items()
    other = next(one for one in fleet.both if one is not at)
    async with other.http.get(f"/kill/{session}") as answer:
        assert answer.status == 204
    assert session not in at.registry._live
    # One is left, and the tab is for it, over whatever node.
    (left,) = {*own} - {session}
    for one in fleet.both:
        status, made = await one.call("PUT", "/json/new?about:blank")
        assert (status, made["sessionId"]) == (200, left)
    # All at once, those of the other node too.
    far = next(one for one in fleet.both if one is not own[left])
    async with far.http.get("/kill/all") as answer:
        assert answer.status == 204
    assert not fleet.first.registry._live
    assert not fleet.second.registry._live
    # Steel's word for the same.
    for one in fleet.both:
        assert (await one.call("POST", "/v1/sessions", json={}))[0] == 201
    status, released = await fleet.second.call("POST", "/v1/sessions/release")
    assert (status, released["success"]) == (200, True)
    assert not fleet.first.registry._live
    assert not fleet.second.registry._live
    assert await pages(fleet.first) == {}


async def test_a_gateway_alone_has_no_other(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        wide = Fleetwide(gateway.registry, None)
        assert not await wide.elsewhere(Principal(TENANT, Role.USER))
        assert await pages(gateway) == {}
        with pytest.raises(GatewayError):
            await wide.with_target(Principal(TENANT, Role.USER), "page", "X")
        async with gateway.http.post("/cluster/answer") as answer:
            assert answer.status == 404, "there is no such route"
