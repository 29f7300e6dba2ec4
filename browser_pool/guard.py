"""The guard: a small process that ends the browsers of a gateway that was killed, once nobody comes for them.

Browsers that shall outlive their gateway cannot be tied to it (PR_SET_PDEATHSIG). The guard stands in for that
tie. It holds the lock on the pool's root together with the gateway (they share one open file), so that no other
process begins there while it is at work: who wants to begin ends the guard first, then owns all that is there.

Its standard input is a pipe from the pool. A byte is a goodbye: all is in order, it exits. The end of the pipe
without it means that the gateway was killed. Then browsers without a note (browser_pool/note.py) are ended at once
and their directories removed; after `outlive` seconds the others are ended, too. Their directories stay: in each the
next start finds a profile that is worth saving.

Standard library only, and little of it, since it lives as long as the gateway does.
"""

import json
import os
import shutil
import signal
import sys
import time

from browser_pool.procfs import Tree, directories_of, end, members

NOTE = "note.json"  # in a browser's directory: it is somebody's, who may come back for it
ROOT = "GUARDED"  # the variable that has the pool's root: on no command line, where it would look like a browser's
STARTER = "import sys; sys.path.append(sys.argv[1]); from browser_pool import guard; guard.main()"
TICK = 2.0  # seconds between looks, once the gateway is gone
LAST_BREATH = 5.0  # seconds for the gateway's process to be gone when its end of the pipe is


def main() -> None:
    """Started as `python -I -S -c STARTER PACKAGES PARENT_PID OUTLIVE`, the lock open as an inherited descriptor."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it goes when it is told so, or the gateway has gone
    parent, outlive = int(sys.argv[2]), float(sys.argv[3])
    if os.read(0, 1):
        return
    began = time.monotonic()
    # A browser that it was just starting sees that its parent is gone (confine.py), or is seen by us.
    while os.getppid() == parent and time.monotonic() < began + LAST_BREATH:
        time.sleep(0.005)
    watch(os.environ[ROOT], began + outlive)


def watch(root: str, deadline: float) -> None:
    """End what nobody can want, at `deadline` (monotonic seconds) the rest; returns when no browser is left."""
    while True:
        noted, others = browsers(root)
        clear(others)
        trees = [tree_of(directory) for directory in noted]
        left = deadline - time.monotonic()
        if left <= 0:
            end(trees)
            return
        if not any(process.lives for process in members(trees)):
            return  # what they left is for the next start
        time.sleep(min(TICK, left))


def browsers(root: str) -> tuple[list[str], list[str]]:
    """The directories of browsers under `root`: those with a note, and the others, removed ones that run among them."""
    running = directories_of(root)
    try:
        found = [os.path.join(root, name) for name in os.listdir(root)]
    except OSError:  # the whole data directory was removed
        found = []
    directories = running.union(path for path in found if os.path.isdir(path))
    noted = [path for path in directories if os.path.exists(os.path.join(path, NOTE))]
    return noted, list(directories.difference(noted))


def tree_of(directory: str) -> Tree:
    """What the note in that directory says of its browser's main process."""
    try:
        with open(os.path.join(directory, NOTE), "rb") as file:
            note = json.load(file)
        return directory, int(note["pid"]), int(note["start"])
    except (OSError, ValueError, KeyError, TypeError):  # it is on the command line at least
        return directory, 0, 0


def clear(directories: list[str]) -> None:
    """End these browsers and remove their directories, with what their `tmp` points to (as profile.py does)."""
    end([(directory, 0, 0) for directory in directories])
    for directory in directories:
        temporary = os.path.join(directory, "tmp")
        if os.path.islink(temporary):
            shutil.rmtree(os.readlink(temporary), ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)  # what cannot be removed now is by the next start
