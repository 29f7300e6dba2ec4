"""One cgroup for each browser below our own, where it was delegated to us (cgroups(7), version 2). Blocking.

A cgroup that delegates has no processes of its own: so the gateway moves into `gateway` below it, and browsers get
`browser-NAME` beside that, with the kernel's limits on memory and processes (memory.max, pids.max).
"""

import os
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids")
OURS = "gateway"
THREADS = 20  # of a process on average: pids.max counts threads, as RLIMIT_NPROC does


def own(root: Path = ROOT, proc: Path = Path("/proc")) -> Path | None:
    """Our cgroup of version 2, None where there is none."""
    for line in (proc / "self" / "cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if (number, controllers) == ("0", "") and (root / "cgroup.controllers").exists():
            place = root / path.lstrip("/")
            return place.parent if place.name == OURS else place
    return None


def delegated(root: Path = ROOT, proc: Path = Path("/proc")) -> str:
    """Why there are no cgroups for browsers here; empty if there can be."""
    try:
        place = own(root, proc)
        if place is None:
            return "no cgroup of version 2 here"
        there = (place / "cgroup.controllers").read_text().split()
    except OSError as error:
        return f"our cgroup cannot be read: {error.strerror}"
    if lacking := [name for name in CONTROLLERS if name not in there]:
        return f"our cgroup has no controller {', '.join(lacking)}: under systemd set Delegate=yes"
    if place == root:
        return "we are in the topmost cgroup, which is not ours alone"
    writable = all(os.access(place / name, os.W_OK) for name in ("", "cgroup.procs", "cgroup.subtree_control"))
    return "" if writable else "our cgroup is not delegated to us: under systemd set Delegate=yes"


def prepare(place: Path) -> None:
    """Move ourselves out of the way, and let what is below have limits. Raises OSError."""
    for left in place.glob("browser-*"):
        with suppress(OSError):  # a browser that outlived its gateway is in it
            left.rmdir()
    ours = place / OURS
    ours.mkdir(exist_ok=True)
    for pid in (place / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):  # it has just ended
            (ours / "cgroup.procs").write_text(pid)
    (place / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))


def prepared() -> tuple[Path | None, str]:
    """Our cgroup, ready for browsers; or None and why there are none."""
    why = delegated()
    if why:
        return None, why
    place = own()
    assert place is not None
    try:
        prepare(place)
    except OSError as error:  # a process that is not ours to move is in it
        return None, f"our cgroup cannot be divided: {error.strerror}"
    return place, ""


def make(place: Path, name: str, memory: int, processes: int) -> Path:
    """A browser's, for at most that many bytes and processes; the file that a process joins it by. Raises OSError."""
    group = place / f"browser-{name}"
    group.mkdir(exist_ok=True)
    (group / "memory.max").write_text(str(memory))
    (group / "pids.max").write_text(str(processes * THREADS))
    return group / "cgroup.procs"


def remove(place: Path, name: str) -> None:
    """Its processes must have ended; what cannot be removed now goes with our own."""
    with suppress(OSError):
        (place / f"browser-{name}").rmdir()
