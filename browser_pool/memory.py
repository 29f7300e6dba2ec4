"""What this machine, or the cgroups around us, can hold, and what is left of it.

Cgroups of version 1 and 2 are read; of nested ones the tightest counts. What the kernel could give back at
once (the page cache) counts as free.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Bytes. An idle full Chromium with a small page holds 66 MiB of its own, 110 with its share of what six of them have in
# common (docs/browsers.md); the rest is for a page that is not small.
BROWSER_COST = 160 << 20
RESERVE = 768 << 20  # bytes left to the rest of the machine, the gateway, and Chromium's program, which all share
UNKNOWN = 2 << 30  # where nothing can be read, assume a small machine


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes: the most that we may use, and what can still be had before the kernel ends something."""

    limit: int
    available: int

    @property
    def browsers(self) -> int:
        """How many browsers the whole of it holds, at least one."""
        return max(1, (self.limit - RESERVE) // BROWSER_COST)

    def room(self, starting: int = 0) -> int:
        """How many more browsers fit now, beside `starting` ones that have not taken their share yet.

        Below zero the reserve itself is being used up.
        """
        reserve = min(RESERVE, self.limit // 4)  # a small machine shall have room for one browser, too
        return (self.available - reserve) // BROWSER_COST - starting


def memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Memory:
    """The machine's memory, or what the cgroups around us leave of it. Costs a few small reads of virtual files."""
    machine = _fields(proc / "meminfo", unit=1024)
    limit = machine.get("MemTotal:", UNKNOWN)
    available = machine.get("MemAvailable:", limit)
    for group, files in _groups(proc / "self" / "cgroup", cgroups):
        most = _number(group / files.limit)
        if most is None or most >= machine.get("MemTotal:", UNKNOWN):
            continue  # "max", or version 1's huge number
        used = _number(group / files.usage) or 0
        cache = _fields(group / "memory.stat").get(files.cache, 0)
        limit = min(limit, most)
        available = min(available, max(0, most - used + cache))
    return Memory(limit, available)


def held_by(group: int, proc: Path = Path("/proc")) -> int:
    """Bytes that the processes of a process group hold, without the program itself, which all share. Blocking.

    From smaps_rollup's proportional shares; processes that end meanwhile count as nothing.
    """
    held = 0
    for entry in proc.iterdir():
        if entry.name.isdigit() and _group_of(entry) == group:
            shares = _fields(entry / "smaps_rollup", unit=1024)
            held += shares.get("Pss_Anon:", 0) + shares.get("Pss_Shmem:", 0)
    return held


def share_of(pid: int, otherwise: int, proc: Path = Path("/proc")) -> int:
    """The same of one process; `otherwise` where we may not know."""
    shares = _fields(proc / str(pid) / "smaps_rollup", unit=1024)
    return shares.get("Pss_Anon:", 0) + shares.get("Pss_Shmem:", 0) if shares else otherwise


def _group_of(process: Path) -> int:
    fields = _text(process / "stat").rpartition(")")[2].split()  # the name before it may hold anything
    return int(fields[2]) if len(fields) > 2 else 0


@dataclass(frozen=True, slots=True)
class _Files:
    limit: str
    usage: str
    cache: str


_VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _Files("memory.max", "memory.current", "inactive_file")


def _groups(own: Path, root: Path) -> Iterator[tuple[Path, _Files]]:
    """Our cgroup and those around it. In a container the path may be the host's: then only the root is there."""
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, files = root, _VERSION_2
        elif "memory" in controllers.split(","):
            base, files = root / "memory", _VERSION_1
        else:
            continue
        group = base / path.lstrip("/")
        yield group, files
        while group != base:
            group = group.parent
            yield group, files


def _fields(file: Path, unit: int = 1) -> dict[str, int]:
    found = {}
    for line in _text(file).splitlines():
        name, *rest = line.split()
        if rest and rest[0].isdigit():
            found[name] = int(rest[0]) * unit
    return found


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # this kernel has no such thing, or it is not there in our cgroup
        return ""
