"""bubblewrap: a browser in namespaces of its own, where the kernel has no Landlock. See bwrap(1).

Its mount namespace has what landlock.py's rules name, at the same paths, and nothing else; its /proc that of a pid
namespace, in which no process is but its own. The network is the machine's: its road and its DevTools are there. The
child before Chromium has this, so: standard library only, and little of it. Pure, but for `filter_file`.
"""

import os
from collections.abc import Callable

NAME = "bwrap"
PROC = "/proc"
SCREENS = "/tmp/.X11-unix"  # the sockets of screens: `DISPLAY` is one of them
LOOK, READ, WRITE, DEVICE = range(4)  # what a mount gives; devices work only in the last
STRENGTH = {"list": LOOK, "read": READ, "run": READ, "write": WRITE, "device": DEVICE, "screen": DEVICE}
BIND = {READ: "--ro-bind-try", WRITE: "--bind-try", DEVICE: "--dev-bind-try"}


def argv(
    program: str,
    rules: "list[tuple[str, str]]",
    *,
    tied: bool,
    superuser: bool,
    filters: "int | None" = None,
    exists: "Callable[[str], bool]" = os.path.exists,
    real: "Callable[[str], str]" = os.path.realpath,
) -> "list[str]":
    """What stands before a command's own argv: `program` is bwrap, `rules` are pairs of landlock.KINDS and a path.

    Those that are not there are left out. `tied`: all ends with the parent, kill -9 included. `superuser`: it is run by
    root, who needs no user namespace, and loses all capabilities. `filters`: a descriptor with a seccomp filter, which
    holds from the command on. `exists` and `real` look at the disk.
    """
    shown = any(kind == "screen" for kind, _ in rules)
    words = [program, "--unshare-pid", *(("--cap-drop", "ALL") if superuser else ("--unshare-user",))]
    if not shown:  # a screen has its pictures from shared memory
        words.append("--unshare-ipc")
    if tied:
        words.append("--die-with-parent")
    words += mounts(rules, exists=exists, real=real)
    if superuser:  # these ask for the user, not for capabilities
        words += ["--ro-bind-try", f"{PROC}/sys", f"{PROC}/sys"]
        words += ["--ro-bind-try", f"{PROC}/sysrq-trigger", f"{PROC}/sysrq-trigger"]
    if shown:
        words += ["--ro-bind-try", SCREENS, SCREENS]
    words += ["--remount-ro", "/"]  # it is in memory, which nobody would count
    if filters is not None:
        words += ["--seccomp", str(filters)]
    return [*words, "--"]


def mounts(
    rules: "list[tuple[str, str]]", *, exists: "Callable[[str], bool]", real: "Callable[[str], str]"
) -> "list[str]":
    """The mounts for `rules`, those above before those below."""
    places: dict[str, int] = {}
    for kind, path in rules:
        if kind in STRENGTH and not _under(path, PROC) and exists(path):
            given = DEVICE if _under(path, "/dev") else STRENGTH[kind]
            places[path] = max(given, places.get(path, given))
    words = ["--proc", PROC] if any(path == PROC for _, path in rules) else []
    for path in sorted(places, key=lambda path: path.split("/")):
        given = places[path]
        if _given(path, given, places):
            continue
        target = real(path)
        if target != path and _given(target, given, places | {path: -1}, itself=True):
            words += ["--symlink", target, path]
        elif given == LOOK:
            words += ["--dir", path]
        else:
            words += [BIND[given], path, path]
    return words


def filter_file(filters: bytes) -> int:
    """A descriptor of a file in memory with a seccomp filter (seccomp.program), which the next program inherits."""
    descriptor = os.memfd_create("seccomp", 0)
    os.write(descriptor, filters)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _given(path: str, wanted: int, places: "dict[str, int]", *, itself: bool = False) -> bool:
    """Whether the nearest of `places` above `path`, or with `itself` the same, gives as much."""
    above = [place for place in places if _under(path, place) and (itself or place != path)]
    return bool(above) and places[max(above, key=len)] >= wanted


def _under(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")
