"""A card follows each record that can be come back to, and is written only where it says something new."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.records import Identity, Kind, SessionRecord, Status
from gateway.snapshot import carded
from gateway.snapshot.blobs import DirectoryBlobs
from gateway.snapshot.carded import CardedStore
from gateway.snapshot.cards import Record
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.finds import LocalFinds, SharedFinds
from gateway.snapshot.shared import SharedVault
from gateway.snapshot.vault import Vault
from gateway.store.base import Query
from gateway.store.profiles import Profile, Stage
from gateway.store.sqlite import SqliteStore, open_store
from tests.snapshot.stepping import Stepping
from tests.snapshot.test_cards import RECORD, SEALED, SESSION, SPEC

RUNNING = replace(RECORD, status=Status.CONNECTED)


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path / "gateway.sqlite") as store:
        yield store


@pytest.fixture
async def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "snapshots", SEALED)
    await vault.save(SESSION, ContextDocument(), profile=None, kind="k", reason="r", fence=3)
    return vault


def found(tmp_path: Path) -> Record | None:
    return LocalFinds(tmp_path / "snapshots", SEALED).look(SESSION).record


def card(tmp_path: Path) -> SessionRecord | None:
    record = found(tmp_path)
    assert not isinstance(record, Profile)
    return record


async def test_it_says_what_the_record_says(plain: SqliteStore, vault: Vault, tmp_path: Path) -> None:
    store = CardedStore(plain, vault)
    await store.insert(replace(RUNNING, snapshot=None))
    assert card(tmp_path) is None, "it has nothing to come back to"
    for record in (
        RUNNING,
        replace(RUNNING, generation=5),
        replace(RUNNING, generation=5, status=Status.SUSPENDED),
        replace(RUNNING, generation=6, status=Status.SUSPENDED),
        replace(RUNNING, generation=6, status=Status.STOPPED, ended_at=5.0),
    ):
        await store.update(record)
        assert card(tmp_path) == record == await store.get(SESSION)
    await vault.erase(SESSION)
    await store.update(record)
    assert not (tmp_path / "snapshots" / SESSION).exists(), "nothing is made of one that was erased"
    await store.delete(SESSION)
    assert await store.get(SESSION) is None


async def test_what_changes_all_the_time_is_not_written(plain: SqliteStore, vault: Vault, tmp_path: Path) -> None:
    store = CardedStore(plain, vault)
    await store.insert(RUNNING)
    for count in range(3):
        await store.update(replace(RUNNING, connections=count, status=Status.DETACHED, snapshot=9))
    assert card(tmp_path) == RUNNING
    again = CardedStore(plain, vault)  # another process does not know what the card says
    await again.update(replace(RUNNING, connections=7))
    assert (card(tmp_path) or RUNNING).connections == 7


async def test_of_many_only_the_last_are_kept_in_mind(
    plain: SqliteStore, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carded, "MOST", 2)
    store = CardedStore(plain, vault)
    ids = [f"3f0e6c1e-0000-4000-8000-00000000000{number}" for number in range(4)]
    for number in ids:
        await store.insert(replace(RUNNING, id=number))  # type: ignore[arg-type]
    assert list(store._said) == ids[2:]
    await store.update(replace(RUNNING, id=ids[3], status=Status.SUSPENDED))  # type: ignore[arg-type]
    await store.delete(ids[2])  # type: ignore[arg-type]
    assert not store._said, "what does not run may be woken elsewhere"


async def test_a_storage_that_is_away_holds_up_nothing(plain: SqliteStore, tmp_path: Path) -> None:
    blobs = Stepping(DirectoryBlobs(tmp_path / "blobs"))
    vault = SharedVault(tmp_path / "node", SEALED, blobs)
    aside = tmp_path / "aside"
    aside.mkdir()
    finds = SharedFinds(blobs, SEALED, aside)
    try:
        store = CardedStore(plain, vault)
        await vault.save(SESSION, ContextDocument(), profile=None, kind="k", reason="r", fence=3)
        await store.insert(RUNNING)
        blobs.away = True
        rotated = replace(RUNNING, generation=5)
        await store.update(rotated)
        assert await vault.share() == 1
        blobs.away = False
        assert finds.look(SESSION).record == RUNNING
        assert await vault.share() == 0
        assert finds.look(SESSION).record == rotated
        # What was put away on this node's disk alone, and what it is, come there together.
        blobs.away = True
        with pytest.raises(Exception, match="on this node alone"):
            await vault.save(SESSION, ContextDocument(missing=("x",)), profile=None, kind="k", reason="r", fence=3)
        calls = len(blobs.calls)
        stopped = replace(rotated, status=Status.STOPPED)
        await store.update(stopped)
        assert len(blobs.calls) == calls, "nobody waits twice for a storage that is away"
        blobs.away = False
        assert await vault.share() == 0
        assert finds.look(SESSION).record == stopped
        assert (await vault.list(SESSION))[-1].version == 2
        await vault.erase(SESSION)
        assert list(blobs.inner.list("")) == []
    finally:
        vault.close()


async def test_all_else_is_the_stores(plain: SqliteStore, vault: Vault) -> None:
    store = CardedStore(plain, vault)
    await store.insert(RECORD)
    assert await store.put_back(RECORD) is False
    assert (await store.page(Query("t"))).records == (RECORD,)
    assert await store.running() == await store.ended_before(9e9, Kind.API) == []
    assert await store.saved_as("t", SPEC.name or "") == await store.due(9e9) == [RECORD]
    assert await store.once("t", "key", "print", SESSION) == (SESSION, "print")
    await store.unclaim("t", "key")
    assert await store.leads("x", 1.0)
    assert await store.add_identity("t", "i", Identity())
    assert not await store.put_identity("t", "i", Identity(locale="de"))
    assert await store.identity("t", "i") == Identity(locale="de")
    assert await store.identities("t") == [("i", Identity(locale="de"))]
    assert await store.drop_identity("t", "i")
    assert store.jobs is plain.jobs


async def test_of_profiles_a_card_is_kept_once_they_hold_something(
    plain: SqliteStore, vault: Vault, tmp_path: Path
) -> None:
    profiles = CardedStore(plain, vault).profiles
    made = Profile(SESSION, "t", Stage.AWAITED, 1.0, 2.0, 3.0)
    await profiles.add(made)
    assert await profiles.put(replace(made, used_at=4.0))
    assert found(tmp_path) is None
    ready = replace(made, stage=Stage.READY, version=1)
    assert await profiles.put(ready)
    assert await profiles.put(replace(ready, used_at=5.0))
    assert found(tmp_path) == ready, "that it was used makes no other card"
    assert await profiles.put(replace(ready, user_agent="me"))
    assert found(tmp_path) == await profiles.get(SESSION) == replace(ready, user_agent="me")
    assert await profiles.listed("t") == await profiles.unused(9.0) == [replace(ready, user_agent="me")]
    assert await profiles.drop(SESSION)
    await vault.erase(SESSION)
    assert not await profiles.put(ready)
    assert not (tmp_path / "snapshots" / SESSION).exists()
