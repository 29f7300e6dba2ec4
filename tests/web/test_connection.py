"""What a client may send, and how slowly: by raw sockets against a gateway in this process."""

import asyncio
import time
from pathlib import Path

import pytest
import structlog

from gateway.web import connection
from tests.inside import TOKEN, inside
from tests.web.raw import Raw, get, post, raw


@pytest.fixture(autouse=True)
def _told_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER", 0.1)


AUTH = f"Authorization: Bearer {TOKEN}"


async def test_a_head_within_the_bounds_is_answered(tmp_path: Path) -> None:
    async with inside(tmp_path, max_head="8KiB", max_line="4KiB") as gateway, raw(gateway.base) as client:
        for _ in range(3):  # on one connection
            client.send(get("/healthz", f"X-A: {'a' * 3800}", f"X-B: {'b' * 3800}"))
            assert (await client.answer()).status == 200
        for byte in get("/healthz"):  # however it is cut up
            client.send(byte)
            await asyncio.sleep(0)
        assert (await client.answer()).status == 200


async def test_empty_lines_before_a_request_are_no_way_round(tmp_path: Path) -> None:
    async with inside(tmp_path, max_head="8KiB", max_line="4KiB", head_timeout="300ms") as gateway:
        async with raw(gateway.base) as client:
            client.send("\r\n\r\n" + get())
            assert (await client.answer()).status == 200
        async with raw(gateway.base) as client:
            client.send("\r\n" * 5000)
            assert (await client.answer()).code == "head_too_large"
        async with raw(gateway.base) as client:
            client.send("\r\n\r\nGET /")
            await timed_out(client)


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (get(f"/healthz?{'q' * 5000}"), 431, "head_too_large"),
        (get("/healthz", f"X-A: {'a' * 5000}"), 431, "head_too_large"),
        (get("/healthz", *(f"X-{number}: {'a' * 1000}" for number in range(9))), 431, "head_too_large"),
        (get("/healthz", *(f"X-{number}: a" for number in range(200))), 431, "head_too_large"),
        ("nonsense\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: secret-1\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\n secret-1\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00secret-1\r\n\r\n", 400, "bad_request"),  # TLS, to a port that speaks none
    ],
)
async def test_heads_that_are_refused(tmp_path: Path, head: str | bytes, status: int, code: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with inside(tmp_path, max_head="8KiB", max_line="4KiB") as gateway, raw(gateway.base) as client:
            client.send(head)
            answer = await client.answer()
            assert (answer.status, answer.code) == (status, code)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "aiohttp" not in str(answer.headers)
            assert "secret-1" not in str(answer.body)
            assert await client.end() == b""
    assert "secret-1" not in str(logs)
    assert not [line for line in logs if line["log_level"] == "error"], "a stranger does not fill the log"


async def test_a_head_without_an_end_is_not_kept(tmp_path: Path) -> None:
    async with inside(tmp_path, max_head="8KiB", max_line="4KiB") as gateway, raw(gateway.base) as client:
        client.send("GET /healthz HTTP/1.1\r\n")
        for number in range(100):
            client.send(f"X-{number}: {'a' * 100}\r\n")
        assert (await client.answer()).code == "head_too_large"
        assert await client.end() == b""


async def test_a_slow_head_is_cut_off(tmp_path: Path) -> None:
    async with inside(tmp_path, head_timeout="300ms") as gateway:
        began = time.monotonic()
        async with raw(gateway.base) as silent, raw(gateway.base) as slow:
            await asyncio.gather(timed_out(slow), dripping(slow))
            assert await silent.end() == b"", "who has asked for nothing is told nothing"
            assert time.monotonic() - began > 0.29


async def timed_out(client: Raw) -> None:
    assert (await client.answer()).code == "request_timeout"
    assert await client.end() == b""


async def dripping(client: Raw) -> None:
    """A byte now and then, never an end, until the gateway has enough (slowloris)."""
    client.send("GET /healthz HTTP/1.1\r\nX-A: ")
    while not (client.reader.at_eof() or client.writer.is_closing()):  # in good order, or by a reset
        client.send("a")
        await asyncio.sleep(0.02)


async def test_the_next_head_has_its_own_time(tmp_path: Path) -> None:
    async with inside(tmp_path, head_timeout="500ms", idle_timeout="60s") as gateway, raw(gateway.base) as client:
        client.send(get())
        assert (await client.answer()).status == 200
        await asyncio.sleep(0.8)  # between two requests it may wait for longer
        client.send(get())
        assert (await client.answer()).status == 200
        client.send("GET /hea")
        await timed_out(client)


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with inside(tmp_path, idle_timeout="300ms") as gateway, raw(gateway.base) as client:
        began = time.monotonic()
        client.send(get())
        assert (await client.answer()).status == 200
        assert await client.end() == b""
        assert time.monotonic() - began > 0.29


async def test_a_body_that_trickles_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with inside(tmp_path, stall_timeout="300ms") as gateway, raw(gateway.base) as client:
        client.send(post("/session", 10_000, AUTH) + "{")
        answer = await client.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert await client.end() == b""
    assert not caplog.records, "no fault of ours"


async def test_a_body_may_take_its_time_if_it_moves(tmp_path: Path) -> None:
    async with inside(tmp_path, stall_timeout="600ms") as gateway, raw(gateway.base) as client:
        client.send(post("/session", 24_001, AUTH) + "{")
        for _ in range(12):  # 2000 bytes in 75 ms: enough for two seconds
            client.send(" " * 2000)
            await asyncio.sleep(0.075)
        assert (await client.answer()).body["error"]["message"].startswith("body: not JSON")


async def test_a_body_that_nobody_reads_ends_the_connection(tmp_path: Path) -> None:
    async with inside(tmp_path, head_timeout="300ms") as gateway, raw(gateway.base) as client:
        client.send(post("/session", 10_000_000, "Authorization: Bearer wrong") + "{" * 200_000)
        answer = await client.answer()
        assert (answer.status, answer.code) == (401, "unauthorized"), "not taken for a head that is too large"
        assert await client.end() == b""


async def test_a_reply_that_is_not_read_is_dropped(tmp_path: Path) -> None:
    """16 connections that ask for much and read nothing."""
    async with inside(tmp_path, stall_timeout="300ms") as gateway:
        async with raw(gateway.base, window=4096) as client:
            with structlog.testing.capture_logs() as logs:
                for _ in range(4000):  # more than the kernel's buffers hold
                    client.send(get("/", AUTH))
                await client.writer.drain()
                async with asyncio.timeout(60):
                    while not any(line["event"] == "client_cut_off" for line in logs):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
        assert {line["why"] for line in logs if line["event"] == "client_cut_off"} == {"reply_not_read"}
        async with raw(gateway.base) as client:
            client.send(get())
            assert (await client.answer()).status == 200
