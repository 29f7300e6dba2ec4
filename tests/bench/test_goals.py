"""Goals: figures in, rows out."""

from bench import checkpoint, egress, fork, pages, park, relay, restore, sessions
from bench.figures import Figure
from bench.goals import GOALS, TIMES, Goal, Row, against, beyond, plain, rows, shown
from bench.report import goal_table
from bench.subjects import DIRECT, GATEWAY

ROUND_TRIP = Figure("round trip", "µs", {DIRECT: [100, 100], GATEWAY: [120, 130]})
RATIO = Goal("round trip", 1.30, TIMES, against("round trip", GATEWAY, DIRECT))


def test_a_goal_is_met_up_to_its_limit() -> None:
    (row,) = rows([ROUND_TRIP], [RATIO])
    assert row == Row("round trip", "≤ 1.30", "1.25", True)
    assert RATIO.met(1.30)
    assert not RATIO.met(1.301)


def test_a_goal_can_want_more_instead_of_less() -> None:
    throughput = Goal("throughput", 0.97, TIMES, against("MB a second", GATEWAY, DIRECT), at_least=True)
    figure = Figure("MB a second", "MB/s", {DIRECT: [1000], GATEWAY: [900]})
    assert rows([figure], [throughput]) == [Row("throughput", "≥ 0.97", "0.90", False)]


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    alone = Figure("round trip", "µs", {GATEWAY: [120]})
    for figures in ([], [alone]):
        assert rows(figures, [RATIO]) == [Row("round trip", "≤ 1.30", "not measured", None)]


def test_amounts_have_their_unit() -> None:
    goal = Goal("memory", 16, "KB", plain("memory", GATEWAY))
    assert rows([Figure("memory", "KB", {GATEWAY: [12.0, 18.0, 17.0]})], [goal]) == [
        Row("memory", "≤ 16 KB", "17 KB", False)
    ]


def test_what_is_added_is_taken_within_rounds() -> None:
    goal = Goal("added", 5, "µs", beyond("round trip", GATEWAY, DIRECT))
    assert rows([ROUND_TRIP], [goal]) == [Row("added", "≤ 5 µs", "25 µs", False)]


def test_small_ratios_are_shown_as_fractions() -> None:
    assert shown(1 / 15, TIMES) == "1/15"
    assert shown(1 / 15.24, TIMES) == "1/15.2"
    assert shown(0.25, TIMES) == "1/4"
    assert shown(0.6, TIMES) == "0.60"
    assert shown(0, TIMES) == "0.00"
    assert shown(1234.5, "ms") == "1,234 ms"
    assert shown(0.71, "%") == "0.71 %"


def test_the_goals_name_figures_that_the_bench_makes() -> None:
    asked: set[str] = set()

    class Asked(dict[str, Figure]):
        def __missing__(self, what: str) -> Figure:
            asked.add(what)
            raise KeyError(what)

    for goal in GOALS:
        try:
            goal.measure(Asked())
        except KeyError:
            continue
        raise AssertionError(f"{goal.what} asks for no figure")
    made = {*relay.UNITS, sessions.CONNECT, sessions.FIRST_PAGE, sessions.memory(10)}
    made |= {restore.READY, restore.LOADED, fork.MADE, checkpoint.P99, park.CPU, park.AWAKE, park.MEMORY}
    made |= {egress.DOWNLOAD, egress.PAGE, pages.SCREENSHOT, pages.BURSTS, pages.MEMORY}
    assert len(asked - made) == 1  # the thousand idle clients
    assert len({goal.what for goal in GOALS}) == len(GOALS)


def test_the_table_says_loudly_what_was_missed() -> None:
    found = [Row("a", "≤ 1", "2", False), Row("b", "≤ 1", "1", True), Row("c", "≤ 1", "not measured", None)]
    assert list(goal_table(found)) == [
        "goal   wanted       measured   met?",
        "a         ≤ 1              2     NO",
        "b         ≤ 1              1    yes",
        "c         ≤ 1   not measured      -",
    ]
