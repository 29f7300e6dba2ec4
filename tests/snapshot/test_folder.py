"""A session's directory: who may write in it, and what is left when somebody was killed."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import GONE, NEW, Busy, SessionFolder, instant, remove
from gateway.snapshot.manifest import Header, Part, Parts, SnapshotInfo, write_manifest
from gateway.snapshot.packs import Damaged
from gateway.snapshot.seal import Sealer
from tests.snapshot.test_legacy import write_old

EMPTY = Parts(Part("rest", ()), Part("cookies", ()), (), ())


def manifest(version: int, *packs: str, fence: int | None = None) -> bytes:
    info = SnapshotInfo("s", version, instant(version), 0, "r", "k", False, fence=fence)
    return write_manifest(Header(info, dict.fromkeys(packs, "")), EMPTY, None, Sealer(), f"s/{version}")


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    found = SessionFolder(tmp_path / "s")
    with found.locked(make=True):
        return found


def test_versions_of_both_forms_are_found_in_order(folder: SessionFolder) -> None:
    for version in (10, 9):
        folder.add(version, manifest(version))
    write_old(folder.path, 2, Sealer(), ContextDocument())
    (folder.path / "3.manifest").write_bytes(b"rubbish")
    assert folder.versions() == [2, 3, 9, 10]
    assert [folder.is_old(version) for version in folder.versions()] == [True, False, False, False]
    assert [(info.version, info.reason) for info in folder.infos()] == [
        (2, "stopped"),
        (3, "unreadable"),
        (9, "r"),
        (10, "r"),
    ]
    assert folder.infos()[1].created_at[:4] == instant((folder.path / "3.manifest").stat().st_mtime)[:4]
    assert not folder.has(4)
    with pytest.raises(Damaged, match="cannot be read: No such file"):
        folder.header(4)
    for version in (2, 9):
        folder.drop(version)
    folder.drop(5)  # is not there: no error
    assert folder.versions() == [3, 10]
    assert SessionFolder(folder.path / "none").versions() == []


def test_nothing_is_there_before_somebody_writes(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "deep" / "s")
    with folder.locked() as there:
        assert not there
    assert not folder.path.parent.exists()
    with folder.locked(make=True) as there:
        assert there
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.path.iterdir()} == {0o600}
    assert folder.fence() is None


def test_the_lock_is_one_writers_at_a_time(folder: SessionFolder) -> None:
    with folder.locked(), pytest.raises(Busy), folder.locked(wait=False):
        pass
    with folder.locked(wait=False) as there:
        assert there


async def test_who_waits_for_a_directory_that_is_erased_gets_a_new_one(folder: SessionFolder) -> None:
    waiting = threading.Event()

    def late() -> bool:
        waiting.set()
        with folder.locked(make=True):
            return (folder.path / "lock").exists()

    with folder.locked():
        task = asyncio.ensure_future(asyncio.to_thread(late))
        await asyncio.to_thread(waiting.wait)
        remove(folder.path, folder.path.parent)
    assert await task
    assert sorted(os.listdir(folder.path.parent)) == ["s"]


def test_a_lock_ends_with_its_process(folder: SessionFolder) -> None:
    code = (
        "import sys, time; from pathlib import Path; from gateway.snapshot.folder import SessionFolder\n"
        "with SessionFolder(Path(sys.argv[1])).locked():\n  print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder.path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Busy), folder.locked(wait=False):
            pass
        process.kill()
        with folder.locked() as there:
            assert there


def test_a_fence_is_kept_and_remembered_by_the_versions(folder: SessionFolder) -> None:
    folder.set_fence(7)
    assert SessionFolder(folder.path).fence() == 7
    folder.add(1, manifest(1, fence=5))
    folder.add(2, manifest(2))
    assert folder.fence() == 7
    (folder.path / "fence").write_bytes(b"\x00\xff")
    (folder.path / "3.manifest").write_bytes(b"rubbish")
    assert folder.fence() == 5


def test_tidying_removes_what_no_version_names(folder: SessionFolder) -> None:
    folder.add(1, manifest(1, "pack-a", "pack-b"))
    folder.add(2, manifest(2, "pack-b"))
    write_old(folder.path, 3, Sealer(), ContextDocument())
    for name in ("pack-a", "pack-b", "pack-c", f"{NEW}1"):
        (folder.path / name).write_bytes(b"x" * 10)
    (folder.path / f"{GONE}2").mkdir()
    (folder.path / f"{GONE}2" / "file").write_bytes(b"x")
    assert folder.pack_size("pack-a") == 10
    assert folder.tidy() == 3
    kept = {"1.manifest", "2.manifest", "3", "lock", "pack-a", "pack-b"}
    assert set(os.listdir(folder.path)) == kept
    folder.drop(1)
    assert folder.tidy() == 1
    assert folder.pack_size("pack-a") == 0
    # While one manifest cannot be read, nobody knows what it needs.
    (folder.path / "4.manifest").write_bytes(b"rubbish")
    folder.drop(2)
    assert folder.tidy() == 0
    folder.drop(4)
    assert folder.tidy() == 1


def test_what_replaces_a_file_is_whole_or_was_not_there(folder: SessionFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.add(1, manifest(1))

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        folder.add(2, b"x")
    with pytest.raises(OSError, match="No space"):
        folder.set_fence(3)
    assert sorted(os.listdir(folder.path)) == ["1.manifest", "lock"]


def test_the_size_is_that_of_all_files(folder: SessionFolder) -> None:
    (folder.path / "pack-a").write_bytes(bytes(1000))
    (folder.path / "1").mkdir()
    (folder.path / "1" / "context.zst").write_bytes(bytes(234))
    assert folder.size() == 1234
    assert SessionFolder(folder.path / "none").size() == 0


def test_instants_sort_as_text() -> None:
    assert instant(0) == "1970-01-01T00:00:00.000Z"
    assert instant(1_700_000_000.9999) < instant(1_700_000_001.0004) == "2023-11-14T22:13:21.000Z"
