"""Steel's own SDKs against the gateway, strict about every answer; and the habits with which people use them."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright
from steel import (
    APIStatusError,
    APITimeoutError,
    AsyncSteel,
    ConflictError,
    DefaultAsyncHttpxClient,
    NotFoundError,
    UnprocessableEntityError,
)
from steel.types import SessionContext

from gateway.tenancy import queue
from tests.inside import TOKEN, inside
from tests.journeys.driving import run_lines, run_script
from tests.journeys.practice import practising
from tests.journeys.running import Gateway, eventually_asked
from tests.site.app import Site


@pytest.fixture
async def steel(gateway: Gateway) -> AsyncIterator[AsyncSteel]:
    async with AsyncSteel(
        steel_api_key=gateway.token, base_url=gateway.url, _strict_response_validation=True, max_retries=0
    ) as client:
        yield client


async def test_the_guides_script(gateway: Gateway) -> None:
    """The second session is logged in with what the first one's context had."""
    async with practising() as practice:
        environment = {"STEEL_API_KEY": gateway.token, "STEEL_BASE_URL": gateway.url}
        said = await run_lines("seed_steel.mjs", GATEWAY_WS=gateway.ws, TARGET=practice.url, **environment)
        assert practice.logins == 1
    assert "✓ Authentication successful" in said
    assert "\x1b[32m✓ Authentication successfully transferred!\x1b[0m" in said
    assert said[-1] == "Session #2 released"
    await gateway.all_browsers_gone()


async def test_the_sdk_for_node(gateway: Gateway, site: Site) -> None:
    environment = {"STEEL_API_KEY": gateway.token, "STEEL_BASE_URL": gateway.url}
    said = await run_script("steel.mjs", TARGET=site.url, **environment)
    assert said["status"] == "live"
    assert said["createdAt"].endswith("Z")
    assert said["optimizeBandwidth"]["blockImages"] is False
    assert said["stays"], "the session outlives browser.close()"
    assert said["pages"] == [f"{site.url}/login"]
    assert said["events"][:3] == ["session.created", "session.started", "session.connected"]
    assert said["file"] == {"path": "/session/files/prices.csv", "size": 8}
    assert said["listed"] == ["/session/files/prices.csv"]
    assert said["bytes"] == "a,b\n1,2\n"
    assert said["archive"] > 100
    assert said["left"] == []
    assert said["released"]["success"]
    assert said["reason"] == "user_requested"
    assert said["stored"] == ["dark", "letter", "seen=1"]
    assert said["localStorage"] == {site.url: {"theme": "dark"}}
    assert said["mine"] == ["second", "first"]
    assert said["refusal"]["status"] == 422
    assert said["refusal"]["message"].startswith("422 region: ")
    assert said["elsewhere"] == 422
    assert said["releasedAll"]
    assert said["ended"] == "released"


async def test_contexts_in_every_way_that_the_sdk_sends_them_and_lists_that_end(
    gateway: Gateway, steel: AsyncSteel, site: Site
) -> None:
    project = uuid.uuid4().hex
    first = await steel.sessions.create(project_id=project)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(first.websocket_url)
        page = browser.contexts[0].pages[0]
        await page.goto(f"{site.url}/login")
        await page.evaluate(
            """async () => {
                localStorage.setItem("theme", "dark"); sessionStorage.setItem("draft", "letter")
                document.cookie = "seen=1; max-age=1000"
                await new Promise((done, failed) => {
                    const opening = indexedDB.open("notes", 3)
                    opening.onupgradeneeded = () => opening.result.createObjectStore("all").put({text: "x"}, "first")
                    opening.onsuccess = () => (opening.result.close(), done()); opening.onerror = failed
                })
            }"""
        )
        await browser.close()

    async def stored() -> SessionContext | None:
        found = await steel.sessions.context(first.id)
        return found if found.indexed_db else None  # Chromium tells of a change in a database a moment later

    context = await eventually_asked("the database is in the context", stored, timeout=60)
    assert isinstance(context, SessionContext)
    assert context.local_storage == {site.url: {"theme": "dark"}}
    assert context.session_storage == {site.url: {"draft": "letter"}}
    assert [(cookie.name, cookie.value) for cookie in context.cookies or ()] == [("seen", "1")]
    assert [one.name for one in (context.indexed_db or {})[site.url]] == ["notes"]
    await steel.sessions.release(first.id)

    ways: dict[str, Any] = {"model": context, "model_dump": context.model_dump(), "to_dict": context.to_dict()}
    made = await asyncio.gather(
        *(steel.sessions.create(session_context=way, project_id=project) for way in ways.values())
    )
    async with async_playwright() as playwright:
        for way, session in zip(ways, made, strict=True):
            browser = await playwright.chromium.connect_over_cdp(session.websocket_url)
            page = browser.contexts[0].pages[0]
            await page.goto(f"{site.url}/login")
            assert await page.evaluate("[localStorage.theme, sessionStorage.draft, document.cookie]") == [
                "dark",
                "letter",
                "seen=1",
            ], way
            await browser.close()
            back = await steel.sessions.context(session.id)
            assert back.local_storage == context.local_storage, way
            assert back.session_storage == context.session_storage, way
            assert [one.name for one in back.cookies or ()] == ["seen"], way
            assert back.indexed_db == context.indexed_db, way
    found = [one.id async for one in steel.sessions.list(project_id=project)]
    assert set(found[:-1]) == {one.id for one in made}, "made at once, in whichever order"
    assert found[-1] == first.id
    await lists(gateway, steel, project, found)
    released = await steel.sessions.release_all()
    assert released.success
    assert released.message == "3 sessions are released"
    assert [one.id async for one in steel.sessions.list(status="live")] == []
    # Of a session that is over what was saved last is told: Steel's own tells nothing then.
    assert (await steel.sessions.context(made[0].id)).local_storage == context.local_storage


