"""What the bench runs on: described in one line, and what processes cost there (Linux: /proc)."""

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from browser_pool.binary import Binaries
from browser_pool.spec import Mode

PROC = Path("/proc")


async def describe() -> str:
    """CPU, cores, memory, kernel, Python, event loop, Chromium; no date. Raises BrowserMissing."""
    try:
        loop = f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        loop = "asyncio"
    binaries = Binaries()
    parts = (
        f"{_processor()}, {os.cpu_count()} cores",
        f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
        loop,
        f"Chromium {await binaries.version(binaries.path(Mode.HEADLESS))}",
    )
    return "; ".join(parts)


def _processor() -> str:
    for line in (PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def cpu(pids: Iterable[int]) -> float:
    """Seconds that all threads of `pids` have run so far, to the nanosecond (proc's schedstat)."""
    return sum(int(_schedstat(thread)) for pid in pids for thread in _threads(pid)) / 1e9


def resident(pids: Iterable[int]) -> float:
    """KB of memory that `pids` have now."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def peak(pids: Iterable[int]) -> float:
    """KB of memory that `pids` had at most since `forget_peak`."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def forget_peak(pids: Iterable[int]) -> None:
    """Begin anew with what they have now (proc's clear_refs, value 5)."""
    for pid in pids:
        (PROC / str(pid) / "clear_refs").write_text("5")


@contextmanager
def on_one_core(pids: Iterable[int]) -> Iterator[None]:
    """For this block `pids`, this process and whatever they start share one core: all their threads."""
    everyone = [*pids, os.getpid()]
    cores = os.sched_getaffinity(0)
    _pin(everyone, {max(cores)})
    try:
        yield
    finally:
        _pin(everyone, cores)


def _pin(pids: Iterable[int], cores: set[int]) -> None:
    pinned: set[int] = set()
    while new := {thread for pid in pids for thread in _threads(pid)} - pinned:  # some may start meanwhile
        for thread in new:
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.sched_setaffinity(thread, cores)
        pinned |= new


def _threads(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):  # the process ended meanwhile
        return [int(name) for name in os.listdir(PROC / str(pid) / "task")]
    return []


def _schedstat(thread: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):  # the thread ended meanwhile
        return (PROC / str(thread) / "schedstat").read_text().split()[0]
    return "0"


def _status(pid: int, name: str) -> float:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])
    raise LookupError(f"{name} of process {pid}")
