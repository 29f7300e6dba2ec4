"""Runs in the child, before Chromium: what the operating system shall hold it to. Then it becomes Chromium.

Started as `python -I -S -c STARTER PACKAGES PARENT_PID WORD… -- ARGV…`, with Chromium's environment and working
directory. The words are made by browser_pool/confinement.py; see `main`.
Standard library only, and little of it: every launch waits for this.
"""

import ctypes
import os
import resource
import sys

from browser_pool import bubblewrap, landlock, seccomp

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
SIGKILL = 9  # the module `signal` takes 4 ms to import
SIGXFSZ, SIG_IGN = 25, 1

STARTER = "import sys; sys.path.append(sys.argv[1]); from browser_pool import confine; confine.main(sys.argv[2:])"
OUTLIVE = "outlive"
POWERLESS = "powerless"
OPEN, ROAD = "open", "road"  # of `seccomp`
LIMITS = {
    "core": resource.RLIMIT_CORE,
    "data": resource.RLIMIT_DATA,
    "files": resource.RLIMIT_NOFILE,
    "size": resource.RLIMIT_FSIZE,
    "tasks": resource.RLIMIT_NPROC,
}


def main(words: list[str]) -> None:
    """Hold this process as `words` say, and become what is behind the `--` among them.

    - a number: the parent's process id, without which nothing is started;
    - `cgroup=FILE`: join the cgroup whose cgroup.procs it is, before anything else;
    - `outlive`: not tied to the parent. Else ended by the kernel when it is, kill -9 included (PR_SET_PDEATHSIG);
    - `user=N`: become the user and the group N, and no other group's member;
    - `powerless`: root without its capabilities, once it has become the program;
    - `LIMIT=N`: a limit of setrlimit(2), by its name in LIMITS, where it is not lower already;
    - `landlock=ABI`: files as `KIND=PATH` words say (landlock.KINDS); `connect=PORT`: the one TCP port;
    - `bubblewrap=PROGRAM`: files by namespaces, the same KIND=PATH words, where there is no Landlock; then the process
      stays between the parent and the one that becomes ARGV, and ends with what that ended with (128 + a signal);
    - `seccomp=open` or `seccomp=road`: the filter, the latter without UDP and what else goes round a proxy.

    And always: no core dumps, which would hold a tenant's cookies, and the first to go when memory runs out.
    """
    end = words.index("--")
    argv = words[end + 1 :]
    given = [word.partition("=") for word in words[1:end]]
    try:
        argv = _hold(int(words[0]), [(name, value) for name, _, value in given]) + argv
    except OSError as error:
        sys.exit(f"the browser cannot be confined: {error}")
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


def _hold(parent: int, words: list[tuple[str, str]]) -> list[str]:
    """Hold this process; what is to stand before its argv."""
    values = dict(words)
    libc = ctypes.CDLL(None, use_errno=True)
    if "cgroup" in values:
        with open(values["cgroup"], "w") as file:
            file.write("0")
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("300")
    except OSError:
        pass  # no such file outside Linux, or none that may be written: the kernel's default order stands
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, limit in LIMITS.items():
        if name in values:
            _lower(limit, int(values[name]))
    if "size" in values:
        libc.signal(SIGXFSZ, ctypes.c_void_p(SIG_IGN))  # a file that is full is an error of the write, no end
    if "user" in values:
        user = int(values["user"])
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    elif POWERLESS in values:
        for capability in range(64):  # those that this kernel does not know are refused, which is as good
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if OUTLIVE not in values and libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0:  # another user clears it
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the call above, or before its guard could see us
        sys.exit(1)
    # Its own processes' files are found by number: those of its children are made later, and cannot be named.
    rules = [(kind, path) for kind, path in words if kind in landlock.KINDS]
    filters = b""
    if "seccomp" in values:
        filters = seccomp.program(os.uname().machine, road=values["seccomp"] == ROAD)
    if "bubblewrap" in values:  # it mounts first, which the filter forbids
        descriptor = bubblewrap.filter_file(filters) if filters else None
        tied, superuser = OUTLIVE not in values, os.geteuid() == 0
        return bubblewrap.argv(values["bubblewrap"], rules, tied=tied, superuser=superuser, filters=descriptor)
    if "landlock" in values:
        connect = int(values["connect"]) if "connect" in values else None
        landlock.restrict(int(values["landlock"]), rules, connect)
    if filters:
        landlock.forgo_privileges()
        seccomp.install(filters)
    return []


def _lower(limit: int, most: int) -> None:
    _, hard = resource.getrlimit(limit)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    soft, _ = resource.getrlimit(limit)
    soft = most if soft == resource.RLIM_INFINITY else min(most, soft)
    resource.setrlimit(limit, (soft, most))
