"""Which versions stay, and that a new one takes only what is new."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.snapshot.document import ContextDocument, OriginState
from gateway.snapshot.folder import SessionFolder, instant
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.packs import MAX_PACKS
from gateway.snapshot.saving import Retention, write_version
from gateway.snapshot.seal import Sealer

OLD, NEW = Sealer((b"o" * 32,)), Sealer((b"n" * 32, b"o" * 32))


def versions(spec: str, *, age: int = 1) -> list[SnapshotInfo]:
    """A version a letter, `s` saved and `c` checkpoint, `age` seconds apart up to time 1000, numbered from 1."""
    start = 1000 - age * len(spec)
    return [
        SnapshotInfo("s", place + 1, instant(start + age * (place + 1)), 0, "r", "k", False, checkpoint=kind == "c")
        for place, kind in enumerate(spec)
    ]


@pytest.mark.parametrize(
    ("spec", "gone"),
    [
        ("", []),
        ("s", []),
        ("sss", []),
        ("ssss", [1]),
        ("sssss", [1, 2]),
        ("c", []),
        ("cc", [1]),
        ("sssc", []),
        ("ssscc", [4]),
        ("ssscs", [1, 4]),
        ("scs", [2]),
        ("sccccs", [2, 3, 4, 5]),
        ("ssssc", [1]),
    ],
)
def test_checkpoints_give_way_to_what_comes_after_and_saved_ones_to_their_number(spec: str, gone: list[int]) -> None:
    assert Retention(3).superseded(versions(spec), 1000) == gone


def test_age_counts_too_but_the_newest_stays() -> None:
    assert Retention(9, max_age=25).superseded(versions("ssss", age=10), 1000) == [1]
    assert Retention(9, max_age=5).superseded(versions("ssss", age=10), 2000) == [1, 2, 3]
    assert Retention(9, max_age=5).superseded(versions("s"), 9000) == []
    assert Retention(9, max_age=5).superseded(versions("sc", age=10), 1000) == [1]


def document(*texts: str) -> ContextDocument:
    """An origin a text."""
    return ContextDocument(
        origins=tuple(OriginState(f"https://h{number}.test", (("k", text),)) for number, text in enumerate(texts))
    )


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    found = SessionFolder(tmp_path / "s")
    with found.locked(make=True):
        return found


def write(
    folder: SessionFolder,
    wanted: ContextDocument,
    *,
    profile: Path | None = None,
    checkpoint: bool = False,
    sealer: Sealer = OLD,
    doubtful: frozenset[str] = frozenset(),
    retention: Retention | None = None,
) -> SnapshotInfo:
    draft = SnapshotInfo("s", 0, instant(0), 0, "r", "k", sealer.seals, checkpoint=checkpoint)
    info = write_version(folder, draft, wanted, profile, sealer, doubtful)
    (retention or Retention(3)).apply(folder, 0)
    return info


def packs(folder: SessionFolder) -> set[str]:
    return {name for name in os.listdir(folder.path) if name.startswith("pack-")}


def random_text(length: int) -> str:
    return os.urandom(length // 2).hex()


def test_only_what_changed_takes_space(folder: SessionFolder) -> None:
    texts = [random_text(4000) for _ in range(10)]
    first = write(folder, document(*texts))
    assert first.added > 10 * 2000
    assert write(folder, document(*texts)).added == 0
    texts[4] = random_text(4000)
    third = write(folder, document(*texts))
    assert 2000 < third.added < 4000
    assert first.bytes == pytest.approx(third.bytes, rel=0.01)
    assert len(packs(folder)) == 2
    assert third.version == 3
    assert folder.header(3).info == third
    assert set(folder.header(3).packs) == packs(folder)


def test_a_profile_is_shared_file_by_file(folder: SessionFolder, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    for number in range(5):
        (profile / str(number)).write_bytes(os.urandom(50_000))
    first = write(folder, document("a"), profile=profile)
    assert first.has_profile
    assert first.added > 250_000
    (profile / "3").write_bytes(os.urandom(50_000))
    write(folder, document("b"))  # without one, in between
    third = write(folder, document("a"), profile=profile)
    assert 50_000 < third.added < 60_000
    assert third.bytes == pytest.approx(first.bytes, rel=0.01)


def test_checkpoints_leave_no_more_than_one_and_what_it_needs(folder: SessionFolder) -> None:
    texts = [random_text(4000) for _ in range(10)]
    write(folder, document(*texts))
    whole = folder.size()
    for number in range(60):
        texts[number % 10] = random_text(4000)
        info = write(folder, document(*texts), checkpoint=True)
        assert folder.versions() == [1, info.version]
        assert folder.size() < 4 * whole
        assert len(folder.header(info.version).packs) <= MAX_PACKS + 1
    saved = write(folder, document(*texts))
    assert folder.versions() == [1, saved.version]


def test_a_checkpoint_of_what_is_saved_already_is_that(folder: SessionFolder) -> None:
    first = write(folder, document("a"))
    assert write(folder, document("a"), checkpoint=True) == first
    second = write(folder, document("b"), checkpoint=True)
    assert write(folder, document("b"), checkpoint=True) == second
    assert write(folder, document("a"), checkpoint=True).version == 3  # as it was once, but is not now
    assert folder.versions() == [1, 3]
    assert len(packs(folder)) == 1
    assert write(folder, document("a")).version == 4  # what is asked for is saved


def test_a_new_key_seals_everything_anew(folder: SessionFolder) -> None:
    first = write(folder, document("a", "b"))
    assert write(folder, document("a", "b")).added == 0
    again = write(folder, document("a", "b"), sealer=NEW)
    assert again.added == pytest.approx(first.added, rel=0.1)
    assert set(folder.header(again.version).packs.values()) == {NEW.label}
    alone = Sealer((b"n" * 32,))
    assert folder.manifest(again.version, alone).header.info == again
    # Who has lost the key of an older version can still write, and destroys nothing.
    write(folder, document("a", "b", "c"), sealer=alone)
    assert folder.versions() == [2, 3, 4]
    assert folder.manifest(2, OLD).header.info.version == 2
    assert set(folder.header(2).packs) <= packs(folder)


def test_packs_that_are_doubtful_or_not_whole_are_not_relied_on(folder: SessionFolder) -> None:
    text = random_text(4000)
    first = write(folder, document(text))
    (pack,) = packs(folder)
    assert write(folder, document(text), doubtful=frozenset((pack,))).added == first.added
    for left in packs(folder):
        os.truncate(folder.path / left, 100)
    assert write(folder, document(text)).added == first.added
    for left in packs(folder):
        (folder.path / left).unlink()
    assert write(folder, document(text)).added == first.added


def test_what_fails_leaves_nothing(folder: SessionFolder, tmp_path: Path) -> None:
    write(folder, document("a"))
    before = sorted(os.listdir(folder.path))
    with pytest.raises(FileNotFoundError):
        write(folder, document("b"), profile=tmp_path / "is not there")
    assert sorted(os.listdir(folder.path)) == before
    assert write(folder, replace(document("b"), stale=True)).version == 2
