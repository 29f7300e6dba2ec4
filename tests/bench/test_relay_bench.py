"""The relay bench: its load client against a server of known answers, and how rounds become figures."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bench.figures import Figure
from bench.machine import cpu, forget_peak, on_one_core, peak, resident
from bench.relay import CPU_ROUND_TRIP, EVALUATE_P50, IDLE_CONNECTION, UNITS, Ledger, Trial, client, round_trips, table
from bench.subjects import DIRECT, GATEWAY, HTTP_PROXY, SUBJECTS, Subject, compiled

SESSION = "0123456789ABCDEF0123456789ABCDEF"


async def answer(websocket: ServerConnection) -> None:
    """As Chromium would, as far as the load client looks: events come before the answer, some answers are long."""
    async for text in websocket:
        command = json.loads(text)
        expression = command["params"].get("expression", "")
        if command["method"] == "Target.attachToTarget":
            result: object = {"sessionId": SESSION}
        else:
            assert command["method"] == "Browser.getVersion" or command["sessionId"] == SESSION
            result = "x" * 100_000 if "repeat" in expression else {}
        if "benchEmit" in expression:
            event = {"method": "Runtime.bindingCalled", "params": {"payload": ""}}
            for _ in range(7 if "for" in expression else 1):
                await websocket.send(json.dumps(event, separators=(",", ":")))
        await websocket.send(json.dumps({"id": command["id"], "result": result}, separators=(",", ":")))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("- rtt 30", {"p50", "p99", "mean"}),
        ("PAGE rtt 30", {"p50", "p99", "mean"}),
        ("PAGE pipeline 2000", {"seconds"}),
        ("PAGE response 3 100000", {"seconds"}),
        ("PAGE request 3 70000", {"seconds"}),
        ("PAGE flood 7 500", {"seconds"}),
        ("PAGE stall 3 100000", {"arrived"}),
    ],
)
async def test_load_client(tmp_path: Path, words: str, keys: set[str]) -> None:
    load = await asyncio.to_thread(compiled, tmp_path)
    async with serve(answer, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with client(load, port, "/", *words.split()) as go:
            result = await go()
    assert set(result) == keys
    assert all(value > 0 for value in result.values())


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
async def test_load_client_says_why_it_fails(tmp_path: Path) -> None:
    load = await asyncio.to_thread(compiled, tmp_path)

    async def refuse(websocket: ServerConnection) -> None:
        async for _ in websocket:
            await websocket.send('{"id":1,"error":{"code":-32000,"message":"not today"}}')

    async with serve(refuse, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RuntimeError, match="not today"):
            async with client(load, port, "/", "PAGE", "rtt", "1"):
                pass


def test_every_figure_has_a_unit_and_the_order_of_subjects_stays() -> None:
    ledger = Ledger()
    for name, value in ((GATEWAY, 120.0), (DIRECT, 100.0), (GATEWAY, 130.0), (DIRECT, 100.0)):
        ledger.add(Subject(name, 0, "/", "/", ()), {EVALUATE_P50: value})
    ledger.add(Subject(HTTP_PROXY, 0, "/", "/", ()), {IDLE_CONNECTION: 20.0})
    first, second = ledger.figures(SUBJECTS)
    assert first == Figure(EVALUATE_P50, "µs", {DIRECT: [100.0, 100.0], GATEWAY: [120.0, 130.0]})
    assert first.subjects == (DIRECT, GATEWAY)
    assert first.ratio(GATEWAY, DIRECT) == 1.25
    assert (second.what, second.unit) == (IDLE_CONNECTION, "KB")
    assert "125.00 (1.25)" in list(table([first]))[1]


def test_cpu_is_per_command_in_the_figures_unit() -> None:
    evaluate = round_trips(quick=True)[1]
    assert evaluate.costs(evaluate.count * 20e-6) == {CPU_ROUND_TRIP: pytest.approx(20.0)}
    assert UNITS[CPU_ROUND_TRIP] == "µs"
    assert Trial("rtt", 1, 0, dict, None).costs(1.0) == {}


async def test_what_a_process_costs_is_read_and_all_its_threads_are_pinned() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    pids = (process.pid,)
    try:
        forget_peak(pids)
        assert peak(pids) > 0
        assert resident(pids) > 0
        assert cpu(pids) >= 0
        before = os.sched_getaffinity(process.pid)
        with on_one_core(pids):
            assert len(os.sched_getaffinity(process.pid)) == 1
        assert os.sched_getaffinity(process.pid) == before
    finally:
        process.kill()
        await process.wait()
