import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from browser_pool import procfs
from tests.browser_pool.seen import alive
from tests.journeys.running import eventually


@contextmanager
def running(*argv: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that leads a session, once its command line can be read: that comes last in an exec."""
    with subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(argv[0].encode()):
                time.sleep(0.001)
            yield process
        finally:
            with suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)


def tree(directory: Path, process: "subprocess.Popen[str]") -> procfs.Tree:
    found = procfs.seen(process.pid)
    assert found is not None
    return str(directory), process.pid, found.start


def first_word(pid: int) -> bytes:
    """Of its command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]


def browser(directory: Path, script: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", f"--user-data-dir={directory}/profile"]


def test_what_is_seen_of_a_process() -> None:
    own = procfs.seen(os.getpid())
    assert own is not None
    assert (own.pid, own.parent, own.group, own.session) == (os.getpid(), os.getppid(), os.getpgid(0), os.getsid(0))
    ticks = os.sysconf("SC_CLK_TCK")
    assert 0 < own.start / ticks <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert own.lives
    assert procfs.seen(0) is None
    assert len(procfs.boot_id()) == 36


def test_a_name_with_anything_in_it(tmp_path: Path) -> None:
    odd = tmp_path / "a) Z (b 1"
    odd.symlink_to("/bin/sleep")
    with running(str(odd), "1000") as process:
        found = procfs.seen(process.pid)
        assert found is not None
        assert (found.parent, found.session) == (os.getpid(), process.pid)
        assert found.lives


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    found = procfs.seen(process.pid)
    assert found is not None
    assert not found.lives
    process.wait()
    assert procfs.seen(process.pid) is None


def test_it_runs_only_as_the_same_one_in_its_directory(tmp_path: Path) -> None:
    with running(*browser(tmp_path, "sleep 1000; :")) as process:
        directory, pid, start = tree(tmp_path, process)
        assert procfs.runs((directory, pid, start))
        assert not procfs.runs((directory, pid, start + 1))
        assert not procfs.runs((directory, os.getpid(), start))
        assert not procfs.runs((f"{directory}x", pid, start))
        assert not procfs.runs((directory, 0, 0))
    assert not procfs.runs((directory, pid, start))


async def test_what_a_dead_main_process_left_is_still_its(tmp_path: Path) -> None:
    """As the headless shell's renderers when they are stopped: no directory on their command line, no parent."""
    with running(*browser(tmp_path, "/bin/sleep 1000 & echo $!; wait")) as process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        whole = tree(tmp_path, process)
        await eventually("it is no shell any more", lambda: procfs.names(orphan, b"/bin/sleep\0"))
        assert {one.pid for one in procfs.members([(str(tmp_path), 0, 0)])} == {process.pid, orphan}
        os.kill(orphan, signal.SIGSTOP)
        process.kill()
        process.wait()
        assert procfs.members([(str(tmp_path), 0, 0)]) == []
        assert [one.pid for one in procfs.members([whole])] == [orphan]
        assert procfs.end([whole]) == {orphan}
        await eventually("it has ended", lambda: not alive(orphan))


def test_another_process_that_got_the_pid_is_left_alone(tmp_path: Path) -> None:
    with running("/bin/sleep", "1000") as process:
        directory, pid, start = tree(tmp_path, process)
        wrong = (directory, pid, start - 1)
        assert procfs.members([wrong]) == []
        assert procfs.end([wrong]) == set()
        assert process.poll() is None
        assert procfs.end([(directory, pid, start)]) == {pid}
        assert process.wait() == -signal.SIGKILL


async def test_all_end_those_that_left_the_session_too(tmp_path: Path) -> None:
    stray = f"{sys.executable} -c 'import time; time.sleep(1000)' --database={tmp_path}/profile/x"
    script = f"setsid {stray} & /bin/sleep 1000 & echo $! ; wait"
    with (
        running(*browser(tmp_path, script)) as process,
        running(*browser(tmp_path / "other", "sleep 1000; :")) as other,
    ):
        assert process.stdout is not None
        child = int(process.stdout.readline())
        own = os.fsencode(sys.executable)  # before that it is a shell, or between two programs
        await eventually("the stray is there", lambda: own in map(first_word, procfs.processes_of(tmp_path)))
        assert procfs.directories_of(tmp_path) == {f"{tmp_path}/profile", f"{tmp_path}/other"}
        ended = procfs.end([(str(tmp_path / "nobody"), 0, 0), tree(tmp_path, process)])
        assert {process.pid, child} <= ended
        assert other.pid in ended, "its directory is below"
        assert procfs.processes_of(tmp_path) == []
        assert not alive(child)


def test_nothing_is_asked_for_and_nothing_ends() -> None:
    assert procfs.end([]) == set()
    assert procfs.members([]) == []


def test_stopped_ones_go_on(tmp_path: Path) -> None:
    with running(*browser(tmp_path, "sleep 1000; :")) as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        procfs.wake(tree(tmp_path, process))
        os.waitid(os.P_PID, process.pid, os.WCONTINUED)


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_no_process_has_more_removed_than_a_browsers_directory(tmp_path: Path, name: str) -> None:
    with running("/bin/sh", "-c", "sleep 1000; :", f"--user-data-dir={tmp_path}/{name}/profile") as process:
        assert procfs.names(process.pid, procfs.marker_of(tmp_path))
        assert procfs.directories_of(tmp_path) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_all_that_runs_as_a_browsers_own_user_is_its(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what has left its session and names nothing."""
    user = procfs.FIRST_USER - 90  # nothing on this machine has it
    monkeypatch.setattr(procfs, "FIRST_USER", user)
    directory = tmp_path / "b"
    directory.mkdir()
    assert procfs.user_of(directory) == -1
    os.chown(directory, -1, user)
    assert procfs.user_of(directory) == user
    with subprocess.Popen(
        ["/bin/sleep", "1000"], user=user, group=user, extra_groups=[], start_new_session=True
    ) as one:
        assert procfs.owner(one.pid) == user
        assert procfs.end([(str(directory), 0, 0)]) == {one.pid}
        assert one.wait() == -signal.SIGKILL
    assert procfs.owner(one.pid) == -1
    assert procfs.owner(os.getpid()) == 0
