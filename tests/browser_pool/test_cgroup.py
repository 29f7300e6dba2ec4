"""On directories that look like cgroups: this says what is written where, not what the kernel makes of it."""

from pathlib import Path

import pytest

from browser_pool import cgroup


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Our cgroup, delegated to us."""
    root = tmp_path / "cgroup"
    place = root / "system.slice" / "gateway.service"
    place.mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory pids")
    (place / "cgroup.controllers").write_text("memory pids")
    (place / "cgroup.subtree_control").touch()
    (place / "cgroup.procs").write_text("17\n")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("3:cpu:/x\n0::/system.slice/gateway.service\n")
    return place


def delegated(tmp_path: Path) -> str:
    return cgroup.delegated(tmp_path / "cgroup", tmp_path / "proc")


def test_one_that_is_delegated(tmp_path: Path, place: Path) -> None:
    assert delegated(tmp_path) == ""
    assert cgroup.own(tmp_path / "cgroup", tmp_path / "proc") == place


def test_after_the_move_it_is_still_the_same(tmp_path: Path, place: Path) -> None:
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/system.slice/gateway.service/gateway\n")
    assert cgroup.own(tmp_path / "cgroup", tmp_path / "proc") == place


def test_without_controllers_there_are_no_limits(tmp_path: Path, place: Path) -> None:
    (place / "cgroup.controllers").write_text("memory")
    assert delegated(tmp_path) == "our cgroup has no controller pids: under systemd set Delegate=yes"


def test_version_1_is_none(tmp_path: Path, place: Path) -> None:
    (tmp_path / "cgroup" / "cgroup.controllers").unlink()
    assert delegated(tmp_path) == "no cgroup of version 2 here"


def test_the_topmost_is_not_ours(tmp_path: Path, place: Path) -> None:
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/\n")
    assert "topmost" in delegated(tmp_path)


def test_a_browsers_own(place: Path) -> None:
    (place / "browser-left").mkdir()
    (place / "gateway").mkdir()
    (place / "gateway" / "cgroup.procs").touch()
    cgroup.prepare(place)
    assert not (place / "browser-left").exists()
    assert (place / "gateway" / "cgroup.procs").read_text() == "17"
    assert (place / "cgroup.subtree_control").read_text() == "+memory +pids"
    joined = cgroup.make(place, "a", 1 << 30, 10)
    assert joined == place / "browser-a" / "cgroup.procs"
    assert (place / "browser-a" / "memory.max").read_text() == str(1 << 30)
    assert (place / "browser-a" / "pids.max").read_text() == str(10 * cgroup.THREADS)
    cgroup.remove(place, "a")  # one with files in it stays; the kernel's have none that count
    cgroup.remove(place, "never")


def test_this_machine_says_whether_it_has_any() -> None:
    assert isinstance(cgroup.delegated(), str)
