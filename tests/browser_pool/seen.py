"""What the machine has of a browser: its processes, our dead children. And programs that stand in for Chromium."""

import os
from pathlib import Path

import psutil

from browser_pool import procfs
from tests.journeys.running import eventually


def processes_under(root: Path) -> list[int]:
    """Living processes with a path under `root` on their command line."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = process.info["cmdline"] or ()
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(f"{root}/" in word for word in words):
            found.append(int(process.info["pid"]))
    return found


def dead_children() -> set[int]:
    """Children of this process that ended and were not reaped."""
    found = set()
    for child in psutil.Process().children():
        try:
            if child.status() == psutil.STATUS_ZOMBIE:
                found.add(child.pid)
        except psutil.NoSuchProcess:
            continue  # reaped while we looked
    return found


def children() -> set[int]:
    """Children of this process, living and dead."""
    return {child.pid for child in psutil.Process().children()}


async def reaped(before: set[int]) -> None:
    """Wait for the end of all children but those `before`, which a killed process left to us, and reap them."""

    def look() -> bool:
        for pid in dead_children() - before:
            os.waitpid(pid, 0)
        return children() <= before

    await eventually("all that a killed process left has ended", look)


def processes_of_session(leader: int) -> int:
    """How many processes the session of that one has; as root those of a browser with its own user, too."""
    return sum(process.lives for process in map(procfs.seen, procfs.pids()) if process and process.session == leader)


def alive(pid: int) -> bool:
    """Whether that process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def command_line_of(pid: int) -> list[str]:
    """The argv of a running Chromium, which sets spaces between its words."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").replace("\0", " ").split(" ")


def environment_of(pid: int) -> bytes:
    """What a process finds in its environment; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def entries(path: Path) -> list[str]:
    """The names in a directory."""
    return sorted(entry.name for entry in path.iterdir())


def program(path: Path, text: str) -> Path:
    """A shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
