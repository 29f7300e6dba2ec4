"""What goes to each domain from one browser: counted, limited, and broken off where it is refused time and again."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.egress.breaker import Breaker
from gateway.egress.refusal import Refused

MOST = 200  # domains of which a browser's are counted apart; the others are one
OTHERS = "(others)"
PATIENCE = 20.0  # seconds that a request waits for its turn
QUEUE = 200  # requests to one domain that wait
REFUSALS = 100  # pairs of rule and domain that are told apart


@dataclass(slots=True, eq=False)
class Domain:
    """One domain's figures. `bytes_in` is what the browser got. `turn` is when the next request may go."""

    name: str
    requests: int = 0
    failures: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    open: int = 0
    waiting: int = 0
    turn: float = 0.0
    breaker: Breaker = field(default_factory=Breaker)
    freed: asyncio.Event = field(default_factory=asyncio.Event)


class Domains:
    """Those of one browser. `rate` in requests a second and `connections` at once, to each; None: no limit."""

    def __init__(
        self,
        *,
        rate: float | None = None,
        connections: int | None = None,
        breaker: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refusals: Counter[tuple[str, str]] = Counter()  # by rule and domain
        self._rate = rate
        self._connections = connections
        self._breaker = breaker
        self._clock = clock
        self._all: dict[str, Domain] = {}

    def of(self, name: str) -> Domain:
        """The domain of that name; the one for all others once there are many."""
        if name not in self._all and len(self._all) >= MOST:
            name = OTHERS
        return self._all.setdefault(name, Domain(name))

    def all(self) -> list[Domain]:
        """Those with the most bytes first."""
        return sorted(self._all.values(), key=lambda one: one.bytes_in + one.bytes_out, reverse=True)

    def refused(self, rule: str, name: str) -> bool:
        """Count it; True if it is the first of its kind."""
        key = (rule, name)
        if key not in self.refusals and len(self.refusals) >= REFUSALS:
            key = (rule, OTHERS)
        self.refusals[key] += 1
        return self.refusals[key] == 1

    async def admitted(self, domain: Domain) -> None:
        """Wait for the request's turn by the rate and look at the breaker. Raises Refused."""
        now = self._clock()
        # The domain for all others is many: the misdeeds of one are not theirs.
        if self._breaker and domain.name != OTHERS and not domain.breaker.admits(now):
            raise Refused("circuit-open", after=domain.breaker.left(now))
        domain.requests += 1
        if self._rate is None:
            return
        # A second's worth at once, then one by one.
        domain.turn = max(domain.turn, now - 1.0) + 1.0 / self._rate
        if (wait := domain.turn - now) > PATIENCE:
            domain.turn -= 1.0 / self._rate
            raise Refused("rate-limit", after=wait)
        if wait > 0:
            await asyncio.sleep(wait)

    def outcome(self, domain: Domain, *, failed: bool) -> bool:
        """How a request went; True if the circuit opens with it."""
        domain.failures += failed
        return self._breaker and domain.name != OTHERS and domain.breaker.record(self._clock(), failed)

    @asynccontextmanager
    async def connection(self, domain: Domain) -> AsyncIterator[None]:
        """A connection's place among those to the domain, for this block. Raises Refused."""
        await self.take(domain)
        try:
            yield
        finally:
            self.give(domain)

    async def take(self, domain: Domain) -> None:
        """Wait for a place; whoever has it gives it back with `give`. Raises Refused."""
        if self._connections is not None and domain.open >= self._connections:
            if domain.waiting >= QUEUE:
                raise Refused("connection-limit")
            domain.waiting += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    while domain.open >= self._connections:
                        domain.freed.clear()
                        await domain.freed.wait()
            except TimeoutError:
                raise Refused("connection-limit") from None
            finally:
                domain.waiting -= 1
        domain.open += 1

    def give(self, domain: Domain) -> None:
        """The connection is closed."""
        domain.open -= 1
        domain.freed.set()
