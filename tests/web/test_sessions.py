"""The REST lifecycle: shapes, refusals, and what a stop and a restore promise."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.inside import TOKEN, Inside, ask, inside, until


async def created(gateway: Inside, **body: Any) -> dict[str, Any]:
    status, session = await gateway.call("POST", "/session", json=body)
    assert status == 201, session
    assert isinstance(session, dict)
    return session


async def test_the_life_of_a_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await created(gateway, ttl=60_000, labels={"team": "a"}, name="shop", url="data:text/html,hello")
        number = session["id"]
        assert (session["status"], session["ttl"], session["name"]) == ("detached", 60_000, "shop")
        assert TOKEN not in str(session)
        status, shown = await gateway.call("GET", f"/session/{number}")
        assert (status, {**shown, "egress": None}) == (200, {**session, "egress": None})
        status, changed = await gateway.call(
            "PATCH", f"/session/{number}", json={"ttl": 90_000, "labels": {"team": "b"}}
        )
        assert status == 200
        assert changed["labels"] == {"team": "b"}
        assert changed["ttl"] == 90_000
        assert changed["expiresAt"] > session["expiresAt"]
        status, stopped = await gateway.call("DELETE", f"/session/{number}")
        assert (status, stopped["status"], stopped["snapshot"]["version"]) == (200, "stopped", 1)
        assert list((tmp_path / "browsers").iterdir()) == []
        assert await gateway.call("DELETE", f"/session/{number}") == (200, stopped)
        status, listed = await gateway.call("GET", f"/session/{number}/snapshots")
        assert [snapshot["version"] for snapshot in listed["snapshots"]] == [1]
        status, restored = await gateway.call("POST", f"/session/{number}/restore")
        assert status == 201
        assert restored["restoredFrom"] == {"session": number, "snapshot": 1}
        urls: list[str] = []
        async with asyncio.timeout(30):  # pages load behind the answer
            while urls != ["data:text/html,hello"]:
                _, targets = await gateway.call("GET", f"/session/{restored['id']}/json/list")
                urls = [target["url"] for target in targets]
        again = await created(gateway, restore={"session": number, "snapshot": 1})
        assert again["restoredFrom"] == {"session": number, "snapshot": 1}


async def test_a_capability_is_enough_for_its_own_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        mine, other = await asyncio.gather(created(gateway), created(gateway))
        capability = mine["stop"].partition("token=")[2]
        nothing = {"Authorization": ""}
        assert (await gateway.call("GET", f"/session/{mine['id']}?token={capability}", headers=nothing))[0] == 200
        assert (await gateway.call("GET", f"/session/{capability}", headers=nothing))[0] == 200
        assert (await gateway.call("GET", f"/session/{other['id']}?token={capability}", headers=nothing))[0] == 404
        assert (await gateway.call("GET", f"/sessions?token={capability}", headers=nothing))[0] == 403
        assert (await gateway.call("POST", f"/session?token={capability}", headers=nothing, json={}))[0] == 403
        tampered = capability[:-1] + ("A" if capability[-1] != "A" else "B")
        assert (await gateway.call("GET", f"/session/{tampered}", headers=nothing))[0] == 401
        assert (await gateway.call("DELETE", mine["stop"].removeprefix(gateway.base), headers=nothing))[0] == 200


async def test_a_connected_driver_is_not_cut_off_by_a_stop(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        session = await created(gateway)
        path = f"/session/{session['id']}"
        async with gateway.connect(f"/session/connect/{session['id']}") as socket:
            assert (await ask(socket, "Gateway.info"))["result"]["status"] == "connected"
            status, body = await gateway.call("DELETE", path)
            assert (status, body["error"]["code"]) == (409, "driver_connected")
            status, body = await gateway.call("DELETE", f"{path}?force=true&purge=true")
            assert (status, body["status"], body["snapshot"]) == (200, "stopped", None)
            await socket.wait_closed()
            assert socket.close_code == 4000
        status, body = await gateway.call("POST", f"{path}/restore")
        assert (status, body["error"]["code"]) == (409, "nothing_saved")


async def test_the_list(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        made = [await created(gateway, name=f"n{i}", labels={"odd": str(i % 2)}) for i in range(3)]
        newest_first = [session["id"] for session in reversed(made)]
        _, page = await gateway.call("GET", "/sessions")
        assert [session["id"] for session in page["sessions"]] == newest_first
        assert page["nextCursor"] is None
        _, page = await gateway.call("GET", "/sessions?limit=2")
        assert [session["id"] for session in page["sessions"]] == newest_first[:2]
        _, page = await gateway.call("GET", f"/sessions?limit=2&cursor={page['nextCursor']}")
        assert [session["id"] for session in page["sessions"]] == newest_first[2:]
        _, page = await gateway.call("GET", "/sessions?label=odd:1")
        assert [session["name"] for session in page["sessions"]] == ["n1"]
        _, page = await gateway.call("GET", "/sessions?name=n2&status=detached")
        assert [session["name"] for session in page["sessions"]] == ["n2"]
        async with gateway.connect(trackingId="job") as socket:
            await ask(socket, "Browser.getVersion")
            _, page = await gateway.call("GET", "/sessions?label=trackingId:job")
            assert [(session["kind"], session["status"]) for session in page["sessions"]] == [("standard", "connected")]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/session", b"{", (400, "bad_request", "JSON")),
        ("POST", "/session", b'{"colour": 1}', (400, "unknown_field", "colour")),
        ("POST", "/session", b'{"identity": {"colour": 1}}', (400, "unknown_field", "identity.colour")),
        ("POST", "/session", b'{"ttl": "long"}', (400, "bad_request", "ttl")),
        ("POST", "/session", b'{"ttl": 0}', (400, "bad_request", "ttl")),
        ("POST", "/session", b'{"ttl": 7776000001}', (400, "bad_request", "ttl")),
        ("POST", "/session", b'{"args": ["--no-sandbox"]}', (400, "flag_refused", "no-sandbox")),
        ("POST", "/session", b'{"args": ["--load-extension=/etc"]}', (400, "flag_refused", "extensions")),
        ("POST", "/session", b'{"args": ["--load-extension=some"]}', (400, "flag_refused", "offers no extensions")),
        ("POST", "/session", b'{"url": "file:///etc/passwd"}', (400, "bad_request", "url")),
        ("POST", "/session", b'{"context": {"cookies": [{"name": 1}]}}', (400, "bad_request", "cookies[0]")),
        ("POST", "/session", b'{"proxy": {"server": "p:1", "username": "u:v"}}', (400, "bad_request", "proxy")),
        ("POST", "/session", b'{"identity": "mine"}', (404, "not_found", "identity: there is no identity 'mine'")),
        ("POST", "/session", b'{"restore": "nobody"}', (404, "session_not_found", "nobody")),
        ("POST", "/session?colour=1", b"{}", (400, "unknown_parameter", "colour")),
        ("POST", "/session", b" " * 2048, (413, "body_too_large", "max_body")),
        ("GET", "/sessions?limit=0", b"", (400, "bad_request", "limit")),
        ("GET", "/sessions?status=odd", b"", (400, "bad_request", "status")),
        ("GET", "/sessions?label=odd", b"", (400, "bad_request", "label")),
        ("PUT", "/session", b"", (405, "method_not_allowed", "method")),
        ("GET", "/nowhere", b"", (404, "not_found", "path")),
    ],
)
async def test_what_is_wrong_is_named(
    tmp_path: Path, method: str, path: str, body: bytes, expected: tuple[int, str, str]
) -> None:
    async with inside(tmp_path, max_body="2047") as gateway:
        status, reply = await gateway.call(method, path, data=body or None)
        assert (status, reply["error"]["code"]) == expected[:2]
        assert expected[2] in reply["error"]["message"]
        assert reply["requestId"]
        assert gateway.registry.count == 0


async def test_a_repeated_create_makes_one_session(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        same = {"headers": {"Idempotency-Key": "order-7"}, "json": {"ttl": 60_000}}
        (one, first), (two, second) = await asyncio.gather(
            *(gateway.call("POST", "/session", **same) for _ in range(2))
        )
        assert (one, two) == (201, 201)
        assert first["id"] == second["id"]
        other = {**same, "json": {"ttl": 70_000}}
        status, body = await gateway.call("POST", "/session", **other)
        assert (status, body["error"]["code"]) == (422, "idempotency_mismatch")


async def test_a_full_gateway_says_when_to_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with inside(tmp_path, max_sessions="1", queue_length="1", queue_timeout="300ms") as gateway:
        session = await created(gateway)
        status, body = await gateway.call("POST", "/session", json={})
        assert (status, body["error"]["code"]) == (429, "too_many_sessions")
        monkeypatch.setattr(gateway.registry.means.slots, "_timeout", 60.0)  # however long the other one's end takes
        waiting = asyncio.get_running_loop().create_task(created(gateway))
        await until(lambda: gateway.registry.means.slots.waiting == 1)
        async with gateway.http.post("/session", json={}) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
        await gateway.call("DELETE", f"/session/{session['id']}")
        assert (await waiting)["status"] == "detached"
        _, page = await gateway.call("GET", "/sessions?status=failed")
        assert page["sessions"] == []
