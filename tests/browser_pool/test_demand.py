import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser_pool.demand import FORGOTTEN, HALF_LIFE, MOST_SPECS, Demand
from browser_pool.spec import LaunchSpec

USUAL, A, B, C = LaunchSpec(), LaunchSpec(locale="de-DE"), LaunchSpec(locale="fr-FR"), LaunchSpec(locale="nl-NL")


def wanted(demand: Demand, limit: int, now: float = 0.0, **there: int) -> dict[LaunchSpec, int]:
    return demand.wanted(limit, now, {{"usual": USUAL, "a": A, "b": B}[name]: number for name, number in there.items()})


def test_one_usual_browser_is_always_wanted() -> None:
    demand = Demand(USUAL)
    assert wanted(demand, 8) == {USUAL: 1}
    assert wanted(demand, 8, 1e6) == {USUAL: 1}
    assert wanted(demand, 0) == {}


def test_a_burst_wants_more_and_calms_down() -> None:
    demand = Demand(USUAL)
    for _ in range(20):
        demand.note(USUAL, 100)
    assert wanted(demand, 8, 100) == {USUAL: 8}
    assert wanted(demand, 50, 100) == {USUAL: 20}
    assert wanted(demand, 50, 100 + HALF_LIFE) == {USUAL: 10}
    assert wanted(demand, 50, 100 + 10 * HALF_LIFE) == {USUAL: 1}


def test_what_is_asked_for_once_is_not_kept_ready() -> None:
    demand = Demand(USUAL)
    demand.note(A, 0)
    demand.note(B, 1)
    assert wanted(demand, 8, 1) == {USUAL: 1}


def test_what_comes_back_is() -> None:
    demand = Demand(USUAL)
    demand.note(A, 0)
    demand.note(A, HALF_LIFE)
    assert wanted(demand, 8, HALF_LIFE) == {A: 2, USUAL: 1}
    assert wanted(demand, 1, HALF_LIFE) == {A: 1}


def test_what_comes_back_late_is_not() -> None:
    demand = Demand(USUAL)
    demand.note(A, 0)
    demand.note(A, HALF_LIFE + 1)
    assert wanted(demand, 8, HALF_LIFE + 1) == {USUAL: 1}


def test_it_is_forgotten_in_the_end() -> None:
    demand = Demand(USUAL)
    for _ in range(4):
        demand.note(A, 0)
    forgotten = HALF_LIFE * math.log2(4 / FORGOTTEN)
    assert A in wanted(demand, 8, forgotten - 1)
    assert A not in wanted(demand, 8, forgotten + 1)
    demand.note(A, forgotten + 2)
    assert A not in wanted(demand, 8, forgotten + 2)  # it has to come back anew


def test_places_are_dealt_by_weight() -> None:
    demand = Demand(USUAL)
    for spec, times in ((USUAL, 2), (A, 8), (B, 4)):
        for _ in range(times):
            demand.note(spec, 0)
    assert wanted(demand, 7) == {A: 4, B: 2, USUAL: 1}
    assert next(iter(wanted(demand, 7))) == A


def test_two_in_turn_do_not_drive_each_other_out() -> None:
    demand = Demand(USUAL)
    ready: LaunchSpec | None = None
    for turn in range(40):
        now = turn * 5.0
        demand.note((A, B)[turn % 2], now)
        if turn > 6:
            (chosen,) = demand.wanted(1, now, {ready: 1} if ready else {})
            assert ready in (None, chosen)
            ready = chosen
    assert ready in (A, B)


def test_ever_new_specs_do_not_fill_the_memory_nor_push_out_what_is_in_use() -> None:
    demand = Demand(USUAL)
    for _ in range(5):
        demand.note(A, 0)
    for number in range(3 * MOST_SPECS):
        demand.note(LaunchSpec(user_agent=str(number)), 1)
    assert len(demand._weights) <= MOST_SPECS
    assert wanted(demand, 8, 1)[A] == 5


@given(
    st.lists(st.tuples(st.sampled_from([USUAL, A, B, C]), st.floats(0, 300)), max_size=40),
    st.integers(0, 12),
    st.dictionaries(st.sampled_from([USUAL, A, B, C]), st.integers(1, 9)),
)
def test_never_more_than_the_limit_nor_than_was_asked_for(
    leases: list[tuple[LaunchSpec, float]], limit: int, there: dict[LaunchSpec, int]
) -> None:
    demand = Demand(USUAL)
    now = 0.0
    for spec, later in leases:
        now += later
        demand.note(spec, now)
    found = demand.wanted(limit, now, there)
    assert sum(found.values()) <= limit
    for spec, number in found.items():
        times = sum(spec == asked for asked, _ in leases)
        assert number <= max(times, spec == USUAL)
    if limit >= 4:
        assert found.get(USUAL, 0) >= 1 or sum(found.values()) == limit


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_usual_yields_to_those_in_use(limit: int) -> None:
    demand = Demand(USUAL)
    for _ in range(3):
        demand.note(A, 0)
    assert wanted(demand, limit)[A] == min(limit, 3)
