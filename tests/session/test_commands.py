"""What `Gateway.*` commands do, over a real websocket and a real browser."""

import asyncio
from pathlib import Path

from gateway.session.commands import instant
from tests.inside import ask, inside


def test_instants() -> None:
    assert instant(0) == "1970-01-01T00:00:00.000Z"
    assert instant(1.2345) == "1970-01-01T00:00:01.234Z"


async def test_commands_on_the_browser_and_on_a_page(tmp_path: Path) -> None:
    async with inside(tmp_path, reconnect_default="45s", reconnect_max="90s") as gateway, gateway.connect() as socket:
        targets = (await ask(socket, "Target.getTargets"))["result"]["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = await ask(socket, "Target.attachToTarget", {"targetId": page, "flatten": True})
        flat = attached["result"]["sessionId"]
        for name in ("Gateway", "Browserless"):
            for more in ({}, {"sessionId": flat}):
                reply = await ask(socket, f"{name}.reconnect", **more)
                assert reply.get("sessionId") == more.get("sessionId")
                result = reply["result"]
                assert result["timeout"] == 45_000
                assert ("error" in result) == (name == "Browserless")
        reply = await ask(socket, "Gateway.reconnect", {"timeout": 3_600_000})
        assert reply["result"]["timeout"] == 90_000  # as much as there is
        for params in ({"timeout": -1}, {"timeout": "1"}, {"auth": ""}, {"detach": 1}, {"colour": 1}):
            reply = await ask(socket, "Gateway.reconnect", params)
            assert reply["error"]["code"] == -32602
            assert next(iter(params)) in reply["error"]["message"]
        reply = await ask(socket, "Gateway.fly")
        assert reply["error"] == {"code": -32601, "message": "'Gateway.fly' wasn't found"}


async def test_info_and_snapshot(tmp_path: Path) -> None:
    async with inside(tmp_path, checkpoint_interval="1h") as gateway:
        _, session = await gateway.call("POST", "/session", json={"ttl": 60_000})
        async with gateway.connect(f"/session/connect/{session['id']}") as socket:
            info = (await ask(socket, "Gateway.info"))["result"]
            assert (info["sessionId"], info["kind"], info["status"]) == (session["id"], "api", "connected")
            assert 0 < info["ttl"] <= 60_000
            assert info["browser"].startswith(("Chrome/", "HeadlessChrome/"))
            assert (await ask(socket, "Gateway.snapshot"))["result"]["version"] == 1
            assert (await ask(socket, "Browserless.snapshot"))["result"]["version"] == 2
        _, listed = await gateway.call("GET", f"/session/{session['id']}/snapshots")
        assert [snapshot["reason"] for snapshot in listed["snapshots"]] == ["asked for", "asked for"]


async def test_closing_the_browser_puts_an_api_session_away(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        _, session = await gateway.call("POST", "/session", json={})
        path = f"/session/connect/{session['id']}"
        async with gateway.connect(path) as socket:
            assert (await ask(socket, "Browser.close"))["result"] == {}
            await socket.wait_closed()
            assert socket.close_code == 1000
        async with gateway.connect(path) as socket:  # waits for the save, then has the next browser
            assert (await ask(socket, "Gateway.info"))["result"]["status"] == "connected"
        async with gateway.connect() as socket:
            number = (await ask(socket, "Gateway.info"))["result"]["sessionId"]
            await ask(socket, "Gateway.reconnect")
            await ask(socket, "Browser.close")  # ends a standard session, reconnect or not
            await socket.wait_closed()
        live = gateway.registry.live(number)
        if live is not None:
            await live.over.wait()
        _, shown = await gateway.call("GET", f"/session/{number}")
        assert (shown["status"], shown["reason"]) == ("stopped", "browser_closed")


async def test_what_a_driver_sets_is_held_when_it_goes(tmp_path: Path) -> None:
    """And what a debugging client sets is not."""
    async with inside(tmp_path) as gateway:
        _, made = await gateway.call("POST", "/session", json={})
        session = gateway.registry.live(made["id"])
        assert session is not None
        browser, holder = session.browser, session.holder
        assert browser is not None
        assert holder is not None
        page = next(iter(browser.pages))
        asked = {"expression": "navigator.userAgent"}

        async def agent() -> str:
            async with browser.devtools.attached(page) as look:
                seen = await browser.devtools.send("Runtime.evaluate", asked, session=look)
            return str(seen["result"]["value"])

        async with gateway.connect(f"/session/connect/{made['id']}") as socket:
            attached = await ask(socket, "Target.attachToTarget", {"targetId": page, "flatten": True})
            flat = attached["result"]["sessionId"]
            await ask(socket, "Emulation.setUserAgentOverride", {"userAgent": "Held/1.0"}, sessionId=flat)
        await holder.meet()  # waits until it is
        assert await agent() == "Held/1.0"
        async with gateway.connect(f"/session/{made['id']}/devtools/page/{page}") as observer:
            await ask(observer, "Emulation.setUserAgentOverride", {"userAgent": "Looking/1.0"})
            assert await agent() == "Looking/1.0"
        async with asyncio.timeout(30):
            while await agent() == "Looking/1.0":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await agent() == "Held/1.0"
