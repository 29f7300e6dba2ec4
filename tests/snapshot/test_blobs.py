"""Both kinds of storage do the same; and what only a directory does."""

import io
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.snapshot.blobs import (
    LEFT,
    NEW,
    TAIL_SIZE,
    BlobDamaged,
    BlobMissing,
    Blobs,
    BlobsAway,
    DirectoryBlobs,
    Place,
    open_blobs,
    snapshot_store,
)


def put(blobs: Blobs, name: str, data: bytes) -> None:
    blobs.put(name, io.BytesIO(data))


def get(blobs: Blobs, name: str) -> bytes:
    into = io.BytesIO()
    blobs.get(name, into)
    return into.getvalue()


def names(blobs: Blobs, prefix: str = "") -> list[str]:
    return [blob.name for blob in blobs.list(prefix)]


def test_what_was_put_comes_back(blobs: Blobs) -> None:
    blobs.check()
    large = os.urandom((16 << 20) + 12345)  # S3: in parts
    contents = {"a/empty": b"", "a/small": b"x", "a/large": large, "b/other": b"y", "a-b/c": b"z", "top": b"t"}
    for name, data in contents.items():
        put(blobs, name, data)
    assert {name: get(blobs, name) for name in contents} == contents
    assert sorted(names(blobs)) == sorted(contents)
    assert sorted(names(blobs, "a/")) == ["a/empty", "a/large", "a/small"]
    assert names(blobs, "a/s") == ["a/small"]
    assert names(blobs, "none/") == []
    found = {blob.name: blob for blob in blobs.list("a/")}
    assert {name: blob.size for name, blob in found.items()} == {"a/empty": 0, "a/small": 1, "a/large": len(large)}
    assert all(abs(blob.modified - time.time()) < 120 for blob in found.values())
    groups = [name.partition("/")[0] for name in names(blobs)]
    assert len([1 for one, other in pairwise(groups) if one != other]) == len(set(groups)) - 1


def test_what_is_put_again_takes_the_place(blobs: Blobs) -> None:
    put(blobs, "a/x", b"one" * 1000)
    put(blobs, "a/x", b"two")
    assert get(blobs, "a/x") == b"two"
    source = io.BytesIO(b"skipped, taken")
    source.seek(9)
    blobs.put("a/y", source)
    assert get(blobs, "a/y") == b"taken"


def test_what_is_not_there(blobs: Blobs) -> None:
    put(blobs, "a/x", b"x")
    blobs.delete(["a/none", "a/x", "b/none"])
    assert names(blobs) == []
    with pytest.raises(BlobMissing):
        get(blobs, "a/x")
    put(blobs, "a/x", b"again")
    assert get(blobs, "a/x") == b"again"
    assert blobs.sweep() == 0


@pytest.mark.parametrize("place", [0, 5, -1], ids=["first", "middle", "last"])
def test_damage_in_a_directory_is_found(tmp_path: Path, place: int) -> None:
    blobs = DirectoryBlobs(tmp_path)
    put(blobs, "a/x", b"0123456789")
    file = tmp_path / "a" / "x"
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(BlobDamaged, match="damaged"):
        get(blobs, "a/x")
    for size in (0, 3, TAIL_SIZE, len(data) - 1):
        file.write_bytes(data[:size])
        with pytest.raises(BlobDamaged):
            get(blobs, "a/x")


def test_what_was_left_half_written_is_never_seen_and_goes_after_a_day(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    put(blobs, "a/x", b"x")
    old, new = tmp_path / "a" / f"{NEW}old", tmp_path / "a" / f"{NEW}new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - LEFT - 60,) * 2)
    assert names(blobs) == ["a/x"]
    assert blobs.sweep() == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blobs = DirectoryBlobs(tmp_path / "file" / "below")
    for do in (blobs.check, lambda: put(blobs, "a/x", b"")):
        with pytest.raises(BlobsAway, match="file/below: Not a directory"):
            do()
    full = DirectoryBlobs(tmp_path / "full")

    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, os.strerror(28))

    with pytest.raises(BlobsAway, match="No space left"):
        full.put("a/x", Full())
    assert list((tmp_path / "full" / "a").iterdir()) == []


def test_files_are_private(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "store")
    blobs.check()
    put(blobs, "a/x", b"x")
    found = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "store", *(tmp_path / "store").rglob("*"))}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("file:/srv/x", Place(Path("/srv/x"))),
        ("file:///srv/x", Place(Path("/srv/x"))),
        ("s3://bucket", Place(None, "bucket")),
        ("s3://bucket/a/b/", Place(None, "bucket", "a/b/")),
        (
            "s3://b/p?endpoint=https://h:9/&region=eu-west-1",
            Place(None, "b", "p/", "https://h:9/", "eu-west-1"),
        ),
    ],
    ids=str,
)
def test_what_a_setting_says(text: str, place: Place) -> None:
    assert snapshot_store(text) == place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "wanted is file:DIR or s3://BUCKET"),
        ("/srv/x", "wanted is file:DIR"),
        ("file:", "must be absolute"),
        ("file:x", "must be absolute"),
        ("s3:bucket", "wanted is"),
        ("s3://", "a bucket is named"),
        ("s3://key:hush@bucket", "credentials come from"),
        ("s3://b?endpont=x", "unknown option 'endpont'"),
        ("s3://b?endpoint=h:9", "must be a URL"),
        ("s3://b?endpoint=https://key:hush@h", "must be a URL"),
        ("gs://b", "wanted is"),
    ],
    ids=str,
)
def test_what_a_setting_must_not_say(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        snapshot_store(text)
    assert "hush" not in str(refused.value)


def test_places_are_named_without_options(tmp_path: Path) -> None:
    assert str(snapshot_store("s3://b/p?endpoint=http://h")) == "s3://b/p"
    assert str(snapshot_store("file:/x")) == "file:/x"
    assert isinstance(open_blobs(Place(tmp_path)), DirectoryBlobs)
