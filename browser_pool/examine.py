"""Look at this machine: what of the confinement it gives. Blocking; callers use a thread."""

import os
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from browser_pool import bubblewrap, confine, landlock, procfs, reach, seccomp, users
from browser_pool.binary import Binaries
from browser_pool.cgroup import delegated
from browser_pool.confinement import Confinement, Held, NotConfined, Wish
from browser_pool.errors import BrowserMissing
from browser_pool.spec import Mode

# What Chromium's sandbox does, as the user that shall do it: a user namespace, and in it what takes its privileges.
NAMESPACES = (
    "import ctypes, os, sys\n"
    "user = int(sys.argv[1])\n"
    "if user >= 0: os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "for kind in (0x10000000, 0x40000000):\n"  # CLONE_NEWUSER, CLONE_NEWNET
    "    if libc.unshare(kind) != 0: sys.exit(os.strerror(ctypes.get_errno()))\n"
    "try: os.chroot('/proc/self/fdinfo')\n"  # sandbox/linux/services/credentials.cc
    "except OSError as error: sys.exit('chroot: ' + error.strerror)\n"
)
PROBE = 10.0  # seconds
SETTINGS = {
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=15000"),
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}


def examine(wanted: Confinement, root: Path, binaries: Binaries, *, abi: int | None = None) -> Held:
    """What it gives to browsers in `root`. Raises NotConfined where all of it is wanted and there is not.

    `abi` is Landlock's version, 0 as if there were none; the kernel's own where it is None.
    """
    if wanted.wish is Wish.OFF:
        plain = "Chromium refuses its sandbox as root, and confinement is off"
        return Held(sandbox=plain if os.geteuid() == 0 else no_namespaces(-1))
    own = users.obstacle(root)
    if not own and (closed := _unreachable(binaries)) is not None:
        own = f"other users may not run {closed}"
    user = -1 if own else procfs.FIRST_USER
    namespaces = no_namespaces(user)
    root_alone = os.geteuid() == 0 and own
    helper = "" if os.geteuid() == 0 or not namespaces else _helper(binaries)
    abi = landlock.abi() if abi is None else abi
    bwrap = None if abi or helper else shutil.which(bubblewrap.NAME)
    found = Held(
        abi=abi,
        landlock=helper or ("" if abi else "this kernel has no Landlock (5.13), or it is switched off"),
        bubblewrap=helper or ("there is Landlock" if abi else no_bubblewrap(bwrap, user, sandbox=not root_alone)),
        bwrap=bwrap or "",
        seccomp=helper or ("" if seccomp.supported(os.uname().machine) else f"no filter for {os.uname().machine}"),
        users=own,
        sandbox="Chromium refuses it as root" if root_alone else namespaces,
        cgroup=delegated(),
        watchdog="",
    )
    if wanted.wish is Wish.REQUIRED and found.missing:
        words = "; ".join(f"{measure.name}: {measure.why}" for measure in found.missing)
        raise NotConfined(f"confinement is required, and this machine lacks {words}")
    return found


def no_namespaces(user: int) -> str:
    """Why `user`, the present one if it is -1, can make no user namespace; empty if it can."""
    words = [sys.executable, "-I", "-S", "-c", NAMESPACES, str(user)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PROBE, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"user namespaces could not be tried: {error}"
    if done.returncode == 0:
        return ""
    for file, (bad, advice) in SETTINGS.items():
        if Path(file).exists() and Path(file).read_text().strip() == bad:
            return f"user namespaces are off: {advice}"
    return f"user namespaces cannot be made here ({done.stderr.strip()[-80:]}); containers often forbid them"


def no_bubblewrap(bwrap: str | None, user: int, *, sandbox: bool) -> str:
    """Why that program cannot confine browsers of `user`, the present one if it is -1; empty if it can.

    Tried with a sandbox within, which is bubblewrap's again in the place of Chromium's, where that shall be on.
    """
    if not bwrap:
        return f"bubblewrap ({bubblewrap.NAME}) is not installed"
    within = [bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "--"]
    words = [sys.executable, "-I", "-S", "-c", confine.STARTER, str(Path(confine.__file__).parent.parent)]
    words += [str(os.getpid()), *([f"user={user}"] if user >= 0 else []), f"bubblewrap={bwrap}"]
    words += ["proc=/proc", "list=/tmp", *(f"run={path}" for path in (*reach.PROGRAMS, os.path.realpath(bwrap)))]
    words += ["--", *(within if sandbox else []), bwrap, "--version"]
    # A group of its own, to be reaped: the first process of the namespace outlives the one that we started by a moment.
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", start_new_session=True
    ) as tried:
        try:
            _, said = tried.communicate(timeout=PROBE)
        except subprocess.TimeoutExpired:
            tried.kill()  # and with it all that is in it
            said = f"it took longer than {PROBE:g} s"
    with suppress(ChildProcessError):  # raised when no child of the group is left
        while True:
            os.waitpid(-tried.pid, 0)
    return "" if tried.returncode == 0 else f"bubblewrap cannot be used here ({said.strip()[-120:]})"


def _unreachable(binaries: Binaries) -> Path | None:
    """A binary of Chromium that other users cannot run."""
    for mode in (Mode.HEADLESS, Mode.SHELL):
        try:
            binary = Path(os.path.realpath(binaries.path(mode)))
        except BrowserMissing:
            continue
        if users.barred(binary.parent) is not None or not binary.stat().st_mode & stat.S_IXOTH:
            return binary
    return None


def _helper(binaries: Binaries) -> str:
    """Why privileges through set-user-id programs must stay: it is what Chromium's sandbox is left with here."""
    for mode in (Mode.HEADLESS, Mode.SHELL):
        try:
            home = Path(os.path.realpath(binaries.path(mode))).parent
        except BrowserMissing:
            continue
        for file in (home / "chrome-sandbox", home / "chrome_sandbox"):
            if file.exists() and file.stat().st_mode & stat.S_ISUID and file.stat().st_uid == 0:
                return "without user namespaces Chromium's sandbox is a set-user-id program, which it would forbid"
    return ""
