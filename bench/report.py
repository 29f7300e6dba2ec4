"""Figures and goals as tables of plain text. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from bench.checkpoint import WITHOUT
from bench.figures import Figure
from bench.fleet_hop import OWN
from bench.fork import ONE
from bench.goals import Row
from bench.park import RUNNING
from bench.restore import PLAIN
from bench.sessions import BROWSERLESS, CHROMIUM
from bench.subjects import DIRECT, HTTP_PROXY

# What others are compared to: the first that was measured.
REFERENCES = (DIRECT, HTTP_PROXY, BROWSERLESS, CHROMIUM, PLAIN, ONE, RUNNING, WITHOUT, OWN)
YES_NO = "yes or no"  # the unit of 1 and 0
MARKS = {True: "yes", False: "NO", None: "-"}


def reference(figure: Figure) -> str | None:
    """Whom the others of this figure are compared to; None for a figure with one subject."""
    if len(figure.subjects) < 2:
        return None
    return next((name for name in REFERENCES if name in figure.subjects), None)


def tables(figures: Iterable[Figure]) -> Iterator[str]:
    """Lines: each subject's ratio to the reference, and in brackets the median of its rounds."""
    groups: dict[tuple[tuple[str, ...], str | None], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.subjects, reference(figure)), []).append(figure)
    for (subjects, to), group in groups.items():
        yield ""
        lines = [(f"as a multiple of {to}" if to else "", *subjects)]
        lines += [(_title(one), *(_cell(one, name, to) for name in subjects)) for one in group]
        yield from aligned(lines)


def goal_table(rows: Iterable[Row]) -> Iterator[str]:
    """Lines: goal, wanted, measured, met?"""
    return aligned(
        [("goal", "wanted", "measured", "met?"), *((r.what, r.wanted, r.measured, MARKS[r.met]) for r in rows)]
    )


def aligned(lines: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns under each other, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        yield first.ljust(widths[0]) + "".join(
            "   " + cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)
        )


def amount(value: float) -> str:
    """A figure's value, to three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _title(figure: Figure) -> str:
    return figure.what if figure.unit == YES_NO else f"{figure.what}, {figure.unit}"


def _cell(figure: Figure, name: str, to: str | None) -> str:
    if figure.unit == YES_NO:
        return "yes" if figure.median(name) == 1 else "no"
    value = amount(figure.median(name))
    return f"{figure.ratio(name, to):.2f} ({value})" if to else value
