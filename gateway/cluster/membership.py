"""What a node knows of the others, of what its heartbeats brought. Pure but for the events that others wait for.

A node is dead when it has been silent for as long as a lease lasts, and one can tell: the fleet's heartbeats reached
Redis for just as long without a gap. Otherwise everybody may have been silent because Redis was away.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from gateway.tenancy.capability import tag


class View:
    """`life` in seconds: how long a lease lasts. Instants are of a clock that never goes back."""

    def __init__(self, name: str, life: float) -> None:
        self.version: int | None = None  # of the list of nodes that we have
        self.nodes: frozenset[str] = frozenset({name})  # that are alive
        self.recovering = False  # Redis was away while we were there, and not all may have come back
        self._name = name
        self._life = life
        self._listed: frozenset[str] = self.nodes
        self._incomplete = False  # who is not in the list may not have come back to it yet
        self._dead: frozenset[str] = frozenset()
        self._tags: dict[str, str | None] | None = None  # made when they are needed
        self._gone: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._seen: float | None = None  # when Redis answered last
        self._unbroken = 0.0
        self._failing = False

    @property
    def connected(self) -> bool:
        """The last heartbeat reached Redis."""
        return self._seen is not None and not self._failing

    def trusted(self, now: float) -> bool:
        """Whether a node that is not seen at `now` is gone."""
        return (
            self.connected
            and self._seen is not None
            and now - self._seen <= self._life / 2
            and self._unbroken >= self._life
        )

    def failed(self) -> bool:
        """A heartbeat did not reach Redis; True if the one before did."""
        first, self._failing = not self._failing, True
        self.recovering = True
        return first

    def answered(self, now: float, unbroken: float, dead: Iterable[str]) -> bool:
        """A heartbeat reached Redis, which had them for `unbroken` seconds; True if Redis was away before it."""
        gap = self._seen is not None and unbroken < self._unbroken  # perhaps none of ours fell into it
        back, self._failing = self._failing or gap, False
        self.recovering = self.recovering or gap
        self._seen, self._unbroken = now, unbroken
        if unbroken >= self._life:
            self.recovering = False
            if self._incomplete:
                self.version, self._incomplete = None, False  # the list as it stands now is to be had
            self._dead = frozenset(dead) - {self._name}
        else:
            self._dead &= frozenset(dead)
        self._update()
        return back

    def listed(self, version: int, nodes: Iterable[str]) -> None:
        """The list of nodes has changed. While some may not have come back since Redis was away, nobody goes."""
        found = frozenset(nodes) | {self._name}
        self._incomplete = self.recovering
        self.version, self._listed = version, found | self._listed if self._incomplete else found
        self._update()

    @property
    def dead(self) -> frozenset[str]:
        """Nodes that are gone, and whose sessions nobody has put right yet."""
        return self._dead

    def named_by(self, digits: str) -> str | None:
        """The node with that tag (`tenancy/capability.py`); None if there is none, or more than one."""
        if self._tags is None:
            self._tags = {}
            for name in self.nodes:
                self._tags[tag(name)] = None if tag(name) in self._tags else name
        return self._tags.get(digits)

    def gone(self, name: str) -> asyncio.Event:
        """Set when that node has died or left; at once if it is known to be dead."""
        if name in self._dead:
            over = asyncio.Event()
            over.set()
            return over
        return self._gone[name]

    def _update(self) -> None:
        before, self.nodes = self.nodes, self._listed - self._dead
        if self.nodes == before:
            return
        self._tags = None
        for name in before - self.nodes:
            if (event := self._gone.pop(name, None)) is not None:
                event.set()
