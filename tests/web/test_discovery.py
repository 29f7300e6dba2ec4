"""Discovery as Chromium has it, its URLs leading back through the gateway with a capability in them."""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
from websockets.asyncio.client import connect

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionSpec
from tests.inside import ADMIN, TOKEN, ask, inside

API = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True)


async def test_the_version_makes_a_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        for path in ("/json/version", "/json/version/", f"/json/version/?token={TOKEN}"):
            status, facts = await gateway.call("GET", path)
            assert status == 200
            assert facts["Browser"].startswith(("Chrome/", "HeadlessChrome/"))
            assert TOKEN not in facts["webSocketDebuggerUrl"]
        async with connect(facts["webSocketDebuggerUrl"]) as socket:
            assert "product" in (await ask(socket, "Browser.getVersion"))["result"]
            assert gateway.registry.count == 1
        # The ticket in it opens nothing else.
        ticket = parse_qs(urlsplit(facts["webSocketDebuggerUrl"]).query)["token"][0]
        async with aiohttp.ClientSession(gateway.base, headers={"x-api-key": ticket}) as http:
            for way in ("/sessions", "/json/list", "/metrics"):
                async with http.get(way) as answer:
                    assert answer.status == 403


async def test_targets_of_all_sessions_and_of_one(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        one, two = await asyncio.gather(*(gateway.registry.created(API) for _ in range(2)))
        status, everything = await gateway.call("GET", "/json/list")
        assert status == 200
        assert {target["sessionId"] for target in everything} == {one.record.id, two.record.id}
        _, own = await gateway.call("GET", f"/session/{one.record.id}/json")
        assert [target["sessionId"] for target in own] == [one.record.id]
        for target in everything:
            assert TOKEN not in str(target)
            assert target["webSocketDebuggerUrl"].startswith(gateway.ws)
            async with connect(target["webSocketDebuggerUrl"]) as socket:  # its capability is enough
                assert (await ask(socket, "Runtime.evaluate", {"expression": "6*7"}))["result"]["result"]["value"] == 42
        async with gateway.connect(f"/devtools/page/{everything[0]['id']}") as socket:  # and so is the token
            assert "result" in await ask(socket, "Page.enable")
        _, facts = await gateway.call("GET", f"/session/{one.record.id}/json/version")
        async with connect(facts["webSocketDebuggerUrl"]) as socket:
            targets = (await ask(socket, "Target.getTargets"))["result"]["targetInfos"]
            assert own[0]["id"] in {target["targetId"] for target in targets}


async def test_tabs_are_opened_activated_and_closed(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        status, made = await gateway.call("PUT", "/json/new?data:text/html,one?a=1%26b")
        assert status == 200
        assert made["url"] == "data:text/html,one?a=1&b"
        number = made["sessionId"]
        assert gateway.registry.count == 1  # made for it, since none was running
        status, second = await gateway.call("PUT", f"/json/new?token={TOKEN}&about:blank")
        assert (status, second["url"], second["sessionId"]) == (200, "about:blank", number)
        for path in (f"/json/activate/{made['id']}", f"/session/{number}/json/activate/{made['id']}"):
            async with gateway.http.get(path) as answer:
                assert (answer.status, await answer.text()) == (200, "Target activated")
        async with gateway.http.get(f"/json/close/{made['id']}") as answer:
            assert (answer.status, await answer.text()) == (200, "Target is closing")
        for path in ("/json/close/NOBODY", f"/session/{number}/json/close/NOBODY"):
            status, body = await gateway.call("GET", path)
            assert (status, body["error"]["code"]) == (404, "target_not_found")
        for path in ("page/no_id_of_a_target", "no,such/file.js"):
            status, body = await gateway.call("GET", f"/session/{number}/devtools/{path}")
            assert (status, body["error"]["code"]) == (404, "not_found")
        await gateway.registry.created(API)
        status, body = await gateway.call("PUT", "/json/new")
        assert (status, body["error"]["code"]) == (409, "not_running")
        assert "/session/ID/json/new" in body["error"]["message"]


async def test_the_protocol(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        status, protocol = await gateway.call("GET", "/json/protocol")
        assert status == 200
        assert "Page" in {domain["domain"] for domain in protocol["domains"]}
        assert gateway.registry.count == 0


async def test_devtools_pages_carry_the_capability_in_their_path(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        number = (await gateway.registry.created(API)).record.id
        url = f"/session/{number}/devtools/inspector.html?token={TOKEN}&panel=console"
        async with gateway.http.get(url, allow_redirects=False) as answer:
            assert answer.status == 302
            place = answer.headers["Location"]
        assert TOKEN not in place
        assert urlsplit(place).path.startswith(f"/session/{number}.")
        socket = parse_qs(urlsplit(place).query)["ws"][0]
        async with aiohttp.ClientSession() as nobody:  # no header, no cookie: what a browser has
            async with nobody.get(place) as answer:
                assert answer.status == 200
                assert answer.content_type == "text/html"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
            script = place.partition("inspector.html")[0] + "entrypoints/inspector/inspector.js"
            async with nobody.get(script) as answer:
                assert (answer.status, answer.content_type) == (200, "text/javascript")
        async with connect(f"ws://{socket}", origin=gateway.base) as beside:  # type: ignore[arg-type]
            assert "result" in await ask(beside, "Page.enable")


async def test_no_session_no_pages(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await gateway.registry.created(API)
        await session.stop(force=False)
        status, body = await gateway.call("GET", f"/session/{session.record.id}/json/list")
        assert (status, body["error"]["code"]) == (410, "session_ended")
        assert await gateway.call("GET", "/json/list") == (200, [])
