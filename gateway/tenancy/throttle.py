"""How fast credentials may be guessed from one address. Pure: the caller brings the clock.

A bucket of failures for each address: it holds `budget` and fills again within PERIOD. Who has emptied it is told to
wait (429), longer each time, and every such answer is held back for a moment. Only a few are held back at a time, and
whoever comes while they are is refused unseen: so an address can have at most HELD credentials looked at in `DELAY`
seconds, on however many connections. A good credential passes whenever it is looked at, since many people may share
one address.
"""

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field

PERIOD = 60.0  # seconds in which an empty bucket is full again
HELD = 8  # bad answers of one address that are held back at a time
DELAY = 2.0  # seconds that an answer is held back at most; at first it is less
LONGEST = 300  # seconds of Retry-After at most
ADDRESSES = 10_000  # addresses that are remembered; who failed longest ago is forgotten first
NETWORK = 64  # bits of an IPv6 address that belong to one customer, who may use any of the rest (RFC 6177)


@dataclass(slots=True)
class _Bucket:
    left: float
    since: float  # when `left` was right
    strikes: int = 0  # failures since it was empty
    held: deque[float] = field(default_factory=deque)  # until when each answer is held back


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a failure brings: seconds to hold the answer back, and whole seconds of Retry-After."""

    delay: float
    retry_after: int


class Throttle:
    """`budget`: failures a minute and address without consequences; 0 counts nothing."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def refuses(self, address: str, now: float) -> int | None:
        """Whole seconds to wait if no credential from `address` is looked at now, else None. `now` is monotonic."""
        bucket = self._buckets.get(network(address)) if self._buckets else None
        if bucket is None:
            return None
        while bucket.held and bucket.held[0] <= now:
            bucket.held.popleft()
        if len(bucket.held) < HELD:
            return None
        return max(1, round(bucket.held[0] - now))

    def failed(self, address: str, now: float) -> Sentence | None:
        """Count a bad credential from `address`; None while its bucket is not empty."""
        if self._budget == 0:
            return None
        key = network(address)
        bucket = self._buckets.pop(key, None) or _Bucket(self._budget, now)
        self._buckets[key] = bucket
        if len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        bucket.left = min(self._budget, bucket.left + (now - bucket.since) * self._budget / PERIOD)
        bucket.since = now
        if bucket.left >= self._budget:
            bucket.strikes = 0  # a whole period without a failure
        if bucket.left >= 1:
            bucket.left -= 1
            return None
        bucket.left = 0  # who goes on does not earn the next one meanwhile
        bucket.strikes += 1
        delay = min(DELAY, 0.25 * 2 ** min(bucket.strikes, 8))
        bucket.held.append(now + delay)
        return Sentence(delay, min(LONGEST, 2 ** min(bucket.strikes, 16)))


def network(address: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of 64 bits. Other texts are themselves."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, NETWORK), strict=False))
