"""What nodes ask of each other: nobody else may, and what is refused there is refused here."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cluster.fleet import Lease
from gateway.cluster.hop import HEADER, Asked, Hop, Hops, digest
from gateway.errors import Code, GatewayError
from gateway.pages.fetch import Asked as Fetch
from gateway.pages.outputs import Output
from gateway.records import new_session_id
from gateway.tenancy.access import TENANT
from gateway.web.between import ANSWER, answer_at, has_target, refused, stop_at
from tests.inside import Inside, ask
from tests.site.app import Site
from tests.web.pair import KEY, Pair, pair

BODY = b"{}"


async def test_between_two_nodes(tmp_path: Path, site: Site) -> None:
    async with pair(tmp_path) as fleet:
        await strangers(fleet.second)
        await answers(fleet, site)
        await others(fleet)


async def strangers(at: Inside) -> None:
    """A client, whatever it knows, gets nothing."""

    async def told(**more: Any) -> tuple[int, str]:
        async with at.http.post(ANSWER, data=BODY, **more) as answer:
            return answer.status, (await answer.json())["error"]["code"]

    def signed(**more: Any) -> dict[str, str]:
        hop = Hop("http://127.0.0.1:1", "", "http", "localhost", **more)
        return {HEADER: Hops(KEY.encode(), hop.node).signed(hop, at.base, Asked("POST", ANSWER))}

    assert await told() == (403, "hop_refused")
    assert await told(headers={HEADER: "forged.forged"}) == (403, "hop_refused")
    assert await told(headers=signed()) == (403, "hop_refused"), "a client's request that was forwarded"
    assert await told(headers=signed(tenant="acme")) == (403, "hop_refused"), "without the body's digest"
    assert await told(headers=signed(tenant="acme", body=digest(b"other"))) == (403, "hop_refused")
    good = signed(tenant="acme", body=digest(BODY))
    assert await told(headers={**good, "Authorization": ""}) == (400, "bad_request"), "it is no request for a page"
    for method, path in (("POST", f"/cluster/stop/{new_session_id()}"), ("GET", "/cluster/target/page/X")):
        async with at.http.request(method, path) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (403, "hop_refused")


async def answers(fleet: Pair, site: Site) -> None:
    """Work of a job, for the node that has its session."""
    node = fleet.second.base
    fetch = Fetch(TENANT, f"{site.url}/page/1", rendered=False)
    answer = await answer_at(fleet.forwards, node, fetch)
    assert "the end." in answer.outputs["html"].lower()
    assert answer.diagnostics["http_status"] == 200
    unused = Lease(new_session_id(), node, "a-nonce")
    with pytest.raises(GatewayError) as wrong:
        await answer_at(fleet.forwards, node, Fetch(TENANT, site.url, (Output.SCREENSHOT,), rendered=False), unused)
    assert (wrong.value.code, "render_js" in wrong.value.message) == (Code.UNSUPPORTED, True)
    assert fleet.released == [], "the node that has heard of a place gives it back"
    with pytest.raises(GatewayError) as gone:
        await answer_at(fleet.forwards, "http://127.0.0.1:2", fetch, unused)
    assert (gone.value.code, gone.value.retry_after) == (Code.NODE_UNREACHABLE, 2)
    assert fleet.released == [unused]
    # In the name of one tenant, for another.
    body = json.dumps({"tenant": "acme", "url": site.url}).encode()
    status, told = await fleet.forwards.ask(node, "POST", ANSWER, tenant="other", body=body)
    assert (status, json.loads(told)["error"]["code"]) == (403, "hop_refused")


async def others(fleet: Pair) -> None:
    """Ending one of many sessions, and looking for a target."""
    node = fleet.second.base
    async with fleet.second.connect() as socket:
        (session,) = fleet.second.registry._live
        targets = (await ask(socket, "Target.getTargets"))["result"]["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        assert await has_target(fleet.forwards, node, "page", page, TENANT)
        assert not await has_target(fleet.forwards, node, "page", page, "acme")
        assert not await has_target(fleet.forwards, node, "page", "../%2F?x", TENANT)
        assert not await has_target(fleet.forwards, fleet.first.base, "page", page, TENANT)
        with pytest.raises(GatewayError) as strange:
            await stop_at(fleet.forwards, node, session, "acme")
        assert strange.value.code is Code.SESSION_NOT_FOUND
        with pytest.raises(GatewayError) as elsewhere:
            await stop_at(fleet.forwards, fleet.first.base, session, TENANT)
        assert elsewhere.value.code is Code.NODE_UNREACHABLE, "another has it: that is not asked any further"
        await stop_at(fleet.forwards, node, session, TENANT)
    assert fleet.second.registry.live(session) is None


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (404, b'{"error": {"code": "session_not_found", "message": "m"}}', Code.SESSION_NOT_FOUND),
        (403, b'{"error": {"code": "hop_refused", "message": "m"}}', Code.NODE_UNREACHABLE),
        (421, b'{"error": {"code": "not_here", "message": "m"}}', Code.NODE_UNREACHABLE),
        (400, b'{"error": {"code": "of-the-future", "message": "m"}}', Code.NODE_UNREACHABLE),
        (502, b"<html>", Code.NODE_UNREACHABLE),
        (502, b"[]", Code.NODE_UNREACHABLE),
        (502, b'{"error": "x"}', Code.NODE_UNREACHABLE),
    ],
    ids=["a refusal", "a refused hop", "421", "an unknown code", "no JSON", "a list", "a word"],
)
def test_what_another_node_refuses(status: int, told: bytes, code: Code) -> None:
    error = refused("http://127.0.0.1:1", status, told)
    assert error.code is code
    assert "127.0.0.1" not in error.message


def test_the_details_of_a_refusal_come_along() -> None:
    told = {"error": {"code": "action_failed", "message": "m", "details": {"action": 2}}, "requestId": "x"}
    assert refused("n", 422, json.dumps(told).encode()).details == {"action": 2}
