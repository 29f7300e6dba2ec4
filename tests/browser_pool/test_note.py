import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser_pool import procfs
from browser_pool.note import Note, erase
from browser_pool.profile import BrowserDirectory
from browser_pool.spec import LaunchSpec, Mode

SPEC = LaunchSpec(mode=Mode.SHELL, args=("--mute-audio",), viewport=(800, 600), stealth=True)
NOTE = Note(
    owner="s-1",
    pid=4711,
    start=99,
    boot="this-boot",
    port=9222,
    path="/devtools/browser/x",
    spec=SPEC,
    about={"deep": [1, {"er": None}]},
    pages=("B", "A"),
    visited=("https://a.test",),
    road=4712,
)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[BrowserDirectory]:
    made = BrowserDirectory(tmp_path / "b")
    made.make()
    yield made
    made.remove()


def test_what_is_written_is_read(directory: BrowserDirectory) -> None:
    NOTE.write(directory)
    assert Note.read(directory) == NOTE
    assert (directory.path / "note.json").stat().st_mode & 0o777 == 0o600
    replace(NOTE, about={}).write(directory)
    assert Note.read(directory) == replace(NOTE, about={})
    erase(directory)
    assert Note.read(directory) is None
    erase(directory)


def test_no_password_of_a_proxy(directory: BrowserDirectory) -> None:
    replace(NOTE, spec=replace(SPEC, proxy_server="http://user:secret@proxy:3128")).write(directory)
    assert "secret" not in (directory.path / "note.json").read_text()
    note = Note.read(directory)
    assert note is not None
    assert note.spec.proxy_server == "http://proxy:3128"


def test_of_another_version(directory: BrowserDirectory) -> None:
    NOTE.write(directory)
    file = directory.path / "note.json"
    found = json.loads(file.read_text())
    found["spec"] = {"mode": "shell", "wings": 2}
    file.write_text(json.dumps(found | {"unheard": "of"}))
    assert Note.read(directory) == replace(NOTE, spec=LaunchSpec(mode=Mode.SHELL))


@pytest.mark.parametrize(
    "change",
    [
        {"owner": ""},
        {"owner": 7},
        {"pid": "many"},
        {"pid": -1},
        {"spec": None},
        {"spec": {"mode": "flying"}},
        {"spec": {}},
        {"about": 7},
        {"visited": [7]},
        {"boot": None},
    ],
)
def test_one_that_cannot_be_understood_is_none(directory: BrowserDirectory, change: dict[str, Any]) -> None:
    NOTE.write(directory)
    file = directory.path / "note.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert Note.read(directory) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"owner": "s-1"}'])
def test_half_a_note_is_none(directory: BrowserDirectory, text: str) -> None:
    (directory.path / "note.json").write_text(text)
    assert Note.read(directory) is None


def test_it_is_whole_at_any_moment(directory: BrowserDirectory) -> None:
    NOTE.write(directory)
    stop = threading.Event()

    def rewrite() -> None:
        number = 0
        while not stop.is_set():
            replace(NOTE, about={"text": "x" * (number % 20000)}).write(directory)
            number += 1999

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        assert all(Note.read(directory) is not None for _ in range(500))
    finally:
        stop.set()
        writer.join()


def test_after_a_restart_of_the_machine_a_pid_means_nothing(directory: BrowserDirectory) -> None:
    own = procfs.seen(os.getpid())
    assert own is not None
    note = replace(NOTE, pid=own.pid, start=own.start, boot=procfs.boot_id())
    assert note.tree(directory) == (str(directory.path), own.pid, own.start)
    assert replace(note, boot="another").tree(directory) == (str(directory.path), 0, 0)
    assert not note.runs(directory), "this process is no browser in that directory"
    assert not replace(note, boot="another").runs(directory)
