import asyncio
import os
import re
import time
from pathlib import Path

import pytest

from browser_pool import binary
from browser_pool.binary import Binaries, read_version
from browser_pool.errors import BrowserMissing
from browser_pool.spec import Mode
from tests.browser_pool.seen import alive, program
from tests.journeys.running import eventually


def test_the_configured_program_runs_what_has_no_mode_of_its_own(tmp_path: Path) -> None:
    chosen = program(tmp_path / "chosen", "exit 0")
    found = Binaries(chosen)
    assert found.path(Mode.HEADLESS) == found.path(Mode.HEADED) == chosen
    assert found.shell != chosen


def test_what_cannot_be_run_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    for wrong in (tmp_path / "none", tmp_path / "plain", tmp_path):
        with pytest.raises(BrowserMissing, match="install-browser") as missing:
            Binaries(wrong).path(Mode.HEADLESS)
        assert str(wrong) in str(missing.value)


def test_a_machine_without_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "FULL", ("no-such-browser",))
    monkeypatch.setattr(binary, "SHELL", ("no-such-browser",))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    found = Binaries()
    assert found.full is None
    assert found.shell is None
    with pytest.raises(BrowserMissing, match=r"no Chromium was found: .*install-browser.*--browser"):
        found.path(Mode.HEADLESS)
    with pytest.raises(BrowserMissing, match="headless shell"):
        found.path(Mode.SHELL)


def test_the_first_name_on_the_path_wins_and_playwrights_newest_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binary, "FULL", ("first-choice", "second-choice"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    for number in (1187, 1200):
        place = tmp_path / f"chromium-{number}" / "chrome-linux"
        place.mkdir(parents=True)
        program(place / "chrome", "exit 0")
    assert Binaries().full == tmp_path / "chromium-1200" / "chrome-linux" / "chrome"
    second = program(tmp_path / "second-choice", "exit 0")
    assert Binaries().full == second
    first = program(tmp_path / "first-choice", "exit 0")
    assert Binaries().full == first


async def test_the_version_of_a_real_one(binaries: Binaries) -> None:
    path = binaries.path(Mode.HEADLESS)
    assert re.fullmatch(r"\d+(\.\d+){3}", await binaries.version(path))


async def test_a_version_is_asked_for_once(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    path = program(tmp_path / "browser", f"echo once >>{asked}; echo Chromium 1.2.3.4 built on a rock")
    found = Binaries(path)
    assert [await found.version(path) for _ in range(2)] == ["1.2.3.4"] * 2
    assert asked.read_text() == "once\n"


async def test_a_program_without_a_version_is_quoted(tmp_path: Path) -> None:
    path = program(tmp_path / "browser", "echo cannot open shared object >&2; exit 127")
    with pytest.raises(BrowserMissing, match="cannot open shared object"):
        await read_version(path)


async def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "browser"
    path.write_bytes(b"\x7fELF and no more")
    path.chmod(0o755)
    with pytest.raises(BrowserMissing, match=str(path)):
        await read_version(path)


async def test_a_program_that_does_not_answer_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binary, "VERSION_TIMEOUT", 0.3)
    child = tmp_path / "child"
    path = program(tmp_path / "browser", f"sleep 1000 & echo $! >{child}; wait")
    began = time.monotonic()
    with pytest.raises(BrowserMissing, match="did not answer"):
        await read_version(path)
    assert time.monotonic() - began < 60
    # On a busy machine it may not even have come to have one.
    await eventually("its child has ended", lambda: not (child.exists() and alive(int(child.read_text() or 0))))


async def test_giving_up_the_question_ends_the_program(tmp_path: Path) -> None:
    child = tmp_path / "child"
    path = program(tmp_path / "browser", f"echo $$ >{child}.new; mv {child}.new {child}; exec sleep 1000")
    asking = asyncio.ensure_future(read_version(path))
    await eventually("it runs", child.exists)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not alive(int(child.read_text()))
