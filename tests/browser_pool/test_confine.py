import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import psutil
import pytest

from browser_pool import confine, landlock
from browser_pool.procfs import FIRST_USER
from tests.browser_pool.caged import PREFIX, PROGRAMS, confined, scripted
from tests.browser_pool.seen import alive, children, command_line_of, reaped
from tests.journeys.running import eventually


def test_it_becomes_the_program_with_its_arguments_and_its_environment_alone() -> None:
    done = confined("/bin/sh", "-c", 'echo "$1|$A|$HOME"', "sh", "a b  c", env={"A": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b  c|1|\n", "")


def test_no_core_dumps() -> None:
    assert confined("/bin/sh", "-c", "ulimit -Hc; ulimit -Sc").stdout == "0\n0\n"


def test_it_is_the_first_to_go_when_memory_runs_out() -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    wanted = int(confined("/bin/cat", "/proc/self/oom_score_adj").stdout)
    assert wanted == 300
    assert wanted > own


@pytest.mark.parametrize("word", ["seccomp=open", f"landlock={landlock.abi()}"])
def test_what_holds_it_lets_it_gain_no_privileges(word: str) -> None:
    rules = (*PROGRAMS, "read=/proc")
    assert "NoNewPrivs:\t0\n" in confined("/bin/cat", "/proc/self/status").stdout
    assert "NoNewPrivs:\t1\n" in confined("/bin/cat", "/proc/self/status", words=(word, *rules)).stdout


def test_limits_are_only_ever_lowered() -> None:
    words = ("data=1073741824", "size=1024", "files=64", "tasks=1000000000")
    said = scripted(
        "from resource import *; print([getrlimit(n) for n in (RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE)], "
        "getrlimit(RLIMIT_NPROC)[1])",
        words=words,
    )
    before = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = 10**9 if before == resource.RLIM_INFINITY else min(before, 10**9)
    assert said == f"[({1 << 30}, {1 << 30}), (1024, 1024), (64, 64)] {most}"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone has them")
def test_root_can_be_without_its_powers() -> None:
    status = confined("/bin/cat", "/proc/self/status", words=(confine.POWERLESS,)).stdout
    assert "Uid:\t0\t0\t0\t0\n" in status
    assert "CapPrm:\t0000000000000000\n" in status
    assert "CapBnd:\t0000000000000000\n" in status


def test_a_file_that_is_full_is_an_error_and_no_end(tmp_path: Path) -> None:
    write = (
        "import sys\nwith open(sys.argv[1], 'wb', buffering=0) as file:\n  file.write(b'x' * 1024); file.write(b'x')"
    )
    said = scripted(write, str(tmp_path / "file"), words=("size=1024",))
    assert said.startswith("OSError: [Errno 27]")
    assert (tmp_path / "file").stat().st_size == 1024


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_it_becomes_another_user_and_nobody_elses_group_member() -> None:
    status = confined("/bin/cat", "/proc/self/status", words=(f"user={FIRST_USER}",)).stdout
    assert f"Uid:\t{FIRST_USER}\t{FIRST_USER}\t{FIRST_USER}\t{FIRST_USER}\n" in status
    assert f"Gid:\t{FIRST_USER}\t{FIRST_USER}\t{FIRST_USER}\t{FIRST_USER}\n" in status
    assert "Groups:\t \n" in status
    assert "CapEff:\t0000000000000000\n" in status


def test_it_joins_its_cgroup_first(tmp_path: Path) -> None:
    joined = tmp_path / "cgroup.procs"
    joined.touch()
    assert confined("/bin/true", words=(f"cgroup={joined}",)).returncode == 0
    assert joined.read_text() == "0"  # the kernel's word for who writes it
    done = confined("/bin/true", words=(f"cgroup={tmp_path}",))
    assert done.returncode == 1
    assert "the browser cannot be confined" in done.stderr


@pytest.mark.parametrize("words", [(), (confine.OUTLIVE,)])
def test_without_its_parent_it_does_not_start(words: tuple[str, ...]) -> None:
    assert confined("/bin/echo", "started", words=words).stdout == "started\n"
    done = confined("/bin/echo", "started", parent=1, words=words)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_program_that_is_not_there_is_named() -> None:
    done = confined("/no/such/chromium")
    assert done.returncode == 1
    assert "/no/such/chromium: No such file or directory" in done.stderr


AS_ANOTHER = pytest.param((f"user={FIRST_USER}",), marks=pytest.mark.skipif(os.geteuid() != 0, reason="takes root"))


@pytest.mark.parametrize("words", [(), (confine.OUTLIVE,), AS_ANOTHER])
async def test_only_one_that_is_tied_ends_when_its_parent_is_killed(words: tuple[str, ...]) -> None:
    code = (
        "import os, subprocess, sys\n"
        f"words = [*sys.argv[1:], str(os.getpid()), *{words!r}, '--', '/bin/sleep', '1000']\n"
        "child = subprocess.Popen(words, stdout=2)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    before = children()
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *PREFIX, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await eventually("it has become the program", lambda: command_line_of(child)[0] == "/bin/sleep")
    parent.kill()
    await parent.wait()
    if confine.OUTLIVE in words:
        await eventually("it is an orphan", lambda: psutil.Process(child).ppid() != parent.pid)
        assert alive(child)
        os.kill(child, signal.SIGKILL)
    await eventually("it has ended", lambda: not alive(child))
    await reaped(before)
