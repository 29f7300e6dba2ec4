"""One session: an inbox, one task that applies `advance`, and the effects carried out.

Its counterpart without I/O is `machine.py`. Everything that happens to a session is an event in its inbox;
no other task changes its state.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from browser_pool.browser import Browser
from gateway.errors import CloseCode, Code, GatewayError
from gateway.identity.keeper import Keeper
from gateway.records import SessionRecord, Status
from gateway.relay.client_leg import Pulse
from gateway.relay.overrides import Override
from gateway.relay.park import Holder
from gateway.session import life
from gateway.session.desk import Desk
from gateway.session.effects import Effects
from gateway.session.held import Held
from gateway.session.ledger import Ledger
from gateway.session.life import Cause, Role, SeatId, State, Terms
from gateway.session.machine import advance, deadline, seats, shown, told
from gateway.session.means import Means
from gateway.session.saving import snapshot
from gateway.session.seat import Seat, refusal
from gateway.session.source import source_of
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.vault import SnapshotInfo
from gateway.store.base import Store
from gateway.tenancy.secret import digest

RETRY = 1.0  # seconds until a record that could not be written is tried again
LONGEST_WAIT = 3600.0  # seconds; an early Tick changes nothing


class Session:
    """A session that is running, or on its way from or to a browser. Made and run by the registry.

    `adopt`: its browser runs already, left by an earlier process of ours, and waits until that instant.
    """

    def __init__(self, record: SessionRecord, means: Means, store: Store, *, adopt: float | None = None) -> None:
        self.ready = asyncio.Event()  # it has left Starting for the first time
        self.over = asyncio.Event()  # suspended or ended, and written down
        # Of a browser that was left to us and that nobody drives the wait goes on.
        waits = adopt is not None and record.status is Status.DETACHED
        self.pulse = Pulse(record.last_used_at or record.created_at if waits else time.time())
        self._ledger = Ledger(record, store)
        self._fault: GatewayError | None = None
        self._means = means
        self._inbox: asyncio.Queue[life.Event] = asyncio.Queue()
        asleep = record.status is Status.SUSPENDED
        self._state: State = life.Suspended(Cause.UNUSED) if asleep else life.Starting(until=adopt)
        post = self._inbox.put_nowait
        self._desk = Desk(post)
        self._effects = Effects(self._ledger, means, self._desk, self.pulse, post, self._cause, adopt=adopt is not None)
        self._using = 0  # blocks of `busy`
        self._abandoned = False
        self._calm = asyncio.Event()  # no client, and no browser on its way to or from it
        self._log = structlog.get_logger().bind(session=record.id)

    @property
    def record(self) -> SessionRecord:
        """What is remembered of it."""
        return self._ledger.record

    @record.setter
    def record(self, record: SessionRecord) -> None:
        self._ledger.record = record

    @property
    def failure(self) -> GatewayError | None:
        """Why the last launch or save failed."""
        return self._fault or self._effects.failure

    @property
    def _held(self) -> Held | None:
        return self._effects.held

    @property
    def terms(self) -> Terms:
        """The rules as they stand now."""
        spec = self.record.spec
        saved = spec.persist and source_of(self.record) is not None
        idle_at = None if spec.idle is None or self._using else self.pulse.at + spec.idle
        return Terms(spec.keep, self.record.expires_at, spec.persist, saved, spec.park, idle_at)

    @property
    def state(self) -> State:
        """What the machine says."""
        return self._state

    @property
    def reachable(self) -> bool:
        """It has a browser that is not being put away."""
        return isinstance(self._state, life.Attached | life.Detached)

    @property
    def browser(self) -> Browser | None:
        """The browser that it has now."""
        return self._held.browser if self._held is not None else None

    @property
    def holder(self) -> Holder | None:
        """What keeps in force what the last driver set."""
        return self._held.holder if self._held is not None else None

    @property
    def keeper(self) -> Keeper | None:
        """What keeps its identity in force, if that takes more than flags."""
        return self._held.keeper if self._held is not None else None

    @property
    def parked(self) -> bool:
        """Its browser stands still, and answers nobody but in a block of `used`."""
        return self._held is not None and self._held.parking.parked

    # --- what others ask of it ---

    @asynccontextmanager
    async def attach(self, role: Role = Role.DRIVER, *, takeover: bool = False) -> AsyncIterator[Seat]:
        """A seat for this block. Raises GatewayError when it is refused, before the block is entered."""
        seat = await self._desk.seat(role, takeover)
        try:
            if self._held is not None:
                await self._held.parking.wake()
                await self._held.shown.wait()
                if role is Role.DRIVER:
                    await self._held.holder.meet()
            yield seat
        finally:
            self._desk.leave_with(seat)

    async def stop(self, *, force: bool) -> None:
        """End it; returns when its context is on disk and its browser is gone. Raises GatewayError."""
        await self._desk.stop(force)
        if self.failure is not None and self.failure.code in (Code.SAVE_FAILED, Code.QUOTA_EXCEEDED):
            raise self.failure

    def linger(self, seat: SeatId, keep: float, auth: str | None) -> float:
        """`reconnect` by the driver on `seat`; returns the seconds granted: never past the session's own end."""
        granted = max(0.0, min(keep, self.record.expires_at - time.time()))
        self._ledger.change(secret=None if auth is None else digest(auth))
        self._inbox.put_nowait(life.Linger(seat, granted))
        return granted

    def close_browser(self, seat: SeatId) -> None:
        """An explicit Browser.close by the client on `seat`."""
        self._inbox.put_nowait(life.CloseBrowser(seat))

    async def snapshot(self, reason: str) -> SnapshotInfo:
        """Save the context of the running browser without disturbing it. Raises GatewayError."""
        info = await snapshot(self.record, await self.context(), self._means, reason=reason)
        self._ledger.saved(info)
        await self._write_down()
        return info

    async def context(self) -> ContextDocument:
        """The context of the running browser as it is now. Raises GatewayError."""
        async with self._in_use() as held:
            return await held.context()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Browser]:
        """Its browser, which is awake and stays so for this block. Raises NOT_RUNNING."""
        async with self._in_use() as held:
            yield held.browser

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[Held]:
        if (held := self._held) is None:
            raise refusal(Code.NOT_RUNNING)
        self._inbox.put_nowait(life.Use())
        with self.busy():
            async with held.parking.used():
                await held.shown.wait()  # what is asked of its pages is meant of those that were restored
                yield held

    @contextmanager
    def busy(self) -> Iterator[None]:
        """It is in use for this block, and does not end for want of it."""
        self._using += 1
        try:
            yield
        finally:
            self._using -= 1
            self.pulse.at = time.time()
            if self.record.spec.idle is not None:
                self._inbox.put_nowait(life.Use())  # its time without use begins here

    async def parted(self) -> None:
        """A client's connection to the browser is gone."""
        if (held := self._held) is not None and held.granted:
            async with held.parking.used():
                await held.parted()

    def decided(self, override: Override, role: Role) -> None:
        """A client sets a permission, which no page tells of."""
        if self._held is not None:
            self._held.decided(override, role)

    async def calm(self) -> None:
        """Return once no client is there, and no browser is being started or put away."""
        await self._calm.wait()

    def put_off(self, close: CloseCode, words: str) -> None:
        """Every client must go; the browser stays as long as it would without them."""
        self._desk.evict_all(close, words)

    def drain(self) -> None:
        """The gateway stops."""
        self._inbox.put_nowait(life.Drain())

    def lose(self) -> None:
        """Another node has it: the browser ends unsaved, and nothing more is written down."""
        self._ledger.forfeit()
        self._inbox.put_nowait(life.Lost())

    async def write(self) -> None:
        """Write the record down once more, whether it has changed or not. Raises GatewayError."""
        await self._ledger.insist()

    def abandon(self) -> None:
        """End the browser at once, saved or not: the time for a drain is over."""
        self._abandoned = True
        self._inbox.put_nowait(life.Tick())
        self._effects.give_up()

    async def amend(
        self,
        *,
        ttl: float | None,
        keep: float | None,
        labels: tuple[tuple[str, str], ...] | None,
        idle: float | None = None,
    ) -> None:
        """Change the terms, in seconds; None leaves as it is. Raises GatewayError if they cannot be written."""
        self.record = self.record.amended(time.time(), ttl=ttl, keep=keep, labels=labels, idle=idle)
        self._inbox.put_nowait(life.Renew())
        await self._ledger.insist()

    async def rotate(self, *, disconnect: bool) -> SessionRecord:
        """Make all URLs that were handed out worthless; the record with which new ones are made. Raises GatewayError.

        Where it cannot be written the old ones stay good: whoever asks has no new ones.
        """
        await self._ledger.generation()
        self._inbox.put_nowait(life.Tick())  # what was written meanwhile is written again
        if self.over.is_set():  # by nobody else, where it has just ended
            await self._ledger.insist()
        if disconnect:
            self.put_off(CloseCode.ROTATED, "the session's URLs were rotated")
        return self.record

    # --- the task ---

    async def run(self, forget: Callable[["Session"], None]) -> None:
        """Live until suspended or ended. `forget` is called in the same moment, so nobody posts into a void."""
        async with asyncio.TaskGroup() as work:
            if isinstance(self._state, life.Starting):
                self._effects.carry_out(life.Launch(), work)
                await self._write_down()
            while True:
                await self._apply(await self._next(), work)
                if not isinstance(self._state, life.Suspended | life.Ended):
                    continue
                self._finish()
                if self._inbox.empty() and (self._abandoned or not self._ledger.unwritten):
                    # Between two answers to the same client it was put away, or ended.
                    suspended = isinstance(self._state, life.Suspended)
                    self._desk.close(refusal(Code.NOT_RUNNING if suspended else Code.SESSION_ENDED))
                    forget(self)
                    break

    def fault(self) -> None:
        """The task failed: a defect of ours. Nobody is left waiting."""
        self._fault = GatewayError(Code.INTERNAL, "a fault in the gateway ended the session; its log has more")
        self._desk.refuse_all(self._fault)
        self._desk.evict_all(Cause.FAULT.close, Cause.FAULT.words)
        self._desk.close(self._fault)
        self._state = life.Ended(Cause.FAULT)
        self.record = shown(self.record, self._state, time.time())
        self._finish()

    def _finish(self) -> None:
        self.ready.set()
        self.over.set()
        self._desk.over()

    async def _next(self) -> life.Event:
        when = deadline(self._state, self.terms)
        wait = LONGEST_WAIT if when is None else min(max(0.0, when - time.time()), LONGEST_WAIT)
        if self._ledger.unwritten:
            wait = min(wait, RETRY)
        try:
            async with asyncio.timeout(wait):
                return await self._inbox.get()
        except TimeoutError:
            return life.Tick()

    async def _apply(self, event: life.Event, work: asyncio.TaskGroup) -> None:
        before = self._state
        self._state, effects = advance(before, event, time.time(), self.terms)
        for effect in effects:
            if isinstance(effect, life.Launch):
                self.over.clear()
            self._effects.carry_out(effect, work)
        if isinstance(event, life.BrowserGone | life.BrowserFailed) and before != self._state:
            self._ledger.change(failures=self.record.failures + 1)
        if isinstance(before, life.Starting) and isinstance(self._state, life.Detached) and self._held is not None:
            work.create_task(self._held.holder.leave())  # the group awaits it
        if isinstance(before, life.Attached) and seats(self._state)[:1] != (before.driver,):
            self._desk.driver_left()
            self._effects.used(time.time())
        elif isinstance(event, life.BrowserReady):
            self.pulse.at = time.time()
        elif isinstance(event, life.Use) and self._ledger.worth_noting(self.pulse.at):
            self._ledger.change(last_used_at=self.pulse.at)
        if type(before) is not type(self._state):
            self._log.info("session_state", state=type(self._state).__name__.lower(), on=type(event).__name__)
            if (word := told(before, self._state)) is not None:
                self._ledger.tell(time.time(), word)
        await self._write_down()
        if not isinstance(self._state, life.Starting):
            self.ready.set()
        if isinstance(self._state, life.Suspended | life.Ended) or (
            isinstance(self._state, life.Detached) and not self._state.observers
        ):
            self._calm.set()
        else:
            self._calm.clear()

    def _cause(self) -> Cause:
        return self._state.cause if isinstance(self._state, life.Suspending | life.Stopping) else Cause.STOPPED

    async def _write_down(self) -> None:
        self.record = shown(self.record, self._state, time.time())
        await self._ledger.write()
