"""Bad credentials at a gateway that serves: what the guesser gets, and what everybody else does."""

import asyncio
import time
from pathlib import Path

from browser_pool.tasks import running
from tests.inside import TOKEN, Inside, inside


async def tried(gateway: Inside, token: str, path: str = "/sessions") -> tuple[int, str | None]:
    """Status and Retry-After."""
    async with gateway.http.get(path, headers={"Authorization": f"Bearer {token}"}) as answer:
        return answer.status, answer.headers.get("Retry-After")


async def test_after_some_failures_the_answer_is_429_late_and_later(tmp_path: Path) -> None:
    async with inside(tmp_path, auth_failures="3") as gateway:
        assert [await tried(gateway, f"bad-{number}") for number in range(3)] == [(401, None)] * 3
        began = time.monotonic()
        assert await tried(gateway, "bad") == (429, "2")
        assert time.monotonic() - began > 0.45
        assert await tried(gateway, "bad") == (429, "4")
        assert await tried(gateway, TOKEN) == (200, None), "a good one is taken from the same address"


async def test_what_is_no_guess_is_not_counted(tmp_path: Path) -> None:
    async with inside(tmp_path, auth_failures="1") as gateway:
        assert await tried(gateway, "bad") == (401, None)
        for _ in range(5):
            async with gateway.http.get("/sessions", headers={"Authorization": ""}) as answer:
                assert answer.status == 401, "no credential at all"
        _, session = await gateway.call("POST", "/session", json={})
        old = session["connect"].rpartition("=")[2]
        assert (await gateway.call("POST", f"/session/{session['id']}/rotate"))[0] == 200
        for _ in range(5):
            assert (await tried(gateway, old, f"/session/{session['id']}"))[0] == 401, "ours, and too old"
        await gateway.call("DELETE", f"/session/{session['id']}?purge=true")


async def test_under_a_flood_credentials_are_not_looked_at_but_our_own_are(tmp_path: Path) -> None:
    async with inside(tmp_path, auth_failures="1") as gateway:
        _, session = await gateway.call("POST", "/session", json={})
        own = session["connect"].rpartition("=")[2]
        await tried(gateway, "bad")

        async def flood() -> None:
            while True:
                await asyncio.gather(*(tried(gateway, f"bad-{number}") for number in range(30)))

        async with asyncio.timeout(60), running(flood(), "flood"):
            while (await tried(gateway, TOKEN))[0] != 429:
                pass
            assert (await tried(gateway, own, f"/session/{session['id']}"))[0] == 200
        await gateway.call("DELETE", f"/session/{session['id']}?purge=true", headers={"Authorization": f"Bearer {own}"})


async def test_it_goes_by_the_clients_address_behind_a_proxy(tmp_path: Path) -> None:
    async def behind(gateway: Inside, address: str) -> int:
        headers = {"Authorization": "Bearer bad", "X-Forwarded-For": address}
        async with gateway.http.get("/sessions", headers=headers) as answer:
            return answer.status

    async with inside(tmp_path / "1", auth_failures="1", trusted_proxies="127.0.0.0/8") as gateway:
        statuses = [await behind(gateway, address) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")]
        assert statuses == [401, 429, 401]
    async with inside(tmp_path / "2", auth_failures="1") as gateway:
        statuses = [await behind(gateway, address) for address in ("192.0.2.1", "192.0.2.2")]
        assert statuses == [401, 429], "who is no proxy of ours does not choose its address"
