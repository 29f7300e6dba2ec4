"""Other services' clients at a fleet: the session that a name means, the pages of many, work that is done later."""

import asyncio
from pathlib import Path
from typing import Any

from tests.fleet.nodes import Node, fleet
from tests.fleet.test_routing import told
from tests.journeys.running import eventually, eventually_asked
from tests.site.app import PASSWORD, USER, Site

LOGGING_IN = [
    {"type": "type", "selector": "#username", "value": USER},
    {"type": "type", "selector": "#password", "value": PASSWORD},
    {"type": "click", "selector": "button[type=submit]"},
    {"type": "wait_for", "selector": "#title"},
]


async def test_clients_of_other_services_at_any_node(tmp_path: Path, site: Site) -> None:
    site.uses = 99
    async with fleet(tmp_path) as three:
        one, two, third = three.nodes
        asked: dict[str, Any] = {"session": {"id": "shop"}, "output": ["text"]}
        login = {**asked, "url": f"{site.url}/login", "actions": LOGGING_IN}
        assert "Hello alice" in (await told(one.runs, "POST", "/v1/interact", json=login))["outputs"]["text"]
        account = {**asked, "url": f"{site.url}/account"}
        for node in three.nodes:
            fetched = await told(node.runs, "POST", "/v1/fetch", json=account)
            assert "Hello alice" in fetched["outputs"]["text"]
        # At once, at all nodes: one after the other in the one session, wherever that is.
        both = await asyncio.gather(
            *(
                node.runs.request("POST", "/v1/fetch", json={**account, "session": {"id": "new"}})
                for node in (two, third)
            )
        )
        assert [reply.status for reply in both] == [200, 200], [reply.body for reply in both]
        await jobs(three.nodes, account)
        await many(one, two, third)
        # What is handed out by URL has a node.
        shot = await told(two.runs, "POST", "/v1/screenshot", json={"url": f"{site.url}/page/1"})
        path = "/hosted/" + shot["url"].rpartition("/hosted/")[2]
        for node in three.nodes:
            async with node.client() as http, http.get(path) as reply:
                assert (reply.status, reply.content_type) == (200, "image/png")
        assert site.logins == 1
        for session in (await told(one.runs, "GET", "/sessions?limit=100"))["sessions"]:
            await told(one.runs, "DELETE", f"/session/{session['id']}?force=true")
        await eventually("no browser is left", lambda: three.browsers() <= 1, 30)  # that of page services stays a while


async def jobs(nodes: list[Node], account: dict[str, Any]) -> None:
    """Work in the named session, wherever it was asked for; its result can be had from any node."""
    made = [
        (await told(node.runs, "POST", "/v1/jobs", 202, json={"kind": "fetch", "input": account}))["job_id"]
        for node in nodes
    ]
    for number, job in enumerate(made):
        other = nodes[number - 1]

        async def done(job: str = job, other: Node = other) -> Any:
            now = await told(other.runs, "GET", f"/v1/jobs/{job}")
            return now if now["status"] in ("completed", "failed") else None

        assert (await eventually_asked("the job is over", done, 60))["status"] == "completed"
        result = await told(other.runs, "GET", f"/v1/jobs/{job}/result")
        assert "Hello alice" in result["outputs"]["text"]


async def many(one: Node, two: Node, third: Node) -> None:
    """Sessions on all nodes are listed, and ended, by one request to one of them."""
    made = [(await told(one.runs, "POST", "/v1/sessions", 201, json={}))["id"] for _ in range(3)]
    listed = (await told(two.runs, "GET", "/v1/sessions?status=live&limit=100"))["sessions"]
    assert set(made) <= {session["id"] for session in listed}
    assert (await told(third.runs, "POST", "/v1/sessions/release", json={}))["success"]
    for number in made:
        assert (await told(two.runs, "GET", f"/v1/sessions/{number}"))["status"] == "released"
    labelled = [await one.runs.create(labels={"trackingId": "mine"}) for _ in range(3)]
    (await third.runs.request("GET", "/kill/mine")).ok(204)
    for session in labelled:
        assert (await two.runs.record(session["id"]))["status"] == "stopped"
