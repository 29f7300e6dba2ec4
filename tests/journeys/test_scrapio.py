"""A login under a name, as Scrapio's clients write it, and what becomes of it and of jobs when the gateway dies."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
from aiohttp import web

from tests.journeys.running import Gateway, Starter, eventually_asked

# As it is documented, but for the hosts.
LOG_IN = """// Step 1: log in
{
  "url": "https://app.example.com/login",
  "session": { "id": "user-session" },
  "actions": [
    { "type": "type", "selector": "#email", "value": "user@example.com" },
    { "type": "type", "selector": "#password", "value": "secret" },
    { "type": "click", "selector": "button[type=submit]" },
    { "type": "wait_for", "selector": ".user-avatar" }
  ],
  "output": ["html"]
}"""
ORDERS = """// Step 2: fetch a protected page using the same session
{
  "url": "https://app.example.com/account/orders",
  "render_js": true,
  "session": { "id": "user-session" },
  "output": ["json"],
  "extract": {
    "mode": "schema",
    "schema": { "orders": "array of recent order IDs and statuses" }
  }
}"""
SELECTORS = {"mode": "selectors", "fields": {"orders": {"selector": ".order", "all": True}}}
FORM = """<!doctype html><form method=post><input id=email name=email><input id=password name=password type=password>
<button type=submit>Log in</button></form>"""
HOME = """<!doctype html><script>localStorage.setItem("seen", "1")</script><img class=user-avatar alt=me>"""
PAGE = """<!doctype html><ul><li class=order>1: sent</ul><script>
document.body.dataset.seen = localStorage.getItem("seen")</script>"""


@asynccontextmanager
async def shop() -> AsyncIterator[str]:
    """A shop with a login, which is a session cookie."""

    async def login(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(text=FORM, content_type="text/html")
        said = await request.post()
        assert (said["email"], said["password"]) == ("user@example.com", "secret")
        reply = web.Response(text=HOME, content_type="text/html")
        reply.set_cookie("shop", "let me in", httponly=True)
        return reply

    async def orders(request: web.Request) -> web.Response:
        if request.cookies.get("shop") != "let me in":
            return web.Response(status=401, text="log in first")
        return web.Response(text=PAGE, content_type="text/html")

    async def never(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/html"})
        await reply.prepare(request)
        await reply.write(b"<p>begun")
        await asyncio.Event().wait()
        return reply

    app = web.Application()
    app.add_routes([web.route("*", "/login", login), web.get("/account/orders", orders), web.get("/never", never)])
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0)
        await listener.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def body(text: str, url: str, **changes: Any) -> dict[str, Any]:
    """The documented request for this host."""
    plain = re.sub(r"^//.*$", "", text, flags=re.MULTILINE).replace("https://app.example.com", url)
    return {**json.loads(plain), **changes}


async def job(gateway: Gateway, number: str, *statuses: str) -> Any:
    """The job, once it has one of these statuses."""

    async def reached() -> Any:
        found = (await gateway.request("GET", f"/v1/jobs/{number}")).ok()
        return found if found["status"] in statuses else None

    return await eventually_asked(f"job {statuses}", reached, 30)


async def test_the_documented_workflow_and_a_kill(start_gateway: Starter) -> None:
    async with shop() as url:
        gateway = await start_gateway()
        made = (await gateway.request("POST", "/v1/interact", json=body(LOG_IN, url))).ok()
        assert made["session"] == {"id": "user-session", "updated": True}
        assert "user-avatar" in made["outputs"]["html"]
        refused = (await gateway.request("POST", "/v1/fetch", json=body(ORDERS, url))).ok(422)
        assert "language model" in refused["error"]["message"]
        wanted = body(ORDERS, url, extract=SELECTORS, output=["json", "html"])
        found = (await gateway.request("POST", "/v1/fetch", json=wanted)).ok()
        assert found["outputs"]["json"] == {"orders": ["1: sent"]}
        assert found["session"] == {"id": "user-session", "updated": False}
        assert 'data-seen="1"' in found["outputs"]["html"]

        # It is a session like any other.
        (session,) = (await gateway.request("GET", "/sessions?name=user-session")).ok()["sessions"]
        context = (await gateway.request("GET", f"/session/{session['id']}/context")).ok()
        assert "shop" in {cookie["name"] for cookie in context["cookies"]}

        # The gateway and its browsers are killed while one job runs that may be repeated, and one that may not.
        slow = {"url": f"{url}/never"}
        fetching = {"kind": "fetch", "input": {**slow, "timeout_ms": 120_000, "render_js": False}}
        acting = {"kind": "interact", "input": {**slow, "timeout_ms": 120_000, "actions": [{"type": "scroll"}]}}
        asked = [(await gateway.request("POST", "/v1/jobs", json=one)).ok(202)["job_id"] for one in (fetching, acting)]
        for number in asked:
            await job(gateway, number, "running")
        gateway.kill()
        for process in gateway.browsers():
            with suppress(psutil.NoSuchProcess):  # what ends with the gateway by itself
                process.kill()

        gateway = await start_gateway()
        found = (await gateway.request("POST", "/v1/fetch", json=wanted)).ok()
        assert found["outputs"]["json"] == {"orders": ["1: sent"]}
        assert 'data-seen="1"' in found["outputs"]["html"]
        assert (await job(gateway, asked[1], "failed"))["error"]["code"] == "interrupted"
        await job(gateway, asked[0], "running")
        assert (await gateway.request("DELETE", f"/v1/jobs/{asked[0]}")).ok()["status"] == "cancelled"
        assert "secret" not in gateway.log.read_text()
