"""Who has a slot, who waits for one, and who is next. Pure: who waits is a number, and nothing is awaited.

Round robin over tenants: next is the tenant that was served longest ago, and of what it has waiting first what brings
a session back, then what is new, the oldest first. A tenant that has all it may have is passed over.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from enum import Enum, auto

from gateway.records import Tenant


class Verdict(Enum):
    """What becomes of who asks for a slot."""

    GRANTED = auto()
    QUEUED = auto()
    TENANT_FULL = auto()  # as many of its tenant's wait as may
    NODE_FULL = auto()  # as many of all tenants' wait as may


class Turns:
    """`limit` slots; at most `length` of all tenants wait. `tenant_of` says what a tenant may have now."""

    def __init__(self, limit: int, length: int, tenant_of: Callable[[str], Tenant] = Tenant) -> None:
        self.limit = limit
        self.length = length
        self.running: Counter[str] = Counter()
        self._tenant_of = tenant_of
        self._queues: dict[str, _Queue] = {}  # of tenants that have somebody waiting
        self._served: dict[str, int] = {}  # the number of the tenant's last turn
        self._turn = 0

    @property
    def used(self) -> int:
        """Slots that are taken; more than `limit` if more were running before."""
        return self.running.total()

    def waiting(self, tenant: str | None = None) -> int:
        """How many wait, of one tenant or of all."""
        if tenant is not None:
            return len(self._queues.get(tenant, ()))
        return sum(map(len, self._queues.values()))

    def most(self, tenant: str) -> int:
        """Slots that the tenant may have at once."""
        own = self._tenant_of(tenant).max_sessions
        return self.limit if own is None else min(own, self.limit)

    def most_waiting(self, tenant: str) -> int:
        """How many of the tenant's may wait."""
        own = self._tenant_of(tenant).queue_length
        return self.length if own is None else min(own, self.length)

    def ask(self, tenant: str, ticket: int, *, again: bool = False) -> tuple[Verdict, int | None]:
        """`ticket`, a number larger than all before it, wants a slot; `again` for a session that had one before.

        Where all places are taken, a tenant with fewer waiting takes the youngest one's of the tenant with the most,
        whose ticket is returned: it waits no more.
        """
        if self._first() is None and self.used < self.limit and self._may(tenant):
            self._serve(tenant)
            return Verdict.GRANTED, None
        if self.waiting(tenant) >= self.most_waiting(tenant) or self.most(tenant) == 0:
            return Verdict.TENANT_FULL, None
        displaced = None
        if self.waiting() >= self.length:
            greedy = max(self._queues, key=self.waiting)
            if self.waiting(greedy) < self.waiting(tenant) + 2:  # it would only turn the two round
                return Verdict.NODE_FULL, None
            displaced = self._queues[greedy].youngest()
            self._remove(greedy, displaced)
        self._queues.setdefault(tenant, _Queue()).add(ticket, again)
        return Verdict.QUEUED, displaced

    def next(self) -> int | None:
        """Give the next free slot to who is next: its ticket; None if there is no slot, or nobody who may have one."""
        if self.used >= self.limit or (tenant := self._first()) is None:
            return None
        ticket = self._queues[tenant].oldest()
        self._remove(tenant, ticket)
        self._serve(tenant)
        return ticket

    def keep(self, tenant: str) -> None:
        """A slot that is in use already, whatever the limits are."""
        self.running[tenant] += 1

    def give(self, tenant: str) -> None:
        """A slot comes back."""
        self.running[tenant] -= 1
        if not self.running[tenant]:
            del self.running[tenant]

    def leave(self, tenant: str, ticket: int) -> None:
        """It waits no more; one that waits no longer is no error."""
        if tenant in self._queues:
            self._remove(tenant, ticket)

    def positions(self, tenant: str) -> tuple[int, ...]:
        """The places of the tenant's in the whole queue as it stands, from 1; limits of tenants left out."""
        return tuple(place for place, of in enumerate(self._order(), 1) if of == tenant)

    def tenants(self) -> tuple[str, ...]:
        """Those who have a slot or wait for one."""
        return tuple(sorted({*self.running, *self._queues}))

    # --- within ---

    def _may(self, tenant: str) -> bool:
        return self.running[tenant] < self.most(tenant)

    def _first(self) -> str | None:
        """The tenant whose turn it is."""
        ready = [tenant for tenant in self._queues if self._may(tenant)]
        return min(ready, key=lambda tenant: (self._served.get(tenant, 0), self._queues[tenant].oldest()), default=None)

    def _serve(self, tenant: str) -> None:
        self._turn += 1
        self._served[tenant] = self._turn
        self.running[tenant] += 1

    def _remove(self, tenant: str, ticket: int) -> None:
        queue = self._queues[tenant]
        queue.remove(ticket)
        if not len(queue):
            del self._queues[tenant]

    def _order(self) -> Iterator[str]:
        """Whose turn it will be, one by one, if nobody comes or leaves."""
        left = {tenant: queue.tickets() for tenant, queue in self._queues.items()}
        served, turn = dict(self._served), self._turn
        while left:
            tenant = min(left, key=lambda one: (served.get(one, 0), left[one][0]))
            turn += 1
            served[tenant] = turn
            del left[tenant][0]
            if not left[tenant]:
                del left[tenant]
            yield tenant


class _Queue:
    """What waits of one tenant."""

    def __init__(self) -> None:
        self._again: deque[int] = deque()
        self._new: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._again) + len(self._new)

    def add(self, ticket: int, again: bool) -> None:
        (self._again if again else self._new).append(ticket)

    def oldest(self) -> int:
        return (self._again or self._new)[0]

    def youngest(self) -> int:
        return (self._new or self._again)[-1]

    def tickets(self) -> list[int]:
        """In the order in which they are served."""
        return [*self._again, *self._new]

    def remove(self, ticket: int) -> None:
        for part in (self._again, self._new):
            if ticket in part:
                part.remove(ticket)
