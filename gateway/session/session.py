"""One session: an inbox, one task that applies `advance`, and the effects carried out.

Its counterpart without I/O is `machine.py`. Everything that happens to a session is an event in its inbox;
no other task changes its state.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import structlog

from browser_pool.browser import Browser
from browser_pool.tasks import running
from gateway.errors import Code, GatewayError
from gateway.records import SessionRecord, Status
from gateway.session import life
from gateway.session.incarnation import Means, captured, incarnated, saved, snapshot, source_of
from gateway.session.life import Cause, Role, Save, SeatId, State, Terms
from gateway.session.machine import advance, deadline, seats, shown
from gateway.session.seat import Seat, refusal
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.vault import SnapshotInfo
from gateway.store.base import Fenced, Store

# How long a conflict waits for a driver whose end is on its way: its socket and the request that follows
# it are two connections, and which of them is read first is chance.
GRACE = 0.25
RETRY = 1.0  # seconds until a record that could not be written is tried again
LONGEST_WAIT = 3600.0  # seconds; an early Tick changes nothing

T = TypeVar("T")
_seat_ids = itertools.count(1)


class Session:
    """A session that is running, or on its way from or to a browser. Made and run by the registry."""

    def __init__(self, record: SessionRecord, means: Means, store: Store) -> None:
        self.record = record
        self.browser: Browser | None = None
        self.ready = asyncio.Event()  # it has left Starting for the first time
        self.over = asyncio.Event()  # suspended or ended, and written down
        self.failure: GatewayError | None = None  # why the last launch or save failed
        self.reconnect_auth: str | None = None
        self._means = means
        self._store = store
        self._inbox: asyncio.Queue[life.Event] = asyncio.Queue()
        self._state: State = life.Suspended(Cause.UNUSED) if record.status is Status.SUSPENDED else life.Starting()
        self._seats: dict[SeatId, Seat] = {}
        self._tickets: dict[SeatId, asyncio.Future[None]] = {}  # who waits for the end of a stop
        self._release: asyncio.Future[Save] | None = None
        self._holding: asyncio.Task[None] | None = None
        self._launched = False
        self._abandoned = False
        self._dismissed = False  # its task takes no more events
        self._driver_left = asyncio.Event()
        self._written = record
        self._log = structlog.get_logger().bind(session=record.id)

    @property
    def terms(self) -> Terms:
        """The rules as they stand now."""
        spec = self.record.spec
        saved = spec.persist and source_of(self.record) is not None
        return Terms(spec.keep, self.record.expires_at, spec.persist, saved)

    @property
    def state(self) -> State:
        """What the machine says."""
        return self._state

    @property
    def reachable(self) -> bool:
        """It has a browser that is not being put away."""
        return isinstance(self._state, life.Attached | life.Detached)

    # --- what others ask of it ---

    @asynccontextmanager
    async def attach(self, role: Role = Role.DRIVER, *, takeover: bool = False) -> AsyncIterator[Seat]:
        """A seat for this block. Raises GatewayError when it is refused, before the block is entered."""
        seat = await self._patiently(lambda: self._ask_for_seat(role, takeover))
        try:
            yield seat
        finally:
            seat.leave()
            self._seats.pop(seat.id, None)

    async def stop(self, *, force: bool) -> None:
        """End it; returns when its context is on disk and its browser is gone. Raises GatewayError."""
        await self._patiently(lambda: self._ask_to_stop(force))
        if self.failure is not None and self.failure.code is Code.SAVE_FAILED:
            raise self.failure

    def linger(self, seat: SeatId, keep: float, auth: str | None) -> float:
        """`reconnect` by the driver on `seat`; returns the seconds granted: never past the session's own end."""
        granted = max(0.0, min(keep, self.record.expires_at - time.time()))
        self.reconnect_auth = auth
        self._inbox.put_nowait(life.Linger(seat, granted))
        return granted

    def close_browser(self, seat: SeatId) -> None:
        """An explicit Browser.close by the client on `seat`."""
        self._inbox.put_nowait(life.CloseBrowser(seat))

    async def snapshot(self, reason: str) -> SnapshotInfo:
        """Save the context of the running browser without disturbing it. Raises GatewayError."""
        if self.browser is None:
            raise refusal(Code.NOT_RUNNING)
        info = await snapshot(self.record, self.browser, reason, self._means)
        self.record = replace(self.record, snapshot=info.version, snapshot_at=info.created_at)
        await self._write_down()
        return info

    async def context(self) -> ContextDocument:
        """The context of the running browser as it is now. Raises GatewayError."""
        if self.browser is None:
            raise refusal(Code.NOT_RUNNING)
        return await captured(self.browser)

    def drain(self) -> None:
        """The gateway stops."""
        self._inbox.put_nowait(life.Drain())

    def abandon(self) -> None:
        """End the browser at once, saved or not: the time for a drain is over."""
        self._abandoned = True
        self._inbox.put_nowait(life.Tick())
        if self._holding is not None:
            self._holding.cancel()

    async def amend(self, *, ttl: float | None, keep: float | None, labels: tuple[tuple[str, str], ...] | None) -> None:
        """Change the terms, in seconds; None leaves as it is. Raises GatewayError if they cannot be written."""
        self.record = self.record.amended(time.time(), ttl=ttl, keep=keep, labels=labels)
        self._inbox.put_nowait(life.Renew())
        await self._store.update(self.record)

    # --- asking and waiting ---

    async def _ask_for_seat(self, role: Role, takeover: bool) -> Seat:
        if self._dismissed:  # between two answers to the same client it was put away, or ended
            raise refusal(Code.NOT_RUNNING if isinstance(self._state, life.Suspended) else Code.SESSION_ENDED)
        number = SeatId(next(_seat_ids))
        seat = Seat(number, role, leave=lambda: self._inbox.put_nowait(life.Detach(number)))
        self._seats[number] = seat
        self._inbox.put_nowait(life.Attach(number, role, takeover))
        try:
            await seat.admitted
        except BaseException:  # refused, or the client gave up: the machine shall know
            seat.leave()
            del self._seats[number]
            raise
        return seat

    async def _ask_to_stop(self, force: bool) -> None:
        if self._dismissed:
            return
        number = SeatId(next(_seat_ids))
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets[number] = answer
        self._inbox.put_nowait(life.Stop(number, force))
        try:
            await answer
        finally:
            del self._tickets[number]

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask; if a driver is in the way, give it a moment to be seen leaving, and ask once more."""
        self._driver_left.clear()
        try:
            return await ask()
        except GatewayError as error:
            if error.code is not Code.DRIVER_CONNECTED:
                raise
        try:
            async with asyncio.timeout(GRACE):
                await self._driver_left.wait()
        except TimeoutError:
            pass  # it stays: the second answer is final
        return await ask()

    # --- the task ---

    async def run(self, forget: Callable[["Session"], None]) -> None:
        """Live until suspended or ended. `forget` is called in the same moment, so nobody posts into a void."""
        async with asyncio.TaskGroup() as work:
            if isinstance(self._state, life.Starting):
                self._carry_out(life.Launch(), work)
                await self._write_down()
            while True:
                await self._apply(await self._next(), work)
                if not isinstance(self._state, life.Suspended | life.Ended):
                    continue
                self._finish()
                if self._inbox.empty() and (self._written == self.record or self._abandoned):
                    self._dismissed = True
                    forget(self)
                    break

    def fault(self) -> None:
        """The task failed: a defect of ours. Nobody is left waiting."""
        self.failure = GatewayError(Code.INTERNAL, "a fault in the gateway ended the session; its log has more")
        for seat in self._seats.values():
            seat.refuse(self.failure)
            seat.evict(Cause.FAULT.close, Cause.FAULT.words)
        self._state, self._dismissed = life.Ended(Cause.FAULT), True
        self.record = shown(self.record, self._state, time.time())
        self._finish()

    def _finish(self) -> None:
        self.ready.set()
        self.over.set()
        for answer in self._tickets.values():
            if not answer.done():
                answer.set_result(None)

    async def _next(self) -> life.Event:
        when = deadline(self._state, self.terms)
        wait = LONGEST_WAIT if when is None else min(max(0.0, when - time.time()), LONGEST_WAIT)
        if self._written != self.record:
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
            self._carry_out(effect, work)
        if isinstance(before, life.Attached) and seats(self._state)[:1] != (before.driver,):
            self._driver_left.set()
            self.record = replace(self.record, last_used_at=time.time())
        if type(before) is not type(self._state):
            self._log.info("session_state", state=type(self._state).__name__.lower(), on=type(event).__name__)
        await self._write_down()
        if not isinstance(self._state, life.Starting):
            self.ready.set()

    def _carry_out(self, effect: life.Effect, work: asyncio.TaskGroup) -> None:
        match effect:
            case life.Launch():
                self.failure = None
                self.over.clear()
                self.record = replace(self.record, incarnation=self.record.incarnation + 1)
                self._release = asyncio.get_running_loop().create_future()
                self._holding = work.create_task(self._hold(self._release))
            case life.Release(save):
                if self._launched and self._release is not None:
                    self._release.set_result(save)
                elif self._holding is not None:
                    self._holding.cancel()
            case life.Admit(number):
                self._admit(number)
            case life.Refuse(number, code, cause):
                if (seat := self._seats.get(number)) is not None:
                    seat.refuse(self._refusal(code, cause))
                elif (answer := self._tickets.get(number)) is not None and not answer.done():
                    answer.set_exception(self._refusal(code, cause))
            case life.Evict(number, close, words):
                if (seat := self._seats.get(number)) is not None:
                    crashed = self.browser.reason if self.browser is not None and self.browser.gone.is_set() else ""
                    seat.evict(close, f"{words}: {crashed}" if crashed else words)

    def _admit(self, number: SeatId) -> None:
        seat = self._seats.get(number)
        if seat is None or self.browser is None:
            return  # it gave up in the meantime: its Detach is on the way
        if seat.role is Role.DRIVER:
            self.reconnect_auth = None  # each driver asks for itself
            self.record = replace(self.record, connections=self.record.connections + 1, last_used_at=time.time())
        seat.admit(self.browser)

    def _refusal(self, code: Code, cause: Cause | None) -> GatewayError:
        if code is Code.BROWSER_FAILED and self.failure is not None:
            return self.failure
        return refusal(code, cause)

    async def _hold(self, release: "asyncio.Future[Save]") -> None:
        """One browser, from launch to its certain end. Its last word is always one event."""
        outcome: life.Event = life.BrowserReleased()
        try:
            async with incarnated(self.record, self._means) as browser:
                self.browser, self._launched = browser, True
                self._inbox.put_nowait(life.BrowserReady())
                save = await self._released(browser, release)
                cause = self._state.cause if isinstance(self._state, life.Suspending | life.Stopping) else Cause.STOPPED
                info = await saved(self.record, browser, save, cause, self._means)
                if info is not None:
                    self.record = replace(self.record, snapshot=info.version, snapshot_at=info.created_at)
        except GatewayError as error:
            self._log.warning("browser_not_kept" if self._launched else "browser_not_started", error=error.message)
            self.failure = error
            outcome = life.BrowserReleased(saved=False) if self._launched else life.BrowserFailed()
        finally:
            self.browser, self._launched = None, False
            self._inbox.put_nowait(outcome)

    async def _released(self, browser: Browser, release: "asyncio.Future[Save]") -> Save:
        async with running(self._tell_when_gone(browser), "browser-gone"):
            return await release

    async def _tell_when_gone(self, browser: Browser) -> None:
        await browser.gone.wait()
        self._inbox.put_nowait(life.BrowserGone())

    # --- the record ---

    async def _write_down(self) -> None:
        self.record = record = shown(self.record, self._state, time.time())
        if record == self._written:
            return
        try:
            await self._store.update(record)
        except GatewayError as error:
            # The session goes on, and stays here until its record could be written.
            self._log.error("record_not_written", error=error.message)
            return
        except Fenced as error:
            self._log.warning("record_not_ours", error=str(error))  # erased, or taken over: it is not ours to write
        self._written = record
