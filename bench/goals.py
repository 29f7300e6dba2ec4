"""How fast and how small the gateway is meant to be, and whether a run met it. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from bench import checkpoint, egress, fork, idle, pages, park, relay, restore, sessions
from bench.figures import Figure
from bench.subjects import DIRECT, GATEWAY, HTTP_PROXY

TIMES = "×"  # the unit of ratios

Run = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Goal:
    """`measure` takes it from a run's figures by name, and raises KeyError where that was not measured."""

    what: str
    limit: float
    unit: str
    measure: Callable[[Run], float]
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` is on the right side of the limit; the limit itself is."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """A goal beside what was measured; `met` is None where nothing was."""

    what: str
    wanted: str
    measured: str
    met: bool | None


def against(what: str, subject: str, to: str) -> Callable[[Run], float]:
    """The figure `what` of `subject` as a multiple of `to`."""
    return lambda run: run[what].ratio(subject, to)


def plain(what: str, subject: str) -> Callable[[Run], float]:
    """The figure `what` of `subject` in its own unit."""
    return lambda run: run[what].median(subject)


def beyond(what: str, subject: str, to: str) -> Callable[[Run], float]:
    """How much more the figure `what` is for `subject` than for `to`: the median over the rounds."""

    def measure(run: Run) -> float:
        rounds = run[what].rounds
        return median(mine - theirs for mine, theirs in zip(rounds[subject], rounds[to], strict=True))

    return measure


WARM, BROWSERLESS = sessions.WARM, sessions.BROWSERLESS
TEN = sessions.memory(10)

# What `make bench` draws, too.
SPEED = (
    Goal(
        "Runtime.evaluate round trip, one core, against Chromium directly",
        1.30,
        TIMES,
        against(relay.EVALUATE_P50, GATEWAY, DIRECT),
    ),
    Goal(
        "Runtime.evaluate round trip, one core, against Node's http-proxy",
        1.00,
        TIMES,
        against(relay.EVALUATE_P50, GATEWAY, HTTP_PROXY),
    ),
    Goal(
        "CPU per round trip against Node's http-proxy",
        0.80,
        TIMES,
        against(relay.CPU_ROUND_TRIP, GATEWAY, HTTP_PROXY),
    ),
    Goal(
        "throughput of a 20 MB response, against directly",
        0.97,
        TIMES,
        against(relay.RESPONSE_20, GATEWAY, DIRECT),
        at_least=True,
    ),
    Goal(
        "throughput of a 5 MB request, against directly",
        0.97,
        TIMES,
        against(relay.REQUEST_5, GATEWAY, DIRECT),
        at_least=True,
    ),
    Goal("memory per idle connection", 16, "KB", plain(relay.IDLE_CONNECTION, GATEWAY)),
    Goal("peak memory above idle, four stalled readers of 100 MB", 48, "MB", plain(relay.STALLED, GATEWAY)),
    Goal(
        "connect to a warm browser, against Browserless",
        1 / 15,
        TIMES,
        against(sessions.CONNECT, WARM, BROWSERLESS),
    ),
    Goal("connect to a warm browser", 25, "ms", plain(sessions.CONNECT, WARM)),
    Goal(
        "connect, new page, first navigation, against Browserless",
        1 / 4,
        TIMES,
        against(sessions.FIRST_PAGE, WARM, BROWSERLESS),
    ),
    Goal(
        "memory (PSS) of an idle session, ten at once, against Browserless",
        0.60,
        TIMES,
        against(TEN, GATEWAY, BROWSERLESS),
    ),
    Goal(f"CPU of {idle.CLIENTS:,} idle clients, of one core", 2, "%", plain(idle.CPU, GATEWAY)),
)

# That nothing is lost shall cost little, too.
KEEPING = (
    *(
        Goal(f"{name}, against a plain launch, {until}", 1.50, TIMES, against(until, name, restore.PLAIN))
        for name in (restore.SMALL, restore.LARGE)
        for until in (restore.READY, restore.LOADED)
    ),
    Goal(
        f"{fork.COUNT} forks of a session with a login, made by a warm gateway",
        1000,
        "ms",
        plain(fork.MADE, sessions.WARM),
    ),
    Goal(
        "what checkpoints add to the driver's commands, 99th percentile",
        5,
        "ms",
        beyond(checkpoint.P99, checkpoint.WITH, checkpoint.WITHOUT),
    ),
    Goal(f"CPU of {park.COUNT} parked browsers, of one core", 0.1, "%", plain(park.CPU, park.PARKED)),
    Goal("a parked browser is awake", 50, "ms", plain(park.AWAKE, park.PARKED)),
    Goal(
        "memory (PSS) of a parked browser, against before", 0.99, TIMES, against(park.MEMORY, park.PARKED, park.RUNNING)
    ),
)

# And that no browser goes where it may not.
GUARDING = (
    Goal(
        "download through the egress guard, against directly",
        0.70,
        TIMES,
        against(egress.DOWNLOAD, GATEWAY, DIRECT),
        at_least=True,
    ),
    Goal("page load through the egress guard, against directly", 1.15, TIMES, against(egress.PAGE, GATEWAY, DIRECT)),
)

# And that pictures of pages cost what they cost by hand.
SERVING = (
    Goal("a screenshot, against a Playwright script", 1.20, TIMES, against(pages.SCREENSHOT, GATEWAY, pages.SCRIPT)),
    Goal(
        f"{pages.BURST} screenshots at once, against a Playwright script",
        1.20,
        TIMES,
        against(pages.BURSTS, GATEWAY, pages.SCRIPT),
    ),
    Goal(
        f"memory of {pages.BURST} at once, against {pages.FEW} at once",
        1.25,
        TIMES,
        against(pages.MEMORY, pages.LARGE, pages.SMALL),
    ),
)

GOALS = (*SPEED, *KEEPING, *GUARDING, *SERVING)


def rows(figures: Iterable[Figure], goals: Iterable[Goal] = GOALS) -> list[Row]:
    """Each goal with what these figures say of it."""
    run = {figure.what: figure for figure in figures}
    found = []
    for goal in goals:
        wanted = f"{'≥' if goal.at_least else '≤'} {shown(goal.limit, goal.unit)}"
        try:
            value = goal.measure(run)
        except KeyError:  # a part of the bench, or a subject, that was left out
            found.append(Row(goal.what, wanted, "not measured", None))
        else:
            found.append(Row(goal.what, wanted, shown(value, goal.unit), goal.met(value)))
    return found


def shown(value: float, unit: str) -> str:
    """In words: small ratios as 1/15.2, others with two decimals; amounts with their unit."""
    if unit != TIMES:
        return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    if 0 < value < 0.5:
        return f"1/{1 / value:.1f}".removesuffix(".0")
    return f"{value:.2f}"
