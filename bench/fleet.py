"""A fleet on paper: the gateway's own code for records, leases and queue, a real Redis, and simulated browsers.

Alone: `python -m bench fleet [--quick]`. A quick run has 100 nodes of 100 sessions, a whole one 1,000 of 100. One Redis
carries it all, on the same machine as the nodes: what it needs is told by its own CPU time, not by how long it took.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import correlation, linear_regression, median
from tempfile import TemporaryDirectory
from typing import Any

from bench import fleet_hop
from bench.figures import Figure
from bench.fleet_delay import delayed
from bench.fleet_journal import doubles, lives, read
from bench.relay import Progress
from bench.report import YES_NO, aligned, amount
from gateway.store.connection import PREFIX, Connection, open_redis
from gateway.store.redis import RedisStore
from tests.redis_server import redis_server

SUBJECT = "simulated fleet"
ONE_CLAIM = "no session ever had two browsers"
CONNECT = "commands to find a running session's node"
STRAIGHT = "correlation of a node's sessions and what Redis does for it"
FOUND_DEAD = "from a node's death until its sessions are suspended"
CPU_EACH = "Redis' CPU for a session that runs"
MEMORY_EACH = "Redis' memory for a session that runs"
NODE_TIMEOUT = 10.0  # seconds, as is the default
DELAY = 0.05  # seconds each way, for one node of DELAYED
DELAYED = 10
PROCESSES = 2
FULL = 1.0  # of a core: Redis runs scripts on one
SHARE = 0.5  # of it that heartbeats may take: the rest is for what people do


@dataclass(frozen=True, slots=True)
class Size:
    """`steps`: sessions of each node, one after the other, at which the fleet is looked at for `look` seconds."""

    nodes: int
    steps: tuple[int, ...]
    look: float
    churn: float
    rate: float  # of each process, a second
    dead: int


QUICK = Size(100, (0, 50, 100), 6.0, 6.0, 40.0, 4)
WHOLE = Size(1000, (0, 25, 50, 100), 20.0, 30.0, 60.0, 20)


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis did in a second: for all nodes, each with `sessions`. CPU in seconds, memory in bytes."""

    sessions: float
    calls: float  # that nodes sent
    commands: float  # with those within scripts
    cpu: float
    memory: float


