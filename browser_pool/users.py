"""A user of its own for each browser, where the gateway is root: the kernel then holds browsers apart by itself.

The numbers are those that systemd gives to services for as long as they run (DynamicUser=, systemd.exec(5)). Which are
in use is told by the browsers' directories, whose group each is, and by the processes that run, so that another
gateway on this machine has others. All but `Users` is blocking; callers use a thread.
"""

import asyncio
import fcntl
import os
import secrets
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from browser_pool import procfs
from browser_pool.errors import BrowserFailed
from browser_pool.procfs import FIRST_USER, LAST_USER

# CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID: capabilities(7)
CAPABILITIES = {0: "CHOWN", 1: "DAC_OVERRIDE", 3: "FOWNER", 5: "KILL", 6: "SETGID", 7: "SETUID"}
ATTEMPTS = 100
# The byte of each claimed user is locked (F_OFD_SETLK, fcntl(2)). Root's alone: nobody else can hold them all.
LOCKS = Path("/run/cdp-gateway-users")
_FLOCK = "hhqqi"  # struct flock: type, whence, start, length, pid


def obstacle(root: Path) -> str:
    """Why browsers in `root` cannot have users of their own; empty if they can."""
    if os.geteuid() != 0:
        return "the gateway is not root; its browsers run as its own user"
    if why := lacking(FIRST_USER, LAST_USER):
        return why
    if closed := barred(root.parent):
        return f"other users cannot pass {closed}: put the data directory elsewhere, or chmod o+x {closed}"
    return ""


def lacking(first: int, last: int) -> str:
    """Why no process of ours can become one of these users; empty if one can."""
    if os.geteuid() != 0:
        return "the gateway is not root"
    held = _capabilities()
    if names := [name for number, name in CAPABILITIES.items() if not held >> number & 1]:
        return f"root has not the capability {', '.join(names)} here"
    return "" if _mapped(first, last) else f"this user namespace has no users {first} to {last}"


def barred(path: Path) -> Path | None:
    """The first directory on the way to `path`, itself included, that others may not pass; None if they may."""
    for place in (*reversed(path.parents), path):
        try:
            if not place.stat().st_mode & stat.S_IXOTH:
                return place
        except OSError:
            return place
    return None


def let_pass(directory: Path) -> None:
    """Let others pass `directory`, which is ours, to what they may use in it; the rest of it is closed to them.

    Where they may already nothing is changed: who opened it has decided what they may see. Raises OSError.
    """
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & stat.S_IXOTH:
        return
    with os.scandir(directory) as entries:
        for entry in entries:
            found = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            if found & (stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH) and not entry.is_symlink():
                os.chmod(entry.path, found & ~0o007)
    directory.chmod(mode | stat.S_IXOTH)


class Users:
    """Those of the browsers in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._claimed: set[int] = set()
        self._locks: int | None = None  # the open LOCKS, while there are claims

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[int]:
        """A user that nothing on this machine runs as, for this block. Raises BrowserFailed where none is left."""
        taken = await asyncio.to_thread(self._taken)
        for _ in range(ATTEMPTS):
            user = FIRST_USER + secrets.randbelow(LAST_USER - FIRST_USER + 1)
            # No other may have claimed it since.
            if user not in taken and user not in self._claimed and self._lock(user):
                break
        else:
            self._close()
            raise BrowserFailed("no user is left for another browser")
        self._claimed.add(user)
        try:
            yield user
        finally:
            self._claimed.discard(user)
            self._unlock(user)

    def _lock(self, user: int) -> bool:
        """Whether no other gateway has claimed it: /proc tells only once its browser runs, a moment later.

        Where there can be no file for that (see LOCKS), /proc has to do.
        """
        if self._locks is None:
            try:
                self._locks = os.open(LOCKS, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError:  # no such directory here, or not to be written
                return True
        try:
            fcntl.fcntl(self._locks, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, user, 1, 0))
        except OSError:  # another has it
            return False
        return True

    def _unlock(self, user: int) -> None:
        if self._locks is not None:
            fcntl.fcntl(self._locks, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, user, 1, 0))
        self._close()

    def _close(self) -> None:
        if self._locks is not None and not self._claimed:
            os.close(self._locks)
            self._locks = None

    def _taken(self) -> set[int]:
        taken = set()
        with os.scandir(self._root) as entries:
            taken |= {procfs.user_of(entry.path) for entry in entries}
        for pid in procfs.pids():
            with suppress(OSError):  # it has just ended
                taken.add(os.stat(f"/proc/{pid}").st_uid)
        return taken


def hand_over(directory: Path, user: int) -> None:
    """Make all in `directory` the user's, itself included. Links are not followed. Raises OSError."""
    os.chown(directory, user, user, follow_symlinks=False)
    for _, folders, files, place in os.fwalk(directory):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):  # Chromium runs already, and has removed it
                os.chown(name, user, user, dir_fd=place, follow_symlinks=False)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _mapped(first: int, last: int) -> bool:
    """Whether this user namespace has all of them, as users and as groups (user_namespaces(7))."""
    for name in ("uid_map", "gid_map"):
        ranges = [map(int, line.split()) for line in Path(f"/proc/self/{name}").read_text().splitlines()]
        if not any(begin <= first and begin + count > last for begin, _, count in ranges):
            return False
    return True
