"""The places that sessions of this node have in the fleet, or are about to have: each is given back once, by the last.

Several who wake one session at once get the same lease. So one that failed must not give back what another has begun to
use, and who comes while a lease is on its way back must not be given it once more.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.cluster.fleet import Fleet, Lease
from gateway.records import SessionId, SessionSpec


class Places:
    """Of one node."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._kept: dict[SessionId, Lease] = {}  # of sessions that run
        self._asking: Counter[SessionId] = Counter()  # blocks of `asked`
        self._left: dict[SessionId, Lease] = {}  # what somebody is done with, while another asks
        self._giving: dict[SessionId, asyncio.Event] = {}  # on their way back

    @asynccontextmanager
    async def asked(
        self, number: SessionId, spec: SessionSpec, *, again: bool = False, here: bool = False
    ) -> AsyncIterator[Lease]:
        """A place for a session, given back at the end of the block unless it is kept by then. See `Fleet.place`."""
        while (given := self._giving.get(number)) is not None:
            await given.wait()
        self._asking[number] += 1
        found: set[Lease] = set()
        try:
            lease = await self._fleet.place(number, spec.tenant, again=again, name=spec.name, here=here)
            found.add(lease)
            yield lease
        finally:
            self._asking -= Counter({number: 1})
            if not self._asking[number] and number in self._left:
                found.add(self._left.pop(number))
            for lease in found:
                await self.give_back(lease)

    def keep(self, lease: Lease) -> None:
        """Its session runs from now on."""
        self._kept[lease.session] = lease

    def leave(self, session: SessionId) -> None:
        """It does not run any more; `give_back` follows."""
        self._kept.pop(session, None)

    async def give_back(self, lease: Lease) -> None:
        """Unless its session runs in it by now, or somebody may be about to wake it there."""
        number = lease.session
        if self._kept.get(number) == lease:
            return
        if self._asking[number]:
            self._left[number] = lease
            return
        given = self._giving[number] = asyncio.Event()
        try:
            await self._fleet.release(lease)
        finally:
            given.set()
            if self._giving.get(number) is given:
                del self._giving[number]