async def lists(gateway: Gateway, steel: AsyncSteel, project: str, ids: list[str]) -> None:
    """Of `ids`, the newest first, the last one is released."""
    for limit in (1, 2, 3, 100):
        assert [one.id async for one in steel.sessions.list(project_id=project, limit=limit)] == ids
    live = [one async for one in steel.sessions.list(project_id=project, status="live", limit=1)]
    assert [one.id for one in live] == ids[:-1]
    assert {one.project_id for one in live} == {project}
    over = [one async for one in steel.sessions.list(project_id=project, status="released")]
    assert [(one.id, one.release_reason) for one in over] == [(ids[-1], "user_requested")]
    assert [one async for one in steel.sessions.list(project_id=project, status="failed")] == []
    page = (await gateway.request("GET", f"/v1/sessions?limit=2&projectId={project}")).ok()
    assert page["nextCursor"] == page["sessions"][-1]["id"]
    for query in ("cursorId=x", "limit=0", "limit=101", "status=gone", "what=1"):
        refusal = await gateway.request("GET", f"/v1/sessions?{query}")
        assert refusal.status == 400
        assert query.partition("=")[0].removesuffix("Id") in refusal.body["message"]


async def test_a_session_by_the_sdk_for_python(gateway: Gateway, steel: AsyncSteel, site: Site) -> None:
    number = str(uuid.uuid4())
    brief = await steel.sessions.create(timeout=30, session_id=number.upper(), user_agent="Agent/1", namespace="crew")
    assert brief.id == number
    assert brief.timeout == 10_000, "its own request timeout, which it sends as the session's"
    (await gateway.request("PATCH", f"/session/{number}", json={"ttl": 600_000})).ok()  # enough for a busy machine
    assert brief.user_agent == "Agent/1"
    # Taken: with the SDK's usual retries no second one is made.
    with pytest.raises(ConflictError, match=number):
        await steel.with_options(max_retries=2).sessions.create(session_id=number)
    assert [one.id async for one in steel.sessions.list(status="live")] == [number]

    uploaded = await steel.sessions.files.upload(number, file=("a.txt", b"hello"), path="b.txt")
    listed = await steel.sessions.files.list(number)
    assert [one.path for one in listed.data] == [uploaded.path]
    for path in (uploaded.path, "b.txt"):  # this SDK encodes slashes
        assert await (await steel.sessions.files.download(path, session_id=number)).read() == b"hello"
    details = await steel.sessions.live_details(number)
    assert [page.url for page in details.pages] == ["about:blank"]
    viewer = await gateway.request("GET", details.session_viewer_url, auth=False)
    assert viewer.status == 200
    stranger = await gateway.request(
        "DELETE", f"/v1/sessions/{number}?token={_secret(details.session_viewer_url)}", auth=False
    )
    assert stranger.status == 403, "who may look on may do nothing else"

    # Release as both SDKs send it: JSON of no bytes.
    for _ in range(2):
        empty = await gateway.request(
            "POST", f"/v1/sessions/{number}/release", headers={"Content-Type": "application/json"}
        )
        assert empty.ok()["success"]
    assert (await steel.sessions.retrieve(number)).status == "released"
    events = await steel.sessions.events(number)
    assert len(events) == (await steel.sessions.retrieve(number)).event_count
    assert await steel.sessions.events(number, limit=1, pointer="1") == events[1:2]
    with pytest.raises(NotFoundError):
        await steel.sessions.retrieve(str(uuid.uuid4()))
    with pytest.raises(UnprocessableEntityError, match="captcha"):
        await steel.sessions.captchas.status(number)


