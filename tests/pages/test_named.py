"""The tenant's named sessions, through the requests that use them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.pages.line import Line
from gateway.pages.named import merged
from gateway.records import Identity, SessionId
from gateway.session.life import Attached, Detached
from gateway.session.session import Session
from gateway.snapshot.document import ContextDocument, Cookie, Tab
from tests.inside import ADMIN, Inside, inside, until
from tests.site.app import Site, serving

STORES = """<!doctype html><title>x</title><body><script>
const stores = {
  local: () => localStorage.setItem("k", Math.random()),
  session: () => sessionStorage.setItem("k", Math.random()),
  cookie: () => { document.cookie = "k=" + Math.random() + "; max-age=1000" },
  same: () => { document.cookie = "same=1; max-age=1000"; localStorage.setItem("same", "1") },
  none: () => {},
  base: () => new Promise(done => {
    const asked = indexedDB.open("db", 1)
    asked.onupgradeneeded = () => asked.result.createObjectStore("s")
    asked.onsuccess = () => {
      const change = asked.result.transaction("s", "readwrite")
      change.objectStore("s").put(Math.random(), "k")
      change.oncomplete = () => { asked.result.close(); done() }
    }
  }),
}
Promise.resolve(stores[location.hash.slice(1)]()).then(() => { document.body.dataset.ready = 1 })
</script>"""


async def fetch(gateway: Inside, url: str, name: str = "u", path: str = "/v1/fetch", **more: Any) -> tuple[int, Any]:
    return await gateway.call("POST", path, json={"url": url, "session": {"id": name}, "output": ["text"], **more})


async def updated(gateway: Inside, url: str, **more: Any) -> bool:
    status, body = await fetch(gateway, url, **more)
    assert status == 200, body
    return bool(body["session"]["updated"])


def live(gateway: Inside) -> Session:
    """The one session with a name that runs."""
    found = [one for one in gateway.registry.running(ADMIN) if one.record.spec.name]
    assert len(found) == 1
    return found[0]


async def put_away(gateway: Inside) -> SessionId:
    """Let that one's time without a client be over."""
    session = live(gateway)
    await gateway.call("PATCH", f"/session/{session.record.id}", json={"processKeepAlive": 1})
    await session.over.wait()
    await gateway.call("PATCH", f"/session/{session.record.id}", json={"processKeepAlive": 30000})
    return session.record.id


async def cookies(gateway: Inside, site: Site, **more: Any) -> dict[str, str]:
    status, body = await fetch(gateway, f"{site.url}/whoami", **more)
    assert status == 200, body
    found: dict[str, str] = json.loads(body["outputs"]["text"])["cookies"]
    return found


@asynccontextmanager
async def stores() -> AsyncIterator[str]:
    """A server whose pages store what their fragment says, and set and drop cookies, which know no ports."""

    async def page(request: web.Request) -> web.Response:
        reply = web.Response(text=STORES, content_type="text/html")
        if (name := request.query.get("set")) is not None:
            reply.set_cookie(name, "1", max_age=1000)
        if (name := request.query.get("drop")) is not None:
            reply.del_cookie(name)
        return reply

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0)
        await listener.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_exactly_what_changes_is_told(tmp_path: Path) -> None:
    async with stores() as url, inside(tmp_path) as gateway:
        for kind, expected in (
            *(("none", False), ("local", True), ("session", True), ("cookie", True), ("base", True)),
            *(("same", True), ("same", False), ("none", False)),
        ):
            wait = [{"type": "wait_for", "selector": "body[data-ready]"}]
            page = f"{url}/?{kind}#{kind}"
            assert await updated(gateway, page, path="/v1/interact", actions=wait) is expected, kind
        for render in (True, False):
            for expected in (True, False):
                page = f"{url}/?set=again{render}#none"
                assert await updated(gateway, page, render_js=render) is expected
        browser = live(gateway).browser
        assert browser is not None
        # A fetch without it goes over its road; that name is asked for by nothing else.
        assert await updated(gateway, f"{url.replace('127.0.0.1', 'localhost')}/#none", render_js=False) is False
        domains = (await gateway.registry.means.used(browser)).domains
        assert [one.requests for one in domains if one.domain == "localhost"] == [1]


