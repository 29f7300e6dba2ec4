"""What every store does with sessions, identities and idempotency keys, run over each there is."""

import asyncio
from dataclasses import replace

import pytest

from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.records import Identity, Kind, SessionRecord, SessionSpec, Source, Status, new_session_id
from gateway.store.base import Fenced, Query, Store
from tests.store.stores import Place, filled, listed, record

IDENTITY = Identity("Agent", "de-DE", "Asia/Tokyo", (800, 600), 1.5, (1.5, -2.25, 3.0), (("X-A", "b"), ("X-B", "")))


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


async def test_what_the_store_has_lost_is_put_back(store: Store) -> None:
    older, newer = record(Status.CONNECTED, created_at=900.0), record(created_at=1100.0)
    assert await store.put_back(newer)
    assert await store.put_back(older)
    assert await store.get(older.id) == older
    assert not await store.put_back(replace(older, incarnation=9, reason="other"))
    assert await store.get(older.id) == older
    await store.update(replace(older, reason="mine"))
    assert {one.id for one in await store.running()} == {older.id, newer.id}


async def test_fields_that_this_version_does_not_know(place: Place, store: Store) -> None:
    one = record(name="n")
    await store.insert(one)
    await place.add_to_record(one.id, "a_field_of_tomorrow")
    await place.add_to_record(one.id, "spec.a_field_of_tomorrow")
    assert await store.get(one.id) == one
    assert list((await store.page(Query("t"))).records) == [one]
    await store.update(replace(one, reason="later"))
    assert await store.get(one.id) == replace(one, reason="later")


async def test_fields_that_an_earlier_version_did_not_know(place: Place, store: Store) -> None:
    one = record()
    await store.insert(one)
    for field in ("spec.identity", "node", "secret"):
        await place.drop_from_record(one.id, field)
    assert await store.get(one.id) == one


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


async def test_a_key_is_forgotten_after_a_day(place: Place, store: Store) -> None:
    first, second, third = (new_session_id() for _ in range(3))
    await store.once("t", "my key", "print", first)
    await store.once("t", "other", "print", second)
    await place.a_day_later("t", "my key")
    assert await store.once("t", "my key", "new print", third) == (third, "new print")
    assert await store.once("t", "other", "new print", third) == (second, "print")


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


async def test_one_node_leads(store: Store) -> None:
    assert await store.leads("sweeping", 60)
    assert await store.leads("sweeping", 60)
    assert await store.leads("something else", 60)


# --- what lasts ---


async def test_all_of_it_is_there_after_a_restart(place: Place) -> None:
    kept = [record(Status.SUSPENDED, labels=(("a", "b"),)), record(Status.STOPPED, ended_at=5.0)]
    claimed = new_session_id()
    async with place.open() as store:
        await filled(store, *kept)
        await store.once("t", "key", "print", claimed)
    async with place.open() as store:
        assert list((await store.page(Query("t"))).records) == kept[::-1]
        assert await store.once("t", "key", "x", new_session_id()) == (claimed, "print")
        (new,) = await filled(store, record())
        assert (await listed(store, Query("t")))[0] == new
