"""One session through every door: made, driven, looked at, saved and stopped by clients of three other services."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from steel import AsyncSteel

from tests.journeys.driving import driver
from tests.journeys.running import Gateway
from tests.site.app import PASSWORD, USER, Site

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
async def steel(gateway: Gateway) -> AsyncIterator[AsyncSteel]:
    async with AsyncSteel(
        steel_api_key=gateway.token, base_url=gateway.url, _strict_response_validation=True, max_retries=0
    ) as client:
        yield client


async def told(gateway: Gateway, method: str, path: str, status: int = 200, **body: Any) -> Any:
    """The JSON of a reply to a JSON body."""
    return (await gateway.request(method, path, json=body or None)).ok(status)


async def standards(gateway: Gateway) -> list[Any]:
    """The sessions of websockets that are open."""
    listed = (await told(gateway, "GET", "/sessions?limit=100"))["sessions"]
    return [session for session in listed if session["kind"] == "standard" and not session["labels"]]


async def test_made_by_scrapios(gateway: Gateway, site: Site, steel: AsyncSteel) -> None:
    logging_in = [
        {"type": "type", "selector": "#username", "value": USER},
        {"type": "type", "selector": "#password", "value": PASSWORD},
        {"type": "click", "selector": "button[type=submit]"},
        {"type": "wait_for", "selector": "#title"},
    ]
    asked: dict[str, Any] = {"url": f"{site.url}/login", "session": {"id": "all-doors"}, "output": ["text"]}
    first = await told(gateway, "POST", "/v1/interact", **asked, actions=logging_in)
    assert first["session"] == {"id": "all-doors", "updated": True}
    assert f"Hello {USER}" in first["outputs"]["text"]
    # The native API lists it, Browserless's services and Puppeteer go on in it.
    [listed] = (await told(gateway, "GET", "/sessions?name=all-doors"))["sessions"]
    session = listed["id"]
    page = await gateway.request("POST", f"/content?sessionId={session}", json={"url": f"{site.url}/account"})
    assert f"Hello {USER}" in page.ok()
    async with driver("puppeteer") as client:
        await client.connect(listed["connect"])
        assert (await client.state(site))["user"] == USER
    # Steel's SDK sees, saves and releases it.
    assert session in [one.id async for one in steel.sessions.list(status="live")]
    context = await steel.sessions.context(session)
    assert "sid" in {cookie.name for cookie in context.cookies or []}
    assert (await steel.sessions.retrieve(session)).status == "live"
    assert (await steel.sessions.release(session)).success
    assert (await told(gateway, "GET", f"/session/{session}"))["status"] == "stopped"
    # Under its name it begins again where it ended.
    again = await told(gateway, "POST", "/v1/fetch", **asked | {"url": f"{site.url}/account"})
    assert f"Hello {USER}" in again["outputs"]["text"]
    assert site.logins == 1


async def test_made_by_steels(gateway: Gateway, site: Site, steel: AsyncSteel) -> None:
    made = await steel.sessions.create(api_timeout=120_000)
    async with driver("playwright") as client:
        await client.connect(f"{made.websocket_url}&apiKey={gateway.token}")
        await client.log_in(site)
    # Browserless's services, and a fetch of Scrapio's, by its id.
    asked = {"options": {"type": "png"}, "url": f"{site.url}/state"}
    shot = await gateway.request(
        "POST", f"/screenshot?sessionId={made.id}", json={**asked, "options": {"encoding": "base64"}}
    )
    assert base64.b64decode(shot.ok()).startswith(PNG)
    fetched = await told(
        gateway, "POST", "/v1/fetch", url=f"{site.url}/account", session={"id": made.id}, output=["text"]
    )
    assert f"Hello {USER}" in fetched["outputs"]["text"]
    # Saved, stopped and restored by the native API; the copy is Steel's again.
    assert (await told(gateway, "POST", f"/session/{made.id}/snapshot", 201))["version"] >= 1
    assert (await told(gateway, "DELETE", f"/session/{made.id}"))["status"] == "stopped"
    assert (await steel.sessions.retrieve(made.id)).status == "released"
    restored = await told(gateway, "POST", f"/session/{made.id}/restore", 201)
    page = await gateway.request("POST", f"/content?sessionId={restored['id']}", json={"url": f"{site.url}/account"})
    assert f"Hello {USER}" in page.ok()
    await told(gateway, "GET", f"/kill/{restored['id']}", 204)
    assert (await steel.sessions.retrieve(restored["id"])).status == "released"
    assert site.logins == 1


async def test_made_by_browserless(gateway: Gateway, site: Site, steel: AsyncSteel) -> None:
    async with driver("puppeteer") as client:
        await client.connect(gateway.driver("/", launch='{"stealth": true}'))
        [standard] = await standards(gateway)
        seen = await steel.sessions.retrieve(standard["id"])
        assert (seen.status, seen.id) == ("live", standard["id"])
        await steel.sessions.computer(standard["id"], action="type_text", text="hello")
        assert (await steel.sessions.release(standard["id"])).success
    assert await standards(gateway) == []
