"""Which saved context a browser begins with."""

from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.records import Kind, SessionId, SessionRecord, SessionSpec, Source, Status, new_session_id
from gateway.session.source import chosen, last_saved, newest, readable, source_of
from gateway.snapshot.document import ContextDocument, Tab
from gateway.snapshot.seal import Sealer
from gateway.snapshot.vault import Vault
from gateway.store.sqlite import open_store

SPEC = SessionSpec("t", Kind.API, LaunchSpec(), ttl=60, keep=30, persist=True, name="shop")


def record(**more: object) -> SessionRecord:
    made = SessionRecord(new_session_id(), SPEC, Status.STOPPED, created_at=0, expires_at=60)
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "snapshots", Sealer())


async def save(vault: Vault, session: SessionId, *urls: str) -> None:
    for url in urls:
        await vault.save(session, ContextDocument(tabs=(Tab(url),)), profile=None, kind="chromium", reason="test")


def damage(vault: Vault, session: SessionId, version: int) -> None:
    (vault._directory / session / f"{version}.manifest").write_bytes(b"{")


async def refusal(work: object) -> Code:
    with pytest.raises(GatewayError) as refused:
        await work  # type: ignore[misc]
    return refused.value.code


def test_its_own_last_snapshot_comes_first() -> None:
    source = Source(new_session_id(), 3)
    made = record(spec=replace(SPEC, source=source))
    assert source_of(record()) is None
    assert source_of(made) == source
    assert source_of(replace(made, snapshot=1)) == Source(made.id, 1)


async def test_one_that_cannot_be_read_gives_way_to_the_one_before(vault: Vault) -> None:
    made = record(snapshot=2)
    await save(vault, made.id, "http://one/", "http://two/")
    assert await readable(made, vault) == Source(made.id, 2)
    damage(vault, made.id, 2)
    assert await readable(made, vault) == Source(made.id, 1)
    assert await chosen(made.id, None, vault) == Source(made.id, 1)
    assert await chosen(made.id, 2, vault) == Source(made.id, 2), "that one and no other"
    damage(vault, made.id, 1)
    assert await refusal(newest(made.id, vault)) is Code.SNAPSHOT_UNREADABLE


async def test_what_is_not_saved_cannot_be_chosen(vault: Vault) -> None:
    session = new_session_id()
    assert await refusal(chosen(session, None, vault)) is Code.NOTHING_SAVED
    await save(vault, session, "http://one/")
    assert await refusal(chosen(session, 2, vault)) is Code.NOTHING_SAVED


async def test_the_last_that_was_saved_under_a_name(vault: Vault, tmp_path: Path) -> None:
    async with open_store(tmp_path / "gateway.sqlite") as store:
        assert await last_saved("t", "shop", store, vault) is None
        older, newer, empty = (record(snapshot=1, snapshot_at=f"2026-01-0{day}T00:00:00.000Z") for day in (1, 2, 3))
        for one in (newer, older, empty, record()):
            await store.insert(one)
        for one in (older, newer):
            await save(vault, one.id, "http://one/")
        assert await last_saved("t", "shop", store, vault) == Source(newer.id, 1), "the newest has been erased"
        damage(vault, newer.id, 1)
        assert await last_saved("t", "shop", store, vault) == Source(older.id, 1)
        assert await last_saved("other", "shop", store, vault) is None
