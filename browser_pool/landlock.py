"""Landlock: what of the files and of the network a process, and all that it becomes, may reach. See landlock(7).

Rules only ever grant; what no rule names is refused. No privileges are needed but no_new_privs. The child before
Chromium has it, so: standard library only, and little of it.
"""

import ctypes
import os
import struct

# The same numbers on every architecture.
SYS_CREATE_RULESET, SYS_ADD_RULE, SYS_RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH, RULE_NET_PORT = 1, 2
PR_SET_NO_NEW_PRIVS = 38

# LANDLOCK_ACCESS_FS_*
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
MAKE_SOCK, MAKE_FIFO, MAKE_SYM = 1 << 9, 1 << 10, 1 << 12
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # ABI 2, 3, 5
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1  # LANDLOCK_ACCESS_NET_*, ABI 4
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1 << 0, 1 << 1  # ABI 6

NET, SCOPES = 4, 6  # the ABI that brought them
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # all others are for directories alone

KINDS = {
    "read": READ_FILE | READ_DIR,
    "run": READ_FILE | READ_DIR | EXECUTE,
    "list": READ_DIR,
    # Entries by name, and what is written into them, nothing read: for /proc, where the processes of others are, too.
    "proc": READ_DIR | WRITE_FILE,
    "device": READ_FILE | WRITE_FILE,
    "screen": READ_FILE | READ_DIR | WRITE_FILE | IOCTL_DEV,
    "write": READ_FILE
    | READ_DIR
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE,
}


def abi() -> int:
    """The version of Landlock that this kernel has; 0 where it has none, or it is switched off."""
    found: int = _libc().syscall(SYS_CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION)
    return max(0, found)


def restrict(version: int, rules: "list[tuple[str, str]]", connect: "int | None") -> None:
    """Hold this process to `rules`, pairs of a word of KINDS and a path; those that are not there are left out.

    With `connect` (and ABI 4) TCP goes to that port alone, of whatever host, and listens only where the kernel chooses
    the port. With ABI 6 signals and abstract sockets reach only processes that are held with this one. Raises OSError.
    """
    files = (1 << 13) - 1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        files |= right if version >= since else 0
    net = BIND_TCP | CONNECT_TCP if connect is not None and version >= NET else 0
    scopes = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if version >= SCOPES else 0
    attributes = struct.pack("=QQQ", files, net, scopes)[: 24 if version >= SCOPES else 16 if version >= NET else 8]
    ruleset = _call(SYS_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for kind, path in rules:
            _grant(ruleset, path, KINDS[kind] & files)
        if net:
            # Port 0 is what asks the kernel for any; an explicit one would let it stand in another's place.
            for port, right in ((0, BIND_TCP), (connect, CONNECT_TCP)):
                _call(SYS_ADD_RULE, ruleset, RULE_NET_PORT, struct.pack("=QQ", right, port), 0)
        forgo_privileges()
        _call(SYS_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def forgo_privileges() -> None:
    """No privileges through set-user-id programs from now on: what Landlock and seccomp ask for (no_new_privs)."""
    if _libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # there is no such thing on this machine, or this user may not see it anyway
    try:
        if not os.path.isdir(path):
            rights &= OF_FILES
        _call(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)


def _call(number: int, *words: object) -> int:
    result: int = _libc().syscall(number, *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
