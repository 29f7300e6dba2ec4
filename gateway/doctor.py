"""`cdp-gateway doctor`: what this machine can do for the gateway, and what to do about what it cannot."""

import ctypes
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from browser_pool.binary import Binaries
from browser_pool.errors import BrowserFailed, BrowserMissing
from browser_pool.memory import memory
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from gateway.config import Config

SYS_LANDLOCK_CREATE_RULESET = 444  # the same number on every architecture
Finding = tuple[str, str, str]  # how it is (ok, note, bad), what was looked at, what was found


async def examine(config: Config) -> int:
    """Print one line a finding; the exit code is 1 if something is bad."""
    bad = False
    async for state, what, found in _findings(config):
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[state]
        sys.stdout.write(f"{mark} {what}: {found}\n")
        sys.stdout.flush()
        bad = bad or state == "bad"
    return 1 if bad else 0


async def _findings(config: Config) -> AsyncIterator[Finding]:
    binaries = Binaries(config.browser)
    for mode in (Mode.HEADLESS, Mode.SHELL):
        yield await _browser(binaries, mode)
    yield _sandbox()
    yield _landlock()
    yield _shared_memory()
    yield _fonts()
    yield _disk(config.data_dir)
    found = memory()
    state = "ok" if found.room() >= 1 else "bad"
    words = f"{found.limit >> 20} MiB, {found.available >> 20} MiB available, room for {found.browsers} browsers in all"
    yield state, "memory", words
    yield "ok", "redis", "not in use: one machine, records in SQLite"


async def _browser(binaries: Binaries, mode: Mode) -> Finding:
    """Start one for real: a binary that is there and does not run is the commonest trouble."""
    optional = mode is Mode.SHELL
    what = "headless shell" if optional else "chromium"
    try:
        binary = binaries.path(mode)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cdpg-") as place:
            async with BrowserPool(Path(place), binaries) as pool, pool.lease(LaunchSpec(mode=mode)) as browser:
                took = (time.monotonic() - began) * 1000
                return "ok", what, f"{binary}, {browser.version['product']}, first page after {took:.0f} ms"
    except BrowserMissing as error:
        return ("note" if optional else "bad"), what, f"{error}" + (" (optional)" if optional else "")
    except BrowserFailed as error:
        return "bad", what, str(error)


def _sandbox() -> Finding:
    if os.geteuid() == 0:
        return "note", "sandbox", "Chromium's sandbox is off for root: run the gateway as an ordinary user"
    namespaces = Path("/proc/sys/user/max_user_namespaces")
    clone = Path("/proc/sys/kernel/unprivileged_userns_clone")
    restrict = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if namespaces.exists() and namespaces.read_text().strip() == "0":
        return "bad", "sandbox", "user namespaces are off: sysctl user.max_user_namespaces=15000"
    if clone.exists() and clone.read_text().strip() == "0":
        return "bad", "sandbox", "user namespaces are off: sysctl kernel.unprivileged_userns_clone=1"
    if restrict.exists() and restrict.read_text().strip() == "1":
        way = "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        return "note", "sandbox", f"AppArmor restricts user namespaces; if Chromium does not start: {way}"
    return "ok", "sandbox", "Chromium's own sandbox is on"


def _landlock() -> Finding:
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)  # LANDLOCK_CREATE_RULESET_VERSION
    if version < 0:
        return "note", "landlock", "this kernel has none"
    return "ok", "landlock", f"ABI {version} (not in use by this version)"


def _shared_memory() -> Finding:
    size = shutil.disk_usage("/dev/shm").total >> 20 if Path("/dev/shm").exists() else 0
    return "ok", "shared memory", f"/dev/shm has {size} MiB; browsers use their own directory instead"


def _fonts() -> Finding:
    found = any(next(Path(place).rglob("*.[to]tf"), None) for place in ("/usr/share/fonts", "/usr/local/share/fonts"))
    if not found:
        return (
            "note",
            "fonts",
            "none found, pages will look odd: apt-get install fonts-liberation fonts-noto-color-emoji",
        )
    return "ok", "fonts", "found"


def _disk(directory: Path) -> Finding:
    there = next(place for place in (directory, *directory.parents) if place.exists())
    if not os.access(there, os.W_OK):
        return "bad", "data directory", f"{directory} cannot be written: give another with --data-dir"
    free = shutil.disk_usage(there).free >> 20
    state = "bad" if free < 500 else "ok"
    return state, "data directory", f"{directory}, {free} MiB free" + (": too little" if state == "bad" else "")
