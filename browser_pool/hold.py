"""The pool's hold on its root: one process at a time, and a guard for the time after it (browser_pool/guard.py)."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from browser_pool import guard, procfs
from browser_pool.errors import RootInUse
from browser_pool.pidfd import ended
from browser_pool.tasks import running, to_the_end

log = structlog.get_logger()

PATIENCE = 5.0  # seconds for a process that was killed, or a guard, to let go of the root
POLL = 0.02  # seconds between attempts: there is no waiting for a lock that could be cancelled
FAREWELL = 5.0  # seconds for a guard to go when it is told to
PASSED = ("LD_LIBRARY_PATH", "LANG", "LC_ALL")  # what Python itself may need to start
RETRY = 1.0  # seconds until the next guard, after one that did not live that long


@asynccontextmanager
async def held(root: Path) -> AsyncIterator[int]:
    """Hold `root`, which is made if it is not there, for this block; the descriptor of the lock.

    A guard that an earlier process left is ended first. Raises RootInUse if another process goes on holding it.
    """
    lock = await to_the_end(asyncio.to_thread(_opened, root))
    try:
        end = time.monotonic() + PATIENCE
        while not _locked(lock):
            if time.monotonic() > end:
                raise RootInUse(f"another process has its browsers in {root}")
            await asyncio.to_thread(_end_orphaned_guards, root)
            await asyncio.sleep(POLL)
        yield lock
    finally:
        os.close(lock)


def _opened(root: Path) -> int:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def guards_of(root: Path) -> list[tuple[int, int]]:
    """Guards of that root: pid, and the pid of the process that started it."""
    mark = os.fsencode(f"{guard.ROOT}={root}")
    starter = os.fsencode(guard.STARTER)
    found = []
    for pid in procfs.pids():
        with suppress(OSError):  # it ended while we looked, or is not ours to read
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if starter in words and mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append((pid, int(words[words.index(starter) + 2])))
    return found


def _end_orphaned_guards(root: Path) -> None:
    """Killed at any moment, since who comes next does all that it was about to do."""
    for pid, parent in guards_of(root):
        process = procfs.seen(pid)
        # Our own: this process became a new program (exec) where it was.
        if process is not None and (process.parent != parent or parent == os.getpid()):
            with suppress(ProcessLookupError, ChildProcessError):  # not our child: others reap it
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


class Guard:
    """The guard of a root while `guarded` lasts. `leave()`: at the block's end it shall do its work, not go."""

    def __init__(self, root: Path, lock: int, outlive: float) -> None:
        self._root = root
        self._lock = lock
        self._outlive = outlive
        self._ours, self._its = -1, -1
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = asyncio.Event()  # there is one, or none could be started
        self._polite = True

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        return self._process.pid if self._process is not None else None

    def leave(self) -> None:
        """Somebody may still come for the browsers that are left: as if this process were killed."""
        self._polite = False

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep a guard running while the block lasts."""
        self._its, self._ours = os.pipe()
        try:
            async with running(self._keep(), "guard"):
                await self._begun.wait()  # before there is anything to guard
                yield
        finally:
            try:
                await to_the_end(self._dismiss())
            finally:
                os.close(self._its)
                os.close(self._ours)

    async def _keep(self) -> None:
        while True:
            began = time.monotonic()
            try:
                try:
                    process = await to_the_end(asyncio.to_thread(self._start))
                finally:
                    self._begun.set()
                await ended(process.pid)
                log.warning("guard_ended", code=process.wait())
            except OSError as error:  # no process or file to be had
                log.warning("guard_not_started", error=str(error))
            self._process = None
            if time.monotonic() < began + RETRY:
                await asyncio.sleep(RETRY)

    def _start(self) -> subprocess.Popen[bytes]:
        packages = str(Path(guard.__file__).parent.parent)
        words = (packages, str(os.getpid()), str(self._outlive))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", guard.STARTER, *words],
            stdin=self._its,
            stdout=subprocess.DEVNULL,  # nothing of ours, which others may read to its end
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in PASSED if name in os.environ} | {guard.ROOT: str(self._root)},
            pass_fds=(self._lock,),
            start_new_session=True,
        )
        return self._process

    async def _dismiss(self) -> None:
        process = self._process
        if process is None or not self._polite:
            return
        os.write(self._ours, b"!")
        try:
            async with asyncio.timeout(FAREWELL):
                await ended(process.pid)
        except TimeoutError:
            process.kill()
        await asyncio.to_thread(process.wait)
