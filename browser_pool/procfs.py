"""What /proc says of processes, and a certain end for browsers that are not our children.

Standard library only, and little of it: the guard has it, too. Everything here is blocking.
"""

import os
import re
import signal
import time

# A browser to look for: its directory, and pid and start time of its main process, (…, 0, 0) if they are not known.
Tree = tuple[str, int, int]

_NAME = re.compile(rb"[/\0 ].*\Z", re.DOTALL)  # what is after a directory's name on a command line
PAGE = os.sysconf("SC_PAGE_SIZE")
DEAD = (b"Z", b"X")
FIRST_USER, LAST_USER = 61184, 65519  # of browsers that have a user of their own (browser_pool/users.py)
LONGEST_PAUSE = 0.1  # seconds between looks at what was killed


class Process:
    """One process as it was a moment ago; `start` is field 22 of its `stat`, clock ticks since the machine's start.

    `resident` is all that it has in memory, in bytes, what it shares with others included.
    """

    __slots__ = ("group", "parent", "pid", "resident", "session", "start", "state")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        self.pid = pid
        self.state = fields[0]
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.start = int(fields[19])
        self.resident = int(fields[21]) * PAGE

    @property
    def lives(self) -> bool:
        """Whether it has not ended; a zombie has."""
        return self.state not in DEAD


def boot_id() -> str:
    """Which run of the machine this is: pids mean nothing in another. Empty where the kernel does not say."""
    return _read("/proc/sys/kernel/random/boot_id").decode(errors="replace").strip()


def seen(pid: int) -> Process | None:
    """That process, or None if there is none."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # the name before it may hold anything
    return Process(pid, fields) if len(fields) > 21 else None


def pids() -> list[int]:
    """All processes that we may see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def owner(pid: int) -> int:
    """The user that a process runs as; -1 if it has ended."""
    # Not the owner of its directory: that is root, where it has a sandbox around it.
    _, found, rest = _read(f"/proc/{pid}/status").partition(b"\nUid:")
    return int(rest.split(maxsplit=1)[0]) if found else -1


def user_of(directory: "str | os.PathLike[str]") -> int:
    """The user that the browser in that directory has for itself; -1 if it has none, or there is no directory."""
    try:
        group = os.stat(directory).st_gid
    except OSError:
        return -1
    return group if os.geteuid() == 0 and FIRST_USER <= group <= LAST_USER else -1


def ours(pid: int) -> bool:
    """Whether it is a process of this user, or of one that we gave a browser for itself."""
    try:
        found = os.stat(f"/proc/{pid}").st_uid
    except OSError:  # it has ended
        return False
    me = os.geteuid()
    return found == me or (me == 0 and FIRST_USER <= found <= LAST_USER)


def names(pid: int, marker: bytes) -> bool:
    """Whether `marker` is on its command line."""
    return marker in _read(f"/proc/{pid}/cmdline")


def marker_of(root: "str | os.PathLike[str]") -> bytes:
    """What is on the command line of a process that has a path under `root` as an option's value."""
    return b"=" + os.fsencode(root) + b"/"


def processes_of(root: "str | os.PathLike[str]") -> list[int]:
    """Processes of this user with a path under `root` as an option's value on their command line."""
    marker = marker_of(root)
    return [pid for pid in pids() if names(pid, marker) and ours(pid)]


def directories_of(root: "str | os.PathLike[str]") -> set[str]:
    """The directories right under `root` that our processes have on their command line, removed ones among them."""
    marker = marker_of(root)
    found = set()
    for pid in pids():
        for rest in _read(f"/proc/{pid}/cmdline").split(marker)[1:]:
            name = os.fsdecode(_NAME.sub(b"", rest))
            # A process may have any words there, and what is named is removed some day: nothing above, nor all of it.
            if name not in ("", ".", "..") and ours(pid):
                found.add(os.path.join(os.fspath(root), name))
    return found


def runs(tree: Tree) -> bool:
    """Whether the main process of that browser lives: the same one, not another that got its pid."""
    directory, pid, start = tree
    process = seen(pid)
    if process is None or not process.lives or process.start != start:
        return False
    return ours(pid) and names(pid, marker_of(directory))


def members(trees: "list[Tree] | tuple[Tree, ...]") -> list[Process]:
    """The processes of browsers, dead ones among them that nobody has reaped.

    Those with the directory on their command line, and all of the session that the main process leads: the headless
    shell's renderers have no directory to be known by, and crash handlers leave the session. A main process that has
    ended may have left others of its session, stopped ones for instance; a pid is not used anew while it has. And where
    a browser has a user for itself, all that runs as that one, wherever it has gone.
    """
    markers = [marker_of(directory) for directory, _, _ in trees]
    everyone: dict[int, Process] = {}
    found: set[int] = set()
    sessions: set[int] = set()
    users = {user_of(directory) for directory, _, _ in trees} - {-1}
    for pid in pids():
        process = seen(pid)
        if process is None:
            continue
        if users and owner(pid) in users:
            found.add(pid)
        everyone[pid] = process
        line = _read(f"/proc/{pid}/cmdline")
        if any(marker in line for marker in markers) and ours(pid):
            found.add(pid)
            if process.session == pid:
                sessions.add(pid)
    for _, leader, start in trees:
        main = everyone.get(leader)
        if leader and (main is None or main.start == start):
            sessions.add(leader)
    return [process for process in everyone.values() if process.pid in found or process.session in sessions]


def wake(tree: Tree) -> None:
    """Let all processes of a browser run that were stopped (SIGCONT)."""
    _signal(members((tree,)), signal.SIGCONT)


def end(trees: "list[Tree] | tuple[Tree, ...]") -> set[int]:
    """Kill all processes of these browsers, and wait until they have ended; their pids.

    Those that are, or became, our children are left for us to reap. What we may not kill is left alone.
    """
    ended: set[int] = set()
    spared: set[int] = set()
    pause = 0.002
    while trees:
        there = [process for process in members(trees) if process.pid not in spared]
        living = [process for process in there if process.lives]
        spared |= _signal(living, signal.SIGKILL)
        ended |= {process.pid for process in there}
        if not living:
            break
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    return ended - spared


def _signal(processes: list[Process], number: int) -> set[int]:
    """Send each a signal; the pids of those that we may not send one."""
    refused = set()
    for process in processes:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            pass  # it has just ended
        except PermissionError:
            refused.add(process.pid)
    return refused


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError:  # it ended while we looked, or is not ours to read
        return b""
