"""Whether it lives, is ready, and how much it has to do."""

import time
from pathlib import Path

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from browser_pool.memory import RESERVE, Memory
from tests.inside import ADMIN, inside, until
from tests.session.test_registry import API


async def test_health(tmp_path: Path) -> None:
    async with inside(tmp_path, max_sessions="1", queue_length="0") as gateway:
        async with aiohttp.ClientSession(gateway.base) as nobody:
            for path in ("/healthz", "/readyz"):
                async with nobody.get(path) as answer:
                    assert answer.status == 200
            for path in ("/metrics", "/pressure", "/active"):
                async with nobody.get(path) as answer:
                    assert answer.status == 401
        async with gateway.http.get("/active") as answer:
            assert answer.status == 204
        number = (await gateway.registry.created(API)).record.id
        _, body = await gateway.call("GET", "/pressure")
        expected = {
            "isAvailable": False,
            "running": 1,
            "queued": 0,
            "maxConcurrent": 1,
            "maxQueued": 0,
            "warm": 0,
            "positions": [],
            "tenants": {
                "default": {"running": 1, "queued": 0, "positions": [], "maxConcurrent": 1, "maxQueued": 0},
            },
            "reason": "full",
            "message": "all browsers that may run do",
            "recentlyRejected": 0,
        }
        moving = {name: body["pressure"].pop(name) for name in ("date", "cpu", "memory")}
        assert abs(moving["date"] / 1000 - time.time()) < 60
        assert 0 <= moving["cpu"] <= 100
        assert 0 < moving["memory"] < 100
        assert body["pressure"] == expected
        async with gateway.http.get("/active") as answer:
            assert answer.status == 429
            assert "Retry-After" in answer.headers
        async with gateway.http.get("/metrics") as answer:
            text = await answer.text()
            assert "gateway_browsers_used 1.0" in text
            assert "gateway_browsers_limit 1.0" in text
            assert 'gateway_leases_total{from="launched"} 1.0' in text
            assert "gateway_browsers_warm 0.0" in text
            assert number not in text
        await gateway.registry.drain(20)
        async with gateway.http.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (503, "draining")
        async with gateway.http.get("/healthz") as answer:
            assert answer.status == 200


async def test_not_ready_without_a_browser(tmp_path: Path) -> None:
    async with inside(tmp_path, browser=str(tmp_path / "none")) as gateway:
        status, body = await gateway.call("GET", "/readyz")
        assert (status, body["error"]["code"]) == (503, "browser_failed")
        assert "install-browser" in body["error"]["message"]
        assert gateway.registry.running(ADMIN) == []


async def test_a_machine_short_of_memory_takes_no_new_work_and_leaves_the_old_alone(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        there = await gateway.registry.created(API)
        pool = gateway.registry.means.pool
        pool._weigh = lambda: Memory(64 << 30, RESERVE - 1)
        assert (await gateway.call("GET", "/pressure"))[1]["pressure"]["reason"] == "memory"
        async with gateway.http.get("/active") as answer:
            assert answer.status == 429
        async with gateway.http.post("/session", json={}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "5")
            error = (await answer.json())["error"]
            assert error["code"] == "too_many_sessions"
            assert f"{(RESERVE - 1) >> 20} MiB available" in error["message"]
        with pytest.raises(InvalidStatus) as refused:
            await gateway.connect()
        assert refused.value.response.status_code == 429
        assert [session.record.id for session in gateway.registry.running(ADMIN)] == [there.record.id]
        assert there.browser is not None
        assert not there.browser.gone.is_set()
        _, body = await gateway.call("GET", "/sessions")
        assert len(body["sessions"]) == 1  # what was refused has left no trace


async def test_browsers_launched_ahead_are_told_of(tmp_path: Path) -> None:
    async with inside(tmp_path, warm="1") as gateway:
        await until(lambda: gateway.registry.means.pool.ready is not None, 20)
        _, body = await gateway.call("GET", "/pressure")
        assert (body["pressure"]["warm"], body["pressure"]["running"]) == (1, 0)
        status, facts = await gateway.call("GET", "/json/version")
        assert (status, facts["Protocol-Version"]) == (200, "1.3")
        assert not gateway.registry.means.pool.leases  # a look takes nobody's browser
        await gateway.registry.created(API)
        async with gateway.http.get("/metrics") as answer:
            assert 'gateway_leases_total{from="warm"} 1.0' in await answer.text()


async def test_what_holds_browsers_is_told(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        _, body = await gateway.call("GET", "/readyz")
        means = gateway.registry.means
        measures = (*means.pool.held.measures, means.egress.measure)
        assert body == {"status": "ready", "confinement": {one.name: one.holds for one in measures}}
        assert body["confinement"]["watchdog"]
    async with inside(tmp_path, confinement="off") as gateway:
        _, body = await gateway.call("GET", "/readyz")
        assert not body["confinement"]["files"]
        assert not body["confinement"]["watchdog"]
        assert not body["confinement"]["egress_worker"]
