"""A look at every browser from time to time: one that takes more than its limits is cut down.

What the kernel can refuse at once it does (confine.py): memory of one process, threads of one user, the size of a
file. Here the sum over a browser counts. Its greediest page goes first, and its session lives; if that does not help,
the browser goes.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from browser_pool import procfs
from browser_pool.browser import Browser
from browser_pool.confinement import Limits
from browser_pool.memory import share_of

log = structlog.get_logger()

PERIOD = 2.0  # seconds between looks, and
ALARMED = 0.25  # where a browser has more than half of a limit
DISK_PERIOD = 5.0  # seconds between two looks at what is in its directory
STRIKES = 3  # of a browser: this often its pages go, the next time it goes itself
FORGIVEN = 30.0  # seconds after which a strike is forgotten
RENDERER = b"--type=renderer"


@dataclass(frozen=True, slots=True)
class Member:
    """A process of a browser; `start` as of procfs.Process, `memory` in bytes, at most what it holds."""

    pid: int
    start: int
    memory: int


@dataclass(frozen=True, slots=True)
class Use:
    """What a browser takes; `memory` and `disk` in bytes."""

    processes: int
    memory: int
    disk: int

    def over(self, limits: Limits, part: float = 1.0) -> str:
        """The name of a limit of which it takes more than that part; empty if of none."""
        for name in ("memory", "processes", "disk"):
            if getattr(self, name) > getattr(limits, name) * part:
                return name
        return ""


def condemned(limit: str, strikes: int, limits: Limits, renderers: list[Member]) -> list[Member] | None:
    """Which of a browser's pages go for that limit, when `strikes` have been before; None: it goes itself. Pure."""
    if limit == "disk" or strikes >= STRIKES or not renderers:
        return None
    if limit == "memory":
        return [max(renderers, key=lambda member: member.memory)]
    # Those that came last; who opens one after the other is among the rest, and goes the next time.
    youngest = sorted(renderers, key=lambda member: member.start, reverse=True)
    return youngest[: max(1, len(renderers) - limits.processes // 2)] if strikes == 0 else youngest


@dataclass(eq=False, slots=True)
class _Watched:
    browser: Browser
    disk: int = 0
    disk_seen: float = 0.0
    strikes: list[float] = field(default_factory=list)


class Watchdog:
    """For the browsers that it is `watching`, once `keep` runs."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._watched: set[_Watched] = set()

    @contextmanager
    def watching(self, browser: Browser) -> Iterator[None]:
        """Hold that browser to the limits while the block lasts."""
        watched = _Watched(browser)
        self._watched.add(watched)
        try:
            yield
        finally:
            self._watched.discard(watched)

    async def keep(self) -> None:
        """Look until it is cancelled."""
        while True:
            pause = PERIOD
            if self._watched:
                try:
                    pause = await asyncio.to_thread(self._look, tuple(self._watched))
                except Exception:  # the outer edge of this task: without it no browser has limits any more
                    log.exception("watchdog_fault")
            await asyncio.sleep(pause)

    def _look(self, watched: tuple[_Watched, ...]) -> float:
        """At all of them; seconds until the next look."""
        members: dict[int, list[Member]] = {one.browser.pid: [] for one in watched}
        for pid in procfs.pids():
            process = procfs.seen(pid)
            if process is not None and process.session in members and process.lives:
                members[process.session].append(Member(pid, process.start, process.resident))
        alarmed = False
        for one in watched:
            if not one.browser.gone.is_set():
                alarmed = self._judge(one, members[one.browser.pid]) or alarmed
        return ALARMED if alarmed else PERIOD

    def _judge(self, one: _Watched, members: list[Member]) -> bool:
        """Whether it is worth another look soon."""
        now = time.monotonic()
        if now - one.disk_seen > DISK_PERIOD:
            one.disk, one.disk_seen = taken(one.browser.directory.path), now
        memory = sum(member.memory for member in members)
        if memory > self._limits.memory / 2:  # the program itself, which all share, was counted with each
            members = [Member(member.pid, member.start, share_of(member.pid, member.memory)) for member in members]
            memory = sum(member.memory for member in members)
        use = Use(len(members), memory, one.disk)
        limit = use.over(self._limits)
        if limit:
            one.strikes = [at for at in one.strikes if now - at < FORGIVEN]
            self._cut(one, limit, use, condemned(limit, len(one.strikes), self._limits, _renderers(members)))
            one.strikes.append(now)
        return bool(use.over(self._limits, 0.5))

    def _cut(self, one: _Watched, limit: str, use: Use, pages: list[Member] | None) -> None:
        found = {"found": getattr(use, limit), "most": getattr(self._limits, limit)}
        name = one.browser.directory.path.name
        if pages is None:
            log.warning("browser_over_limit", browser=name, limit=limit, **found, ended="browser")
            one.browser.reason = f"Chromium was ended: it took more {limit} than browser_{limit} allows"
            _kill(one.browser.pid)
        else:
            log.warning("browser_over_limit", browser=name, limit=limit, **found, ended=f"{len(pages)} pages")
            for page in pages:
                _kill(page.pid)


def taken(directory: Path) -> int:
    """Bytes on disk of all in that directory. Links are not followed; what is just being removed counts as nothing."""
    total = 0
    places = [os.fspath(directory)]
    temporary = directory / "tmp"
    if temporary.is_symlink():  # the one link that is ours
        places.append(str(temporary.resolve()))
    while places:
        with suppress(OSError), os.scandir(places.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        places.append(entry.path)
                    else:
                        total += 512 * entry.stat(follow_symlinks=False).st_blocks
    return total


def _renderers(members: list[Member]) -> list[Member]:
    return [member for member in members if procfs.names(member.pid, RENDERER)]


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGKILL)
