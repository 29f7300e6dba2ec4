"""Runs in the child, before Chromium: what the operating system shall hold it to. Then it becomes Chromium.

Started as `python -I -S confine.py PARENT_PID -- ARGV…`, with Chromium's environment and working directory; with
`--outlive` in place of `--` it is not tied to its parent.
Standard library only, and little of it: every launch waits for this.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38


OUTLIVE = "--outlive"


def confine(parent: int, tied: bool) -> None:
    """Hold this process, and all that it becomes.

    - if `tied`, ended by the kernel when the gateway's process is, kill -9 included (prctl PR_SET_PDEATHSIG);
    - no privileges through set-user-id programs, where Chromium does not need them for its sandbox;
    - no core dumps: they would hold a tenant's cookies;
    - the first to go when memory runs out, before the gateway.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if tied and libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the call above, or before its guard could see us
        sys.exit(1)
    if os.geteuid() == 0:  # as root the set-user-id sandbox is not in use
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("300")
    except OSError:
        pass  # no such file outside Linux, or none that may be written: the kernel's default order stands


if __name__ == "__main__":
    confine(int(sys.argv[1]), tied=sys.argv[2] != OUTLIVE)
    try:
        os.execv(sys.argv[3], sys.argv[3:])
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[3]}: {error.strerror}")
