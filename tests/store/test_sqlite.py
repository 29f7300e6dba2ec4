"""What every store does, run over each there is; and what is SQLite's own."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.records import Identity, Kind, SessionId, SessionRecord, SessionSpec, Source, Status, new_session_id
from gateway.store.base import Fenced, Query, Store
from gateway.store.sqlite import open_store

# A store is opened on a place, and finds there what the last one left.
Open = Callable[[Path], AbstractAsyncContextManager[Store]]
STORES: dict[str, Open] = {"sqlite": cast(Open, lambda place: open_store(place / "gateway.sqlite"))}


IDENTITY = Identity("Agent", "de-DE", "Asia/Tokyo", (800, 600), 1.5, (1.5, -2.25, 3.0), (("X-A", "b"), ("X-B", "")))


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest) -> Open:
    return STORES[request.param]


@pytest.fixture
async def store(opened: Open, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


def record(
    status: Status = Status.STARTING,
    *,
    tenant: str = "t",
    kind: Kind = Kind.API,
    name: str | None = None,
    labels: tuple[tuple[str, str], ...] = (),
    expires_at: float = 2000.0,
    ended_at: float | None = None,
) -> SessionRecord:
    spec = SessionSpec(tenant, kind, LaunchSpec(), ttl=60, keep=10, name=name, labels=labels)
    return SessionRecord(
        new_session_id(), spec, status, created_at=1000.0, expires_at=expires_at, ended_at=ended_at, incarnation=1
    )


async def filled(store: Store, *records: SessionRecord) -> list[SessionId]:
    for one in records:
        await store.insert(one)
    return [one.id for one in records]


async def listed(store: Store, query: Query) -> list[SessionId]:
    return [one.id for one in (await store.page(query)).records]


# --- one record ---


async def test_a_record_comes_back_as_it_was(store: Store) -> None:
    launch = LaunchSpec(
        mode=Mode.SHELL,
        args=("--lang=de", "--mute-audio"),
        user_agent="Agent",
        timezone="Asia/Tokyo",
        viewport=(800, 600),
        device_scale_factor=1.5,
        stealth=True,
    )
    spec = SessionSpec(
        tenant="t",
        kind=Kind.API,
        launch=launch,
        ttl=0.1 + 0.2,
        keep=1.5,
        persist=True,
        name="n' \"ü\u0000",
        url="https://example.com/",
        labels=(("a", "1"), ("b", "")),
        source=Source(new_session_id(), 3),
        identity=IDENTITY,
    )
    whole = SessionRecord(
        new_session_id(),
        spec,
        Status.STOPPED,
        created_at=1000.123456,
        expires_at=2000.5,
        incarnation=7,
        reason="stopped",
        last_used_at=1500.25,
        ended_at=1600.75,
        connections=4,
        snapshot=2,
        snapshot_at="2026-01-02T03:04:05.678Z",
    )
    await store.insert(whole)
    found = await store.get(whole.id)
    assert found == whole
    assert found is not None
    assert hash(found.spec.launch) == hash(launch)


async def test_there_is_no_such_session(store: Store) -> None:
    assert await store.get(new_session_id()) is None


async def test_an_id_is_used_once(store: Store) -> None:
    first = record(name="first")
    await store.insert(first)
    with pytest.raises(GatewayError) as refused:
        await store.insert(replace(first, reason="second"))
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert await store.get(first.id) == first


async def test_deleting_it_twice_is_harmless(store: Store) -> None:
    one = record()
    await store.insert(one)
    for _ in range(2):
        await store.delete(one.id)
        assert await store.get(one.id) is None


# --- fencing ---


async def test_the_last_incarnation_writes_and_those_before_it_do_not(store: Store) -> None:
    first = record()
    await store.insert(first)
    await store.update(replace(first, status=Status.DETACHED))
    second = replace(first, incarnation=2, status=Status.CONNECTED)
    await store.update(second)
    with pytest.raises(Fenced):
        await store.update(replace(first, status=Status.FAILED))
    assert await store.get(first.id) == second


async def test_what_was_erased_is_not_written_again(store: Store) -> None:
    one = record()
    with pytest.raises(Fenced):
        await store.update(one)
    await store.insert(one)
    await store.delete(one.id)
    with pytest.raises(Fenced):
        await store.update(one)
    assert await store.get(one.id) is None


async def test_of_many_writers_at_once_the_last_incarnation_stays(store: Store) -> None:
    one = record()
    await store.insert(one)
    numbers = [5, 2, 9, 1, 7, 3, 8, 4, 6]
    writes = (store.update(replace(one, incarnation=number, connections=number)) for number in numbers)
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert all(result is None or isinstance(result, Fenced) for result in results)
    assert results[numbers.index(9)] is None
    found = await store.get(one.id)
    assert found is not None
    assert (found.incarnation, found.connections) == (9, 9)


# --- listing ---


async def test_newest_first_and_one_tenants_alone(store: Store) -> None:
    mine = await filled(store, *(record() for _ in range(3)))
    await filled(store, record(tenant="other"))
    assert await listed(store, Query("t")) == mine[::-1]
    assert await listed(store, Query("nobody")) == []


async def test_a_change_does_not_move_a_record(store: Store) -> None:
    records = [record() for _ in range(3)]
    ids = await filled(store, *records)
    await store.update(replace(records[0], status=Status.STOPPED, ended_at=1500.0))
    assert await listed(store, Query("t")) == ids[::-1]


async def test_standard_sessions_are_listed_while_they_run(store: Store) -> None:
    for status in Status:
        standard, api = await filled(store, record(status, kind=Kind.STANDARD), record(status, kind=Kind.API))
        found = await listed(store, Query("t", status=status))
        assert found == ([api, standard] if status.running else [api])


async def test_filters(store: Store) -> None:
    one = record(Status.CONNECTED, name="one", labels=(("team", "red"), ("env", "ci")))
    two = record(Status.STOPPED, name="two", labels=(("team", "red"),))
    three = record(Status.STOPPED, name="one", labels=(("team", "blue"), ("red", "team")))
    await filled(store, one, two, three)
    assert await listed(store, Query("t", status=Status.STOPPED)) == [three.id, two.id]
    assert await listed(store, Query("t", name="one")) == [three.id, one.id]
    assert await listed(store, Query("t", labels=(("team", "red"),))) == [two.id, one.id]
    assert await listed(store, Query("t", labels=(("team", "red"), ("env", "ci")))) == [one.id]
    assert await listed(store, Query("t", labels=(("team", "re"),))) == []
    assert await listed(store, Query("t", labels=(("' OR 1=1 --", "x"),))) == []
    assert await listed(store, Query("t", Status.STOPPED, "one", (("team", "blue"),))) == [three.id]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_give_each_record_once_and_end(store: Store, limit: int) -> None:
    ids = await filled(store, *(record() for _ in range(7)))
    seen: list[SessionId] = []
    cursor = None
    while True:
        page = await store.page(Query("t", cursor=cursor, limit=limit))
        assert 1 <= len(page.records) <= limit
        seen += [one.id for one in page.records]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids[::-1]


async def test_pages_go_on_where_they_were_when_new_sessions_come(store: Store) -> None:
    ids = await filled(store, *(record() for _ in range(4)))
    first = await store.page(Query("t", limit=2))
    await filled(store, record(), record())
    rest = await store.page(Query("t", cursor=first.next_cursor, limit=10))
    assert [one.id for one in (*first.records, *rest.records)] == ids[::-1]


async def test_an_unknown_cursor_is_refused(store: Store) -> None:
    (foreign,) = await filled(store, record(tenant="other"))
    await filled(store, record())
    for cursor in (new_session_id(), foreign):
        with pytest.raises(GatewayError, match="cursor") as refused:
            await store.page(Query("t", cursor=cursor))
        assert refused.value.code is Code.BAD_REQUEST


# --- by status and time ---


async def test_those_that_hold_a_browser(store: Store) -> None:
    ids = {status: (await filled(store, record(status)))[0] for status in Status}
    assert {one.id for one in await store.running()} == {ids[status] for status in Status if status.running}


async def test_those_whose_time_is_up(store: Store) -> None:
    due, _ = await filled(store, record(Status.SUSPENDED, expires_at=100.0), record(Status.SUSPENDED, expires_at=100.5))
    await filled(store, *(record(status, expires_at=50.0) for status in set(Status) - {Status.SUSPENDED}))
    assert [one.id for one in await store.due(100.0)] == [due]
    assert await store.due(49.0) == []


async def test_those_that_ended_long_ago(store: Store) -> None:
    early, _, _ = await filled(
        store,
        record(Status.STOPPED, ended_at=100.0),
        record(Status.STOPPED, ended_at=200.0),
        record(Status.SUSPENDED, expires_at=1.0),
    )
    (standard,) = await filled(store, record(Status.FAILED, kind=Kind.STANDARD, ended_at=50.0))
    assert [one.id for one in await store.ended_before(150.0, Kind.API)] == [early]
    assert [one.id for one in await store.ended_before(150.0, Kind.STANDARD)] == [standard]
    assert await store.ended_before(50.0, Kind.STANDARD) == []


# --- idempotency ---


async def test_a_key_stands_for_its_first_session(store: Store) -> None:
    first, second = new_session_id(), new_session_id()
    assert await store.once("t", "key", "print", first) == (first, "print")
    assert await store.once("t", "key", "other print", second) == (first, "print")
    assert await store.once("t", "another key", "print", second) == (second, "print")
    assert await store.once("another tenant", "key", "print", second) == (second, "print")


async def test_a_key_given_back_can_be_claimed_again(store: Store) -> None:
    first, second = new_session_id(), new_session_id()
    await store.once("t", "key", "print", first)
    await store.unclaim("t", "key")
    await store.unclaim("t", "key")
    assert await store.once("t", "key", "print", second) == (second, "print")


async def test_of_many_claims_at_once_one_wins(store: Store) -> None:
    claims = await asyncio.gather(*(store.once("t", "key", "print", new_session_id()) for _ in range(20)))
    assert len(set(claims)) == 1


# --- identities ---


async def test_identities_are_their_tenants(store: Store) -> None:
    assert await store.add_identity("t", "mine", IDENTITY)
    assert await store.identity("t", "mine") == IDENTITY
    assert await store.identity("other", "mine") is None
    assert not await store.add_identity("t", "mine", Identity())
    assert await store.identity("t", "mine") == IDENTITY
    assert await store.add_identity("other", "mine", Identity())
    assert await store.put_identity("t", "a", Identity(locale="fr"))
    assert not await store.put_identity("t", "mine", Identity(locale="it"))
    assert await store.identities("t") == [("a", Identity(locale="fr")), ("mine", Identity(locale="it"))]
    assert await store.drop_identity("t", "mine")
    assert not await store.drop_identity("t", "mine")
    assert await store.identity("other", "mine") == Identity()


async def test_a_record_from_before_there_were_identities(tmp_path: Path) -> None:
    file = tmp_path / "gateway.sqlite"
    one = record()
    async with open_store(file) as store:
        await store.insert(one)
        with sqlite3.connect(file) as other:
            other.execute("UPDATE sessions SET record = json_remove(record, '$.spec.identity')")
        other.close()
        assert await store.get(one.id) == one


# --- what lasts ---


async def test_all_of_it_is_there_after_a_restart(opened: Open, tmp_path: Path) -> None:
    kept = [record(Status.SUSPENDED, labels=(("a", "b"),)), record(Status.STOPPED, ended_at=5.0)]
    claimed = new_session_id()
    async with opened(tmp_path) as store:
        await filled(store, *kept)
        await store.once("t", "key", "print", claimed)
    async with opened(tmp_path) as store:
        assert list((await store.page(Query("t"))).records) == kept[::-1]
        assert await store.once("t", "key", "x", new_session_id()) == (claimed, "print")
        (new,) = await filled(store, record())
        assert (await listed(store, Query("t")))[0] == new


# --- SQLite's own ---


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


async def test_pages_of_several_statuses(store: Store) -> None:
    ids = await filled(store, *(record(status) for status in (Status.STARTING, Status.STOPPED, Status.SUSPENDED)))
    assert await listed(store, Query("t", among=(Status.STARTING, Status.SUSPENDED))) == [ids[2], ids[0]]
    assert await listed(store, Query("t", among=(Status.FAILED,))) == []


async def test_a_suspended_session_that_nobody_uses_is_due(store: Store) -> None:
    idle = record(Status.SUSPENDED)
    idle = replace(idle, spec=replace(idle.spec, idle=30.0), last_used_at=1500.0)
    await filled(store, idle)
    assert await store.due(1529) == []
    assert await store.due(1530) == [idle]
