"""Become a program under a seccomp profile, as a container's process is: `held.py PROFILE USER -- ARGV…`.

USER -1 stays who we are. No capability is left, and none can be had (no_new_privs). Standard library and libseccomp.
"""

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SCMP_ACT_*
OPERATORS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}  # enum scmp_compare
PR_SET_NO_NEW_PRIVS = 38


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def main(words: list[str]) -> None:
    """See above."""
    profile = json.loads(Path(words[0]).read_text())
    user, argv = int(words[1]), words[words.index("--") + 1 :]
    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(_action(profile, "defaultAction", "defaultErrnoRet"))))
    for rule in profile["syscalls"]:
        given = [
            Compare(each["index"], OPERATORS[each["op"]], each["value"], each.get("valueTwo", 0))
            for each in rule.get("args", ())
        ]
        for name in rule["names"]:
            number = lib.seccomp_syscall_resolve_name(name.encode())
            if number < 0:
                continue  # another architecture's, or newer than the library: runtimes leave it out, too
            compares = (Compare * len(given))(*given)
            action = ctypes.c_uint32(_action(rule, "action", "errnoRet"))
            if lib.seccomp_rule_add_array(context, action, number, len(given), compares) != 0:
                sys.exit(f"{name}: no rule can be made of {rule}")
    if user >= 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or lib.seccomp_load(context) != 0:
        sys.exit("the profile cannot be loaded")
    os.execv(argv[0], argv)


def _action(rule: dict[str, Any], action: str, number: str) -> int:
    return ALLOW if rule[action] == "SCMP_ACT_ALLOW" else ERRNO | rule.get(number, 1)


if __name__ == "__main__":
    main(sys.argv[1:])
