"""What is SQLite's own; what every store does is in `test_records.py`."""

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.store.base import Query
from gateway.store.sqlite import open_store
from tests.store.stores import record


def modes(place: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in place.iterdir()}


async def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    async with open_store(tmp_path / "gateway.sqlite") as store:
        await store.insert(record())
        found = modes(tmp_path)
    assert set(found.values()) == {0o600}
    assert "gateway.sqlite" in found


async def test_a_write_is_on_the_disk_when_it_is_answered(tmp_path: Path) -> None:
    file = tmp_path / "gateway.sqlite"
    async with open_store(file) as store:
        one = record()
        await store.insert(one)
        # Another connection sees only what is committed.
        with sqlite3.connect(file) as other:
            assert other.execute("SELECT id FROM sessions").fetchall() == [(one.id,)]
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.close()


@pytest.mark.parametrize("damage", ["garbage", "directory", "no parent"])
async def test_a_file_that_cannot_be_used(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "gateway.sqlite"
    if damage == "garbage":
        file.write_bytes(b"this is no database" * 100)
    elif damage == "directory":
        file.mkdir()
    else:
        file = tmp_path / "none" / "gateway.sqlite"
    with pytest.raises(GatewayError, match=r"gateway\.sqlite cannot be used") as refused:
        await open_store(file).__aenter__()
    assert refused.value.code is Code.STORE_UNAVAILABLE


async def test_a_store_that_fails_says_so(tmp_path: Path) -> None:
    file = tmp_path / "gateway.sqlite"
    async with open_store(file) as store:
        with sqlite3.connect(file) as other:
            other.execute("DROP TABLE sessions")
        other.close()
        for call in (store.insert(record()), store.update(record()), store.page(Query("t")), store.running()):
            with pytest.raises(GatewayError) as refused:
                await call
            assert refused.value.code is Code.STORE_UNAVAILABLE
