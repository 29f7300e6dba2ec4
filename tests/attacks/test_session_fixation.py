"""Session fixation: an attacker prepares a session whose id it knows, or an id before there is a session, and gets a
victim to work in it. With the attacker's rights it succeeds, so each way is shown to work within one tenant first."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.records import new_session_id
from tests.inside import Inside, ask, inside

ATTACKER, VICTIM = "attackers-own-token-123456", "victims-own-token-1234567"
ROADS = ("/?sessionId={}&", "/session/connect/{}?", "/reconnect/{}?")
TENANTS = f"""
[tenants.attacker]
tokens = ["{ATTACKER}"]
role = "user"

[tenants.victim]
tokens = ["{VICTIM}"]
role = "user"
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Inside]:
    (tmp_path / "tenants.toml").write_text(TENANTS)
    async with inside(tmp_path / "data", tenants_file=str(tmp_path / "tenants.toml")) as running:
        yield running


async def call(gateway: Inside, token: str, method: str, path: str, **more: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    async with (
        aiohttp.ClientSession(gateway.base, headers=headers) as http,
        http.request(method, path, **more) as answer,
    ):
        return answer.status, await answer.json()


async def opened(url: str) -> int | str:
    """The id of the session that a websocket gets, or the status of its refusal."""
    try:
        async with connect(url, open_timeout=60) as socket:
            return str((await ask(socket, "Gateway.info"))["result"]["sessionId"])
    except InvalidStatus as error:
        return error.response.status_code


async def test_a_session_that_an_attacker_prepared(gateway: Inside) -> None:
    status, session = await call(gateway, ATTACKER, "POST", "/session", json={"processKeepAlive": 60_000})
    assert status == 201
    for road in ROADS:
        url = f"{gateway.ws}{road.format(session['id'])}"
        assert await opened(f"{url}token={ATTACKER}") == session["id"], road
        assert await opened(f"{url}token={VICTIM}") == 404, road


async def test_a_name_or_key_that_an_attacker_took(gateway: Inside) -> None:
    for name, headers in (("shop", {}), (None, {"Idempotency-Key": "1"})):
        body = {"processKeepAlive": 60_000, **({"name": name, "attach": True} if name else {})}
        _, prepared = await call(gateway, ATTACKER, "POST", "/session", json=body, headers=headers)
        for who in (ATTACKER, VICTIM):
            _, got = await call(gateway, who, "POST", "/session", json=body, headers=headers)
            assert (got["id"] == prepared["id"]) is (who is ATTACKER), name


async def test_no_client_chooses_an_id(gateway: Inside) -> None:
    """Neither in a body nor in a query, and one that is asked for before it is there never comes to be."""
    wanted = new_session_id()
    for field in ("id", "sessionId"):
        status, body = await call(gateway, VICTIM, "POST", "/session", json={field: wanted})
        assert (status, body["error"]["code"]) == (400, "unknown_field")
        status, _ = await call(gateway, VICTIM, "POST", f"/session?{field}={wanted}", json={})
        assert status == 400
        launch = quote(json.dumps({field: wanted}))
        assert await opened(f"{gateway.ws}/?launch={launch}&token={VICTIM}") == 400
    for road in ROADS:
        assert await opened(f"{gateway.ws}{road.format(wanted)}token={VICTIM}") == 404
    status, session = await call(gateway, VICTIM, "POST", "/session", json={})
    assert (status, session["id"] != wanted) == (201, True)


def test_an_id_cannot_be_foreseen() -> None:
    """128 random bits: none is always the same, as those of a UUID's version would be."""
    numbers = [int(new_session_id().replace("-", ""), 16) for _ in range(2000)]
    for bit in range(128):
        ones = sum(number >> bit & 1 for number in numbers)
        assert 800 < ones < 1200, f"bit {bit} is set in {ones} of 2000"
