"""A name on create: one running session of that name, which can be joined, and its context from one to the next."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from tests.inside import Inside, inside
from tests.site.app import Site


async def post(gateway: Inside, **body: Any) -> tuple[int, Any]:
    return await gateway.call("POST", "/session", json=body)


async def stored(gateway: Inside, session: str, site: Site) -> dict[str, str]:
    """What the session's localStorage of the site holds."""
    _, document = await gateway.call("GET", f"/session/{session}/context")
    return {
        item["name"]: item["value"]
        for origin in document["origins"]
        if origin["origin"] == site.url
        for item in origin["localStorage"]
    }


def given(site: Site, value: str) -> dict[str, Any]:
    """A context with one item of localStorage."""
    return {"origins": [{"origin": site.url, "localStorage": [{"name": "who", "value": value}]}]}


async def test_a_second_one_is_refused_or_joins(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        status, first = await post(gateway, name="shop")
        assert status == 201
        status, refused = await post(gateway, name="shop")
        assert (status, refused["error"]["code"]) == (409, "name_in_use")
        assert first["id"] in refused["error"]["message"]
        assert await post(gateway, name="shop", attach=True) == (200, first)
        status, other = await post(gateway, name="another", attach=True)
        assert (status, other["name"]) == (201, "another")
        status, body = await post(gateway, attach=True)
        assert (status, body["error"]["code"]) == (400, "bad_request")


async def test_of_many_at_once_one_is_made(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        plain: list[Awaitable[tuple[int, Any]]] = [post(gateway, name="one") for _ in range(4)]
        assert sorted(status for status, _ in await asyncio.gather(*plain)) == [201, 409, 409, 409]
        joining: list[Awaitable[tuple[int, Any]]] = [post(gateway, name="two", attach=True) for _ in range(4)]
        answers = await asyncio.gather(*joining)
        assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
        assert len({body["id"] for _, body in answers}) == 1


async def test_the_next_one_has_what_the_last_one_saved(tmp_path: Path, site: Site) -> None:
    async with inside(tmp_path) as gateway:
        _, first = await post(gateway, name="shop", context=given(site, "alice"))
        status, stopped = await gateway.call("DELETE", f"/session/{first['id']}")
        assert status == 200
        _, second = await post(gateway, name="shop")
        assert second["restoredFrom"] == {"session": first["id"], "snapshot": stopped["snapshot"]["version"]}
        assert await stored(gateway, second["id"], site) == {"who": "alice"}
        await gateway.call("DELETE", f"/session/{second['id']}")
        # Whoever brings a context of his own gets that one, an empty one among them; others' names are others' affair.
        _, empty = await post(gateway, name="shop", context={})
        assert await stored(gateway, empty["id"], site) == {}
        _, other = await post(gateway, name="other")
        assert other["restoredFrom"] is None


async def test_one_that_is_put_away_is_joined_too(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        _, first = await post(gateway, name="shop", processKeepAlive=30)
        await gateway.registry._live[first["id"]].over.wait()
        status, joined = await post(gateway, name="shop", attach=True)
        assert (status, joined["id"], joined["status"]) == (200, first["id"], "suspended")
        # A new one under its name keeps it from being woken: never do two run under one name.
        status, second = await post(gateway, name="shop")
        assert (status, second["restoredFrom"]["session"]) == (201, first["id"])
        status, refused = await gateway.call("GET", f"/session/connect/{first['id']}", headers=UPGRADE)
        assert (status, refused["error"]["code"]) == (409, "name_in_use")


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}
