"""Sessions over REST: made, connected to, stopped, listed, changed; who is turned away."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.journeys.driving import driver, refused_upgrade, run_script, wire, wire_for_a_while
from tests.journeys.running import Gateway, Starter
from tests.site.app import Site

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("library", ["puppeteer", "playwright"])
async def test_the_guides_session_script(gateway: Gateway, site: Site, library: str) -> None:
    said = await run_script(
        f"seed_session_{library}.mjs", GATEWAY_HTTP=gateway.url, BROWSERLESS_TOKEN=gateway.token, TARGET=site.url
    )
    assert said["title"] == "Home"
    assert said["webdriver"] is False, "stealth"
    assert said["stopped"] == 200
    assert gateway.token not in said["connectUrl"] + said["stopUrl"]
    assert gateway.nothing_left(), "the stop is answered once the browser is gone"


async def test_the_life_of_a_session(gateway: Gateway, site: Site) -> None:
    created = await gateway.create(ttl=120_000, labels={"team": "red"}, name="life")
    session = created["id"]
    assert created["ttl"] == 120_000
    assert created["labels"] == {"team": "red"}
    assert created["connect"].startswith(f"{gateway.ws}/session/connect/{session}")
    assert created["stop"].startswith(f"{gateway.url}/session/{session}")
    assert created["devtools"].startswith(f"{gateway.url}/session/{session}")
    lasts = datetime.fromisoformat(created["expiresAt"]) - datetime.fromisoformat(created["createdAt"])
    assert 119 < lasts.total_seconds() < 121
    assert abs((datetime.now(UTC) - datetime.fromisoformat(created["createdAt"])).total_seconds()) < 60
    assert (await gateway.record(session))["status"] == "detached"
    async with driver("puppeteer") as client:
        assert (await client.connect(created["connect"]))["pages"] == ["about:blank"]
        assert (await gateway.record(session))["status"] == "connected"
        await client.do("disconnect")
    await gateway.status(session, "detached")
    (await gateway.request("DELETE", f"/session/{session}")).ok()
    assert gateway.nothing_left()
    ended = await gateway.record(session)
    assert ended["status"] == "stopped"
    assert ended["reason"]
    (await gateway.request("DELETE", f"/session/{session}")).ok()
    (await refused_upgrade(created["connect"])).refused(410)


async def test_defaults(gateway: Gateway) -> None:
    created = await gateway.create()
    assert created["ttl"] == 300_000
    assert created["labels"] == {}
    assert created["processKeepAlive"] == 30_000
    assert created["persist"] is True


async def test_playwright_close_leaves_the_browser_running(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    async with driver("playwright") as client:
        await client.connect(session["connect"])
        await client.do("newPage", ownContext=True)
        await client.goto(f"{site.url}/counter")
        birth = await client.evaluate("birth")
        await client.do("close")
        await client.connect(session["connect"])
        await client.do("usePage", url=f"{site.url}/counter")
        assert await client.evaluate("birth") == birth


async def test_a_url_to_begin_with(gateway: Gateway, site: Site) -> None:
    session = await gateway.create(url=f"{site.url}/counter")
    async with driver("puppeteer") as client:
        assert (await client.connect(session["connect"]))["pages"] == [f"{site.url}/counter"]


async def test_a_session_ends_with_its_ttl(gateway: Gateway) -> None:
    session: Any = None

    async def short(time: int) -> str:
        nonlocal session
        made = await gateway.request("POST", "/session", json={"ttl": time})
        if made.status != 201:
            raise ConnectionError  # its time is up before it has begun
        session = made.body
        return str(session["connect"])

    async with wire_for_a_while(short) as cdp:
        code, reason = await cdp.closed()
    assert code == 4001
    assert reason
    assert (await gateway.status(session["id"], "expired"))["reason"]
    (await refused_upgrade(session["connect"])).refused(410)
    await gateway.all_browsers_gone()


async def test_stop_is_refused_while_a_client_is_connected_unless_forced(gateway: Gateway) -> None:
    session = await gateway.create()
    async with wire(session["connect"]) as cdp, asyncio.TaskGroup() as group:
        (await gateway.request("DELETE", f"/session/{session['id']}")).refused(409)
        assert await cdp.call("Browser.getVersion"), "the refusal does not disturb the driver"
        forced = group.create_task(gateway.request("DELETE", f"/session/{session['id']}?force=true"))
        code, reason = await cdp.closed()
        assert code == 4000
        assert reason
    forced.result().ok()
    assert (await gateway.record(session["id"]))["status"] == "stopped"


async def test_stop_with_the_url_handed_out(gateway: Gateway) -> None:
    session = await gateway.create()
    (await gateway.request("DELETE", session["stop"], auth=False)).ok()
    assert (await gateway.record(session["id"]))["status"] == "stopped"


async def test_one_driver_at_a_time(gateway: Gateway) -> None:
    session = await gateway.create()
    async with wire(session["connect"]) as first:
        (await refused_upgrade(session["connect"])).refused(409)
        mark = "&" if "?" in session["connect"] else "?"
        async with wire(f"{session['connect']}{mark}takeover=true") as second:
            code, reason = await first.closed()
            assert code == 4002
            assert reason
            assert await second.call("Browser.getVersion")


async def test_a_session_by_its_id_in_the_query(gateway: Gateway) -> None:
    session = await gateway.create()
    endpoint = f"{gateway.ws}?sessionId={session['id']}&apiKey={gateway.token}"
    async with wire(endpoint) as cdp:
        assert (await gateway.record(session["id"]))["status"] == "connected"
        (await refused_upgrade(endpoint)).refused(409)
        assert await cdp.call("Browser.getVersion")
    await gateway.status(session["id"], "detached")
    (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
    (await refused_upgrade(endpoint)).refused(410)


async def test_unknown_sessions(gateway: Gateway) -> None:
    for method, path in [
        ("GET", f"/session/{UNKNOWN}"),
        ("DELETE", f"/session/{UNKNOWN}"),
        ("PATCH", f"/session/{UNKNOWN}"),
        ("POST", f"/session/{UNKNOWN}/restore"),
        ("GET", f"/session/{UNKNOWN}/snapshots"),
        ("GET", "/session/no-such-shape"),
        ("GET", "/no/such/route"),
    ]:
        body: dict[str, str] | None = {} if method in ("PATCH", "POST") else None
        (await gateway.request(method, path, json=body)).refused(404)
    (await refused_upgrade(gateway.driver(f"/session/connect/{UNKNOWN}"))).refused(404)
    (await refused_upgrade(gateway.driver(sessionId=UNKNOWN))).refused(404)
    (await gateway.request("PUT", "/session")).refused(405)


async def test_patch(gateway: Gateway) -> None:
    session = await gateway.create(ttl=60_000, labels={"a": "1"})
    path = f"/session/{session['id']}"
    changed = (await gateway.request("PATCH", path, json={"ttl": 600_000, "labels": {"b": "2"}})).ok()
    assert changed["labels"] == {"b": "2"}
    left = (datetime.fromisoformat(changed["expiresAt"]) - datetime.now(UTC)).total_seconds()
    assert 540 < left < 601, "ttl counts from now"
    assert "color" in (await gateway.request("PATCH", path, json={"color": "red"})).refused(400)
    (await gateway.request("PATCH", path, json={"processKeepAlive": 200})).ok()
    await gateway.status(session["id"], "suspended")


async def test_a_name_is_used_by_one_running_session(gateway: Gateway) -> None:
    first = await gateway.create(name="shop")
    (await gateway.request("POST", "/session", json={"name": "shop"})).refused(409)
    (await gateway.request("DELETE", f"/session/{first['id']}")).ok()
    second = await gateway.create(name="shop")
    listed = (await gateway.request("GET", "/sessions?name=shop")).ok()["sessions"]
    assert [one["id"] for one in listed] == [second["id"], first["id"]], "newest first"


async def test_the_same_idempotency_key_makes_one_session(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "order-66"}
    body = {"labels": {"once": "yes"}}
    replies = await asyncio.gather(*(gateway.request("POST", "/session", json=body, headers=headers) for _ in range(2)))
    assert len({reply.ok(201)["id"] for reply in replies}) == 1
    assert len(gateway.browsers()) == 1


async def test_listing_with_filters_and_a_cursor(start_gateway: Starter) -> None:
    gateway = await start_gateway()
    made = [await gateway.create(labels={"n": str(number), "all": "yes"}) for number in range(3)]
    newest_first = [session["id"] for session in reversed(made)]
    (await gateway.request("DELETE", f"/session/{made[0]['id']}")).ok()

    async def ids(query: str) -> list[str]:
        return [one["id"] for one in (await gateway.request("GET", f"/sessions?{query}")).ok()["sessions"]]

    assert await ids("") == newest_first
    assert await ids("label=all:yes") == newest_first
    assert await ids("label=all:yes&label=n:1") == [made[1]["id"]]
    assert await ids("label=all:no") == []
    assert await ids("status=stopped") == [made[0]["id"]]
    assert await ids("status=detached") == newest_first[:2]
    seen, cursor = [], ""
    while True:
        page = (await gateway.request("GET", f"/sessions?limit=1{cursor}")).ok()
        seen += [one["id"] for one in page["sessions"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == newest_first
    async with wire(gateway.driver()) as cdp:
        assert await cdp.call("Browser.getVersion")
        kinds = [one["kind"] for one in (await gateway.request("GET", "/sessions?status=connected")).ok()["sessions"]]
        assert kinds == ["standard"], "a standard session is listed while it lives"
    await gateway.status(made[1]["id"], "detached")
    for bad in ("status=tired", "limit=none", "colour=red"):
        assert bad.partition("=")[0] in (await gateway.request("GET", f"/sessions?{bad}")).refused(400)
    odd = await gateway.request("GET", "/sessions?cursor=never-handed-out")
    odd.refused(odd.status)
    assert odd.status in (400, 404)
