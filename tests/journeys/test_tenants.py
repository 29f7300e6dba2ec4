"""Tenants share a gateway: what each may have, who is next, and a file that changes under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.cli import main
from tests.inside import Inside, inside, until
from tests.journeys.running import Starter, eventually, eventually_asked


def entry(name: str, **more: object) -> str:
    said = {"tokens": [f"token-of-{name}"], **more}
    return f"[tenants.{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in said.items())


@asynccontextmanager
async def serving(directory: Path, *entries: str, **settings: str) -> AsyncIterator[Inside]:
    file = directory / "tenants.toml"
    file.write_text("\n".join(entries))
    file.chmod(0o600)
    async with inside(directory / "data", tenants_file=str(file), **settings) as gateway:
        yield gateway


async def call(gateway: Inside, name: str, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
    """Status, body, headers."""
    headers = {"Authorization": f"Bearer token-of-{name}"}
    async with gateway.http.request(method, path, headers=headers, json=body) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def pressure(gateway: Inside, name: str) -> Any:
    return (await call(gateway, name, "GET", "/pressure"))[1]["pressure"]


async def test_the_queue_is_fair_and_each_sees_its_own_place_in_it(tmp_path: Path) -> None:
    async with serving(tmp_path, entry("a"), entry("b", queue_length=1), max_sessions="1", queue_length="4") as gateway:
        slots = gateway.registry.means.slots
        first = (await call(gateway, "a", "POST", "/session", {}))[1]
        served: list[str] = []

        async def create(name: str) -> None:
            status, told, _ = await call(gateway, name, "POST", "/session", {"ttl": 60_000})
            assert status == 201, told
            served.append(name)
            assert (await call(gateway, name, "DELETE", f"/session/{told['id']}?purge=true"))[0] == 200

        async with asyncio.TaskGroup() as group:
            for waiting in range(1, 3):
                last = group.create_task(create("a"))
                await until(lambda waiting=waiting: slots.waiting == waiting)  # type: ignore[misc]
            group.create_task(create("b"))
            await until(lambda: slots.waiting == 3)
            of_a, of_b = await pressure(gateway, "a"), await pressure(gateway, "b")
            assert (of_b["running"], of_b["queued"], of_b["positions"], of_b["maxQueued"]) == (0, 1, [1], 1)
            assert (of_a["running"], of_a["queued"], of_a["positions"], of_a["maxQueued"]) == (1, 2, [2, 3], 4)
            assert (of_b["isAvailable"], of_b["reason"]) == (False, "full")
            status, told, headers = await call(gateway, "b", "POST", "/session", {})
            assert (status, told["error"]["code"]) == (429, "too_many_sessions")
            assert 1 <= int(headers["Retry-After"]) <= 60
            _, told = await gateway.call("GET", "/pressure")
            assert told["pressure"]["queued"] == 3
            assert told["pressure"]["tenants"]["b"]["queued"] == 1, "role admin sees all"
            last.cancel()  # its client gives up
            await until(lambda: slots.waiting == 2)
            assert (await pressure(gateway, "a"))["positions"] == [2]
            knock = group.create_task(gateway.http.ws_connect("/?token=token-of-a"))
            await until(lambda: slots.waiting == 3)
            knock.cancel()  # so does one that wants a websocket
            await until(lambda: slots.waiting == 2)
            # Who has a browser already is let in past all of them.
            async with gateway.http.ws_connect(first["connect"]):
                assert slots.waiting == 2
            assert (await call(gateway, "a", "DELETE", f"/session/{first['id']}?force=true"))[0] == 200
        assert served == ["b", "a"]
        assert (slots.used, slots.waiting) == (0, 0)


async def test_what_was_put_away_comes_back_before_what_is_new(tmp_path: Path) -> None:
    async with serving(tmp_path, entry("a", max_sessions=1), max_sessions="2") as gateway:
        slots = gateway.registry.means.slots
        asleep = (await call(gateway, "a", "POST", "/session", {"processKeepAlive": 0}))[1]
        async with gateway.http.ws_connect(asleep["connect"]):
            pass
        await until(lambda: slots.used == 0)
        running = (await call(gateway, "a", "POST", "/session", {}))[1]
        async with asyncio.TaskGroup() as group:
            new = group.create_task(call(gateway, "a", "POST", "/session", {}))
            await until(lambda: slots.waiting == 1)
            back = group.create_task(gateway.http.ws_connect(asleep["connect"]))
            await until(lambda: slots.waiting == 2)
            await call(gateway, "a", "DELETE", f"/session/{running['id']}?purge=true")
            socket = await back
            assert not new.done()
            new.cancel()
            await socket.close()
        assert new.cancelled()


async def test_limits_of_a_tenant(tmp_path: Path) -> None:
    limited = entry("a", ttl_max="1m", creates_per_minute=2, args=["--lang"], snapshot_bytes=100, queue_length=0)
    async with serving(tmp_path, limited, entry("b"), checkpoint_interval="1h") as gateway:
        for body, status, words in (
            ({"ttl": 60_001}, 400, "ttl: at most 60000 ms"),
            ({"args": ["--force-dark-mode"]}, 400, "--force-dark-mode"),
        ):
            answer = await call(gateway, "a", "POST", "/session", body)
            assert answer[0] == status
            assert words in answer[1]["error"]["message"]
        made = (await call(gateway, "a", "POST", "/session", {"args": ["--lang=de"]}))[1]
        assert made["ttl"] == 60_000
        path = f"/session/{made['id']}"
        assert (await call(gateway, "a", "PATCH", path, {"ttl": 90_000}))[0] == 400
        saved = [await call(gateway, "a", "POST", f"{path}/snapshot") for _ in range(2)]
        assert (saved[0][0], saved[1][0], saved[1][1]["error"]["code"]) == (201, 422, "quota_exceeded")
        assert len((await call(gateway, "a", "GET", f"{path}/snapshots"))[1]["snapshots"]) == 1
        stopped = await call(gateway, "a", "DELETE", path)
        assert (stopped[0], stopped[1]["error"]["code"]) == (422, "quota_exceeded"), "it is not lost silently"
        assert len((await call(gateway, "a", "GET", f"{path}/snapshots"))[1]["snapshots"]) == 1, "what was saved stays"
        status, told, headers = await call(gateway, "a", "POST", f"{path}/fork", {"count": 2})
        assert (await pressure(gateway, "a"))["snapshotBytes"] > 100
        assert (await call(gateway, "a", "DELETE", f"{path}?purge=true"))[0] == 200
        assert (await pressure(gateway, "a"))["snapshotBytes"] == 0, "there is room at once"
        assert (status, told["error"]["code"]) == (429, "rate_limited")
        assert 1 <= int(headers["Retry-After"]) <= 60
        other = await call(gateway, "b", "POST", "/session", {"ttl": 90_000, "args": ["--force-dark-mode"]})
        assert other[0] == 201, "another's limits are its own"


async def test_a_viewer_is_shown_sessions_and_no_way_into_them(tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    async with serving(tmp_path, entry("a"), entry("b")) as gateway:
        made = (await call(gateway, "a", "POST", "/session", {}))[1]
        replaced(file, entry("a", role="viewer") + entry("b"))

        async def viewing() -> bool:
            return (await call(gateway, "a", "GET", "/identities"))[0] == 403

        await eventually_asked("the new role is in force", viewing)
        shown = (await call(gateway, "a", "GET", f"/session/{made['id']}"))[1]
        listed = (await call(gateway, "a", "GET", "/sessions"))[1]["sessions"]
        for one in (shown, *listed):
            assert (one["id"], one["status"]) == (made["id"], "detached")
            assert (one["connect"], one["stop"], one["devtools"]) == (None, None, None)
        assert len(listed) == 1
        live = [session.pop("live") for session in listed]
        assert all(made["id"] in url and url.endswith("/live") for url in live), "what opens nothing but the view"
        assert made["id"] + "." not in str(listed)


async def test_the_file_is_read_again_and_what_runs_goes_on(start_gateway: Starter, tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text(entry("a") + entry("b"))
    gateway = await start_gateway(tenants_file=str(file))

    async def status(name: str) -> int:
        headers = {"Authorization": f"Bearer token-of-{name}"}
        return (await gateway.request("GET", "/active", auth=False, headers=headers)).status

    async def get(path: str, name: str) -> Any:
        headers = {"Authorization": f"Bearer token-of-{name}"}
        return await gateway.request("GET", path, auth=False, headers=headers)

    headers = {"Authorization": "Bearer token-of-a"}
    made = (await gateway.request("POST", "/session", auth=False, headers=headers, json={})).ok(201)
    assert f"/session/{made['id']}" in made["stop"]
    replaced(file, entry("b") + "max_sessions = 'token-of-c'\n" + entry("c"))
    await eventually("what is wrong is told", lambda: "tenants_not_read" in gateway.log.read_text())
    assert await status("a") == 204
    replaced(file, entry("b") + entry("c"))

    async def revoked() -> bool:
        return await status("a") == 401

    await eventually_asked("the token is worth nothing", revoked)
    assert (await status("b"), await status("c")) == (204, 204)
    assert (await get(f"/session/{made['id']}", "b")).status == 404
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(made["connect"]) as socket,
    ):
        await socket.send_json({"id": 1, "method": "Browser.getVersion"})
        assert "result" in await socket.receive_json(), "the session's own URL leads to what runs"
    told = gateway.log.read_text().count("tenants_not_read")
    file.unlink()
    await eventually("it is missed", lambda: gateway.log.read_text().count("tenants_not_read") > told)
    assert await status("b") == 204
    assert "token-of" not in gateway.log.read_text()


def replaced(file: Path, text: str) -> None:
    """As an editor does it."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


def test_a_start_with_a_bad_one_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text(entry("a", max_sesions=3))
    command = ["serve", "--port", "0", "--data-dir", str(tmp_path / "data"), "--tenants-file", str(file)]
    assert main(command) == 2
    assert "tenants.a.max_sesions: there is no such key" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert main([*command, "--no-auth"]) == 2
    assert "no_auth" in capsys.readouterr().err
