"""What a measurement gives: one figure for several subjects, measured in interleaved rounds. Pure.

Machines are shared and noisy: only ratios within one round mean something, so a figure's ratio is the median
of its rounds' ratios, never a ratio of medians of different minutes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """`rounds` has for each subject its value in each round, in order; `unit` such as "µs", "ms", "MB/s", "KB"."""

    what: str
    unit: str
    rounds: Mapping[str, Sequence[float]]

    def median(self, subject: str) -> float:
        """Of all rounds of `subject`. Raises KeyError for one that was not measured."""
        return median(self.rounds[subject])

    def ratio(self, subject: str, to: str) -> float:
        """`subject` as a multiple of `to`: the median over the rounds that both have."""
        pairs = zip(self.rounds[subject], self.rounds[to], strict=True)
        return median(mine / theirs for mine, theirs in pairs)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Who was measured, in order."""
        return tuple(self.rounds)


def save(figures: Iterable[Figure], machine: str, file: Path) -> None:
    """Keep the raw rounds as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load(file: Path) -> tuple[str, list[Figure]]:
    """The machine line and the figures that `save` kept."""
    content = json.loads(file.read_text())
    return content["machine"], [Figure(**figure) for figure in content["figures"]]
