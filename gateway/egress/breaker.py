"""A circuit breaker for one destination. Pure: the clock is the caller's.

It counts outcomes of the last WINDOW seconds. Once at least LEAST of them and the SHARE of all were failures, nothing
is let through for a while; then one request may try. If that goes well everything may, else the wait doubles.
"""

from collections import deque
from dataclasses import dataclass, field

WINDOW = 30.0  # seconds
LEAST = 20  # failures
SHARE = 0.8
FIRST_WAIT = 15.0  # seconds
LONGEST_WAIT = 300.0
PROBE = 60.0  # seconds until a probe whose outcome never came does not count any more


@dataclass(slots=True)
class Breaker:
    """Instants are seconds of any clock that never goes back."""

    outcomes: deque[tuple[float, bool]] = field(default_factory=deque)
    wait: float = 0.0  # seconds of the current break; 0 while closed
    until: float = 0.0
    probing: float | None = None  # since when

    def admits(self, now: float) -> bool:
        """Whether a request may go; of those that come after a break only one may, until its outcome is known."""
        if not self.wait:
            return True
        if now < self.until or (self.probing is not None and now < self.probing + PROBE):
            return False
        self.probing = now
        return True

    def release(self) -> None:
        """A request that was admitted came to no outcome: it was not the destination's fault, nor its merit."""
        self.probing = None

    def record(self, now: float, failed: bool) -> bool:
        """The outcome of a request; True if the circuit opens with it."""
        if self.wait:
            if self.probing is None:
                return False  # it was under way before the break
            self.probing = None
            if failed:
                self.wait = min(self.wait * 2, LONGEST_WAIT)
                self.until = now + self.wait
                return True
            self.wait = 0.0
            self.outcomes.clear()
            return False
        self.outcomes.append((now, failed))
        while len(self.outcomes) > 4 * LEAST or self.outcomes[0][0] < now - WINDOW:
            self.outcomes.popleft()
        failures = sum(bad for _, bad in self.outcomes)
        if failures < LEAST or failures < SHARE * len(self.outcomes):
            return False
        self.wait, self.until = FIRST_WAIT, now + FIRST_WAIT
        return True

    def state(self, now: float) -> str:
        """closed, open or half-open."""
        if not self.wait:
            return "closed"
        return "open" if now < self.until else "half-open"

    def left(self, now: float) -> float:
        """Seconds until a request may try."""
        return max(0.0, self.until - now) if self.wait else 0.0
