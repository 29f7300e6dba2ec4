"""What the process of the roads says is believed only in the form that was agreed on: it may have been taken over."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from browser_pool.tasks import running
from gateway.egress import pipe
from gateway.egress.local import Endpoints
from gateway.egress.pipe import LOOKS, Died, Garbled, Worker, used
from gateway.egress.usage import DomainUsage, Refusal, Usage

USAGE = Usage(1, 2, 3, (DomainUsage("a.example", 1, 2, 3),), (Refusal("deny:x", "b.example", 1),))


def changed(**values: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(USAGE.dump())), **values}


def test_what_was_used() -> None:
    assert used(changed()) == USAGE


@pytest.mark.parametrize(
    "answer",
    [
        {},
        changed(bytes_in="1"),
        changed(bytes_in=-1),
        changed(bytes_out=1.5),
        changed(requests=True),
        changed(requests=None),
        changed(requests=10**30),
        changed(refusals=[{"rule": "a", "domain": "a", "count": 1}] * 1001),
        changed(refusals=[{"rule": "a" * 2000, "domain": "a", "count": 1}]),
        changed(domains=1),
        changed(domains=[1]),
        changed(domains=[{"domain": "a"}]),
        changed(domains=[{"domain": ["a"], "requests": 1, "bytes_in": 1, "bytes_out": 1}]),
        changed(domains=[{"domain": "a", "requests": 1, "bytes_in": 1, "bytes_out": "1"}]),
        changed(domains=[{"domain": "a", "requests": 1, "bytes_in": 1, "bytes_out": 1, "more": 1}]),
        changed(domains=[{"domain": "a", "requests": 1, "bytes_in": 1, "bytes_out": 1, "circuit": {}}]),
        changed(refusals=[{"rule": 1, "domain": "a", "count": 1}]),
        changed(refusals=[{"rule": "a", "domain": "a", "count": -1}]),
    ],
    ids=[f"answer {number}" for number in range(18)],
)
def test_what_is_no_usage(answer: dict[str, Any]) -> None:
    with pytest.raises(Garbled):
        used(answer)


class Ports:
    """Endpoints: odd ones are browsers'; of 7 nobody can say."""

    async def is_browser(self, port: int) -> bool:
        """See Endpoints."""
        if port == 7:
            raise OSError("it has just ended")
        return port % 2 == 1


@asynccontextmanager
async def says(code: str, endpoints: Endpoints | None = None) -> AsyncIterator[Worker]:
    """A process of that program in the place of the worker; it has ended behind the block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 16,
    )
    worker = Worker(process, ours, endpoints or Ports())
    with ours, theirs:
        try:
            async with running(worker.read(), "read"), running(worker.look(), "look"):
                yield worker
        finally:
            worker.kill()
            await process.wait()


@pytest.mark.parametrize(
    "word",
    [
        "no json",
        "[]",
        "1",
        "{}",
        '{"number": "1"}',
        '{"event": "refused", "port": 1, "rule": 2, "domain": "a"}',
        '{"event": "listener", "port": 1}',
        '{"event": "other", "number": 1}',
        "x" * 66_000,
        "[" * 60_000,
    ],
    ids=lambda word: word[:40],
)
async def test_one_that_does_not_keep_to_the_form_is_ended(word: str) -> None:
    code = f"import sys; print({word!r}, flush=True); sys.stdin.read()"
    with capture_logs() as logs:
        async with says(code) as worker:
            await worker.gone.wait()
            with pytest.raises(Died):
                await worker.ask({"do": "anything"})
    assert [log["event"] for log in logs] == ["egress_worker_garbled"]
    assert word not in str(logs)


ANSWERS = (
    "import json, sys\n"
    "for line in sys.stdin:\n"
    "    asked = json.loads(line)\n"
    "    if 'browser' in asked: print(json.dumps({'number': 1, 'seen': asked['browser']}), flush=True)\n"
    "    else: "
)


@pytest.mark.parametrize(("port", "browser"), [(1, True), (2, False), (7, True)])
async def test_it_is_told_who_listens(port: int, browser: bool) -> None:
    asks = f"print(json.dumps({{'event': 'listener', 'number': 5, 'port': {port}}}), flush=True)"
    async with says(ANSWERS + asks) as worker:
        assert await worker.ask({"do": "anything"}) == {"seen": browser}


async def test_usage_that_is_none_ends_it() -> None:
    with capture_logs() as logs:
        async with says(
            ANSWERS + "print(json.dumps({'number': asked['number'], 'bytes_in': 'x'}), flush=True)"
        ) as worker:
            with pytest.raises(Died):
                await worker.usage({"do": "usage"})
            await worker.gone.wait()
    assert [log["event"] for log in logs] == ["egress_worker_garbled"]


async def test_one_that_asks_and_does_not_listen_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has asked more than may wait, and takes no answer: nobody waits for it longer than for another."""
    monkeypatch.setattr(pipe, "UNHEARD", 1000)
    ask = json.dumps({"event": "listener", "number": 1, "port": 2}) + "\n"
    code = f"import signal, sys; sys.stdout.write({ask!r} * {100 * LOOKS}); sys.stdout.flush(); signal.pause()"
    async with says(code) as worker:
        await worker.gone.wait()
        with pytest.raises(Died):
            await worker.ask({"do": "anything"})


async def test_one_that_takes_no_socket_is_ended() -> None:
    """It answers, and leaves the sockets where they are: the kernel keeps a few for it."""
    code = ANSWERS + "print(json.dumps({'number': asked['number']}), flush=True)"
    with capture_logs(), socket.create_server(("127.0.0.1", 0)) as listener:
        async with says(code) as worker:

            async def open_many() -> None:
                for _ in range(10_000):
                    await worker.ask({"do": "open"}, listener)

            with pytest.raises(Died):
                await open_many()
            await worker.gone.wait()


async def test_one_that_takes_no_command_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "PATIENCE", 0.2)
    with capture_logs() as logs:
        async with says("import signal; signal.pause()") as worker:
            with pytest.raises(Died):
                await worker.ask({"do": "anything", "more than fits": "x" * (1 << 20)})
            await worker.gone.wait()
    assert [log["event"] for log in logs] == ["egress_worker_silent"]


async def test_refusals_are_logged_as_they_are_agreed_on() -> None:
    word = json.dumps({"event": "refused", "port": 1, "rule": "r" * 1000, "domain": "d", "level": "x"})
    with capture_logs() as logs:
        async with says(f"print({word!r}, flush=True)") as worker:
            await worker.gone.wait()
    assert logs == [{"event": "egress_refused", "log_level": "info", "port": 1, "rule": "r" * 300, "domain": "d"}]
