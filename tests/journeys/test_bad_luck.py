"""What goes wrong outside: wrong credentials and parameters, full houses, browsers that do not start, signals."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.driving import driver, refused_upgrade, upgrade_status, wire
from tests.journeys.login import connect_and_see, log_in_and_leave
from tests.journeys.running import Gateway, Starter, eventually
from tests.site.app import Site

BIG = 100_000_000
GROWTH = 48 * 1_000_000


@pytest.mark.parametrize("path", ["/", "/chromium", "/session/connect/{}", "/devtools/browser/{}", "/reconnect/{}"])
@pytest.mark.parametrize("query", ["", "?token=not-the-token", "?apiKey="])
async def test_a_wrong_token_is_401_before_the_upgrade(shared_gateway: Gateway, path: str, query: str) -> None:
    url = shared_gateway.ws + path.format("00000000-0000-4000-8000-000000000000") + query
    (await refused_upgrade(url)).refused(401)


async def test_rest_without_a_credential(gateway: Gateway) -> None:
    for method, path in [("POST", "/session"), ("GET", "/sessions"), ("GET", "/json/list"), ("GET", "/metrics")]:
        (await gateway.request(method, path, auth=False)).refused(401)
        headers = {"Authorization": "Bearer not-the-token"}
        (await gateway.request(method, path, auth=False, headers=headers)).refused(401)
    for path in ("/healthz", "/readyz"):
        assert (await gateway.request("GET", path, auth=False)).status == 200


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"launch": "{"}, "launch"),
        ({"launch": "[1]"}, "launch"),
        ({"launch": "!!!"}, "launch"),
        ({"launch": json.dumps({"colour": "red"})}, "colour"),
        ({"launch": json.dumps({"args": ["--remote-debugging-port=1"]})}, "remote-debugging-port"),
        ({"headless": "perhaps"}, "headless"),
        ({"timeout": "soon"}, "timeout"),
        ({"--user-data-dir": "/tmp/x"}, "user-data-dir"),
    ],
)
async def test_a_bad_query_is_400_by_name(gateway: Gateway, query: dict[str, str], named: str) -> None:
    assert named in (await refused_upgrade(gateway.driver(**query))).refused(400)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"ttl": "long"}, "ttl"),
        ({"ttl": -1}, "ttl"),
        ({"headless": "perhaps"}, "headless"),
        ({"args": ["--load-extension=/tmp/x"]}, "load-extension"),
    ],
)
async def test_a_bad_body_is_400_by_name(gateway: Gateway, body: dict[str, Any], named: str) -> None:
    assert named in (await gateway.request("POST", "/session", json=body)).refused(400)


async def test_bodies_that_are_no_json_or_too_large(gateway: Gateway) -> None:
    (await gateway.request("POST", "/session", data=b"{")).refused(400)
    (await gateway.request("POST", "/session", data=b"[]")).refused(400)
    large = io.BytesIO(json.dumps({"name": "x" * (10 << 20)}).encode())
    (await gateway.request("POST", "/session", data=large)).refused(413)


async def test_a_full_house_is_429_with_retry_after(start_gateway: Starter) -> None:
    gateway = await start_gateway(max_sessions="1", queue_length="0")
    async with wire(gateway.driver()):
        for refusal in (
            await refused_upgrade(gateway.driver()),
            await gateway.request("POST", "/session", json={}),
        ):
            refusal.refused(429)
            assert int(refusal.headers["Retry-After"]) >= 1
    await gateway.all_browsers_gone()
    await gateway.create()


async def test_who_waits_gets_the_next_browser_or_429_in_time(start_gateway: Starter) -> None:
    hasty = await start_gateway(max_sessions="1", queue_length="1", queue_timeout="700ms")
    async with wire(hasty.driver()):
        (await hasty.request("POST", "/session", json={})).refused(429)
    await asyncio.to_thread(hasty.stop)
    gateway = await start_gateway(max_sessions="1", queue_length="1", queue_timeout="60s")
    async with wire(gateway.driver()) as first, asyncio.TaskGroup() as group:
        waiting = group.create_task(gateway.request("POST", "/session", json={}))
        await first.call("Browser.close")
    waiting.result().ok(201)


async def test_foreign_origins_and_hosts_are_403(start_gateway: Starter) -> None:
    gateway = await start_gateway(allowed_origins="https://tools.example")
    http = gateway.url + f"/?token={gateway.token}"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "rebound.example"},
        {"Host": "rebound.example:80"},
    ):
        assert await upgrade_status(http, **headers) == 403, headers
    (await refused_upgrade(gateway.driver(), origin="https://evil.example")).refused(403)
    for origin in ("https://tools.example", gateway.url):
        async with wire(gateway.driver(), origin=origin) as cdp:
            assert await cdp.call("Browser.getVersion")


async def test_no_browser_at_the_configured_path(start_gateway: Starter, tmp_path: Path) -> None:
    gateway = await start_gateway(browser=str(tmp_path / "no-such-chromium"))
    for refusal in (await refused_upgrade(gateway.driver()), await gateway.request("POST", "/session", json={})):
        assert "no-such-chromium" in refusal.refused(503)
    assert gateway.nothing_left()


async def test_a_browser_that_exits_at_once(start_gateway: Starter, tmp_path: Path) -> None:
    broken = tmp_path / "broken-chromium"
    broken.write_text('#!/bin/sh\necho "error while loading shared libraries: libnss3.so" >&2\nexit 1\n')
    broken.chmod(0o755)
    gateway = await start_gateway(browser=str(broken))
    for refusal in (await refused_upgrade(gateway.driver()), await gateway.request("POST", "/session", json={})):
        assert "libnss3.so" in refusal.refused(503)
    assert gateway.nothing_left()


async def test_a_browser_that_fails_after_it_told_its_version(start_gateway: Starter, tmp_path: Path) -> None:
    broken = tmp_path / "fainting-chromium"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Chromium 156.0.8078.79" && exit 0\n'
        'echo "cannot open display of my dreams" >&2\nexit 1\n'
    )
    broken.chmod(0o755)
    gateway = await start_gateway(browser=str(broken))
    assert "display of my dreams" in (await refused_upgrade(gateway.driver())).refused(503)
    assert gateway.nothing_left()


async def test_a_data_directory_with_a_long_path(start_gateway: Starter, tmp_path: Path) -> None:
    """Chromium's socket must have a path of at most 107 bytes, so its TMPDIR cannot be below such a directory."""
    gateway = await start_gateway(data_dir=str(tmp_path / "a-long-name-of-a-directory" / ("x" * 80)))
    async with wire(gateway.driver()) as cdp:
        assert await cdp.evaluate("1 + 1", await cdp.page()) == 2
    await gateway.all_browsers_gone()


