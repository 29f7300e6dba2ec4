"""`cdp-gateway doctor`: what this machine can do for the gateway, and what to do about what it cannot."""

import datetime
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

from browser_pool.binary import Binaries
from browser_pool.confinement import Wish
from browser_pool.errors import BrowserFailed, BrowserMissing
from browser_pool.examine import examine as examine_machine
from browser_pool.memory import memory
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from gateway.config import Config, ConfigError
from gateway.egress import cell
from gateway.errors import GatewayError
from gateway.store.connection import open_redis
from gateway.web import tls

WORDS = {
    "files": "a browser reaches its own directory and programs, fonts and certificates, by Landlock",
    "tcp": "a browser with a proxy of its own connects to that alone, by Landlock",
    "signals": "a browser can send signals to no process but its own",
    "sockets": "no UDP past a browser's proxy, and no dangerous system calls, by seccomp",
    "own_user": "each browser runs as an unprivileged user of its own",
    "chromium_sandbox": "Chromium's own sandbox is on",
    "watchdog": "a browser that takes too much memory, disk or too many processes is cut down",
    "cgroup": "memory and processes of each browser are limited by the kernel as well",
    "egress_worker": "the process of the browsers' roads reads no file of value, and runs nothing",
}
WRAPPED = {"files": "a browser finds its own directory and programs, fonts and certificates alone, by bubblewrap"}
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
    for finding in _confinement(config, binaries):
        yield finding
    yield _shared_memory()
    yield _fonts()
    yield _disk(config.data_dir)
    if config.tls_cert is not None:
        yield certificate(config)
    found = memory()
    state = "ok" if found.room() >= 1 else "bad"
    words = f"{found.limit >> 20} MiB, {found.available >> 20} MiB available, room for {found.browsers} browsers in all"
    yield state, "memory", words
    if config.redis_url is None:
        yield "ok", "redis", "not in use: one machine, records in SQLite"
    else:
        yield await redis(config.redis_url)


async def redis(address: str) -> Finding:
    """Whether it answers, is new enough, and keeps what it is told."""
    try:
        async with open_redis(address) as connection:
            about = await connection.about()
    except GatewayError as error:
        return "bad", "redis", error.message
    version = ".".join(map(str, about.version))
    if about.policy != "noeviction":
        return "bad", "redis", f"{version}, may forget sessions: set maxmemory-policy noeviction, not {about.policy}"
    if not about.logged:
        return "note", "redis", f"{version}, forgets what is suspended when it restarts: set appendonly yes"
    return "ok", "redis", f"{version}, answers and keeps what it is told"


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


def _confinement(config: Config, binaries: Binaries) -> Iterator[Finding]:
    """One for each measure: whether this machine gives it, to browsers below the data directory."""
    wanted = config.confining
    # The directory itself is opened to browsers' users by the gateway, what is above it is not its own.
    above = next(place for place in config.data_dir.parents if place.exists())
    held = examine_machine(replace(wanted, wish=Wish.AUTO), above / "browsers", binaries)
    off = "not in use: confinement is off"
    for measure in (*held.measures, cell.examine(Wish.AUTO).measure):
        what = f"confinement {measure.name}"
        if wanted.wish is Wish.OFF:
            yield "note", what, off if measure.holds else f"{off}; {measure.why}"
        elif measure.holds:
            yield "ok", what, (WRAPPED if held.wrapped else WORDS).get(measure.name, WORDS[measure.name])
        else:
            bad = measure.needed and wanted.wish is Wish.REQUIRED
            yield ("bad" if bad else "note"), what, measure.why


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


def certificate(config: Config) -> Finding:
    """The one that the gateway would show, and until when it is good."""
    try:
        found = tls.configured(config)
    except ConfigError as error:
        return "bad", "certificate", str(error)
    assert found is not None
    good, words = found.words(datetime.datetime.now(datetime.UTC))
    return ("ok" if good else "note"), "certificate", f"{config.tls_cert}, {words}"


def _disk(directory: Path) -> Finding:
    there = next(place for place in (directory, *directory.parents) if place.exists())
    if not os.access(there, os.W_OK):
        return "bad", "data directory", f"{directory} cannot be written: give another with --data-dir"
    free = shutil.disk_usage(there).free >> 20
    state = "bad" if free < 500 else "ok"
    return state, "data directory", f"{directory}, {free} MiB free" + (": too little" if state == "bad" else "")
