"""Which sessions there are, running or only remembered: found, never changed."""

import asyncio
import time

from gateway.cluster.fleet import Elsewhere, Fleet
from gateway.errors import Code, GatewayError
from gateway.records import SessionId, SessionRecord, Status
from gateway.session.orphans import Orphans
from gateway.session.seat import refusal
from gateway.session.session import Session
from gateway.store.base import Page, Query, Store
from gateway.tenancy.access import Principal

CLAIMED, CLAIM = 20, 0.1  # looks, and seconds between them
# A record under a name that somebody may ask for.
UNDER_A_NAME = (Status.STARTING, Status.CONNECTED, Status.DETACHED, Status.SUSPENDED)


class Roll:
    """The sessions of this gateway; `registry.py` makes and ends them."""

    def __init__(self, store: Store, fleet: Fleet, orphans: Orphans) -> None:
        self._store = store
        self._fleet = fleet
        self._orphans = orphans
        self._live: dict[SessionId, Session] = {}

    async def named(self, tenant: str, name: str) -> SessionRecord | None:
        """The session of that name that runs, once it does, else the one that was put away last; None if none is."""
        for session in tuple(self._live.values()):
            if (session.record.spec.tenant, session.record.spec.name) == (tenant, name):
                await session.ready.wait()
                if session.reachable:
                    return session.record
                await session.over.wait()
        page = await self._store.page(Query(tenant, None, name, among=UNDER_A_NAME, limit=2))
        for record in sorted(page.records, key=lambda record: not record.status.running):
            found = (await self.placed(record)).settled(time.time())
            if found.status is Status.SUSPENDED:
                return found
        return None

    async def faster(self, tenant: str, name: str) -> SessionRecord | None:
        """The same, after NAME_IN_USE: on another node a name is claimed a moment before there is a record of it."""
        for _ in range(CLAIMED if self._fleet.others else 1):
            if (found := await self.named(tenant, name)) is not None:
                return found
            await asyncio.sleep(CLAIM)
        return None

    async def find(self, principal: Principal, session: SessionId) -> SessionRecord:
        """The record; SESSION_NOT_FOUND (404) also for another tenant's, UNAUTHORIZED (401) for a URL's old secret.

        Raises Elsewhere for one that runs on another node.
        """
        live = self._live.get(session)
        record = live.record if live is not None else await self._store.get(session)
        if record is None or not principal.sees(record.spec.tenant, session):
            if live is not None:
                await self._store.get(session)  # the answer shall not come sooner than for one that is not there
            raise GatewayError(Code.SESSION_NOT_FOUND, f"there is no session {session}")
        principal.require_current(record.generation)
        if live is None:
            record = await self.placed(record)
        return record.settled(time.time())

    async def placed(self, record: SessionRecord) -> SessionRecord:
        """The record of a session that does not run here: Elsewhere if another node has it, lost if that is gone."""
        if not record.status.running or record.node in (None, self._fleet.name):
            return record
        if await self._fleet.there(record):
            assert record.node is not None
            raise Elsewhere(record.node)
        return await self._orphans.settle(record)

    async def at_home(self, principal: Principal, session: SessionId) -> SessionRecord:
        """As `find`, for what only the node has that had its browser last: its files."""
        record = await self.find(principal, session)
        if self._live.get(session) is None and record.node is not None and await self._fleet.there(record):
            raise Elsewhere(record.node)
        return record

    async def awake(self, principal: Principal, session: SessionId) -> Session:
        """The session if its browser is there now: nobody is woken. 409 if it is put away, 410 if it has ended."""
        record = await self.find(principal, session)
        live = self._live.get(session)
        if live is not None and live.reachable:
            return live
        if record.status.ended:
            raise ended(record)
        raise refusal(Code.NOT_RUNNING)

    def running(self, principal: Principal) -> list[Session]:
        """The principal's own sessions that hold a browser, oldest first. UNAUTHORIZED (401) for a URL's old secret."""
        found = [
            session
            for session in self._live.values()
            if session.browser is not None
            and principal.sees(session.record.spec.tenant, session.record.id)
            and (principal.session is not None or session.record.spec.tenant == principal.tenant)
        ]
        for session in found:
            principal.require_current(session.record.generation)
        return found

    def live(self, session: SessionId) -> Session | None:
        """The session if it runs; for whoever checks the credential against what the session itself asks."""
        return self._live.get(session)

    async def kept_elsewhere(self, session: SessionId) -> None:
        """Raise Elsewhere if another node keeps it for whoever brings the secret that `reconnect` was given.

        No credential that we know of has to come with that: only the node with the browser can judge it.
        """
        record = await self._store.get(session)
        if record is not None and record.secret is not None:
            await self.placed(record)

    async def with_target(self, principal: Principal, what: str, target: str) -> Session:
        """The running session of the principal with that target: `page` and a target id, or `browser` and an id."""
        for session in self.running(principal):
            browser = session.browser
            if browser is None:
                continue  # put away while others were asked
            if what == "browser":
                if target in (browser.guid, session.record.id):
                    return session
            elif target in browser.pages:
                return session
            elif not session.parked and target in {info["targetId"] for info in await browser.targets()}:
                return session  # a worker, or a frame of its own process
        raise GatewayError(Code.TARGET_NOT_FOUND, f"no running session has the {what} {target[:80]!r}")

    async def page(self, query: Query) -> Page:
        """Records of a tenant, newest first."""
        page = await self._store.page(query)
        now = time.time()
        return Page(tuple(record.settled(now) for record in page.records), page.next_cursor)

    @property
    def count(self) -> int:
        """Sessions that hold a browser or are on the way to one."""
        return len(self._live)


def ended(record: SessionRecord) -> GatewayError:
    """Why nobody can connect to it any more."""
    return GatewayError(Code.SESSION_ENDED, f"session {record.id} has ended: {record.reason or record.status}")
