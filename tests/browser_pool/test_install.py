import os
import sys
from pathlib import Path

import pytest

from browser_pool import binary
from browser_pool.binary import Binaries
from browser_pool.install import install
from tests.browser_pool.seen import program


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a browser, whose package managers stand in this directory and note their arguments."""
    monkeypatch.setattr(binary, "FULL", ("chromium-of-this-test",))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    program(tmp_path / "sudo", 'shift; exec "$@"')
    program(tmp_path / "apt-get", f'echo apt-get "$@" >>{tmp_path}/said; exit 100')
    monkeypatch.setattr(
        sys, "executable", str(program(tmp_path / "python", f'echo python "$@" >>{tmp_path}/said; exit 1'))
    )
    return tmp_path


def said(programs: Path) -> list[str]:
    return (programs / "said").read_text().splitlines()


def test_a_browser_that_is_there_is_only_named(capfd: pytest.CaptureFixture[str], binaries: Binaries) -> None:
    assert install() == 0
    assert capfd.readouterr().out == f"Chromium is at {binaries.full}\n"


def test_one_way_is_enough(programs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    browser = programs / "playwright" / "chromium-1" / "chrome-linux" / "chrome"
    make = f"mkdir -p {browser.parent} && ln -s /bin/true {browser}"
    program(programs / "python", f'[ "$2 $3" != "playwright install" ] || ( {make} )')
    assert install() == 0
    assert capfd.readouterr().out.splitlines()[-1] == f"Chromium is at {browser}"


def test_where_nothing_helps_it_says_what_to_do(programs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert install() == 1
    printed = capfd.readouterr()
    assert "apt-get install chromium" in printed.err
    assert "--browser PATH" in printed.err
    # Each way is left at its first failing command.
    assert said(programs)[-1] == "python -m pip install --quiet playwright"
    assert not any("apt-get install" in line for line in said(programs))


def test_a_way_that_leaves_no_browser_is_told(programs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program(programs / "python", "exit 0")
    assert install() == 1
    assert "Playwright's download succeeded, but no Chromium is to be found" in capfd.readouterr().out
