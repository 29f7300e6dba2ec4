"""What this machine, or the cgroup around us, can hold."""

from pathlib import Path

BROWSER_COST = 190 << 20  # bytes (PSS) of an idle full Chromium with one page, rounded up
RESERVE = 512 << 20  # bytes left to the gateway and the rest of the machine


def memory_limit(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes that we may use: the machine's memory, or the cgroup's limit (v2 memory.max) if that is lower."""
    total = 2 << 30  # where nothing can be read, assume a small machine
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemTotal:"):
                total = int(line.split()[1]) << 10
    if cgroup.exists() and (text := cgroup.read_text().strip()) != "max":
        total = min(total, int(text))
    return total


def browsers_that_fit(limit: int) -> int:
    """How many browsers `limit` bytes hold, at least one."""
    return max(1, (limit - RESERVE) // BROWSER_COST)
