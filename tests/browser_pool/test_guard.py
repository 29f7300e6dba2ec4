"""The guard as a process, with others that stand in for browsers: a directory on the command line, a session."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from browser_pool import guard
from browser_pool.procfs import seen
from tests.browser_pool.seen import alive, entries
from tests.journeys.running import eventually

PACKAGES = str(Path(guard.__file__).parent.parent)
DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MOST_MEMORY = 8 << 10  # KiB of its own


class Guarded:
    """A guard below a parent that is gone, as it takes it, and stand-ins for browsers."""

    def __init__(self, root: Path, outlive: float) -> None:
        self.root = root
        self.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", guard.STARTER, PACKAGES, "1", str(outlive)],
            stdin=subprocess.PIPE,
            env={guard.ROOT: str(root)},
        )
        self.browsers: list[subprocess.Popen[bytes]] = []

    def browser(self, name: str, *, note: bool) -> "subprocess.Popen[bytes]":
        directory = self.root / name
        (directory / "profile").mkdir(parents=True)
        words = ["/bin/sh", "-c", "sleep 1000 & wait", "sh", f"--user-data-dir={directory}/profile"]
        process = subprocess.Popen(words, start_new_session=True)
        self.browsers.append(process)
        if note:
            found = seen(process.pid)
            assert found is not None
            (directory / guard.NOTE).write_text(f'{{"pid": {process.pid}, "start": {found.start}}}')
        return process

    def ignoring(self) -> bool:
        """Whether it has come to ignoring signals: it runs."""
        ignored = sum(1 << (number - 1) for number in DEAF_TO)
        status = Path(f"/proc/{self.guard.pid}/status").read_text()
        return int(status.partition("SigIgn:")[2].split()[0], 16) & ignored == ignored

    def memory(self) -> int:
        """KiB that nobody else has."""
        text = Path(f"/proc/{self.guard.pid}/smaps_rollup").read_text()
        return int(text.partition("Pss_Anon:")[2].split()[0])

    def bereave(self) -> None:
        """The end of the pipe without a goodbye."""
        assert self.guard.stdin is not None
        self.guard.stdin.close()


@contextmanager
def guarded(root: Path, outlive: float) -> Iterator[Guarded]:
    place = Guarded(root, outlive)
    try:
        yield place
    finally:
        place.bereave()
        place.guard.kill()
        place.guard.wait()
        for process in place.browsers:
            with suppress(ProcessLookupError):  # the guard ended all of it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_told_goodbye_it_goes_and_touches_nothing(tmp_path: Path) -> None:
    with guarded(tmp_path, 0) as place:
        browser = place.browser("b", note=False)
        place.guard.communicate(b"!", timeout=30)
        assert place.guard.returncode == 0
        assert browser.poll() is None
        assert entries(tmp_path) == ["b"]


async def test_who_has_no_note_ends_at_once_the_others_later(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with guarded(root, 1000) as place:
        none, noted = place.browser("none", note=False), place.browser("noted", note=True)
        (root / "none" / "tmp").symlink_to(elsewhere)
        place.bereave()
        await eventually("the one without is gone", lambda: none.poll() is not None and entries(root) == ["noted"])
        assert not elsewhere.exists()
        assert noted.poll() is None
    root = tmp_path / "later"
    with guarded(root, 0.5) as place:
        noted = place.browser("noted", note=True)
        (root / "noted" / "profile" / "Cookies").write_text("worth saving")
        began = time.monotonic()
        place.bereave()
        place.guard.wait(30)
        assert time.monotonic() - began >= 0.5
        assert noted.wait(30) == -signal.SIGKILL
        assert (root / "noted" / "profile" / "Cookies").read_text() == "worth saving"


async def test_stopped_ones_whose_main_process_has_ended_end_too(tmp_path: Path) -> None:
    with guarded(tmp_path, 0.3) as place:
        browser = place.browser("b", note=True)
        children = Path(f"/proc/{browser.pid}/task/{browser.pid}/children")
        child = int(await eventually("it has a child", lambda: children.read_text().strip()))
        os.kill(child, signal.SIGSTOP)
        browser.kill()
        browser.wait()
        place.bereave()
        place.guard.wait(30)
        assert not alive(child)


def test_it_goes_when_no_browser_is_left(tmp_path: Path) -> None:
    with guarded(tmp_path, 1000) as place:
        browser = place.browser("b", note=True)
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
        place.bereave()
        assert place.guard.wait(30) == 0
        assert entries(tmp_path) == ["b"], "there may be something to save in it"


async def test_it_does_not_go_when_all_around_are_told_to(tmp_path: Path) -> None:
    with guarded(tmp_path, 0) as place:
        await eventually("it runs", place.ignoring)
        for number in DEAF_TO:
            place.guard.send_signal(number)
        place.guard.communicate(b"!", timeout=30)
        assert place.guard.returncode == 0


async def test_it_is_small(tmp_path: Path) -> None:
    with guarded(tmp_path, 0) as place:
        await eventually("it runs", place.ignoring)
        assert 0 < place.memory() < MOST_MEMORY


def test_a_directory_that_was_removed_hides_nobody(tmp_path: Path) -> None:
    with guarded(tmp_path / "root", 1000) as place:
        browser = place.browser("b", note=True)
        shutil.rmtree(tmp_path / "root")
        place.bereave()
        assert place.guard.wait(30) == 0
        assert browser.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": null, "start": 1}'])
def test_a_note_that_cannot_be_read_still_keeps_the_directory(tmp_path: Path, text: str) -> None:
    directory = tmp_path / "b"
    directory.mkdir()
    (directory / guard.NOTE).write_text(text)
    assert guard.tree_of(str(directory)) == (str(directory), 0, 0)
    assert guard.browsers(str(tmp_path)) == ([str(directory)], [])
