import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from browser_pool import confine
from tests.browser_pool.seen import alive, children, command_line_of, reaped
from tests.journeys.running import eventually

PREFIX = (sys.executable, "-I", "-S", str(Path(confine.__file__)))


def confined(
    *argv: str, parent: int | None = None, separator: str = "--", **rest: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    words = (*PREFIX, str(parent or os.getpid()), separator, *argv)
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30, env=rest.get("env"))


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


def test_as_root_no_privileges_can_be_gained() -> None:
    status = confined("/bin/cat", "/proc/self/status").stdout
    assert f"NoNewPrivs:\t{int(os.geteuid() == 0)}\n" in status


@pytest.mark.parametrize("separator", ["--", confine.OUTLIVE])
def test_without_its_parent_it_does_not_start(separator: str) -> None:
    assert confined("/bin/echo", "started", separator=separator).stdout == "started\n"
    done = confined("/bin/echo", "started", parent=1, separator=separator)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_program_that_is_not_there_is_named() -> None:
    done = confined("/no/such/chromium")
    assert done.returncode == 1
    assert "/no/such/chromium: No such file or directory" in done.stderr


@pytest.mark.parametrize("separator", ["--", confine.OUTLIVE])
async def test_only_one_that_is_tied_ends_when_its_parent_is_killed(separator: str) -> None:
    code = (
        "import os, subprocess, sys\n"
        "words = [*sys.argv[1:], str(os.getpid()), '" + separator + "', '/bin/sleep', '1000']\n"
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
    if separator == confine.OUTLIVE:
        await eventually("it is an orphan", lambda: psutil.Process(child).ppid() != parent.pid)
        assert alive(child)
        os.kill(child, signal.SIGKILL)
    await eventually("it has ended", lambda: not alive(child))
    await reaped(before)
