"""What a websocket's URL asks for, and what is refused before the upgrade."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from websockets.exceptions import ConnectionClosed, InvalidStatus

from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.records import Identity, Limits, SessionId, SessionSpec
from gateway.web.connect import launch_json, standard_spec, upgrade
from tests.inside import TOKEN, Inside, ask, inside

LIMITS = Limits(ttl_max=1000, keep=30, reconnect=60, reconnect_max=3600)
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def asked(query: str, headers: dict[str, str] | None = None) -> web.Request:
    return make_mocked_request("GET", f"/?{query}", headers=headers or HANDSHAKE)


def spec(query: str) -> SessionSpec:
    return standard_spec(asked(query), "default", LIMITS)


def refused(query: str) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        spec(query)
    return error.value


def test_the_accept_of_the_rfc() -> None:
    assert upgrade(asked("")) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("name", HANDSHAKE)
def test_a_handshake_that_is_none(name: str) -> None:
    for value in (None, "nonsense"):
        headers = {key: given for key, given in HANDSHAKE.items() if key != name}
        if value is not None:
            headers[name] = value
        with pytest.raises(GatewayError) as error:
            upgrade(asked("", headers))
        assert error.value.code in (Code.UPGRADE_REQUIRED, Code.BAD_REQUEST)


@pytest.mark.parametrize("launch", [{}, {"headless": "shell", "args": ["--lang=de"]}, {"stealth": True}])
def test_launch_in_both_encodings(launch: dict[str, Any]) -> None:
    text = json.dumps(launch)
    encoded = base64.b64encode(text.encode()).decode()
    for form in (text, encoded, encoded.rstrip("="), base64.urlsafe_b64encode(text.encode()).decode()):
        assert launch_json(form) == launch


def test_what_the_query_asks_for() -> None:
    assert spec("").launch.mode is Mode.HEADLESS
    assert spec("headless=false").launch.mode is Mode.HEADED
    assert spec("headless=shell").launch.mode is Mode.SHELL
    assert spec('launch={"headless":"shell"}').launch.mode is Mode.SHELL
    assert spec('launch={"headless":"shell"}&headless=true').launch.mode is Mode.HEADLESS
    puppeteer = spec('launch={"timeout":5000,"slowMo":0,"ignoreDefaultArgs":true,"ignoreHTTPSErrors":true}')
    assert (puppeteer.ttl, puppeteer.launch.args) == (5, ("--ignore-certificate-errors",))
    assert spec('launch={"timeout":5000}&timeout=7000').ttl == 7
    assert spec("--window-size=800,600&--mute-audio").launch.args == ("--window-size=800,600", "--mute-audio")
    assert spec("timeout=5000").ttl == 5
    assert spec("").ttl == LIMITS.ttl_max
    assert spec("trackingId=job-7").labels == (("trackingId", "job-7"),)
    assert spec('launch={"viewport":{"width":800,"height":600}}').launch.viewport == (800, 600)


def test_who_the_browser_says_it_is() -> None:
    asked_for = spec('launch={"userAgent":"Agent","locale":"de-DE","defaultViewport":{"width":8,"height":6}}')
    assert asked_for.identity == Identity(user_agent="Agent", locale="de-DE", viewport=(8, 6))
    assert asked_for.launch == LaunchSpec(user_agent="Agent", locale="de-DE", viewport=(8, 6))
    assert spec("headless=shell").identity is None


@pytest.mark.parametrize(
    ("query", "code", "named"),
    [
        ("colour=red", Code.UNKNOWN_PARAMETER, "colour"),
        ("launch={", Code.BAD_REQUEST, "launch"),
        ("launch=!!!", Code.BAD_REQUEST, "launch"),
        ("launch=[]", Code.BAD_REQUEST, "launch"),
        ('launch={"colour":1}', Code.UNKNOWN_FIELD, "colour"),
        ('launch={"slowMo":5}', Code.UNSUPPORTED, "slowMo"),
        ("--no-sandbox", Code.FLAG_REFUSED, "no-sandbox"),
        ('launch={"args":["--remote-debugging-port=1"]}', Code.FLAG_REFUSED, "remote-debugging-port"),
        ("--user-data-dir=/etc", Code.FLAG_REFUSED, "user-data-dir"),
        ("timeout=soon", Code.BAD_REQUEST, "timeout"),
        ("timeout=0", Code.BAD_REQUEST, "timeout"),
        ("timeout=9999999", Code.BAD_REQUEST, "timeout"),
        ("headless=maybe", Code.BAD_REQUEST, "headless"),
        ("blockAds=maybe", Code.BAD_REQUEST, "blockAds"),
    ],
)
def test_what_is_wrong_is_named(query: str, code: Code, named: str) -> None:
    error = refused(query)
    assert error.code is code
    assert named in error.message


async def status_of(gateway: Inside, url: str, **headers: str) -> tuple[int, str]:
    async with gateway.http.get(url, headers={**HANDSHAKE, "Authorization": "", **headers}) as answer:
        return answer.status, (await answer.json())["error"]["code"]


async def test_refusals_are_http(tmp_path: Path) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    async with inside(tmp_path) as gateway:
        assert await status_of(gateway, "/") == (401, "unauthorized")
        assert await status_of(gateway, "/?token=wrong") == (401, "unauthorized")
        good = f"?token={TOKEN}"
        assert await status_of(gateway, f"/session/connect/{nobody}{good}") == (404, "session_not_found")
        assert await status_of(gateway, f"/session/connect/nonsense{good}") == (404, "session_not_found")
        assert await status_of(gateway, f"/reconnect/{nobody}{good}") == (404, "session_not_found")
        assert await status_of(gateway, f"/?sessionId={nobody}&token={TOKEN}") == (404, "session_not_found")
        assert await status_of(gateway, f"/devtools/page/ABC{good}") == (404, "target_not_found")
        assert await status_of(gateway, f"/{good}", Origin="https://evil.example") == (403, "origin_refused")
        assert await status_of(gateway, f"/{good}", Host="evil.example") == (403, "host_refused")
        assert gateway.registry.count == 0


async def test_auth_of_a_reconnect_is_the_only_key(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        async with gateway.connect() as socket:
            reply = await ask(socket, "Gateway.reconnect", {"auth": "open sesame", "timeout": 60_000})
        url = reply["result"]["browserWSEndpoint"].removeprefix(gateway.ws)
        number = url.removeprefix("/reconnect/").partition(".")[0]
        for wrong in ("", f"?token={TOKEN}", "?token=open"):
            assert await status_of(gateway, url + wrong) == (401, "unauthorized")
        # Nor is there another way round it, neither with the token nor with the capability.
        assert (await status_of(gateway, f"/?sessionId={number}&token={TOKEN}"))[0] == 401
        assert (await status_of(gateway, f"/session/connect/{number}?token={TOKEN}"))[0] == 401
        async with gateway.connect(url.partition("?")[0], token="open%20sesame") as socket:
            assert "result" in await ask(socket, "Browser.getVersion")
            assert (await ask(socket, "Gateway.info"))["result"]["status"] == "connected"
        if (session := gateway.registry.live(SessionId(number))) is not None:
            await session.over.wait()
        assert (await status_of(gateway, f"{url}?token=open%20sesame"))[0] == 410


async def test_a_reconnect_url_opens_nothing_else(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway, gateway.connect() as socket:
        reply = await ask(socket, "Browserless.reconnect", {"timeout": 60_000})
        assert reply["result"]["error"] is None
        capability = reply["result"]["browserWSEndpoint"].rpartition("/")[2]
        number = capability.partition(".")[0]
        for path in (f"/session/{number}", f"/session/{number}/json/list", "/sessions", f"/session/{number}/context"):
            async with gateway.http.get(f"{path}?token={capability}", headers={"Authorization": ""}) as answer:
                assert answer.status == 403


async def test_detach_closes_behind_the_reply(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        async with gateway.connect() as socket:
            reply = await ask(socket, "Gateway.reconnect", {"detach": True})
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "detached")
        async with gateway.connect(reply["result"]["browserWSEndpoint"].removeprefix(gateway.ws)) as socket:
            assert "result" in await ask(socket, "Browser.getVersion")


async def test_a_debugging_client_cannot_keep_the_browser(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway, gateway.connect() as driver:
        number = (await ask(driver, "Gateway.info"))["result"]["sessionId"]
        async with gateway.connect(f"/devtools/browser/{number}") as beside:
            reply = await ask(beside, "Gateway.reconnect")
            assert reply["error"]["code"] == -32000
            assert "driver" in reply["error"]["message"]
        with pytest.raises(InvalidStatus):
            async with gateway.connect(f"/devtools/page/{number}"):
                pass
