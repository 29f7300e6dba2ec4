import os
import platform

import pytest

from browser_pool import seccomp
from tests.browser_pool.caged import PACKAGES, scripted

SOCKET = "import socket; socket.socket({}).close(); print('made')"
REFUSED = "PermissionError: [Errno 13] Permission denied"
CALL = "import ctypes, os; c = ctypes.CDLL(None, use_errno=True); r = c.syscall({}); print(r, ctypes.get_errno())"

pytestmark = pytest.mark.skipif(not seccomp.supported(platform.machine()), reason="no filter for this processor")


@pytest.mark.parametrize(
    "kind",
    [
        "socket.AF_INET, socket.SOCK_DGRAM",
        "socket.AF_INET6, socket.SOCK_DGRAM",
        "socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK",
        "socket.AF_INET, socket.SOCK_STREAM, 262",  # IPPROTO_MPTCP
        "socket.AF_INET, socket.SOCK_STREAM, 132",  # IPPROTO_SCTP
        "socket.AF_INET, socket.SOCK_RAW, 1",
        "socket.AF_PACKET, socket.SOCK_RAW",
        "socket.AF_VSOCK, socket.SOCK_STREAM",
        "socket.AF_NETLINK, socket.SOCK_RAW, 0",  # NETLINK_ROUTE
        "socket.AF_BLUETOOTH, socket.SOCK_RAW, 1",
    ],
)
def test_on_a_road_there_are_no_sockets_that_go_round_it(kind: str) -> None:
    assert scripted(SOCKET.format(kind), words=("seccomp=road",)) == REFUSED
    assert scripted(SOCKET.format(kind), words=("seccomp=open",)) != REFUSED


@pytest.mark.parametrize(
    "kind",
    [
        "socket.AF_INET, socket.SOCK_STREAM",
        "socket.AF_INET6, socket.SOCK_STREAM, 6",
        "socket.AF_UNIX, socket.SOCK_DGRAM",
        "socket.AF_UNIX, socket.SOCK_SEQPACKET",
    ],
)
def test_what_chromium_needs_is_there(kind: str) -> None:
    assert scripted(SOCKET.format(kind), words=("seccomp=road",)) == "made"


def test_no_connection_with_the_first_packet() -> None:
    script = (
        "import socket; there = socket.create_server(('127.0.0.1', 0)); s = socket.socket()\n"
        "s.sendto(b'x', {}, there.getsockname()); print('sent')"
    )
    assert scripted(script.format("socket.MSG_FASTOPEN"), words=("seccomp=road",)) == REFUSED
    assert scripted(script.format("socket.MSG_FASTOPEN"), words=("seccomp=open",)) == "sent"
    message = "import socket; s = socket.socket(); s.sendmsg([b'x'], [], socket.MSG_FASTOPEN, ('127.0.0.1', 9))"
    assert scripted(message, words=("seccomp=road",)) == REFUSED


@pytest.mark.parametrize("name", ["ptrace", "bpf", "keyctl", "perf_event_open", "mount", "kexec_load", "pidfd_getfd"])
def test_what_a_browser_has_no_need_of_is_refused(name: str) -> None:
    number = seccomp.MACHINES[platform.machine()][1][name]
    arguments = f"{number}, -1, 0, 0, 0, 0"
    assert scripted(CALL.format(arguments), words=("seccomp=open",)) == "-1 1"
    if os.geteuid() == 0 or name == "keyctl":  # the kernel itself says something else, where it lets one ask
        assert scripted(CALL.format(arguments), words=()) != "-1 1"


def test_io_uring_is_not_there() -> None:
    assert scripted(CALL.format("425, 1, 0"), words=("seccomp=open",)) == "-1 38"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86-64 alone")
def test_the_other_numbering_of_system_calls_is_no_way_past() -> None:
    assert scripted(CALL.format(f"{0x40000000 | 41}, 2, 2, 0"), words=("seccomp=road",)) == "-1 38"


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@pytest.mark.parametrize("road", [False, True])
@pytest.mark.parametrize("alone", [False, True], ids=["with others", "alone"])
def test_every_jump_stays_in_the_program(machine: str, road: bool, alone: bool) -> None:
    steps = seccomp.program(machine, road=road, alone=alone)
    length = len(steps) // 8
    assert 0 < length < 4096  # BPF_MAXINSNS
    for place in range(length):
        code, true, false = steps[8 * place] | steps[8 * place + 1] << 8, steps[8 * place + 2], steps[8 * place + 3]
        if code & 7 == 5:  # BPF_JMP
            assert place + 1 + max(true, false) < length
    assert steps[-8] | steps[-7] << 8 == seccomp.RETURN


def test_no_number_stands_twice() -> None:
    for _, numbers in seccomp.MACHINES.values():
        assert len(set(numbers.values())) == len(numbers)
    assert not seccomp.supported("riscv64")


ALONE = """
import ctypes, os, platform, sys, threading
sys.path.insert(0, {packages!r})
from browser_pool import landlock, seccomp
landlock.forgo_privileges()
seccomp.install(seccomp.program(platform.machine(), road=False, alone=True))
thread = threading.Thread(target=print, args=("thread",))
thread.start()
thread.join()
libc = ctypes.CDLL(None, use_errno=True)
numbers = seccomp.ALONE[platform.machine()]
for name in sorted(numbers):
    ctypes.set_errno(0)
    print(name, libc.syscall(numbers[name], 0, 0, 0, 0, 0), ctypes.get_errno())
"""


def test_one_that_is_alone_has_threads_and_no_other_process() -> None:
    """Zeros in place of what they ask for: clone(0) would be a fork, kill(0, 0) finds itself."""
    said = scripted(ALONE.format(packages=PACKAGES), words=()).splitlines()
    names = sorted(seccomp.ALONE[platform.machine()])
    assert said == ["thread", *(f"{name} -1 {38 if name == 'clone3' else 1}" for name in names)]
