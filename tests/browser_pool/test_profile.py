import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser_pool.profile import SOCKET_PATH_LIMIT, SOCKET_SUFFIX, BrowserDirectory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[BrowserDirectory]:
    made = BrowserDirectory(tmp_path / "b")
    made.make()
    yield made
    made.remove()


def test_it_is_for_its_owner_alone(directory: BrowserDirectory) -> None:
    for path in (directory.path, directory.profile, directory.temporary, directory.downloads, directory.uploads):
        assert path.is_dir()
        assert mode(path) == 0o700


def test_a_directory_is_made_once(directory: BrowserDirectory) -> None:
    with pytest.raises(FileExistsError):
        directory.make()


def test_a_long_path_has_a_short_temporary_directory(tmp_path: Path) -> None:
    directory = BrowserDirectory(tmp_path / ("x" * 60) / ("y" * 60))
    directory.make()
    assert directory.temporary.is_symlink()
    target = directory.temporary.readlink()
    assert target.is_dir()
    assert mode(target) == 0o700
    assert len(os.fsencode(target)) + SOCKET_SUFFIX <= SOCKET_PATH_LIMIT
    (target / "file").touch()
    directory.remove()
    assert not directory.path.exists()
    assert not target.exists()


def test_a_short_path_keeps_its_temporary_files_within() -> None:
    with tempfile.TemporaryDirectory(prefix="cdpg-") as root:
        directory = BrowserDirectory(Path(root) / "b")
        assert len(os.fsencode(directory.temporary)) + SOCKET_SUFFIX <= SOCKET_PATH_LIMIT
        directory.make()
        assert not directory.temporary.is_symlink()
        assert directory.temporary.is_relative_to(directory.path)


def test_an_empty_profile_is_prepared(directory: BrowserDirectory) -> None:
    directory.prepare()
    preferences = json.loads((directory.profile / "Default" / "Preferences").read_text())
    assert preferences["profile"]["exit_type"] == "Normal"
    assert preferences["session"] == {"restore_on_startup": 5}


def test_a_saved_profile_loses_its_locks_and_keeps_its_preferences(directory: BrowserDirectory) -> None:
    default = directory.profile / "Default"
    default.mkdir()
    (default / "Preferences").write_text(
        json.dumps(
            {
                "mine": 1,
                "profile": {"name": "N", "exit_type": "Crashed"},
                "session": 7,
                "download": {"default_directory": "/data/browsers/of-the-last-run/downloads"},
            }
        )
    )
    directory.active_port.write_text("1\n/devtools/browser/of-the-last-run")
    for name in ("SingletonLock", "SingletonCookie", "SingletonSocket"):
        (directory.profile / name).symlink_to("/no/such/host-1234")
    directory.prepare()
    assert not directory.active_port.exists()
    assert [path.name for path in directory.profile.iterdir()] == ["Default"]
    preferences = json.loads((default / "Preferences").read_text())
    assert preferences["mine"] == 1
    assert preferences["profile"]["name"] == "N"
    assert preferences["download"]["default_directory"] == str(directory.downloads)
    assert preferences["profile"]["exit_type"] == "Normal"
    assert preferences["session"] == {"restore_on_startup": 5}


@pytest.mark.parametrize("text", [b"", b'{"profile": {', b"[]", b"\xff\xfe"])
def test_preferences_that_a_crash_left_unreadable_are_made_anew(directory: BrowserDirectory, text: bytes) -> None:
    default = directory.profile / "Default"
    default.mkdir()
    (default / "Preferences").write_bytes(text)
    directory.prepare()
    assert json.loads((default / "Preferences").read_text())["profile"]["exit_type"] == "Normal"


def test_removing_it_twice_is_harmless(directory: BrowserDirectory) -> None:
    (directory.profile / "file").touch()
    directory.remove()
    assert not directory.path.exists()
    directory.remove()


def test_the_last_words_are_the_end_of_what_was_said(directory: BrowserDirectory) -> None:
    assert directory.last_words() == ""
    directory.errors.write_text("first\n" + "ä" * 5000 + "\nlast\n")
    words = directory.last_words(100)
    assert len(words) == 100
    assert words.endswith("ä\nlast")
    assert directory.last_words(10**6).startswith("first")
