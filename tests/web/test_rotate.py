"""POST /session/ID/rotate: what was handed out before is worth nothing from then on."""

import base64
import hashlib
import hmac
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.inside import TOKEN, Inside, ask, inside


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(tmp_path) as running:
        yield running


@pytest.fixture
async def anyone() -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody without a token."""
    async with aiohttp.ClientSession() as http:
        yield http


async def refused(url: str) -> int:
    """The status with which a websocket is refused."""
    with pytest.raises(InvalidStatus) as error:
        await connect(url)
    return error.value.response.status_code


def urls(session: dict[str, Any], pages: list[dict[str, Any]]) -> list[str]:
    """All http and ws URLs that lead to the session."""
    found = [session["connect"], session["stop"], session["devtools"]]
    found += [page[name] for page in pages for name in ("webSocketDebuggerUrl", "devtoolsFrontendUrl")]
    return [url for url in found if url is not None]


async def test_the_old_urls_are_over_and_the_new_ones_are_good(gateway: Inside, anyone: aiohttp.ClientSession) -> None:
    _, session = await gateway.call("POST", "/session", json={"processKeepAlive": 60_000})
    _, pages = await gateway.call("GET", f"/session/{session['id']}/json/list")
    async with connect(session["connect"]) as socket:
        kept = (await ask(socket, "Gateway.reconnect"))["result"]["browserWSEndpoint"]
        code, rotated = await gateway.call("POST", f"/session/{session['id']}/rotate")
        assert code == 200
        assert rotated.keys() == session.keys()
        assert (await ask(socket, "Browser.getVersion"))["result"], "who is connected stays"
    assert not {*urls(session, pages), kept} & {*urls(rotated, [])}
    for url in (*urls(session, pages), kept):
        if url.startswith("ws"):
            assert await refused(url) == 401, url
        else:
            async with anyone.get(url) as answer:
                assert answer.status == 401, url
    async with anyone.delete(session["stop"]) as answer:
        assert answer.status == 401
    for path in ("json/list", "json/version"):  # found by the session that the secret is for
        async with anyone.get(f"{gateway.base}/{path}?{session['stop'].partition('?')[2]}") as answer:
            assert answer.status == 401
    async with anyone.get(rotated["stop"]) as answer:
        assert (answer.status, (await answer.json())["connect"]) == (200, rotated["connect"])
    async with connect(rotated["connect"]) as socket:
        assert (await ask(socket, "Browser.getVersion"))["result"]


async def test_who_is_connected_can_be_put_off(gateway: Inside) -> None:
    _, session = await gateway.call("POST", "/session", json={"processKeepAlive": 60_000})
    async with connect(session["connect"]) as socket:
        path = f"/session/{session['id']}/rotate"
        code, _ = await gateway.call("POST", path, json={"disconnect": True})
        assert code == 200
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4004, "the session's URLs were rotated")
    code, body = await gateway.call("POST", path, json={"disconnected": True})
    assert (code, body["error"]["code"]) == (400, "unknown_field")


async def test_who_holds_a_url_may_rotate_it_once(gateway: Inside, anyone: aiohttp.ClientSession) -> None:
    _, session = await gateway.call("POST", "/session", json={"processKeepAlive": 0})
    capability = session["connect"].partition("token=")[2]
    url = f"{gateway.base}/session/{capability}/rotate"
    async with anyone.post(url) as answer:
        assert answer.status == 200
        new = await answer.json()
    async with anyone.post(url) as answer:
        assert answer.status == 401
    # The same of one that has ended: its record, its files and what it saved are still there.
    await gateway.call("DELETE", f"/session/{session['id']}")
    async with anyone.get(new["stop"]) as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "stopped")
    code, rotated = await gateway.call("POST", f"/session/{session['id']}/rotate")
    assert code == 200
    async with anyone.get(new["stop"]) as answer:
        assert answer.status == 401
    async with anyone.get(rotated["stop"]) as answer:
        assert answer.status == 200
    code, _ = await gateway.call("POST", "/session/00000000-0000-0000-0000-000000000000/rotate")
    assert code == 404


def early(gateway: Inside, session: str) -> str:
    """The secret of a URL as it was before there were generations."""
    key = bytes.fromhex((gateway.config.data_dir / "capability.key").read_text())
    digest = hmac.digest(key, f"session:{session}".encode(), hashlib.sha256)
    return f"{session}.{base64.urlsafe_b64encode(digest[:18]).decode()}"


async def status(gateway: Inside, secret: str) -> int:
    """Of a look at the session with nothing but a URL's secret."""
    async with aiohttp.ClientSession(gateway.base) as anyone, anyone.get(f"/session/{secret}") as answer:
        return answer.status