async def test_both_timeouts_end_a_session(gateway: Gateway, steel: AsyncSteel) -> None:
    hard, idle = await asyncio.gather(
        steel.sessions.create(api_timeout=2000, inactivity_timeout=60_000),
        steel.sessions.create(api_timeout=60_000, inactivity_timeout=1000),
    )
    assert (hard.timeout, hard.inactivity_timeout) == (2000, 60_000)
    assert (idle.timeout, idle.inactivity_timeout) == (60_000, 1000)

    async def ended() -> list[str | None]:
        both = [await steel.sessions.retrieve(one.id) for one in (hard, idle)]
        return [one.release_reason for one in both] if all(one.status == "released" for one in both) else []

    assert await eventually_asked("both are released", ended, timeout=60) == ["timeout", "inactivity_timeout"]


async def test_one_session_through_all_doors(gateway: Gateway, steel: AsyncSteel) -> None:
    native = await gateway.create(name="shop.eu", inactivityTimeout=60_000)
    assert native["inactivityTimeout"] == 60_000
    changed = await gateway.request("PATCH", f"/session/{native['id']}", json={"inactivityTimeout": 30_000})
    assert changed.ok()["inactivityTimeout"] == 30_000
    assert (await steel.sessions.retrieve("shop.eu")).inactivity_timeout == 30_000
    assert native["id"] in [one.id async for one in steel.sessions.list(status="live")]
    assert (await steel.sessions.retrieve("shop.eu")).id == native["id"]
    mine = await steel.sessions.create()
    assert (await gateway.record(mine.id))["status"] == "detached"
    answer = await gateway.request("DELETE", "/v1/sessions/shop.eu", headers={"Content-Type": "application/json"})
    assert answer.ok()["success"]
    assert (await gateway.record(native["id"]))["status"] == "stopped"
    with pytest.raises(APIStatusError) as gone:
        await steel.sessions.retrieve("shop.eu")
    assert gone.value.status_code == 404
    await gateway.request("DELETE", f"/session/{mine.id}")
    assert (await steel.sessions.retrieve(mine.id)).release_reason == "user_requested"


async def test_bandwidth_is_saved(gateway: Gateway, steel: AsyncSteel) -> None:
    wanted: list[tuple[Any, set[str]]] = [
        (True, {"/script.js"}),
        ({"block_images": True, "block_url_patterns": ["/script"]}, {"/style.css"}),
    ]
    async with practising() as practice, async_playwright() as playwright:
        for asked, loaded in wanted:
            session = await steel.sessions.create(optimize_bandwidth=asked)
            browser = await playwright.chromium.connect_over_cdp(session.websocket_url)
            practice.asked.clear()
            await browser.contexts[0].pages[0].goto(f"{practice.url}/heavy")
            assert set(practice.asked) == loaded, asked
            await browser.close()
            await steel.sessions.release(session.id)
            assert (await steel.sessions.retrieve(session.id)).proxy_bytes_used > 100


async def test_a_create_that_is_given_up_and_tried_again_leaves_nothing(gateway: Gateway, steel: AsyncSteel) -> None:
    project = uuid.uuid4().hex
    hasty = steel.with_options(timeout=0.05, max_retries=1)  # no browser is there so soon
    with pytest.raises(APITimeoutError):
        await hasty.sessions.create(project_id=project)

    page = await steel.sessions.list(cursor_id=str(uuid.uuid4()))
    assert page.sessions == [], "behind one that has come to nothing there is nothing"

    async def nothing() -> bool:
        return [one async for one in steel.sessions.list(project_id=project)] == [] and gateway.nothing_left()

    await eventually_asked("no session and no browser", nothing, timeout=60)


async def test_a_create_that_finds_no_room_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "PATIENCE", 1)
    full = asyncio.Event()

    async def look(response: httpx.Response) -> None:
        if response.status_code == 429:
            full.set()

    async with (
        inside(tmp_path, max_sessions="1", queue_length="0") as gateway,
        DefaultAsyncHttpxClient(event_hooks={"response": [look]}) as http,
        AsyncSteel(steel_api_key=TOKEN, base_url=gateway.base, http_client=http, max_retries=30) as steel,
    ):
        first = await steel.sessions.create()
        second = asyncio.create_task(steel.sessions.create())
        await full.wait()
        await steel.sessions.release(first.id)
        made = await second
        assert [one.id async for one in steel.sessions.list(status="live")] == [made.id], "one, however often it asked"


def _secret(url: str) -> str:
    return url.partition("/session/")[2].partition("/")[0]
