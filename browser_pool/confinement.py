"""What is to hold each browser, what this machine has for it, and both as words for the child (confine.py).

Nouns alone; `examine.py` looks at the machine, `reach.py` knows what Chromium needs of the files.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from browser_pool import confine, landlock, reach
from browser_pool.cgroup import THREADS
from browser_pool.errors import BrowserFailed
from browser_pool.profile import BrowserDirectory

MOST_FILES = 8192  # open ones of a process; Chromium asks for as many
LEAST_MEMORY, LEAST_PROCESSES, LEAST_DISK = 256 << 20, 8, 64 << 20  # below, no browser gets to its first page


class Wish(StrEnum):
    """As much as the machine gives, all of it or no start, or nothing."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


class NotConfined(BrowserFailed):
    """`required`, and this machine lacks something: the message names it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one browser: bytes of memory of all its processes, how many these are, bytes in its directory."""

    memory: int = 4 << 30
    processes: int = 200
    disk: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Confinement:
    """What is wanted."""

    wish: Wish = Wish.AUTO
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that holds a browser, or does not: then `why`. `needed` says whether `required` insists on it."""

    name: str
    holds: bool
    why: str
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """What this machine gives; each text says why there is none, and is empty where there is.

    `abi` is Landlock's. `users`: each browser has a user of its own, which takes root. `sandbox` is Chromium's own, in
    user namespaces. `cgroup` are the kernel's limits for a whole browser. `bubblewrap` stands in for Landlock where it
    can: `bwrap` is the program.
    """

    abi: int = 0
    landlock: str = "confinement is off"
    bubblewrap: str = "confinement is off"
    bwrap: str = ""
    seccomp: str = "confinement is off"
    users: str = "confinement is off"
    sandbox: str = ""
    cgroup: str = "confinement is off"
    watchdog: str = "confinement is off"
    root: bool = field(default_factory=lambda: os.geteuid() == 0)

    @property
    def own_users(self) -> bool:
        """Whether each browser runs as a user of its own."""
        return not self.users

    @property
    def wrapped(self) -> bool:
        """Whether browsers are in namespaces, for want of Landlock."""
        return bool(self.landlock) and not self.bubblewrap

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All of them, with words for people."""
        older = f"this kernel's Landlock (ABI {self.abi}) has no rules for it"
        neither = "; ".join(dict.fromkeys((self.landlock, self.bubblewrap)))
        unruled = f"{self.landlock}; bubblewrap has no rules for it" if self.wrapped else neither
        tcp = unruled if self.landlock else (older if self.abi < landlock.NET else "")
        signals = neither if self.landlock else (older if self.abi < landlock.SCOPES else "")
        found = (
            ("files", "" if self.wrapped or not self.landlock else neither, True),
            ("tcp", tcp, True),
            ("signals", "" if self.own_users or self.wrapped else signals, True),
            ("sockets", self.seccomp, True),
            ("own_user", self.users, self.root),
            ("chromium_sandbox", self.sandbox, True),
            ("watchdog", self.watchdog, True),
            ("cgroup", self.cgroup, False),
        )
        return tuple(Measure(name, not why, why, needed) for name, why, needed in found)

    @property
    def missing(self) -> tuple[Measure, ...]:
        """What `required` insists on and there is not."""
        return tuple(measure for measure in self.measures if measure.needed and not measure.holds)


@dataclass(frozen=True, slots=True)
class Cell:
    """What holds one browser: `user` is its own, `port` that of its road, the pool's `root` holds the others.

    `cgroup` is the file that it joins its cgroup by.
    """

    held: Held
    limits: Limits = Limits()
    root: Path | None = None
    user: int | None = None
    port: int | None = None
    cgroup: Path | None = None

    @property
    def sandbox(self) -> bool:
        """Whether Chromium's own sandbox is to be on. It refuses to run as root with it."""
        return not self.held.root or (self.user is not None and not self.held.sandbox)

    def words(
        self, binary: Path, directory: BrowserDirectory, extensions: Path | None, environment: Mapping[str, str]
    ) -> list[str]:
        """For confine.py, without its parent's pid and ARGV. Looks at the disk."""
        words = [] if self.cgroup is None else [f"cgroup={self.cgroup}"]
        if self.user is not None:
            words += [f"user={self.user}", f"tasks={self.limits.processes * THREADS}"]
        elif self.held.root and not self.held.landlock:
            words.append(confine.POWERLESS)
        if not self.held.watchdog:
            words += [f"data={self.limits.memory}", f"size={self.limits.disk}", f"files={MOST_FILES}"]
        if not self.held.landlock:
            words.append(f"landlock={self.held.abi}")
            words += self._files(binary, directory, extensions, environment)
            if self.port is not None:
                words.append(f"connect={self.port}")
        elif self.held.wrapped:
            words.append(f"bubblewrap={self.held.bwrap}")
            words += self._files(binary, directory, extensions, environment)
        if not self.held.seccomp:
            words.append(f"seccomp={confine.OPEN if self.port is None else confine.ROAD}")
        return words

    def _files(
        self, binary: Path, directory: BrowserDirectory, extensions: Path | None, environment: Mapping[str, str]
    ) -> list[str]:
        alone = self.port is None
        return reach.words(binary, directory, self.root, extensions, environment, resolver=alone, sandbox=self.sandbox)


UNCONFINED = Cell(Held())
