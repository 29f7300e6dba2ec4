"""/session/ID/live: who has its URL can look on, and do nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.inside import Inside, inside

PAGE = "data:text/html,<title>shown</title><p>hello"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(tmp_path) as running:
        yield running


def socket_of(live: str) -> str:
    return live.replace("http", "ws", 1) + "/socket"


async def seen(socket: ClientConnection, url: str) -> bytes:
    """The first picture of that page."""
    captions = []
    async with asyncio.timeout(60):
        while True:
            message = await socket.recv()
            if isinstance(message, str):
                captions.append(json.loads(message))
            elif captions and captions[-1]["url"] == url:
                return message


async def test_onlookers_see_the_page_and_the_driver_does_not_notice(gateway: Inside) -> None:
    _, session = await gateway.call("POST", "/session", json={"url": PAGE, "processKeepAlive": 60_000})
    async with connect(session["connect"]), connect(socket_of(session["live"])) as one:
        async with connect(socket_of(session["live"])) as other:
            for onlooker in (one, other):
                assert (await seen(onlooker, PAGE)).startswith(b"\xff\xd8\xff")
            await one.send('{"id": 1, "method": "Browser.close"}')
        _, record = await gateway.call("GET", f"/session/{session['id']}")
        assert (record["status"], record["connections"]) == ("connected", 1)
        code, _ = await gateway.call("DELETE", f"/session/{session['id']}?force=true")
        assert code == 200
        with pytest.raises(ConnectionClosed) as error:
            await seen(one, "never")
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == 4000


async def test_its_url_is_good_for_looking_alone(gateway: Inside) -> None:
    _, session = await gateway.call("POST", "/session", json={"url": PAGE})
    secret = session["live"].split("/")[-2]
    async with aiohttp.ClientSession() as anyone:

        async def asked(method: str, path: str, **more: Any) -> int:
            async with anyone.request(method, gateway.base + path, **more) as answer:
                return answer.status

        async with anyone.get(session["live"]) as page:
            assert page.status == 200
            assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
            assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]
            assert session["id"] not in await page.text()
        assert await asked("DELETE", f"/session/{secret}") == 403
        assert await asked("GET", f"/session/{secret}/context") == 403
        assert await asked("POST", f"/session/{secret}/snapshot") == 403
        assert await asked("GET", f"/session/{secret}/devtools/inspector.html") == 403
        assert await asked("GET", f"/session/{secret}/live", headers={"Origin": "https://evil.example"}) == 403
        async with anyone.get(f"{gateway.base}/session/{secret}") as answer:
            record = await answer.json()
        assert [record[name] for name in ("connect", "stop", "devtools")] == [None, None, None]
    for path in (f"/session/connect/{secret}", f"/?sessionId={session['id']}&token={secret}"):
        with pytest.raises(InvalidStatus) as error:
            await connect(gateway.ws + path)
        assert error.value.response.status_code == 403
    await gateway.call("POST", f"/session/{session['id']}/rotate")
    with pytest.raises(InvalidStatus) as error:
        await connect(socket_of(session["live"]))
    assert error.value.response.status_code == 401


async def test_an_onlooker_does_not_bring_a_browser_back(gateway: Inside) -> None:
    _, session = await gateway.call("POST", "/session", json={"processKeepAlive": 0})
    async with connect(session["connect"]) as socket:
        await socket.close()
    while (await gateway.call("GET", f"/session/{session['id']}"))[1]["status"] != "suspended":  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    code, told = await gateway.call("GET", f"/session/{session['id']}/live")
    assert (code, told["error"]["code"]) == (409, "not_running")
    assert (await gateway.call("GET", f"/session/{session['id']}"))[1]["live"] is None
