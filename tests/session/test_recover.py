"""Which sessions go on when their gateway was killed, and for how long. The journeys do it with real ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionRecord, SessionSpec, Source, Status, new_session_id
from gateway.session.recover import goes_on, waits_until
from gateway.store.sqlite import open_store
from tests.inside import ADMIN, inside

SPEC = SessionSpec(ADMIN.tenant, Kind.API, LaunchSpec(), ttl=1e9, keep=30, persist=True)


def record(status: Status, kind: Kind = Kind.API, **more: object) -> SessionRecord:
    spec = replace(SPEC, kind=kind, persist=kind is Kind.API, keep=30 if kind is Kind.API else 0)
    made = SessionRecord(new_session_id(), spec, status, created_at=0, expires_at=4e9, incarnation=1)
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (record(Status.CONNECTED), True),
        (record(Status.DETACHED), True),
        (record(Status.CONNECTED, Kind.STANDARD, keeps=0.0), False),
        (record(Status.CONNECTED, Kind.STANDARD, keeps=60.0), True),
        (record(Status.DETACHED, Kind.STANDARD, until=50.0), True),
        (record(Status.STARTING, Kind.STANDARD), False),
    ],
)
def test_a_standard_session_goes_on_if_reconnect_was_asked_for(found: SessionRecord, expected: bool) -> None:
    assert goes_on(found) is expected


def test_the_time_that_was_left() -> None:
    assert waits_until(record(Status.DETACHED, until=50.0), 100) == 50
    assert waits_until(record(Status.CONNECTED, keeps=5.0), 100) == 105
    assert waits_until(record(Status.DETACHED), 100) == 130


async def test_those_without_a_browser_are_put_right(tmp_path: Path) -> None:
    lost = record(Status.CONNECTED)
    ended = record(Status.DETACHED, Kind.STANDARD, until=4e9)
    starting = record(Status.STARTING)
    made = replace(starting, id=new_session_id(), spec=replace(SPEC, source=Source(new_session_id(), 1)))
    async with open_store(tmp_path / "gateway.sqlite") as store:
        for one in (lost, ended, starting, made):
            await store.insert(one)
    async with inside(tmp_path) as gateway:
        found = {one.id: await gateway.registry.find(ADMIN, one.id) for one in (lost, ended, starting, made)}
    assert [one.status for one in found.values()] == [Status.FAILED] * 3 + [Status.SUSPENDED]
    assert {one.reason for one in found.values()} == {"gateway_killed"}
    assert all(one.until is None and one.keeps is None for one in found.values())
