import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from browser_pool import procfs
from browser_pool.errors import BrowserFailed
from browser_pool.process import become_subreaper, chromium, end_abandoned, endpoint, environment, processes_of
from browser_pool.profile import BrowserDirectory
from tests.browser_pool.seen import alive, children, dead_children, processes_under, program
from tests.journeys.running import eventually

ENVIRONMENT = {"PATH": os.defpath}


@pytest.fixture
def directory(root: Path) -> Iterator[BrowserDirectory]:
    become_subreaper()
    made = BrowserDirectory(root / "b")
    made.make()
    yield made
    made.remove()


def test_the_environment_is_a_chosen_one(directory: BrowserDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("http_proxy", "http://user:secret@proxy")
    monkeypatch.setenv("LANG", "C.UTF-8")
    given = environment(directory, "Asia/Tokyo")
    assert "secret" not in str(given)
    assert given["LANG"] == "C.UTF-8"
    assert given["TZ"] == "Asia/Tokyo"
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        assert given[name] == str(directory.temporary)
    assert given["TMPDIR"] == str(directory.temporary.resolve())
    assert "TZ" not in environment(directory, None)


async def test_what_it_runs_is_there_in_its_directory_and_a_group_of_its_own(directory: BrowserDirectory) -> None:
    argv = ["/bin/sh", "-c", "pwd; echo $A >&2; exec sleep 1000"]
    async with chromium(argv, directory, {**ENVIRONMENT, "A": "from the environment"}) as process:
        await eventually("it has spoken", lambda: len(directory.last_words().splitlines()) == 2)
        assert directory.last_words() == f"{directory.path}\nfrom the environment"
        assert os.getpgid(process.pid) == process.pid
        assert os.getsid(process.pid) == process.pid
    assert process.returncode == -signal.SIGKILL


async def test_what_it_says_can_be_cut_under_way(directory: BrowserDirectory) -> None:
    """It goes on at the new end: a log can be kept small without a hole in it."""
    go = directory.path / "go"
    argv = ["/bin/sh", "-c", f"echo one; while [ ! -e {go} ]; do sleep 0.01; done; echo two >&2; exec sleep 1000"]
    async with chromium(argv, directory, ENVIRONMENT):
        await eventually("it has spoken", lambda: directory.errors.read_bytes() == b"one\n")
        os.truncate(directory.errors, 0)
        go.touch()
        await eventually("it goes on", lambda: directory.errors.read_bytes() == b"two\n")


def group_of(leader: int) -> list[int]:
    """The processes of a group."""
    return [one.pid for one in map(procfs.seen, procfs.pids()) if one is not None and one.group == leader]


async def test_the_whole_tree_ends_however_it_clings(directory: BrowserDirectory) -> None:
    before = children()
    orphans, clinging = directory.path / "orphan", directory.path / "clinging"
    # A child that ignores signals, an orphan, and one that left the group with the directory on its command line.
    script = program(
        directory.path / "script",
        f"""
        (trap '' TERM HUP INT; echo >{clinging}; while :; do sleep 1000; done) &
        (sleep 1000 & echo >{orphans})
        setsid {sys.executable} -c 'import time; print(1, flush=True); time.sleep(1000)' --at={directory.path}/x &
        wait""",
    )
    async with chromium([str(script)], directory, ENVIRONMENT) as process:
        await eventually("all are there", lambda: directory.last_words() and orphans.exists() and clinging.exists())
        # The script, the one that clings and what it waits for, and the orphan.
        await eventually("four in its group", lambda: len(group_of(process.pid)) >= 4)
        strays, group = processes_of(directory.path), group_of(process.pid)
        assert set(strays) - set(group)
    assert not [pid for pid in {*group, *strays} if psutil.pid_exists(pid)]
    assert dead_children() <= before


async def test_a_stopped_process_ends_too(directory: BrowserDirectory) -> None:
    async with chromium(["/bin/sleep", "1000"], directory, ENVIRONMENT) as process:
        os.kill(process.pid, signal.SIGSTOP)
    assert process.returncode == -signal.SIGKILL


async def test_a_process_that_has_ended_by_itself_leaves_no_zombie(directory: BrowserDirectory) -> None:
    before = children()
    async with chromium(["/bin/true"], directory, ENVIRONMENT) as process:
        assert await process.wait() == 0
    assert dead_children() <= before


async def test_a_failing_block_ends_it_too(directory: BrowserDirectory) -> None:
    started = []

    async def block() -> None:
        async with chromium(["/bin/sleep", "1000"], directory, ENVIRONMENT) as process:
            started.append(process.pid)
            raise LookupError

    with pytest.raises(LookupError):
        await block()
    assert not alive(started[0])


async def test_processes_of_a_root_and_no_other(root: Path, directory: BrowserDirectory) -> None:
    words = ["/bin/sh", "-c", "while :; do sleep 1000; done", "sh", f"--user-data-dir={directory.profile}"]
    async with chromium(words, directory, ENVIRONMENT) as process:
        # Not what starts it, which has the same words behind its own: between the two there is none.
        line = Path(f"/proc/{process.pid}/cmdline")
        await eventually("it runs", lambda: line.read_bytes().startswith(b"/bin/sh\0"))
        assert processes_of(directory.path) == [process.pid]
        assert processes_of(root) == [process.pid]
        assert processes_of(root / "a") == []
        assert processes_of(root.with_name(root.name[:-1])) == []
    assert processes_of(root) == []
    assert processes_under(root) == []


async def test_the_endpoint_is_read_once_it_is_whole(directory: BrowserDirectory) -> None:
    async with chromium(["/bin/sleep", "1000"], directory, ENVIRONMENT) as process:
        directory.active_port.write_text("4711")
        asking = asyncio.ensure_future(endpoint(process, directory, 60))
        done, _ = await asyncio.wait([asking], timeout=0.1)
        assert not done, "half a file is not an answer"
        directory.active_port.write_text("4711\n/devtools/browser/abc\n")
        assert await asking == (4711, "/devtools/browser/abc")


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("echo error while loading libnss3.so >&2; exit 127", r"exited with code 127 .*it said: .*libnss3\.so"),
        ("exit 3", r"exited with code 3 .*without a word.*cdp-gateway doctor"),
        ("kill -SEGV $$", r"ended by signal SIGSEGV"),
    ],
)
async def test_why_there_is_no_endpoint(directory: BrowserDirectory, script: str, wanted: str) -> None:
    async with chromium(["/bin/sh", "-c", script], directory, ENVIRONMENT) as process:
        with pytest.raises(BrowserFailed, match=wanted):
            await endpoint(process, directory, 60)


