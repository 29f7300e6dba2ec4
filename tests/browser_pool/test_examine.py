import os
from functools import partial
from pathlib import Path

import pytest

from browser_pool import bubblewrap
from browser_pool import examine as module
from browser_pool.binary import Binaries
from browser_pool.confinement import Confinement, NotConfined, Wish
from browser_pool.examine import examine, no_bubblewrap, no_namespaces
from browser_pool.pool import BrowserPool
from browser_pool.procfs import FIRST_USER
from tests.browser_pool.seen import program


def test_this_machine(root: Path, binaries: Binaries) -> None:
    held = examine(Confinement(), root, binaries)
    names = {measure.name for measure in held.measures if measure.holds}
    assert {"watchdog", "sockets"} <= names
    assert ("files" in names) is (held.abi > 0 or held.wrapped)
    assert not (held.abi and held.wrapped)
    if os.geteuid() != 0:
        assert not held.own_users


def test_off_looks_at_nothing(root: Path, binaries: Binaries) -> None:
    held = examine(Confinement(Wish.OFF), root, binaries)
    assert [measure.name for measure in held.measures if measure.holds] == [
        name for name in ("chromium_sandbox",) if os.geteuid() != 0
    ]


async def test_required_refuses_to_start_and_names_what_is_missing(
    root: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "NAME", "no-such-program")
    look = partial(examine, abi=0)
    why = r"files: this kernel has no Landlock.*; bubblewrap \(no-such-program\) is not installed"
    with pytest.raises(NotConfined, match=why):
        async with BrowserPool(root, binaries, confinement=Confinement(Wish.REQUIRED), look=look):
            pass
    async with BrowserPool(root, binaries, look=look) as pool:  # and otherwise goes on with what there is
        assert "files" in [measure.name for measure in pool.held.missing]
        assert "sockets" not in [measure.name for measure in pool.held.missing]


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_a_browser_that_others_may_not_run_gets_no_users(root: Path, tmp_path: Path) -> None:
    chromium = program(tmp_path / "chromium", "exit 1")
    tmp_path.chmod(0o700)
    held = examine(Confinement(), root, Binaries(chromium))
    assert held.users == f"other users may not run {chromium}"
    assert held.sandbox == "Chromium refuses it as root"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_a_way_that_others_may_not_pass_leaves_no_users(tmp_path: Path, binaries: Binaries) -> None:
    tmp_path.chmod(0o700)
    assert "other users cannot pass" in examine(Confinement(), tmp_path / "browsers", binaries).users


def test_namespaces_are_tried_as_who_shall_make_them() -> None:
    assert no_namespaces(FIRST_USER if os.geteuid() == 0 else -1) == ""


def test_bubblewrap_is_tried(tmp_path: Path) -> None:
    user = FIRST_USER if os.geteuid() == 0 else -1
    for refuses in (
        program(tmp_path / "bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"),
        program(tmp_path / "within", 'case "$*" in *--unshare-net*) echo Permission denied >&2; exit 1; esac'),
    ):
        why = no_bubblewrap(str(refuses), -1, sandbox=True)
        assert why.startswith("bubblewrap cannot be used here (")
        assert "Permission denied" in why
    # With no sandbox of Chromium's within none is tried.
    assert no_bubblewrap(str(tmp_path / "within"), -1, sandbox=False) == ""
    assert no_bubblewrap(None, user, sandbox=True) == "bubblewrap (bwrap) is not installed"


def test_bubblewrap_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE", 0.05)
    slow = program(tmp_path / "bwrap", "exec sleep 1000")
    assert no_bubblewrap(str(slow), -1, sandbox=True) == "bubblewrap cannot be used here (it took longer than 0.05 s)"


def test_bubblewrap_is_not_looked_for_where_there_is_landlock(root: Path, binaries: Binaries) -> None:
    held = examine(Confinement(), root, binaries, abi=6)
    assert (held.bwrap, held.wrapped) == ("", False)


def test_namespaces_that_cannot_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NAMESPACES", "import sys; sys.exit('Operation not permitted')")
    why = no_namespaces(-1)
    assert "Operation not permitted" in why
