"""A seccomp filter: system calls that a browser has no need of, and sockets that would go round its road.

See seccomp(2), and linux/filter.h for the machine that runs it. The child before Chromium has it, so: standard
library only, and little of it.
"""

import ctypes
import os
import struct

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_*
KILL_PROCESS = 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06  # BPF_LD|W|ABS, BPF_JMP|…, BPF_ALU|…
NUMBER, ARCHITECTURE, ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
EPERM, EACCES, ENOSYS = 1, 13, 38
X32 = 0x40000000  # x86-64's other numbering, which no Chromium uses

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
SOCK_STREAM, SOCK_TYPE = 1, 0xF
IPPROTO_TCP = 6
CLONE_THREAD = 0x10000
MSG_FASTOPEN = 0x20000000

# machine: (AUDIT_ARCH_*, numbers). From the kernel's tables; those from 424 on are the same everywhere.
_X86 = {
    "socket": 41, "sendto": 44, "sendmsg": 46, "sendmmsg": 307, "ptrace": 101, "process_vm_readv": 310,
    "process_vm_writev": 311, "kcmp": 312, "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321,
    "perf_event_open": 298, "userfaultfd": 323, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
    "finit_module": 313, "delete_module": 176, "mount": 165, "umount2": 166, "pivot_root": 155, "swapon": 167,
    "swapoff": 168, "reboot": 169, "acct": 163, "quotactl": 179, "open_by_handle_at": 304, "name_to_handle_at": 303,
    "setns": 308, "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159,
    "sethostname": 170, "setdomainname": 171, "syslog": 103, "vhangup": 153, "fanotify_init": 300,
    "lookup_dcookie": 212, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134, "personality": 135,
}  # fmt: skip
_ARM = {
    "socket": 198, "sendto": 206, "sendmsg": 211, "sendmmsg": 269, "ptrace": 117, "process_vm_readv": 270,
    "process_vm_writev": 271, "kcmp": 272, "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280,
    "perf_event_open": 241, "userfaultfd": 282, "kexec_load": 104, "kexec_file_load": 294, "init_module": 105,
    "finit_module": 273, "delete_module": 106, "mount": 40, "umount2": 39, "pivot_root": 41, "swapon": 224,
    "swapoff": 225, "reboot": 142, "acct": 89, "quotactl": 60, "open_by_handle_at": 265, "name_to_handle_at": 264,
    "setns": 268, "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266, "adjtimex": 171,
    "sethostname": 161, "setdomainname": 162, "syslog": 116, "vhangup": 58, "fanotify_init": 262,
    "lookup_dcookie": 18, "personality": 92,
}  # fmt: skip
# pidfd_getfd takes others' open files; the rest mounts, or is io_uring, which goes past this filter.
_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
    "quotactl_fd": 443,
}  # fmt: skip
MACHINES = {"x86_64": (0xC000003E, _X86 | _EVERYWHERE), "aarch64": (0xC00000B7, _ARM | _EVERYWHERE)}
# What makes processes, becomes programs and signals others, for a process that is to stay alone.
_ALONE_X86 = {
    "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "tkill": 200, "tgkill": 234,
    "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
}  # fmt: skip
_ALONE_ARM = {
    "clone": 220, "execve": 221, "execveat": 281, "kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138,
    "rt_tgsigqueueinfo": 240,
}  # fmt: skip
_ALONE_EVERYWHERE = {"clone3": 435, "pidfd_send_signal": 424, "pidfd_open": 434}
ALONE = {"x86_64": _ALONE_X86 | _ALONE_EVERYWHERE, "aarch64": _ALONE_ARM | _ALONE_EVERYWHERE}
Step = tuple[int, int, int, int]  # code, jump if true, jump if false, k
_SOCKETS = ("socket", "sendto", "sendmsg", "sendmmsg")


def supported(machine: str) -> bool:
    """Whether there is a filter for that kind of processor, as uname(2) names it."""
    return machine in MACHINES


def program(machine: str, *, road: bool, alone: bool = False) -> bytes:
    """The filter as an array of struct sock_filter.

    With `road` sockets are TCP streams or local ones: no UDP, nothing raw, no packets, no MPTCP nor TCP Fast Open,
    which Landlock's rules for TCP do not see. No netlink either: without UDP Chromium learns no interface's name, and
    takes itself for offline (navigator.onLine), unless it cannot ask for interfaces at all.

    With `alone` there are threads, but no other process, program or signal.
    """
    architecture, numbers = MACHINES[machine]
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
    ]
    if machine == "x86_64":
        steps += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, ERRNO | ENOSYS)]
    if road:
        steps += _when(numbers["socket"], _of_sockets())
        steps += _when(numbers["sendto"], _no_fast_open(3))
        steps += _when(numbers["sendmsg"], _no_fast_open(2))
        steps += _when(numbers["sendmmsg"], _no_fast_open(3))
    if alone:
        numbers = numbers | ALONE[machine]
        steps += _when(numbers["clone"], _of_threads())
    for name, number in numbers.items():
        if name not in _SOCKETS and name != "clone":
            # ENOSYS where a program asks whether there is such a thing, and goes on without: clone3 takes its flags
            # from memory, where no filter sees them.
            code = ENOSYS if name.startswith("io_uring") or name == "clone3" else EPERM
            steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | code)]
    steps.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def install(filters: bytes) -> None:
    """Hold this process, and all that it becomes, to them; no_new_privs must be set. Raises OSError."""
    body = ctypes.create_string_buffer(filters, len(filters))
    head = struct.pack("@HP", len(filters) // 8, ctypes.addressof(body))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")


def _when(number: int, then: "list[Step]") -> "list[Step]":
    """`then`, which must end in a return on every way, for that system call; else on behind it."""
    return [(EQUAL, 0, len(then), number), *then]


def _of_sockets() -> "list[Step]":
    """socket(domain, type, protocol)."""
    domain, kind, protocol = (ARGUMENT + 8 * place for place in range(3))
    allow, refuse = (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | EACCES)
    return [
        (LOAD, 0, 0, domain),
        (EQUAL, 8, 0, AF_UNIX),
        (EQUAL, 1, 0, AF_INET),
        (EQUAL, 0, 7, AF_INET6),
        (LOAD, 0, 0, kind),
        (AND, 0, 0, SOCK_TYPE),
        (EQUAL, 0, 4, SOCK_STREAM),
        (LOAD, 0, 0, protocol),
        (EQUAL, 1, 0, IPPROTO_TCP),
        (EQUAL, 0, 1, 0),  # what there is for streams: TCP
        allow,
        refuse,
    ]


def _of_threads() -> "list[Step]":
    """clone(flags, ...)."""
    return [
        (LOAD, 0, 0, ARGUMENT),
        (ANY_BIT, 0, 1, CLONE_THREAD),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO | EPERM),
    ]


def _no_fast_open(place: int) -> "list[Step]":
    """A call whose flags are argument `place`: data with the first packet would connect without connect(2)."""
    return [
        (LOAD, 0, 0, ARGUMENT + 8 * place),
        (ANY_BIT, 0, 1, MSG_FASTOPEN),
        (RETURN, 0, 0, ERRNO | EACCES),
        (RETURN, 0, 0, ALLOW),
    ]
