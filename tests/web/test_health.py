"""Whether it lives, is ready, and how much it has to do."""

from pathlib import Path

import aiohttp

from tests.inside import ADMIN, inside
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
            "reason": "full",
        }
        assert body["pressure"] == expected
        async with gateway.http.get("/active") as answer:
            assert answer.status == 429
            assert "Retry-After" in answer.headers
        async with gateway.http.get("/metrics") as answer:
            text = await answer.text()
            assert "gateway_browsers_used 1.0" in text
            assert "gateway_browsers_limit 1.0" in text
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
