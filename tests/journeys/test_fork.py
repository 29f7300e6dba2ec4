"""A session forked while it runs: each copy has its login, and goes its own way."""

from typing import Any

from tests.journeys.driving import driver
from tests.journeys.login import connect_and_see, log_in_and_leave
from tests.journeys.running import Gateway, Starter
from tests.site.app import Site


async def fork(gateway: Gateway, session: str, **body: object) -> list[Any]:
    made: list[Any] = (await gateway.request("POST", f"/session/{session}/fork", json=body)).ok(201)["sessions"]
    return made


async def state_of(session: Any, site: Site) -> Any:
    """What the application finds in that session now."""
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        return await client.state(site)


async def test_forks_have_the_login_and_the_session_runs_on(gateway: Gateway, site: Site) -> None:
    site.uses = 4  # each of them comes with the same token
    session = await gateway.create(name="first", labels={"job": "7"}, ttl=600_000)
    await log_in_and_leave(session, site)
    forks = await fork(gateway, session["id"], count=3, labels={"job": "8"})
    assert len({one["id"] for one in forks} | {session["id"]}) == 4
    saved = (await gateway.request("GET", f"/session/{session['id']}/snapshots")).ok()["snapshots"]
    for one in forks:
        assert (one["status"], one["name"], one["labels"], one["ttl"]) == ("detached", None, {"job": "8"}, 600_000)
        assert one["restoredFrom"]["session"] == session["id"]
        assert one["restoredFrom"] == forks[0]["restoredFrom"], "all begin with the same"
        assert one["restoredFrom"]["snapshot"] in [version["version"] for version in saved]
        await connect_and_see(one["connect"], site)
    assert (await gateway.record(session["id"]))["status"] == "detached"
    assert len(gateway.browsers()) == 4
    assert (await state_of(session, site))["notes"]["records"][0]["visit"] == 1


async def test_what_happens_in_one_stays_there(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    await log_in_and_leave(session, site)
    (one,) = await fork(gateway, session["id"])
    async with driver("puppeteer") as client:
        await client.connect(one["connect"])
        await client.do("usePage", url=f"{site.url}/account")
        await client.evaluate("localStorage.setItem('token', 'another'); document.cookie = 'remember=nobody'")
    state = await state_of(session, site)
    assert (state["localStorage"]["token"], state["cookie"]) == (site.tokens[0], "remember=alice")
    assert (await state_of(one, site))["localStorage"]["token"] == "another"


async def test_a_driver_is_connected_meanwhile(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.log_in(site)
        await client.evaluate("window.heap = 42")
        (one,) = await fork(gateway, session["id"])
        assert await client.evaluate("window.heap") == 42
    async with driver("puppeteer") as client:
        pages = (await client.connect(one["connect"]))["pages"]
        assert any(page.startswith(site.url) for page in pages)


async def test_a_stopped_session_is_forked_from_what_it_saved(gateway: Gateway, site: Site) -> None:
    session = await gateway.create()
    await log_in_and_leave(session, site)
    (await gateway.request("DELETE", f"/session/{session['id']}")).ok()
    (one,) = await fork(gateway, session["id"])
    await connect_and_see(one["connect"], site)


async def test_all_or_none(start_gateway: Starter) -> None:
    gateway = await start_gateway(max_sessions="3", queue_length="0")
    session = await gateway.create()
    refused = await gateway.request("POST", f"/session/{session['id']}/fork", json={"count": 3})
    assert "in use" in refused.refused(429)
    listed = (await gateway.request("GET", "/sessions")).ok()["sessions"]
    assert [one["id"] for one in listed] == [session["id"]]
    assert len(gateway.browsers()) == 1
    assert len(await fork(gateway, session["id"], count=2)) == 2


async def test_ready_browsers_serve_forks(start_gateway: Starter, site: Site) -> None:
    gateway = await start_gateway(warm="1")
    session = await gateway.create()
    await log_in_and_leave(session, site)
    (one,) = await fork(gateway, session["id"])
    await connect_and_see(one["connect"], site)
    assert 'gateway_leases_total{from="warm"} ' in (await gateway.request("GET", "/metrics")).ok()


async def test_bad_requests(gateway: Gateway) -> None:
    session = await gateway.create()
    path = f"/session/{session['id']}/fork"
    for count in (0, 101, 1.5, "2"):
        assert "count" in (await gateway.request("POST", path, json={"count": count})).refused(400)
    assert "colour" in (await gateway.request("POST", path, json={"colour": 1})).refused(400)
    nobody = "00000000-0000-0000-0000-000000000000"
    assert (await gateway.request("POST", f"/session/{nobody}/fork", json={})).refused(404)
