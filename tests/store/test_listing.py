"""How sessions are found by anything but their id, in every store there is."""

import asyncio
import itertools
import random
from dataclasses import replace

import pytest

from gateway.errors import Code, GatewayError
from gateway.records import Identity, Kind, SessionId, Status, new_session_id
from gateway.store import filed, sqlite
from gateway.store.base import Query, Store
from tests.store.stores import NODE, OTHER, filled, listed, record


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


async def test_every_combination_of_filters(store: Store) -> None:
    labels = ((), (("a", "1"),), (("b", "2"),), (("a", "1"), ("b", "2")))
    every = [
        record(status, kind=kind, name=name, labels=labels[number % 4])
        for kind, number in zip((Kind.API, Kind.API, Kind.STANDARD), range(3), strict=True)
        for status in Status
        for name in (None, "x", "y:é*")
    ]
    random.Random(7).shuffle(every)
    await filled(store, *every)
    some = ((), (Status.SUSPENDED,), (Status.STARTING, Status.STOPPED, Status.STARTING))
    for status, among, name, label in itertools.product((None, *Status), some, (None, "x", "y:é*", "z"), labels):
        expected = [
            one.id
            for one in every[::-1]
            if (one.spec.kind is Kind.API or one.status.running)
            and status in (None, one.status)
            and (not among or one.status in among)
            and name in (None, one.spec.name)
            and set(label) <= set(one.spec.labels)
        ]
        query = Query("t", status, name, label, among=among)
        assert await listed(store, query) == expected
        if len(expected) > 1:
            page = await store.page(replace(query, cursor=expected[0], limit=1))
            assert [one.id for one in page.records] == expected[1:2]
            assert page.next_cursor == (expected[1] if len(expected) > 2 else None)


async def test_a_page_behind_a_session_that_is_listed_no_more(store: Store) -> None:
    first, second = record(), record(Status.CONNECTED, kind=Kind.STANDARD)
    await filled(store, first, second)
    await store.update(replace(second, status=Status.STOPPED))
    assert await listed(store, Query("t", cursor=second.id)) == [first.id]
    await store.delete(second.id)
    with pytest.raises(GatewayError, match="cursor"):
        await store.page(Query("t", cursor=second.id))


async def test_what_changes_is_found_by_what_it_is_now(store: Store) -> None:
    one = record(Status.STARTING, name="old", labels=(("a", "1"),))
    await store.insert(one)
    changed = replace(one, status=Status.STOPPED, spec=replace(one.spec, name="new", labels=(("a", "2"), ("a", "2"))))
    await store.update(changed)
    for query in (Query("t", Status.STARTING), Query("t", name="old"), Query("t", labels=(("a", "1"),))):
        assert await listed(store, query) == []
    for query in (Query("t", Status.STOPPED), Query("t", name="new"), Query("t", labels=(("a", "2"),))):
        assert await listed(store, query) == [one.id]


@pytest.mark.parametrize("tenant", ["", "a:b", "a b", "ä/%3A", "of:t"])
async def test_any_name_of_a_tenant(store: Store, tenant: str) -> None:
    (one,) = await filled(store, record(tenant=tenant, name=tenant, labels=((tenant, tenant),)))
    query = Query(tenant, name=tenant, labels=((tenant, tenant),))
    assert await listed(store, query) == [one]
    assert await listed(store, replace(query, cursor=one)) == []
    assert await store.once(tenant, tenant, "print", one) == (one, "print")
    assert await store.add_identity(tenant, tenant, Identity())
    assert await store.identities(tenant) == [(tenant, Identity())]


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


async def test_those_of_one_node(store: Store) -> None:
    here = record(Status.CONNECTED, node=NODE)
    moved = record(Status.DETACHED, node=OTHER)
    await filled(store, here, moved, record(Status.SUSPENDED, node=NODE), record(Status.CONNECTED))
    assert await store.running(NODE) == [here]
    moved = replace(moved, node=NODE, incarnation=2)
    await store.update(moved)
    assert {one.id for one in await store.running(NODE)} == {here.id, moved.id}
    assert await store.running(OTHER) == []
    await store.update(replace(here, status=Status.SUSPENDED))
    assert await store.running(NODE) == [moved]
    assert len(await store.running()) == 2


async def test_those_saved_under_a_name(store: Store) -> None:
    # In no order; some without a zone, or from before it was written down when.
    instants = ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.679Z", "2025-12-31T23:59:59Z", "2026-02-01T00:00:00Z"]
    found = await filled(store, *(record(name="n", snapshot_at=instant) for instant in instants))
    (unknown,) = await filled(store, replace(record(name="n"), snapshot=3))
    await filled(store, record(name="n"), record(name="m", snapshot_at=instants[0]))
    await filled(store, record(tenant="u", name="n", snapshot_at=instants[0]))
    assert [one.id for one in await store.saved_as("t", "n")] == [found[3], found[1], found[0], found[2], unknown]
    (last,) = await filled(store, record(Status.STOPPED, name="n", kind=Kind.STANDARD, snapshot_at="2027-01-01T00:00Z"))
    saved = await store.saved_as("t", "n")
    assert [one.id for one in saved] == [last, found[3], found[1], found[0], found[2]]
    assert await store.saved_as("t", "none") == []


async def test_those_to_sweep_come_in_bounded_numbers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sqlite, filed):
        monkeypatch.setattr(module, "BATCH", 50)
    many = [record(Status.STOPPED, ended_at=float(number)) for number in range(30)]
    many += [record(Status.STOPPED, kind=Kind.STANDARD, ended_at=1.0) for _ in range(25)]
    many += [record(Status.SUSPENDED, expires_at=1000.0 - number) for number in range(55)]
    await asyncio.gather(*(store.insert(one) for one in many))
    assert len(await store.ended_before(25.0, Kind.API)) == 25
    assert len(await store.ended_before(25.0, Kind.STANDARD)) == 25
    due = await store.due(1000.0)
    assert len(due) == 50
    assert due[0] == many[-1]
    await asyncio.gather(*(store.update(one.settled(1000.0)) for one in due))
    assert len(await store.due(1000.0)) == 5
    for one in await store.ended_before(10.0, Kind.API):
        await store.delete(one.id)
    assert len(await store.ended_before(25.0, Kind.API)) == 15
    assert len(await store.ended_before(2000.0, Kind.API)) == 50


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
