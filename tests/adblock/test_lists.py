"""Where filter lists come from."""

from pathlib import Path

import pytest

from gateway.adblock.lists import NAMES, PACKAGE, NoLists, lists


def test_named_files_go_before_those_of_the_system(tmp_path: Path) -> None:
    own, system = tmp_path / "own.txt", tmp_path / "system"
    system.mkdir()
    for path in (own, *(system / name for name in NAMES)):
        path.write_text("||ads.example^\n")
    assert lists([own], [system]) == (own,)
    assert lists([], [tmp_path / "nowhere", system]) == tuple(system / name for name in NAMES)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoLists, match=r"there is no filter list .*/gone\.txt"):
        lists([tmp_path / "gone.txt"])
    (tmp_path / NAMES[0]).write_text("")  # a half is nothing
    with pytest.raises(NoLists, match=PACKAGE):
        lists([], [tmp_path])