async def test_a_life(tmp_path: Path) -> None:
    async with serving() as site, stores() as other, inside(tmp_path) as gateway:
        log_in = [
            {"type": "type", "selector": "[name=username]", "value": "alice"},
            {"type": "type", "selector": "[name=password]", "value": "wonderland"},
            {"type": "click", "selector": "button"},
            {"type": "wait_for", "selector": "#title"},
        ]
        name: dict[str, Any] = {"name": "päge / 1", "identity": {"locale": "de-DE"}}
        status, body = await fetch(gateway, f"{site.url}/login", path="/v1/interact", actions=log_in, **name)
        assert (status, body["session"]) == (200, {"id": "päge / 1", "updated": True})
        session = live(gateway)
        assert session.record.spec.name == "päge / 1"
        assert session.record.snapshot is not None
        assert 86000 < session.record.expires_at - time.time() <= 86400
        versions = len(await gateway.registry.means.vault.list(session.record.id))
        sid = (await cookies(gateway, site, name="päge / 1"))["sid"]
        assert len(await gateway.registry.means.vault.list(session.record.id)) == versions, "nothing had changed"

        # Its identity is fixed.
        status, body = await fetch(gateway, site.url, name="päge / 1", identity={"locale": "fr-FR"})
        assert (status, body["error"]["code"]) == (409, "identity_differs")
        assert (await fetch(gateway, site.url, **name))[0] == 200

        # Somebody drives it.
        async with gateway.connect(f"/session/connect/{session.record.id}"):
            for render in (True, False):
                status, body = await fetch(gateway, site.url, name="päge / 1", render_js=render)
                assert (status, body["error"]["code"]) == (409, "driver_connected")
        await until(lambda: isinstance(session.state, Detached))

        # Put away: plain requests start no browser, and take the cookies along, both ways.
        number = await put_away(gateway)
        assert (await cookies(gateway, site, name="päge / 1", render_js=False))["sid"] == sid
        await gateway.registry.amend(ADMIN, number, ttl=100, keep=None, labels=None)
        assert await updated(gateway, f"{other}/?set=plain#none", name="päge / 1", render_js=False)
        assert gateway.registry.live(number) is None
        record = await gateway.registry.find(ADMIN, number)
        assert 86000 < record.expires_at - time.time() <= 86400, "each use gives it another day"
        newest = (await gateway.registry.means.vault.list(number))[-1]
        assert (newest.has_profile, newest.reason) == (True, "request")
        found = await cookies(gateway, site, name="päge / 1")
        assert (found["sid"], found["plain"]) == (sid, "1")
        assert live(gateway).record.id == number

        # While it runs, they go into its browser, and out of it.
        assert await updated(gateway, f"{other}/?drop=plain#none", name="päge / 1", render_js=False)
        assert "plain" not in await cookies(gateway, site, name="päge / 1")

        # Its browser crashes.
        browser = live(gateway).browser
        assert browser is not None
        session = live(gateway)
        await browser.kill()
        await session.over.wait()
        assert (await cookies(gateway, site, name="päge / 1"))["sid"] == sid

        # Stopped: the next one begins with what was saved, and as whom it was.
        await gateway.call("DELETE", f"/session/{number}?force=true")
        assert (await cookies(gateway, site, name="päge / 1", render_js=False))["sid"] == sid
        _, page = await gateway.call("GET", "/sessions?name=päge / 1&status=suspended")
        (anew,) = page["sessions"]
        assert anew["id"] != number
        again = await gateway.registry.find(ADMIN, anew["id"])
        assert again.spec.identity == Identity(locale="de-DE")

        # Its time is up: forgotten.
        await gateway.registry.amend(ADMIN, anew["id"], ttl=0.01, keep=None, labels=None)
        found_again = await gateway.registry.find(ADMIN, anew["id"])
        await until(lambda: time.time() > found_again.expires_at)
        assert await cookies(gateway, site, name="päge / 1", render_js=False) == {}