class Process:
    """A part of the fleet in a process of its own (`fleet_worker.py`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, what: str, **terms: Any) -> dict[str, Any]:
        """Let it do that, and wait for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, terms]).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the simulated fleet has ended over {what}")
        done: dict[str, Any] = json.loads(line)
        if "failed" in done:
            raise RuntimeError(f"the simulated fleet failed over {what}: {done['failed']}")
        return done

    async def close(self) -> None:
        """It ends, as it is told by the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@dataclass
class Run:
    """One fleet, from its first node to the last."""

    size: Size
    connection: Connection
    processes: Sequence[Process]
    directory: Path
    progress: Progress

    async def each(self, what: str, **terms: Any) -> list[dict[str, Any]]:
        """All processes at once."""
        return list(await asyncio.gather(*(process.do(what, **terms) for process in self.processes)))

    async def looked(self) -> Look:
        """How it is while nothing happens but heartbeats."""
        first, began = await self._figures(), time.monotonic()
        await asyncio.sleep(self.size.look)
        last, seconds = await self._figures(), time.monotonic() - began
        calls, commands, cpu = ((late - early) / seconds for early, late in zip(first[:3], last[:3], strict=True))
        running = sum(state["running"] for state in await self.each("state"))
        return Look(running / self.size.nodes, calls, commands, cpu, last[3])

    async def dead(self, names: Sequence[str]) -> bool:
        """Whether what these nodes had is put right."""
        listed = await self.connection.together([("ZSCORE", f"{PREFIX}nodes", name) for name in names])
        store = RedisStore(self.connection)
        return not any(listed) and not any([await store.running(name) for name in names])

    async def _figures(self) -> tuple[float, float, float, float]:
        text = (await self.connection.call("INFO", "everything")).decode()
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        evalsha = dict(pair.split("=") for pair in facts.get("cmdstat_evalsha", "calls=0").split(","))
        cpu = float(facts["used_cpu_user_main_thread"]) + float(facts["used_cpu_sys_main_thread"])
        return float(evalsha["calls"]), float(facts["total_commands_processed"]), cpu, float(facts["used_memory"])


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """The simulation, and then what the hop between two real nodes costs."""
    return [*await simulated(progress, QUICK if quick else WHOLE), *await fleet_hop.measure(progress, quick=quick)]


async def simulated(progress: Progress, size: Size) -> list[Figure]:
    """Grows, works, loses nodes, and is judged by what its browsers wrote down."""
    async with _running(progress, size) as run:
        progress(f"fleet: {size.nodes} nodes join")
        await run.each("start")
        await _known(run)
        looks = []
        for step in size.steps:
            filled = await run.each("fill", to=step)
            rate = sum(one["asked"] / one["seconds"] for one in filled)
            progress(f"fleet: {step} sessions a node" + (f", {rate:,.0f} made a second" if step else ""))
            looks.append(await run.looked())
        sent = (await run.each("connects", count=200))[0]["sent"]
        progress(f"fleet: sessions come and go; one node of {DELAYED} is {1000 * DELAY:g} ms from Redis")
        worked = await run.each("churn", seconds=size.churn, rate=size.rate)
        progress(f"fleet: {_summed(worked)}")
        took = await _deaths(run)
        states = await run.each("state")
        await run.each("end")
        entries = list(read(sorted(run.directory.glob("*.journal"))))
    wrong = doubles(entries)
    faults = [fault for state in states for fault in state["faults"]]
    for line in (*wrong[:10], *faults[:10]):
        progress(f"fleet: *** {line} ***")
    counts = {what: sum(state[what] for state in states) for what in ("fenced", "lost", "settled", "refused")}
    progress(f"fleet: {len(entries):,} browsers began or ended, {len(lives(entries)):,} sessions; {counts}")
    for line in aligned(_table(looks, size)):
        progress(f"fleet: {line}")
    return _figures(looks, size, sent, took, not wrong and not faults)


async def _deaths(run: Run) -> float:
    """Nodes die at once; then every process wants every session that they had. Seconds until the last is put right."""
    dead = await run.each("kill", count=run.size.dead // PROCESSES)
    began = time.monotonic()
    names = [name for one in dead for name in one["names"]]
    sessions = [session for one in dead for session in one["sessions"]]
    async with asyncio.timeout(20 * NODE_TIMEOUT):
        while not await run.dead(names):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    took = time.monotonic() - began
    woken = sum(one["woken"] for one in await run.each("revive", sessions=sessions))
    run.progress(
        f"fleet: {len(names)} nodes died with {len(sessions):,} sessions: suspended after {took:.1f} s, and then "
        f"{woken:,} revived elsewhere, each by {PROCESSES} clients at once"
    )
    return took


async def _known(run: Run) -> None:
    """Until every node knows all others, and can tell who is dead."""
    async with asyncio.timeout(30 * NODE_TIMEOUT):
        while True:
            states = await run.each("state")
            if all(state["seen"] == run.size.nodes and state["trusted"] == state["nodes"] for state in states):
                return
            await asyncio.sleep(1)


def _figures(looks: list[Look], size: Size, sent: list[int], took: float, good: bool) -> list[Figure]:
    each = _each(looks, size)
    found = [
        (ONE_CLAIM, YES_NO, float(good)),
        (CONNECT, "commands", float(median(sent))),
        (f"{CONNECT}, the most", "commands", float(max(sent))),
        (STRAIGHT, "", correlation([one.sessions for one in looks], [one.commands for one in looks])),
        (CPU_EACH, "µs/s", 1e6 * each.cpu),
        (MEMORY_EACH, "bytes", each.memory),
        (FOUND_DEAD, "s", took),
    ]
    return [Figure(what, unit, {SUBJECT: [value]}) for what, unit, value in found]


@dataclass(frozen=True, slots=True)
class Each:
    """Per session, and (`base`) per node without any: CPU seconds a second, bytes; memory of an empty Redis apart."""

    cpu: float
    base_cpu: float
    memory: float
    base_memory: float


def _each(looks: list[Look], size: Size) -> Each:
    sessions = [one.sessions * size.nodes for one in looks]
    cpu = linear_regression(sessions, [one.cpu for one in looks])
    memory = linear_regression(sessions, [one.memory for one in looks])
    return Each(cpu.slope, max(0.0, cpu.intercept) / size.nodes, memory.slope, memory.intercept)


def _table(looks: list[Look], size: Size) -> list[tuple[str, ...]]:
    """What was seen, and what follows for Redis of other sizes."""
    lines: list[tuple[str, ...]] = [
        ("nodes × sessions", "calls/s/node", "commands/s/node", "CPU of a core", "memory, MB")
    ]
    for look in looks:
        lines.append(
            (
                f"{size.nodes:,} × {look.sessions:.0f}",
                f"{look.calls / size.nodes:.2f}",
                amount(look.commands / size.nodes),
                f"{100 * look.cpu:.1f} %",
                amount(look.memory / 1e6),
            )
        )
    each = _each(looks, size)
    for nodes, sessions in ((10, 50), (100, 50), (1000, 50), (1000, 100)):
        total = nodes * sessions
        lines.append(
            (
                f"reckoned: {nodes:,} × {sessions}",
                "",
                "",
                f"{100 * (each.base_cpu * nodes + each.cpu * total):.1f} %",
                amount((each.base_memory + each.memory * total) / 1e6),
            )
        )
    most = SHARE * FULL / (each.cpu + each.base_cpu / 100)
    lines.append((f"the most at {SHARE:.0%} of a core", "", "", f"{most:,.0f} sessions", ""))
    return lines


def _summed(counts: Sequence[dict[str, int]]) -> str:
    return ", ".join(f"{sum(one[what] for one in counts):,} {what}" for what in counts[0])


@asynccontextmanager
async def _running(progress: Progress, size: Size) -> AsyncIterator[Run]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="fleet-")))
        server = await stack.enter_async_context(redis_server(directory / "redis"))
        port = await stack.enter_async_context(delayed(server.port, DELAY))
        connection = await stack.enter_async_context(open_redis(server.url))
        urls = [f"redis://127.0.0.1:{port}/0"] + [server.url] * (DELAYED - 1)
        processes = []
        for number in range(PROCESSES):
            terms = {
                "number": number,
                "urls": urls,
                "directory": str(directory),
                "nodes": size.nodes // PROCESSES,
                "limit": size.steps[-1] + max(10, size.steps[-1] // 4),
                "node_timeout": NODE_TIMEOUT,
            }
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.fleet_worker", json.dumps(terms)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=None if os.environ.get("BENCH_LOGS") else asyncio.subprocess.DEVNULL,
                limit=1 << 26,
            )
            processes.append(Process(process))
            stack.push_async_callback(processes[-1].close)
        yield Run(size, connection, processes, directory, progress)


async def main() -> None:
    """The simulation alone."""
    began = time.monotonic()

    def progress(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    for figure in await simulated(progress, QUICK if "--quick" in sys.argv else WHOLE):
        print(f"{figure.what}: {amount(figure.median(SUBJECT))} {figure.unit}")


if __name__ == "__main__":
    asyncio.run(main())
