import os
from pathlib import Path

import pytest

from browser_pool import examine as module
from browser_pool import landlock
from browser_pool.binary import Binaries
from browser_pool.confinement import Confinement, NotConfined, Wish
from browser_pool.examine import examine, no_namespaces
from browser_pool.pool import BrowserPool
from browser_pool.procfs import FIRST_USER
from tests.browser_pool.seen import program


def test_this_machine(root: Path, binaries: Binaries) -> None:
    held = examine(Confinement(), root, binaries)
    names = {measure.name for measure in held.measures if measure.holds}
    assert {"watchdog", "sockets"} <= names
    assert ("files" in names) is (held.abi > 0)
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
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(NotConfined, match="files: this kernel has no Landlock"):
        async with BrowserPool(root, binaries, confinement=Confinement(Wish.REQUIRED)):
            pass
    async with BrowserPool(root, binaries) as pool:  # and otherwise goes on with what there is
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


def test_namespaces_that_cannot_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NAMESPACES", "import sys; sys.exit('Operation not permitted')")
    why = no_namespaces(-1)
    assert "Operation not permitted" in why
