"""A directory that a browser may have filled with anything."""

import os
import socket
import stat
from pathlib import Path

import pytest

from gateway.session import shelf
from gateway.session.shelf import Arriving, Entry, is_name


@pytest.mark.parametrize("name", ["a", "a.b", "ü ö (1).txt", "x" * 255, "~", "-rf", "con"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a\0", "a\nb", "\x7f", "a\u202eb", "\udcff", "x" * 256, "ü" * 128],
)
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)


def hostile(directory: Path, outside: Path) -> list[str]:
    """Everything that is no file of the session's own; their names."""
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (directory / "symbolic").symlink_to(outside / "secret")
    (directory / "dangling").symlink_to(outside / "none")
    (directory / "way").symlink_to(outside)
    os.link(outside / "secret", directory / "hard")
    os.mkfifo(directory / "pipe")
    (directory / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(directory)  # the path of a socket is short
        listening.bind("socket")
        os.chdir(before)
    return ["symbolic", "dangling", "way", "hard", "pipe", "directory", "socket"]


def test_only_files_count(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    names = hostile(place, tmp_path / "outside")
    (place / "good").write_text("good")
    (place / "under way.crdownload").write_text("12")
    (place / ".hidden").write_text("x")
    os.mknod(os.fsencode(place) + b"/\xff")
    found = shelf.entries(place)
    assert [(entry.name, entry.size, entry.complete) for entry in found] == [
        ("good", 4, True),
        ("under way.crdownload", 2, False),
    ]
    for name in [*names, ".hidden", "none", "../outside/secret", ""]:
        with pytest.raises(FileNotFoundError):
            shelf.open_file(place, name)
    entry, descriptor = shelf.open_file(place, "good")
    with os.fdopen(descriptor) as file:
        assert (entry.name, file.read()) == ("good", "good")


@pytest.mark.parametrize("emptied", [False, True])
def test_removing_takes_the_link_and_not_what_it_leads_to(tmp_path: Path, emptied: bool) -> None:
    place = tmp_path / "place"
    place.mkdir()
    names = hostile(place, tmp_path / "outside")
    for name in names:
        if name == "directory":
            with pytest.raises(FileNotFoundError):
                shelf.remove(place, name, emptied=emptied)
        else:
            shelf.remove(place, name, emptied=emptied)
    assert [path.name for path in place.iterdir()] == ["directory"]
    assert (tmp_path / "outside" / "secret").read_text() == "secret"
    for name in ("none", "../outside/secret"):
        with pytest.raises(FileNotFoundError):
            shelf.remove(place, name, emptied=emptied)


def test_an_emptied_file_is_empty_for_who_still_has_it(tmp_path: Path) -> None:
    file = tmp_path / "big.crdownload"
    file.write_bytes(b"x" * 1000)
    with file.open("rb") as still:
        shelf.remove(tmp_path, file.name, emptied=True)
        assert os.fstat(still.fileno()).st_size == 0
    assert not file.exists()


def test_a_directory_that_is_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    place, target = tmp_path / "place", tmp_path / "target"
    place.symlink_to(tmp_path / "outside")
    assert shelf.entries(place) == []
    with pytest.raises(FileNotFoundError):
        shelf.open_file(place, "secret")
    with pytest.raises(FileNotFoundError):
        shelf.remove(place, "secret")
    assert shelf.move(place, target) == 0
    with pytest.raises(FileNotFoundError):
        Arriving(place, "new").begin()
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


def test_a_file_arrives_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "place"
    for commit in (False, True):
        arriving = Arriving(place, "new")
        arriving.begin()
        arriving.write(b"123")
        assert shelf.entries(place) == []
        if commit:
            assert arriving.commit() == Entry("new", 3, (place / "new").stat().st_mtime)
        arriving.close()
        assert [path.name for path in place.iterdir()] == (["new"] if commit else [])
    assert stat.S_IMODE((place / "new").stat().st_mode) == 0o644
    assert {stat.S_IMODE(path.stat().st_mode) for path in (place, place.parent)} == {0o700}
    Arriving(place, "never begun").close()


def test_an_upload_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    place = tmp_path / "place"
    place.mkdir()
    (place / "new").symlink_to(tmp_path / "secret")
    arriving = Arriving(place, "new")
    arriving.begin()
    arriving.write(b"mine")
    arriving.commit()
    arriving.close()
    assert (tmp_path / "secret").read_text() == "secret"
    assert shelf.entries(place)[0].size == 4


def test_whole_files_are_moved_and_nothing_else(tmp_path: Path) -> None:
    place, target = tmp_path / "place", tmp_path / "deep" / "target"
    place.mkdir()
    hostile(place, tmp_path / "outside")
    (place / "good").write_text("good")
    (place / "good").chmod(0o600)
    (place / "half.crdownload").write_text("x")
    assert shelf.move(place, target) == 1
    assert [path.name for path in target.iterdir()] == ["good"]
    assert stat.S_IMODE((target / "good").stat().st_mode) == 0o644
    assert shelf.move(tmp_path / "none", target) == 0


def test_many_entries_are_not_all_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST", 5)
    for number in range(10):
        (tmp_path / str(number)).touch()
    assert len(shelf.entries(tmp_path)) == 5


def test_another_name(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("old")
    (tmp_path / "a").write_text("text")
    assert shelf.rename(tmp_path, "a", "new").name == "new"
    assert [(entry.name, entry.size) for entry in shelf.entries(tmp_path)] == [("new", 4)]
    outside = tmp_path / "outside"
    (tmp_path / "in").mkdir()
    names = hostile(tmp_path / "in", outside)
    for name in names:
        with pytest.raises(FileNotFoundError):
            shelf.rename(tmp_path / "in", name, "mine")
    assert shelf.entries(tmp_path / "in") == []
