"""Which browsers are worth having ready: an opinion that follows what was asked for lately. Pure.

Every lease of a spec that got its browser adds one to its weight, which halves every HALF_LIFE seconds. A spec
that comes back within that time is in use; one that came once is not, or callers who all ask for something of
their own would have the ready browsers thrown away for nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from browser_pool.spec import LaunchSpec

HALF_LIFE = 120.0
IN_USE = 1.5  # the weight at which a spec begins to count: two leases within a half-life
FORGOTTEN = 0.5  # the weight at which it no longer does
USUAL = 0.5  # the least weight of the usual spec: there is always one for the next who asks for nothing special
STICKY = 2.0  # how much more one counts that is there already: two in turn shall not drive each other out
MOST_SPECS = 256  # remembered at once


@dataclass(slots=True)
class _Weight:
    value: float
    at: float
    counts: bool

    def now(self, now: float) -> float:
        return self.value * math.exp2((self.at - now) / HALF_LIFE)


class Demand:
    """`usual` is what callers get who say nothing. Instants are in seconds on any clock that does not go back."""

    def __init__(self, usual: LaunchSpec) -> None:
        self._usual = usual
        self._weights = {usual: _Weight(0.0, 0.0, counts=True)}

    def note(self, spec: LaunchSpec, now: float) -> None:
        """A browser of this spec was handed out."""
        weight = self._weights.setdefault(spec, _Weight(0.0, now, counts=False))
        weight.value, weight.at = weight.now(now) + 1, now
        weight.counts = weight.counts or weight.value >= IN_USE
        if len(self._weights) > MOST_SPECS:
            others = (other for other in self._weights if other not in (self._usual, spec))
            del self._weights[min(others, key=lambda other: self._weights[other].now(now))]

    def wanted(self, limit: int, now: float, there: Mapping[LaunchSpec, int]) -> dict[LaunchSpec, int]:
        """How many of which spec should be ready, at most `limit` together; what matters most comes first.

        `there` are those that are ready now.

        No spec gets more than were asked for lately. Of several the seats are dealt out by highest averages
        (D'Hondt), so that a second one for the busiest weighs against a first one for the next.
        """
        self._forget(now)
        weights = {spec: weight.now(now) for spec, weight in self._weights.items() if weight.counts}
        weights[self._usual] = max(weights[self._usual], USUAL)
        dealt: dict[LaunchSpec, int] = {}
        for _ in range(limit):
            open_ = [spec for spec, weight in weights.items() if dealt.get(spec, 0) < math.ceil(weight)]
            if not open_:
                break
            best = max(open_, key=lambda spec: _average(weights[spec], dealt.get(spec, 0), there.get(spec, 0)))
            dealt[best] = dealt.get(best, 0) + 1
        return dealt

    def _forget(self, now: float) -> None:
        for spec, weight in list(self._weights.items()):
            if spec != self._usual and weight.now(now) < FORGOTTEN:
                del self._weights[spec]


def _average(weight: float, dealt: int, there: int) -> float:
    return weight / (dealt + 1) * (STICKY if dealt < there else 1.0)
