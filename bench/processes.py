"""The processes of browsers: which they are, whether they still run, what memory they have (Linux: /proc)."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def of_directory(root: Path) -> set[int]:
    """Processes with a path under `root` as an option's value: a browser's, its handlers of crashes included."""
    marker = b"=" + os.fsencode(root) + b"/"
    return {pid for pid in _all() if marker in _read(pid, "cmdline")}


def alive(pids: Iterable[int]) -> set[int]:
    """Those that still run; one that has ended and waits to be reaped does not."""
    return {pid for pid in pids if _state(pid) not in (b"", b"Z", b"X")}


def is_stopped(pid: int) -> bool:
    """Whether it was stopped by a signal (SIGSTOP)."""
    return _state(pid) == b"T"


def _state(pid: int) -> bytes:
    # The first field after the name of the program, which may have brackets and spaces (proc(5)); b"" if it is gone.
    return (_read(pid, "stat").rpartition(b")")[2].split() or [b""])[0]


def pss(pids: Iterable[int]) -> float:
    """Their proportional set size together, in MB (10^6 bytes): a page that n processes share counts 1/n for each.

    Only meaningful while no other browsers run, which would share pages of Chromium's program with these.
    """
    return sum(_proportional(pid) for pid in pids) * 1024 / 1e6


def _all() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _read(pid: int, file: str) -> bytes:
    with suppress(OSError):  # it has ended, or is not ours
        return Path(f"/proc/{pid}/{file}").read_bytes()
    return b""


def _proportional(pid: int) -> int:
    """In KB (1024 bytes); 0 for a process that has ended."""
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1])
    return 0