async def test_a_program_that_hangs_is_given_up_in_time(directory: BrowserDirectory) -> None:
    async with chromium(["/bin/sh", "-c", "echo thinking; sleep 1000"], directory, ENVIRONMENT) as process:
        await eventually("it has spoken", directory.last_words)
        began = time.monotonic()
        with pytest.raises(BrowserFailed, match=r"within 0\.3 s; it said: thinking"):
            await endpoint(process, directory, 0.3)
        assert 0.29 <= time.monotonic() - began < 30


async def test_a_browser_ends_even_where_nothing_can_be_looked_up(
    directory: BrowserDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(root: Path) -> list[int]:
        raise OSError(24, "Too many open files")  # cannot be provoked without starving the test itself

    with pytest.raises(OSError, match="Too many open files"):
        async with chromium(["/bin/sleep", "60"], directory, {"PATH": "/bin"}) as process:
            monkeypatch.setattr("browser_pool.process.processes_of", exhausted)
    assert process.returncode is not None


async def test_of_what_was_abandoned_the_main_process_is_ended(directory: BrowserDirectory) -> None:
    """Not its children, which end by themselves, nor bubblewrap, whose end would take them along."""
    option = f"--user-data-dir={directory.profile}"
    lines = (["x", option], ["x", "--type=zygote", option], ["bwrap", "--remount-ro", "/", "--", "x", option], ["x"])
    wait = [sys.executable, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"]
    pipe = asyncio.subprocess.PIPE
    started = [await asyncio.create_subprocess_exec(*wait, *line, stdin=pipe, stdout=pipe) for line in lines]
    for process in started:
        assert process.stdout is not None
        await process.stdout.readline()
    await end_abandoned(directory)
    assert [alive(process.pid) for process in started] == [False, True, True, True]
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()
