"""A Chromium process: started, watched, and its whole tree ended for certain.

The browser leads a process group of its own. The gateway is its subreaper (prctl
PR_SET_CHILD_SUBREAPER), so that no zombie stays behind even where process 1 reaps none.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from browser_pool import confine
from browser_pool.errors import BrowserFailed
from browser_pool.pidfd import ended
from browser_pool.procfs import Tree, end, names, processes_of, user_of
from browser_pool.profile import BrowserDirectory
from browser_pool.tasks import to_the_end

__all__ = [
    "become_subreaper",
    "chromium",
    "end_abandoned",
    "end_left",
    "end_tree",
    "endpoint",
    "environment",
    "processes_of",
]

PR_SET_CHILD_SUBREAPER = 36
POLL = 0.01  # seconds between looks at DevToolsActivePort: Chromium has no other way to tell


def become_subreaper() -> None:
    """Orphaned descendants become our children, to be reaped by `end_tree`. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def environment(directory: BrowserDirectory, timezone: str | None) -> dict[str, str]:
    """What Chromium finds in its environment: nothing of the gateway's own, whose variables hold secrets."""
    passed = (
        "PATH",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "DISPLAY",
        "XAUTHORITY",
        "FONTCONFIG_FILE",
        "FONTCONFIG_PATH",
    )
    given = {name: os.environ[name] for name in passed if name in os.environ}
    temporary = str(directory.temporary)
    # Chromium's sockets want a short path, its handlers shall have ours on their command line.
    given |= {
        "HOME": temporary,
        "TMPDIR": str(directory.temporary.resolve()),
        "XDG_CONFIG_HOME": temporary,
        "XDG_CACHE_HOME": temporary,
    }
    # There is no bus in a container, and a browser has no business on the user's own.
    given["DBUS_SESSION_BUS_ADDRESS"] = "disabled:"
    if timezone:
        given["TZ"] = timezone
    return given


@asynccontextmanager
async def chromium(
    argv: Sequence[str],
    directory: BrowserDirectory,
    env: Mapping[str, str],
    *,
    tied: bool = True,
    confined: Sequence[str] = (),
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it while the block lasts; at the end none of its processes is left.

    If `tied` it ends with this process even where the block is not left: when this is killed. `confined` are words for
    confine.py on what else shall hold it.
    """
    with directory.errors.open("ab") as errors:  # appended to, so that it can be made shorter under way
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            confine.STARTER,
            str(Path(confine.__file__).parent.parent),
            str(os.getpid()),
            *([] if tied else [confine.OUTLIVE]),
            *confined,
            "--",
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd=directory.path,
            env=dict(env),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await to_the_end(end_tree(process, directory))


async def end_tree(process: asyncio.subprocess.Process, directory: BrowserDirectory) -> None:
    """Kill every process of a browser and reap all of them."""
    try:
        # Crashpad's handlers leave the group, but carry the directory on their command line.
        strays = await asyncio.to_thread(processes_of, directory.path)
    finally:  # whatever there is none of, files or threads: the browser itself must not outlive its block
        with suppress(ProcessLookupError):  # all gone already
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    await asyncio.to_thread(_end, process.pid, strays)
    if user_of(directory.path) > 0:  # what has left the group and names nothing still runs as its user
        await asyncio.to_thread(end_left, [(str(directory.path), 0, 0)])


def _end(group: int, strays: list[int]) -> None:
    """Wait for the killed group, and end the strays, as far as they became our children."""
    for pid in strays:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _reap(strays)
    with suppress(ChildProcessError):  # raised when no child of the group is left
        while True:
            os.waitpid(-group, 0)
    _reap(_dead_handlers())


def end_left(trees: list[Tree]) -> None:
    """End browsers that an earlier process started, for certain: their whole trees. Blocking."""
    _reap(end(trees))
    _reap(_dead_handlers())


async def end_abandoned(directory: BrowserDirectory) -> None:
    """End a Chromium whose bubblewrap was killed alone: what is known as the browser's process has ended then, and who
    looks at its profile next must not meet one that writes on.
    """
    for pid in await asyncio.to_thread(_abandoned, directory):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
        await ended(pid)


def _abandoned(directory: BrowserDirectory) -> list[int]:
    """Its main process, which alone has the option for the profile, but for bubblewrap's, which carry it along."""
    own, others = b"--user-data-dir=", (b"--type=", b"--remount-ro")
    found = processes_of(directory.path)
    return [pid for pid in found if names(pid, own) and not any(names(pid, other) for other in others)]


def _reap(dead: Iterable[int]) -> None:
    for child in dead:
        with suppress(ChildProcessError):  # its group, another browser's end or process 1 was faster
            os.waitpid(child, 0)


def _dead_handlers() -> list[int]:
    """Crashpad handlers that ended with their browser and were orphaned to us: zombies, so without a command line."""
    found = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended, or this kernel lists no children
            for child in (thread / "children").read_text().split():
                _, _, rest = Path(f"/proc/{child}/stat").read_text().partition("(chrome_crashpad")
                if rest.rpartition(")")[2].split()[:1] == ["Z"]:
                    found.append(int(child))
    return found


async def endpoint(process: asyncio.subprocess.Process, directory: BrowserDirectory, timeout: float) -> tuple[int, str]:
    """Port and path of the DevTools endpoint, once Chromium listens there. `timeout` in seconds.

    Raises BrowserFailed with what Chromium said if it exits before, or takes too long.
    """
    try:
        async with asyncio.timeout(timeout):
            while process.returncode is None:
                with suppress(FileNotFoundError):
                    port, newline, path = directory.active_port.read_text().partition("\n")
                    if newline and path:
                        return int(port), path.strip()
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise BrowserFailed(_why(f"Chromium did not open its DevTools within {timeout:g} s", directory)) from None
    code = process.returncode
    how = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    raise BrowserFailed(_why(f"Chromium {how} before it was ready", directory))


def _why(what: str, directory: BrowserDirectory) -> str:
    words = directory.last_words()
    return f"{what}; it said: {words}" if words else f"{what}, without a word; try `cdp-gateway doctor`"
