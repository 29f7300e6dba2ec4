"""The seccomp profile of k8s/: Chromium runs under it with its sandbox on and no privileges, and little else may."""

import copy
import ctypes.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from browser_pool import seccomp
from browser_pool.users import barred
from tests.kubernetes.rendering import K8S, ROOT, Rendered

FILE = K8S / "seccomp/cdp-gateway.json"
PROFILE: dict[str, Any] = json.loads(FILE.read_text())
PLAIN = {name for rule in PROFILE["syscalls"] if "args" not in rule for name in rule["names"]}
USER = 10001 if os.geteuid() == 0 else -1
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000  # CLONE_NEW*
PROBE = """
import ctypes, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def said(done):
    return ctypes.get_errno() if done != 0 else 0
print(said(libc.unshare(0x10000000 | 0x20000000)))
print(said(libc.unshare(0x00020000)))
print(said(libc.ptrace(0, 0, 0, 0)))
print(said(libc.mount(b"none", b"/", b"tmpfs", 0, None)))
print(said(min(0, libc.syscall(425, 1, None))))
for family, protocol in ((socket.AF_INET, 0), (socket.AF_NETLINK, 0), (socket.AF_NETLINK, 12), (17, 0), (38, 0)):
    try:
        socket.socket(family, socket.SOCK_RAW if family in (16, 17) else socket.SOCK_STREAM, protocol).close()
        print(0)
    except OSError as error:
        print(error.errno)
"""


def ours_are_reached() -> bool:
    """Whether USER may read this directory and run this Python."""
    places = (ROOT / "gateway", Path(sys.executable).parent, Path(sys.executable).resolve().parent)
    return USER < 0 or all(barred(place) is None for place in places)


real = pytest.mark.skipif(
    not ours_are_reached() or ctypes.util.find_library("seccomp") is None,
    reason="takes libseccomp, and directories that an ordinary user may pass",
)


def held(profile: dict[str, Any], place: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run Python under a profile, as an ordinary user whose one directory `place` is."""
    file = place / "profile.json"
    file.write_text(json.dumps(profile))
    home = place / "home"
    home.mkdir()
    if USER >= 0:
        os.chown(home, USER, USER)
    words = [sys.executable, str(ROOT / "tests/kubernetes/held.py"), str(file), str(USER), "--", sys.executable, *argv]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=home)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that others may pass, with a short path: pytest's own have neither."""
    with TemporaryDirectory(prefix="cdpg-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def doctor(profile: dict[str, Any], place: Path) -> str:
    """What `cdp-gateway doctor` says under it; both Chromiums are really started."""
    return held(profile, place, "-m", "gateway.cli", "doctor", "--data-dir", str(place / "home/data")).stdout


@real
def test_chromium_runs_with_its_sandbox(place: Path) -> None:
    said = doctor(PROFILE, place)
    assert "ok   chromium: " in said, said
    assert "ok   confinement chromium_sandbox" in said
    assert "ok   confinement sockets" in said
    assert "BAD" not in said


@real
@pytest.mark.parametrize(("without", "words"), [("namespaces", "No usable sandbox"), ("chroot", "sys_chroot")])
def test_it_does_not_where_a_runtime_refuses_what_the_profile_allows(place: Path, without: str, words: str) -> None:
    profile = copy.deepcopy(PROFILE) | {"defaultErrnoRet": seccomp.EPERM}  # as they do
    profile["syscalls"].append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": seccomp.ENOSYS})
    for rule in profile["syscalls"]:
        if without == "chroot" and "chroot" in rule["names"]:
            rule["names"].remove("chroot")
        elif without == "namespaces" and set(rule["names"]) & {"clone", "unshare"}:
            rule["args"][0]["value"] |= NEW_USER | NEW_PID | NEW_NET
    said = doctor(profile, place)
    assert "BAD  chromium: " in said
    assert words in said, said


@real
def test_the_rest_of_the_kernel_stays_closed(place: Path) -> None:
    done = held(PROFILE, place, "-c", PROBE)
    assert done.returncode == 0, done.stderr
    names = ("namespaces", "mounts", "ptrace", "mount", "io_uring", "tcp", "routes", "netfilter", "packets", "crypto")
    found = dict(zip(names, (int(line) for line in done.stdout.split()), strict=True))
    open_ = {"namespaces", "tcp", "routes"}
    assert found == {name: 0 if name in open_ else seccomp.ENOSYS for name in names}


@pytest.mark.parametrize("machine", sorted(seccomp.MACHINES))
def test_what_browsers_must_not_call_nobody_may(machine: str) -> None:
    _, numbers = seccomp.MACHINES[machine]
    assert not PLAIN & (set(numbers) - set(seccomp._SOCKETS))


@pytest.mark.parametrize(
    "name",
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp prctl chroot pidfd_open "
    "pidfd_send_signal close_range setresuid setrlimit prlimit64 memfd_create fchmodat2 mseal rseq statx".split(),
)
def test_what_confinement_needs_is_open(name: str) -> None:
    assert name in PLAIN


def test_it_is_in_the_form_that_every_runtime_reads() -> None:
    # Docker's own additions (archMap, includes, excludes) are not read by containerd: what they say would be lost.
    assert set(PROFILE) == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    assert (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", seccomp.ENOSYS)
    for rule in PROFILE["syscalls"]:
        assert set(rule) <= {"names", "action", "args"}
        indexes = [each["index"] for each in rule.get("args", ())]
        assert len(indexes) == len(set(indexes))  # libseccomp takes one condition an argument
    assert len(PLAIN) == sum(len(rule["names"]) for rule in PROFILE["syscalls"] if "args" not in rule)


def test_pods_name_that_file(rendered: dict[str, Rendered]) -> None:
    profile = rendered["production"].pod["securityContext"]["seccompProfile"]
    assert profile == {"type": "Localhost", "localhostProfile": f"profiles/{FILE.name}"}
