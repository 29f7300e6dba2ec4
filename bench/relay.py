"""What the relay costs: round trips, throughput, CPU and memory, beside Chromium alone, http-proxy and nginx.

Alone: `python -m bench.relay [--quick]`. Every round runs every subject once, in an order that rotates.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure
from bench.machine import cpu, describe, forget_peak, on_one_core, peak, resident
from bench.subjects import DIRECT, HTTP_PROXY, SUBJECTS, Field, Subject, allow_many_files, compiled, started

VERSION_P50 = "Browser.getVersion round trip, one core, p50"
VERSION_P99 = "Browser.getVersion round trip, one core, p99"
EVALUATE_P50 = "Runtime.evaluate round trip, one core, p50"
EVALUATE_P99 = "Runtime.evaluate round trip, one core, p99"
CPU_ROUND_TRIP = "CPU per round trip"
PIPELINED = "commands without waiting"
CPU_COMMAND = "CPU per command without waiting"
RESPONSE_1 = "1 MB response"
RESPONSE_20 = "20 MB response"
CPU_RESPONSE = "CPU per 20 MB response"
REQUEST_5 = "5 MB request"
CPU_REQUEST = "CPU per 5 MB request"
EVENTS = "events of 500 B"
CPU_EVENT = "CPU per event of 500 B"
IDLE_CONNECTION = "memory per idle connection"
STALLED = "peak memory, four stalled readers of 100 MB"
STALLED_IN_ALL = "the same, with the process itself"

UNITS = {
    VERSION_P50: "µs",
    VERSION_P99: "µs",
    EVALUATE_P50: "µs",
    EVALUATE_P99: "µs",
    CPU_ROUND_TRIP: "µs",
    PIPELINED: "commands/s",
    CPU_COMMAND: "µs",
    RESPONSE_1: "MB/s",
    RESPONSE_20: "MB/s",
    CPU_RESPONSE: "ms",
    REQUEST_5: "MB/s",
    CPU_REQUEST: "ms",
    EVENTS: "events/s",
    CPU_EVENT: "µs",
    IDLE_CONNECTION: "KB",
    STALLED: "MB",
    STALLED_IN_ALL: "MB",
}

IDLE = 1_000  # connections
STALLED_READERS = 4
STALLED_BYTES = 100_000_000
PATIENCE = 90.0  # seconds for one run of the load client
SETTLING = 0.5  # seconds for a relay to finish what its client has seen already

Progress = Callable[[str], None]
Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the load client in `mode` (see load.c). `count` and `size` are its numbers.

    `read` makes figures' values of what it prints; of the CPU time in seconds that the relay took meanwhile, `count`
    times, one figure: `cost`, scaled to its unit.
    """

    mode: str
    count: int
    size: int
    read: Callable[[Mapping[str, float]], Values]
    cost: str | None
    page: bool = True

    def costs(self, seconds: float) -> Values:
        """The value of `cost`."""
        if self.cost is None:
            return {}
        return {self.cost: seconds / self.count * (1e3 if UNITS[self.cost] == "ms" else 1e6)}


def round_trips(quick: bool) -> tuple[Trial, ...]:
    """What is measured with everyone on one core."""
    count = 1_000 if quick else 1_500
    return (
        Trial("rtt", count, 0, lambda seen: {VERSION_P50: seen["p50"], VERSION_P99: seen["p99"]}, None, page=False),
        Trial("rtt", count, 0, lambda seen: {EVALUATE_P50: seen["p50"], EVALUATE_P99: seen["p99"]}, CPU_ROUND_TRIP),
    )


def throughput(quick: bool) -> tuple[Trial, ...]:
    """What is measured with all cores: much at once, or at a time."""
    events = 10_000 if quick else 50_000
    return (
        _bulk("pipeline", 5_000 if quick else 10_000, 0, PIPELINED, CPU_COMMAND),
        _bulk("response", 10 if quick else 20, 1_000_000, RESPONSE_1, None),
        _bulk("response", 1 if quick else 2, 20_000_000, RESPONSE_20, CPU_RESPONSE),
        _bulk("request", 3 if quick else 4, 5_000_000, REQUEST_5, CPU_REQUEST),
        _bulk("flood", events, 500, EVENTS, CPU_EVENT),
    )


def _bulk(mode: str, count: int, size: int, what: str, cost: str | None) -> Trial:
    amount = count * size / 1e6 if UNITS[what] == "MB/s" else count
    return Trial(mode, count, size, lambda seen: {what: amount / seen["seconds"]}, cost)


