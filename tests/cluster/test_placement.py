from typing import Any

import pytest

from gateway.cluster.placement import AGAIN, Answer, Outcome, Pressure, TenantLoad, positions
from gateway.errors import Code


def answer(**terms: Any) -> Answer:
    return Answer.read({"status": "full", "most": -1, "running": 0, "waiting": 0, "pace": None, **terms})


def test_answers_are_read() -> None:
    lease = "http://a|1|n|t|"
    assert Answer.read({"status": "granted", "lease": lease, "node": "http://a"}) == Answer(
        Outcome.GRANTED, lease=lease, node="http://a"
    )
    assert Answer.read({"status": "elsewhere", "node": "http://b"}).node == "http://b"
    assert answer(status="queued", turn=-5, most=3).turn == -5
    with pytest.raises(ValueError, match="perhaps"):
        Answer.read({"status": "perhaps"})


@pytest.mark.parametrize(
    ("terms", "code", "words"),
    [
        ({"most": 0}, Code.FORBIDDEN, "this gateway gives its tenant no browsers any more"),
        ({"most": 2, "running": 2}, Code.TOO_MANY_SESSIONS, "all 2 browsers that this tenant may have are in use WHY"),
        ({"most": 2, "running": 1}, Code.TOO_MANY_SESSIONS, "all browsers of this gateway are in use WHY"),
        ({"running": 9}, Code.TOO_MANY_SESSIONS, "all browsers of this gateway are in use WHY"),
    ],
    ids=["none", "tenant", "fleet", "no-limit"],
)
def test_refusals(terms: dict[str, int], code: Code, words: str) -> None:
    error = answer(**terms).refusal("WHY")
    assert (error.code, error.message) == (code, words)


@pytest.mark.parametrize(
    ("pace", "waiting", "seconds"),
    [(None, 7, 5), (7.5, 0, 8), (2.0, 3, 8), (0.01, 0, 1), (0.0, 5, 1), (30.0, 9, 60)],
    ids=["unknown", "alone", "queue", "fast", "at-once", "longest"],
)
def test_how_long_to_wait(pace: float | None, waiting: int, seconds: int) -> None:
    assert answer(pace=pace, waiting=waiting).refusal("").retry_after == seconds


def test_a_name_that_is_taken() -> None:
    error = answer(status="name", session="abc").name_in_use("shop")
    assert error.code is Code.NAME_IN_USE
    assert "abc" in error.message
    assert "'shop'" in error.message


@pytest.mark.parametrize(
    ("queues", "order"),
    [
        ([], ""),
        ([("a", 0, 3, 1)], "aaa"),
        ([("a", 0, 2, 1), ("b", 0, 1, 3)], "aba"),
        ([("a", 0, 2, 2), ("b", 0, 1, 1)], "baa"),
        ([("a", 9, 2, 1), ("b", 5, 2, 3)], "baba"),
        ([("a", 9, 1, 1), ("b", 0, 1, 30)], "ba"),
        ([("a", 0, 4, 1), ("b", 0, 3, 5), ("c", 0, 2, 8), ("d", 0, 1, 10)], "abcdabcaba"),
        ([("a", 3, 0, 0)], ""),
    ],
    ids=["none", "one", "two", "first-come", "served-longest-ago", "never-served", "many", "empty"],
)
def test_positions(queues: list[tuple[str, int, int, float]], order: str) -> None:
    told = positions(queues)
    assert {place: tenant for tenant, places in told.items() for place in places} == dict(enumerate(order, 1))


def test_pressure_is_read() -> None:
    pressure = Pressure.read(
        {
            "nodes": [["http://a", 4, 3, 1, True], ["http://b", 4, 1, 0, False], ["http://c", 2, 3, 2, True]],
            "tenants": [["x", 6], ["y", 1]],
            "queues": [["x", 9, [1 - AGAIN, 7]], ["z", 0, [3]]],
        }
    )
    assert (pressure.limit, pressure.running, pressure.free, pressure.warm, pressure.waiting) == (6, 7, 1, 3, 3)
    assert dict(pressure.tenants) == {
        "x": TenantLoad(6, 2, (2, 3)),
        "y": TenantLoad(1, 0, ()),
        "z": TenantLoad(0, 1, (1,)),
    }
    assert pressure.of("nobody") == TenantLoad(0, 0, ())


def test_pressure_of_a_fleet_that_has_nothing_to_do() -> None:
    # Lua cannot tell an empty list from an empty object.
    pressure = Pressure.read({"nodes": {}, "tenants": {}, "queues": {}})
    assert (pressure.limit, pressure.running, pressure.waiting, dict(pressure.tenants)) == (0, 0, 0, {})