async def test_a_client_that_goes_during_the_launch(gateway: Gateway) -> None:
    host, port = gateway.ws.removeprefix("ws://").split(":")
    upgrade = (
        f"GET /?token={gateway.token} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    for _ in range(3):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(upgrade.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    async with wire(gateway.driver()) as cdp:
        assert await cdp.call("Browser.getVersion")
    await gateway.all_browsers_gone()


async def test_chromium_killed_in_use_closes_with_4003(gateway: Gateway) -> None:
    async with wire(gateway.driver()) as cdp:
        assert await cdp.call("Browser.getVersion")
        gateway.browsers()[0].kill()
        code, reason = await cdp.closed()
    assert code == 4003
    assert reason
    await gateway.all_browsers_gone()


async def test_a_crash_of_chromium_tells_every_library(gateway: Gateway, site: Site) -> None:
    for library in ("puppeteer", "playwright"):
        async with driver(library) as client:
            await client.connect(gateway.driver())
            await client.goto(f"{site.url}/counter")
            gateway.browsers()[0].kill()
            await client.line(event="disconnected")
        await gateway.all_browsers_gone()


def memory(gateway: Gateway, key: str) -> int:
    """A line of /proc/PID/status, in bytes: VmRSS now, or VmHWM, its peak."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{key}:"))


async def test_messages_of_100_mb_pass_without_being_held(start_gateway: Starter) -> None:
    gateway = await start_gateway()
    async with wire(gateway.driver()) as cdp:
        session = await cdp.page()
        assert await cdp.evaluate("'warm'.repeat(1000).length", session) == 4000
        before = memory(gateway, "VmRSS")
        expression = f"'{'x' * (BIG - 300)}'.length"
        assert await cdp.evaluate(expression, session) == BIG - 300
        up = memory(gateway, "VmHWM") - before
        assert len(await cdp.evaluate(f"'y'.repeat({BIG})", session)) == BIG
        down = memory(gateway, "VmHWM") - before
        assert await cdp.evaluate("1 + 1", session) == 2
    assert up <= GROWTH, f"{up / 1e6:.0f} MB more for a large command"
    assert down <= GROWTH, f"{down / 1e6:.0f} MB more for a large answer"


async def test_sigterm_saves_what_survives(start_gateway: Starter, site: Site) -> None:
    first = await start_gateway()
    session = await first.create()
    await log_in_and_leave(session, site)
    async with (
        wire(first.driver()) as standard,
        wire(session["connect"]) as api,
        asyncio.TaskGroup() as group,
    ):
        assert await api.call("Browser.getVersion")
        group.create_task(asyncio.to_thread(first.stop))
        for client in (standard, api):
            code, reason = await client.closed()
            assert code == 1001
            assert reason
    assert first.nothing_left()
    second = await start_gateway()
    assert (await second.record(session["id"]))["status"] == "suspended"
    await connect_and_see(session["connect"].replace(first.ws, second.ws), site)


async def test_kill_9_of_the_gateway_leaves_nothing_after_the_next_start(start_gateway: Starter, site: Site) -> None:
    first = await start_gateway(adopt_timeout="0")
    session = await first.create()
    await log_in_and_leave(session, site)
    async with wire(first.driver()) as standard:
        assert await standard.call("Browser.getVersion")
        assert len(first.directories()) == 2
        await asyncio.to_thread(first.kill)
        code, _ = await standard.closed()
        assert code == 1006, "no one was there to say goodbye"
    second = await start_gateway()
    await second.all_browsers_gone()
    assert (await second.record(session["id"]))["status"] not in ("starting", "connected", "detached")
    async with wire(second.driver()) as cdp:
        assert await cdp.call("Browser.getVersion")


async def test_a_stop_while_a_browser_starts(start_gateway: Starter) -> None:
    gateway = await start_gateway()
    async with asyncio.TaskGroup() as group:
        creating = group.create_task(gateway.request("POST", "/session", json={}))
        await eventually("the launch has begun", gateway.directories)
        await asyncio.to_thread(gateway.stop)
    assert creating.result().status in (201, 503)
    assert gateway.nothing_left()