@dataclass(slots=True)
class Ledger:
    """The values of all rounds so far, by figure and subject."""

    rounds: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, subject: Subject, values: Values) -> None:
        """One round's values of one subject."""
        for what, value in values.items():
            self.rounds.setdefault(what, {}).setdefault(subject.name, []).append(value)

    def figures(self, names: Iterable[str]) -> list[Figure]:
        """In the order of UNITS, subjects in the order of `names`."""
        return [
            Figure(what, unit, {name: self.rounds[what][name] for name in names if name in self.rounds[what]})
            for what, unit in UNITS.items()
            if what in self.rounds
        ]


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """All figures of the relay; `progress` is told in words what is going on.

    Takes about three minutes, `quick` less than one. Raises Missing where bench/prepare has not been run,
    RuntimeError where the load client fails, with what it said.
    """
    ledger = Ledger()
    allow_many_files()
    with TemporaryDirectory(prefix="cdp-bench-load-") as directory:
        load = compiled(Path(directory))
        # Memory that was used and freed before would hide what is asked for anew: so fresh subjects for each.
        async with started() as here:
            await _idle(load, _relays(here), ledger, progress)
        async with started() as here:
            relays = _relays(here)[:2] if quick else _relays(here)  # each takes ten seconds
            await _stalled(load, relays, here.page, ledger, progress)
        async with started() as here:
            with on_one_core(here.pids):
                await _rounds(load, here, round_trips(quick), 7 if quick else 21, ledger, progress, "one core")
            await _rounds(load, here, throughput(quick), 2 if quick else 7, ledger, progress, "throughput")
    return ledger.figures(SUBJECTS)


async def _rounds(
    load: Path, here: Field, trials: tuple[Trial, ...], rounds: int, ledger: Ledger, progress: Progress, part: str
) -> None:
    for number in range(rounds):
        progress(f"relay, {part}: round {number + 1} of {rounds}")
        for trial in trials:
            for subject in _rotated(here.subjects, number):
                words = (trial.mode, str(trial.count), str(trial.size))
                async with client(load, subject.port, subject.path, here.page if trial.page else "-", *words) as go:
                    before = cpu(subject.pids)
                    seen = await go()
                    after = cpu(subject.pids)
                ledger.add(subject, trial.read(seen) | (trial.costs(after - before) if subject.pids else {}))


async def _idle(load: Path, relays: Sequence[Subject], ledger: Ledger, progress: Progress) -> None:
    for subject in relays:
        progress(f"relay, {IDLE} idle connections: {subject.name}")
        # What the first connection of all brings into memory is not what each one costs.
        async with client(load, subject.port, subject.shared, "-", "idle", "10"):
            pass
        before = resident(subject.pids)
        async with client(load, subject.port, subject.shared, "-", "idle", str(IDLE)):
            await asyncio.sleep(SETTLING)
            ledger.add(subject, {IDLE_CONNECTION: (resident(subject.pids) - before) / IDLE})


async def _stalled(load: Path, relays: Sequence[Subject], page: str, ledger: Ledger, progress: Progress) -> None:
    words = ("stall", str(STALLED_READERS), str(STALLED_BYTES))
    for subject in relays:
        progress(f"relay, {STALLED_READERS} stalled readers: {subject.name}")
        async with client(load, subject.port, subject.shared, page, *words) as go:
            forget_peak(subject.pids)
            before = resident(subject.pids)
            await go()
            most = peak(subject.pids)
        ledger.add(subject, {STALLED: max(most - before, 0) / 1024, STALLED_IN_ALL: most / 1024})


def _relays(here: Field) -> Sequence[Subject]:
    return [subject for subject in here.subjects if subject.name != DIRECT]


def _rotated(subjects: tuple[Subject, ...], by: int) -> tuple[Subject, ...]:
    by %= len(subjects)
    return subjects[by:] + subjects[:by]


@asynccontextmanager
async def client(load: Path, port: int, path: str, *words: str) -> AsyncIterator[Callable[[], Awaitable[Values]]]:
    """The load client, connected for this block. Awaiting what is yielded makes it do its work, once: its result.

    `words` are TARGET, MODE and its numbers (see load.c). Raises RuntimeError with what it said where it fails.
    """
    process = await asyncio.create_subprocess_exec(load, str(port), path, *words, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    inbox, outbox, complaints = process.stdin, process.stdout, process.stderr

    async def line() -> str:
        async with asyncio.timeout(PATIENCE):
            said = await outbox.readline()
        if not said:
            raise RuntimeError(f"{' '.join(words)} on {port}: {(await complaints.read()).decode().strip()}")
        return said.decode()

    async def work() -> Values:
        inbox.write(b"\n")
        result: Values = json.loads(await line())
        return result

    try:
        await line()  # "ready"
        yield work
        inbox.close()
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    finally:
        with suppress(ProcessLookupError):  # it has ended
            process.kill()
        await process.wait()


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """Lines of plain text: the medians, and in brackets the ratio to Chromium alone or, without that, http-proxy."""
    yield f"{'':48}" + "".join(f"{name:>20}" for name in SUBJECTS)
    for figure in figures:
        to = DIRECT if DIRECT in figure.subjects else HTTP_PROXY
        cells = []
        for name in SUBJECTS:
            if name in figure.subjects:
                cells.append(f"{figure.median(name):,.2f} ({figure.ratio(name, to):.2f})")
            else:
                cells.append("-")
        yield f"{f'{figure.what}, {figure.unit}':48}" + "".join(f"{cell:>20}" for cell in cells)


async def _main(quick: bool) -> None:
    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    figures = await measure(say, quick=quick)
    say(await describe())
    for line in table(figures):
        say(line)


if __name__ == "__main__":
    asyncio.run(_main("--quick" in sys.argv[1:]))