async def test_one_request_at_a_time(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = 0

    class Seen(Line):
        """One that counts who comes."""

        async def _take(self, full: bool) -> None:
            nonlocal arrived
            arrived += 1
            await super()._take(full)

    monkeypatch.setattr("gateway.pages.named.Line", Seen)
    async with inside(tmp_path, ttl_max="1h") as gateway:
        begun: list[str] = []

        async def one(number: int) -> None:
            status, body = await fetch(gateway, f"{site.url}/page/{number}", render_js=number == 2)
            assert status == 200, body
            begun.append(body["diagnostics"]["final_url"][-1])

        async with asyncio.TaskGroup() as group:
            for number in range(1, 5):
                group.create_task(one(number))
                await until(lambda number=number: arrived == number)  # type: ignore[misc]
        assert begun == list("1234")
        _, page = await gateway.call("GET", "/sessions?name=u")
        assert len(page["sessions"]) == 1
        await until(lambda: not isinstance(live(gateway).state, Attached))  # it leaves in the moment of the answer

        # One whose client goes in the middle keeps nobody waiting.
        gone = asyncio.create_task(fetch(gateway, f"{site.url}/slow?ms=600000", timeout_ms=120_000))
        await site.slow_started.wait()
        gone.cancel()
        await asyncio.wait([gone])
        assert (await fetch(gateway, f"{site.url}/page/6"))[0] == 200

        # Only so many wait; and where a day is more than anyone may have, it is less.
        monkeypatch.setattr("gateway.pages.named.WAITING", 1)
        site.slow_started.clear()
        slow = [asyncio.create_task(fetch(gateway, f"{site.url}/slow?ms=600000", render_js=False))]
        await site.slow_started.wait()
        slow += [asyncio.create_task(fetch(gateway, site.url, render_js=False)) for _ in range(2)]
        done, _ = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
        status, body = done.pop().result()
        assert (status, body["error"]["code"]) == (429, "too_many_sessions")
        assert "wait for the session 'u'" in body["error"]["message"]
        slow[0].cancel()
        await asyncio.wait(slow)
        assert live(gateway).record.expires_at - time.time() <= 3600


def test_what_becomes_of_cookies_meanwhile() -> None:
    kept, old, new = Cookie("kept", "1", "a"), Cookie("old", "1", "a"), Cookie("new", "1", "a")
    other = Cookie("other", "1", "a")
    now = ContextDocument(cookies=(kept, old, other), tabs=(Tab("https://a/"),))
    made = merged(now, (kept, old), (replace(kept, value="2"), new))
    assert set(made.cookies) == {replace(kept, value="2"), new, other}
    assert made.tabs == now.tabs


async def test_what_is_fetched_without_its_browser_is_counted_as_the_sessions(tmp_path: Path) -> None:
    async with serving() as site, inside(tmp_path) as gateway:
        assert (await fetch(gateway, site.url, render_js=False))[0] == 200
        record = await gateway.registry.named("default", "u")
        assert record is not None

        async def used() -> dict[str, Any]:
            _, shown = await gateway.call("GET", f"/session/{record.id}")
            return dict(shown["egress"])

        first = await used()
        assert (first["requests"], first["domains"][0]["domain"]) == (1, "127.0.0.1")
        assert first["bytesIn"] > len((await fetch(gateway, site.url, render_js=False))[1]["outputs"]["text"])
        assert (await used())["requests"] == 2
        status, body = await fetch(gateway, "http://10.0.0.1/", render_js=False)
        assert (status, body["error"]["code"]) == (502, "blocked_by_policy")
        assert (await used())["refused"] == [{"rule": "private-address", "domain": "10.0.0.1", "count": 1}]


async def test_a_session_that_is_woken_while_its_page_is_fetched_gets_its_cookies(tmp_path: Path) -> None:
    """By whoever asked for it and has gone again: no client is there that would begin its browser."""
    async with inside(tmp_path) as gateway:
        asleep: list[SessionId] = []

        async def page(request: web.Request) -> web.Response:
            if asleep:
                assert not (await gateway.registry.session(ADMIN, asleep[0])).reachable
            return web.Response(text="x", headers={"Set-Cookie": f"visit={len(asleep)}; Max-Age=1000"})

        application = web.Application()
        application.router.add_get("/", page)
        async with TestServer(application) as server:
            url = str(server.make_url("/"))
            assert await updated(gateway, url)
            asleep.append(await put_away(gateway))
            assert await updated(gateway, url, render_js=False)
            found = (await live(gateway).context()).cookies
            assert [(cookie.name, cookie.value) for cookie in found] == [("visit", "1")]
