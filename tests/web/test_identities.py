"""Named identities: what callers may store, and what sessions make of it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.records import Identity, SessionId
from gateway.web.identities import shape
from tests.inside import ADMIN, inside

GERMAN = {
    "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/156.0.0.0",
    "locale": "de-DE",
    "timezone": "Europe/Berlin",
    "viewport": {"width": 1000, "height": 700},
    "deviceScaleFactor": 2.0,
    "geolocation": {"latitude": 52.5, "longitude": 13.4, "accuracy": 10.0},
    "extraHeaders": {"Authorization": "Basic s3cret"},
}


async def test_their_life(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        german = {"name": "german", **GERMAN}
        assert await gateway.call("POST", "/identities", json=german) == (201, german)
        status, body = await gateway.call("POST", "/identities", json={"name": "german"})
        assert (status, body["error"]["code"]) == (409, "name_in_use")
        assert await gateway.call("GET", "/identities/german") == (200, german)
        # What was shown can be stored again.
        assert await gateway.call("PUT", "/identities/german", json=german) == (200, german)
        french = {"name": "french", "locale": "fr-FR"}
        assert await gateway.call("PUT", "/identities/french", json={"locale": "fr-FR"}) == (201, french)
        assert await gateway.call("GET", "/identities") == (200, {"identities": [french, german]})
        async with gateway.http.delete("/identities/german") as answer:
            assert (answer.status, await answer.text()) == (204, "")
        for method in ("GET", "DELETE"):
            status, body = await gateway.call(method, "/identities/german")
            assert (status, body["error"]["code"]) == (404, "not_found")


async def test_a_session_keeps_what_it_was_made_with(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        body = {"name": "mine", "timezone": "Asia/Tokyo", "viewport": {"width": 900, "height": 600}}
        await gateway.call("POST", "/identities", json=body)
        _, session = await gateway.call("POST", "/session", json={"identity": "mine"})
        await gateway.call("PUT", "/identities/mine", json={"timezone": "Europe/Berlin"})
        await gateway.call("DELETE", "/identities/mine")
        assert (await gateway.call("POST", "/session", json={"identity": "mine"}))[0] == 404
        await gateway.call("DELETE", f"/session/{session['id']}")
        status, restored = await gateway.call("POST", f"/session/{session['id']}/restore")
        assert status == 201
        for number in (session["id"], restored["id"]):
            spec = (await gateway.registry.find(ADMIN, SessionId(number))).spec
            assert spec.identity == Identity(timezone="Asia/Tokyo", viewport=(900, 600))
            assert spec.launch.timezone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/identities", {}, (400, "bad_request", "name")),
        ("POST", "/identities", {"name": "a/b"}, (400, "bad_request", "name")),
        ("POST", "/identities", {"name": "..", "locale": "de"}, (400, "bad_request", "name")),
        ("POST", "/identities", {"name": "a", "colour": 1}, (400, "unknown_field", "colour")),
        ("POST", "/identities", {"name": "a", "extraHeaders": {"Host": "b"}}, (400, "bad_request", "extraHeaders")),
        ("POST", "/identities", {"name": "a", "extraHeaders": {"X-A": "s3cret\n"}}, (400, "bad_request", "X-A")),
        ("PUT", "/identities/a", {"name": "b"}, (400, "bad_request", "name")),
        ("PUT", "/identities/%20", {}, (400, "bad_request", "name")),
        ("GET", "/identities?limit=1", None, (400, "unknown_parameter", "limit")),
        ("PATCH", "/identities/a", {}, (405, "method_not_allowed", "method")),
    ],
)
async def test_what_is_wrong_is_named(
    tmp_path: Path, method: str, path: str, body: dict[str, Any] | None, expected: tuple[int, str, str]
) -> None:
    async with inside(tmp_path) as gateway:
        status, reply = await gateway.call(method, path, json=body)
        assert (status, reply["error"]["code"]) == expected[:2]
        assert expected[2] in reply["error"]["message"]
        assert "s3cret" not in str(reply)
        assert (await gateway.call("GET", "/identities"))[1] == {"identities": []}


async def test_a_capability_is_not_enough(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        _, session = await gateway.call("POST", "/session", json={})
        capability = session["stop"].partition("token=")[2]
        for method, path in (("GET", "/identities"), ("POST", "/identities"), ("GET", "/identities/a")):
            status, _ = await gateway.call(method, f"{path}?token={capability}", headers={"Authorization": ""})
            assert status == 403


def test_only_what_was_set_is_shown() -> None:
    assert shape("mine", Identity()) == {"name": "mine"}
    assert shape("mine", Identity(locale="de")) == {"name": "mine", "locale": "de"}