async def test_the_generation_outlives_the_gateway_and_urls_from_before_there_were_any_work(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        _, old = await gateway.call("POST", "/session", json={"processKeepAlive": 0, "ttl": 600_000})
        _, session = await gateway.call("POST", "/session", json={"processKeepAlive": 0, "ttl": 600_000})
        _, rotated = await gateway.call("POST", f"/session/{session['id']}/rotate")
        assert await status(gateway, early(gateway, old["id"])) == 401, "no new session has such a URL"
    with closing(sqlite3.connect(tmp_path / "gateway.sqlite")) as store, store:
        store.execute("UPDATE sessions SET record = json_remove(record, '$.generation') WHERE id = ?", (old["id"],))
    async with inside(tmp_path) as gateway:
        for url, expected in ((session["stop"], 401), (rotated["stop"], 200)):
            assert await status(gateway, url.partition("token=")[2]) == expected
        assert await status(gateway, early(gateway, old["id"])) == 200
        await gateway.call("POST", f"/session/{old['id']}/rotate")
        assert await status(gateway, early(gateway, old["id"])) == 401


async def test_auth_of_a_reconnect_opens_no_url_that_was_rotated(gateway: Inside) -> None:
    async with gateway.connect() as socket:
        granted = (await ask(socket, "Gateway.reconnect", {"auth": "s3cret"}))["result"]
        number = (await ask(socket, "Gateway.info"))["result"]["sessionId"]
    endpoint = granted["browserWSEndpoint"]
    for secret in ("", "?token=wrong", f"?token={TOKEN}", "?token=s3cre", "?token=s3crett"):
        assert await refused(endpoint + secret) == 401
    await gateway.call("POST", f"/session/{number}/rotate")
    assert await refused(f"{endpoint}?token=s3cret") == 401
    assert await refused(f"{gateway.ws}/reconnect/{number}") == 401
    async with connect(f"{gateway.ws}/reconnect/{number}?token=s3cret") as socket:
        again = (await ask(socket, "Gateway.reconnect", {"auth": "s3cret"}))["result"]["browserWSEndpoint"]
    async with connect(f"{again}?token=s3cret") as socket:
        assert (await ask(socket, "Browser.getVersion"))["result"]


def texts(value: Any) -> list[str]:
    """All text in a decoded body."""
    if isinstance(value, dict):
        return [text for item in (*value.keys(), *value.values()) for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


async def test_no_reply_has_the_tenants_token(gateway: Inside) -> None:
    """Not in a URL, not elsewhere, not in a header."""
    _, session = await gateway.call("POST", "/session", json={"name": "one", "processKeepAlive": 60_000})
    path, found = f"/session/{session['id']}", 0
    for method, where in [
        ("GET", path),
        ("GET", "/sessions"),
        ("POST", f"{path}/rotate"),
        ("PATCH", path),
        ("GET", "/json/version"),
        ("GET", "/json/list"),
        ("GET", f"{path}/json/version"),
        ("GET", f"{path}/json/list"),
        ("PUT", f"{path}/json/new?about:blank"),
        ("GET", f"{path}/devtools/inspector.html"),
        ("POST", f"{path}/snapshot"),
        ("GET", f"{path}/snapshots"),
        ("GET", f"{path}/context"),
        ("GET", f"{path}/files"),
        ("POST", f"{path}/files?name=one"),
        ("POST", f"{path}/restore"),
        ("POST", f"{path}/fork"),
        ("GET", "/pressure"),
        ("GET", "/active"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("DELETE", path),
        ("GET", "/nowhere"),
    ]:
        # Given in the query, where an echo of the request's own URL would bring it back.
        where += ("&" if "?" in where else "?") + f"token={TOKEN}"
        async with (
            aiohttp.ClientSession(gateway.base) as http,
            http.request(method, where, allow_redirects=False) as answer,
        ):
            body = await answer.text()
            assert answer.status < 500, where
            assert TOKEN not in body, where
            assert TOKEN not in str(answer.headers), where
            if answer.content_type == "application/json" and answer.status < 300:
                said = texts(await answer.json())
                found += sum("token=" in text or f"/session/{session['id']}." in text for text in said)
    assert found >= 10, "there were URLs to look at"
    async with gateway.connect() as socket:
        for method in ("Gateway.reconnect", "Gateway.info", "Browserless.reconnect"):
            assert TOKEN not in str(await ask(socket, method))
