"""Which sets a record is a member of, for each kind and status."""

import json
from dataclasses import replace

import pytest

from gateway.records import Kind, Status
from gateway.store.base import Query
from gateway.store.places import (
    LEAST,
    MOST,
    line,
    numbered,
    part,
    places,
    profile_places,
    sets,
    wanted,
)
from gateway.store.profiles import Profile, Stage
from tests.store.stores import NODE, record

LABELS = (("a", "1"), ("b", ""), ("a", "1"))


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("kind", Kind)
def test_of_each_kind_and_status(kind: Kind, status: Status) -> None:
    ended_at = 1500.5 if status.ended else None
    one = record(status, kind=kind, name="n", labels=LABELS, node=NODE, ended_at=ended_at)
    one = replace(one, snapshot=1, snapshot_at="1970-01-01T00:01Z")
    expected: dict[str, float | None] = {"of:t:saved:n": 60.0}
    if kind is Kind.API or status.running:
        own = ("of:t", f"of:t:status:{status}", "of:t:name:n", "of:t:label:a=1", "of:t:label:b=")
        expected |= dict.fromkeys(own)
    if status.running:
        expected |= {"running": None, f"running:{NODE}": None}
    if status is Status.SUSPENDED:
        expected["due"] = 2000.0
    if ended_at is not None:
        expected[f"ended:{kind}"] = ended_at
    found = places(one)
    assert dict(found) == expected
    assert len(found) == len(expected)


def test_what_it_does_not_have_it_is_not_found_by() -> None:
    assert dict(places(record(Status.STARTING))) == dict.fromkeys(("of:t", "of:t:status:starting", "running"))
    assert "of:t:saved:n" not in dict(places(record(name="n")))
    assert dict(places(record(Status.STOPPED, kind=Kind.STANDARD))) == {}


def test_one_that_nobody_uses_is_due_sooner() -> None:
    one = record(Status.SUSPENDED)
    assert dict(places(replace(one, spec=replace(one.spec, idle=10.0))))["due"] == 1010.0


@pytest.mark.parametrize(
    ("instant", "score"),
    [
        (None, 0.0),
        ("yesterday", 0.0),
        ("1970-01-01T00:00:02.5Z", 2.5),
        ("1970-01-01T01:00:02+01:00", 2.0),
        ("1970-01-01T00:00:02", 2.0),
    ],
)
def test_a_snapshot_is_found_by_its_instant(instant: str | None, score: float) -> None:
    one = replace(record(name="n"), snapshot=1, snapshot_at=instant)
    assert dict(places(one))["of:t:saved:n"] == score


def test_no_two_names_make_one_key() -> None:
    pairs = [("a=b", "c"), ("a", "b=c"), ("a", "b%3Dc"), ("a%3Db", "c"), ("a:b", "c"), ("ä", ""), ("", "ä")]
    for what in ("labels", "name", "tenant"):
        found = set()
        for key, value in pairs:
            one = record(tenant="t" if what != "tenant" else f"{key}\0{value}", name="n")
            if what == "name":
                one = replace(one, spec=replace(one.spec, name=f"{key}\0{value}"))
            elif what == "labels":
                one = replace(one, spec=replace(one.spec, labels=((key, value),)))
            found.add(places(one))
        assert len(found) == len(pairs)


@pytest.mark.parametrize(
    ("query", "every", "some"),
    [
        (Query("a b"), ["of:a%20b"], []),
        (Query("t", Status.STOPPED), ["of:t:status:stopped"], []),
        (Query("t", name="n"), ["of:t:name:n"], []),
        (Query("t", labels=(("a", "1"), ("b", "2"))), ["of:t:label:a=1", "of:t:label:b=2"], []),
        (
            Query("t", among=(Status.STOPPED, Status.FAILED, Status.STOPPED)),
            [],
            ["of:t:status:stopped", "of:t:status:failed"],
        ),
        (Query("t", name="n", among=(Status.STOPPED,)), ["of:t:name:n"], ["of:t:status:stopped"]),
    ],
)
def test_what_a_page_is_made_of(query: Query, every: list[str], some: list[str]) -> None:
    assert wanted(query) == (every, some)
    assert json.loads(sets(every, some)) == {"all": every, "any": some}


def test_a_line_holds_every_score_exactly() -> None:
    flat = json.loads(line("a b", (("one", None), ("two", 1763740000.123456), ("three", 0.1 + 0.2))))
    assert flat == ["a%20b", "one", "", "two", "1763740000.123456", "three", "0.30000000000000004"]
    assert part("x\ny:z") == "x%0Ay%3Az"


def test_numbers_are_such_as_lua_has() -> None:
    assert numbered(1763740000.123456) == 1763740000123456
    assert (numbered(-5.0), numbered(0.0), numbered(1e300)) == (LEAST, LEAST, MOST)
    assert float(MOST + 10_000_000) == MOST + 10_000_000


def test_a_profile() -> None:
    assert profile_places(Profile("p", "a:b", Stage.READY, 1.0, 2.0, 3.0)) == (
        ("profiles:of:a%3Ab", None),
        ("profiles:used", 3.0),
    )
