"""One session's directory made like what the storage has: what is known of it, what is brought, what damage is told."""

from pathlib import Path

import pytest

from gateway.snapshot.blobs import BlobsAway
from gateway.snapshot.fetching import SHARED, Marks
from gateway.snapshot.folder import SessionFolder
from gateway.snapshot.packs import Damaged
from tests.snapshot.stepping import Stepping
from tests.snapshot.test_mirror import node, saved
from tests.snapshot.test_mirror import store as store  # a fixture
from tests.snapshot.test_vault import SESSION


def test_what_is_known_of_what_is_shared() -> None:
    marks = Marks({1: ("1.1.x.manifest", frozenset({"pack-a"}))}, frozenset({"pack-b"}))
    assert Marks.read(marks.write()) == marks
    for data in (b"", b"[]", b"{}", b'{"versions": [1], "gone": []}'):
        assert Marks.read(data) == Marks()


async def test_what_is_damaged_or_missing_there_is_told(tmp_path: Path, store: Stepping) -> None:
    one, two = node(tmp_path, store, "one"), node(tmp_path, store, "two")
    await saved(tmp_path, "one", "a")
    one.push(1)
    two.refresh(claimed=False)
    (pack,) = (tmp_path / "store" / SESSION).glob("pack-*")
    whole = pack.read_bytes()
    pack.write_bytes(b"x" + whole[1:])
    with pytest.raises(Damaged, match="cannot be had: it is damaged"):
        two.bring(1)
    pack.unlink()
    with pytest.raises(Damaged, match="is missing"):
        two.bring(1)
    pack.write_bytes(whole)
    (manifest,) = (tmp_path / "store" / SESSION).glob("*.manifest")
    manifest.write_bytes(b"x")
    three = node(tmp_path, store, "three")
    three.refresh(claimed=False)
    (info,) = SessionFolder(tmp_path / "three" / SESSION).infos()
    assert info.reason == "unreadable"
    (tmp_path / "one" / SESSION / SHARED).write_bytes(b"damaged")
    assert not one.settled()
    one.refresh(claimed=False)
    assert one.settled()


async def test_what_changes_all_the_time_is_given_up(tmp_path: Path, store: Stepping) -> None:
    one = node(tmp_path, store, "one")
    one.claim(2)

    def gone(number: int, name: str) -> None:
        if name.startswith("get"):
            (tmp_path / "store" / SESSION / "2.claim").unlink(missing_ok=True)

    def there(number: int, name: str) -> None:
        (tmp_path / "store" / SESSION / "2.claim").write_bytes(b"")

    store.before = lambda number, name: (gone if name.startswith("get") else there)(number, name)
    with pytest.raises(BlobsAway, match="changes all the time"):
        one.look()
