"""All transitions of a session, in one pure function. Its counterpart with I/O is `session.py`.

`advance(state, event, now, terms)` gives the next state and the effects to carry out, in order. Seats are
ids never used twice, and the only timer is the current state's deadline: so a stale timer, a double
detach, a stop during launch and a connect in the last instant need no special care.
"""

from dataclasses import replace

from gateway.errors import CloseCode, Code
from gateway.records import SessionRecord, Status
from gateway.session.life import (
    Admit,
    Attach,
    Attached,
    BrowserFailed,
    BrowserGone,
    BrowserReady,
    BrowserReleased,
    Cause,
    CloseBrowser,
    Detach,
    Detached,
    Drain,
    Effect,
    Ended,
    Event,
    Evict,
    Launch,
    Linger,
    Lost,
    Park,
    Refuse,
    Release,
    Renew,
    Role,
    Save,
    SeatId,
    Starting,
    State,
    Step,
    Stop,
    Stopping,
    Suspended,
    Suspending,
    Terms,
    Tick,
    Use,
    Wake,
)


def advance(state: State, event: Event, now: float, terms: Terms) -> Step:
    """The next state and the effects to carry out. Events that mean nothing in a state change nothing."""
    match event:
        case Attach():
            return _attach(state, event, now, terms)
        case Detach(seat):
            return _detach(state, seat, now, terms)
        case Linger(seat, keep):
            if isinstance(state, Attached) and state.driver == seat:
                return replace(state, keep=keep), ()
        case CloseBrowser(seat):
            if isinstance(state, Attached | Detached) and seat in seats(state):
                return _put_away(state, Cause.CLOSED, terms)
        case Stop():
            return _stop(state, event, terms)
        case Drain():
            return _put_away(state, Cause.DRAINED, terms)
        case Lost():
            return _lost(state)
        case BrowserReady():
            if isinstance(state, Starting):
                return _ready(state, now, terms)
        case BrowserFailed():
            if isinstance(state, Starting):
                return _launch_failed(state, terms)
            return _released(state, False, terms)  # it failed just when it was to be given up
        case BrowserGone():
            if isinstance(state, Attached | Detached):
                return _put_away(state, Cause.CRASHED, terms)
        case BrowserReleased(saved):
            return _released(state, saved, terms)
        case Renew():
            if isinstance(state, Detached):
                return replace(state, until=now + terms.keep), ()
        case Use():
            if isinstance(state, Detached):
                return _awake(state, now, terms)
        case Tick():
            return _tick(state, now, terms)
    return state, ()


def deadline(state: State, terms: Terms) -> float | None:
    """The instant at which `state` wants a Tick; None while the browser is being put away, or nothing is left."""
    match state:
        case Detached(until=until, park_at=park_at, parked=parked):
            return _earliest(until, terms.expires_at, terms.idle_at, None if parked else park_at)
        case Attached():
            return _earliest(terms.expires_at, terms.idle_at)
        case Starting() | Suspended():
            return terms.expires_at
        case Suspending() | Stopping() | Ended():
            return None


def _earliest(*instants: float | None) -> float:
    return min(instant for instant in instants if instant is not None)


def seats(state: State) -> tuple[SeatId, ...]:
    """Everyone admitted, the driver first."""
    match state:
        case Attached(driver, observers, _):
            return (driver, *sorted(observers))
        case Detached(observers, _):
            return tuple(sorted(observers))
        case _:
            return ()


def shown(record: SessionRecord, state: State, now: float) -> SessionRecord:
    """`record` as it is to be seen in `state`."""
    record = replace(
        record,
        keeps=state.keep if isinstance(state, Attached) else None,
        until=state.until if isinstance(state, Detached) else None,
        parked=isinstance(state, Detached) and state.parked,
    )
    match state:
        case Starting():
            return replace(record, status=Status.STARTING, reason=None)
        case Attached():
            return replace(record, status=Status.CONNECTED, reason=None)
        case Detached():
            return replace(record, status=Status.DETACHED, reason=None)
        case Suspended(cause):
            return replace(record, status=Status.SUSPENDED, reason=cause.word)
        case Ended(cause):
            ended = record.ended_at if record.status.ended else now
            return replace(record, status=cause.status, reason=cause.word, ended_at=ended)
        case Suspending() | Stopping():
            return record  # its browser still runs: the new status counts when that is over


def told(before: State, after: State) -> str | None:
    """What the step from `before` to a state of another kind is called in the session's history."""
    match after:
        case Attached():
            return "connected"
        case Detached():
            return "started" if isinstance(before, Starting) else "disconnected"
        case Suspended():
            return "suspended"
        case Ended():
            return "released"
    return None


def _attach(state: State, event: Attach, now: float, terms: Terms) -> Step:
    seat, driver = event.seat, event.role is Role.DRIVER
    match state:
        case Starting(waiting) | Suspending(waiting=waiting):
            ahead = [other for other, role in waiting if role is Role.DRIVER]
            if isinstance(state, Suspending) and not driver:
                return state, (Refuse(seat, Code.NOT_RUNNING),)
            if driver and ahead:
                if not event.takeover:
                    return state, (Refuse(seat, Code.DRIVER_CONNECTED),)
                kept = tuple(entry for entry in waiting if entry[1] is not Role.DRIVER)
                return replace(state, waiting=(*kept, (seat, event.role))), (Refuse(ahead[0], Code.DRIVER_CONNECTED),)
            return replace(state, waiting=(*waiting, (seat, event.role))), ()
        case Attached() if not driver:
            return replace(state, observers=state.observers | {seat}), (Admit(seat),)
        case Detached() if not driver:
            state, wake = _awake(state, now, terms)
            return replace(state, observers=state.observers | {seat}), (*wake, Admit(seat))
        case Attached(driver=first):
            if not event.takeover:
                return state, (Refuse(seat, Code.DRIVER_CONNECTED),)
            evict = Evict(first, CloseCode.TAKEN_OVER, "another client took over")
            return Attached(seat, state.observers, terms.keep), (evict, Admit(seat))
        case Detached():
            _, wake = _awake(state, now, terms)
            return Attached(seat, state.observers, terms.keep), (*wake, Admit(seat))
        case Suspended():
            if not driver:
                return state, (Refuse(seat, Code.NOT_RUNNING),)
            return Starting(((seat, event.role),)), (Launch(),)
        case Stopping(cause) | Ended(cause):
            return state, (Refuse(seat, Code.SESSION_ENDED, cause),)


def _detach(state: State, seat: SeatId, now: float, terms: Terms) -> Step:
    match state:
        case Starting(waiting) if any(other == seat for other, _ in waiting):
            left = tuple(entry for entry in waiting if entry[0] != seat)
            if not left and not terms.survives and terms.keep == 0:
                # The one client of a standard session gave up: nobody else can know of the browser.
                return Stopping(Cause.CLIENT_LEFT), (Release(Save.NOTHING),)
            return replace(state, waiting=left), ()
        case Suspending(waiting=waiting):
            return replace(state, waiting=tuple(entry for entry in waiting if entry[0] != seat)), ()
        case Attached(driver, observers, keep) if driver == seat:
            alone = _alone(observers, now + keep, now, terms)
            return (alone, ()) if keep > 0 else _put_away(alone, Cause.CLIENT_LEFT, terms)
        case Attached() | Detached() if seat in state.observers:
            return replace(state, observers=state.observers - {seat}), ()
    return state, ()


def _alone(observers: frozenset[SeatId], until: float, now: float, terms: Terms) -> Detached:
    return Detached(observers, until, None if terms.park is None else now + terms.park)


def _awake(state: Detached, now: float, terms: Terms) -> tuple[Detached, tuple[Effect, ...]]:
    return _alone(state.observers, state.until, now, terms), (Wake(),) if state.parked else ()


def _stop(state: State, event: Stop, terms: Terms) -> Step:
    match state:
        case Attached() if not event.force:
            return state, (Refuse(event.ticket, Code.DRIVER_CONNECTED),)
        case Attached() | Detached():
            evicted = tuple(Evict(seat, Cause.STOPPED.close, Cause.STOPPED.words) for seat in seats(state))
            return Stopping(Cause.STOPPED), (*evicted, Release(_worth(Cause.STOPPED, terms)))
        case Starting(waiting):
            refused = tuple(Refuse(seat, Code.SESSION_ENDED, Cause.STOPPED) for seat, _ in waiting)
            return Stopping(Cause.STOPPED), (*refused, Release(Save.NOTHING))
        case Suspending(waiting=waiting):
            # The save goes on; only what follows it is another.
            return Stopping(Cause.STOPPED), tuple(
                Refuse(seat, Code.SESSION_ENDED, Cause.STOPPED) for seat, _ in waiting
            )
        case Stopping():
            return Stopping(Cause.STOPPED), ()
        case Suspended() | Ended():
            return Ended(Cause.STOPPED), ()


def _put_away(state: State, cause: Cause, terms: Terms) -> Step:
    """The browser goes: for a time if the session survives it, else for good."""
    match state:
        case Attached() | Detached():
            evicted = tuple(Evict(seat, cause.close, cause.words) for seat in seats(state))
            following: State = Stopping(cause)
            if terms.survives and not cause.final:
                following = Suspending(cause)
            return following, (*evicted, Release(_worth(cause, terms)))
        case Starting(waiting):
            code = Code.DRAINING if cause is Cause.DRAINED else Code.SESSION_ENDED
            refused = tuple(Refuse(seat, code, cause) for seat, _ in waiting)
            back = Suspending(cause) if terms.saved and not cause.final else Stopping(cause)
            return back, (*refused, Release(Save.NOTHING))
        case Suspending(waiting=waiting) if cause is Cause.DRAINED:
            return replace(state, waiting=()), tuple(Refuse(seat, Code.DRAINING, cause) for seat, _ in waiting)
        case Suspended() if cause is Cause.EXPIRED:
            return Ended(cause), ()
    return state, ()


def _lost(state: State) -> Step:
    match state:
        case Attached() | Detached():
            evicted = tuple(Evict(seat, Cause.MOVED.close, Cause.MOVED.words) for seat in seats(state))
            return Stopping(Cause.MOVED), (*evicted, Release(Save.NOTHING))
        case Starting(waiting):
            refused = tuple(Refuse(seat, Code.FENCED, Cause.MOVED) for seat, _ in waiting)
            return Stopping(Cause.MOVED), (*refused, Release(Save.NOTHING))
        case Suspending(waiting=waiting):  # what is being saved is refused where it is kept: it is fenced
            return Stopping(Cause.MOVED), tuple(Refuse(seat, Code.FENCED, Cause.MOVED) for seat, _ in waiting)
        case Stopping() | Suspended():
            return (Stopping if isinstance(state, Stopping) else Ended)(Cause.MOVED), ()
        case Ended():
            return state, ()


def _worth(cause: Cause, terms: Terms) -> Save:
    if not terms.survives:
        return Save.NOTHING
    return Save.PROFILE if cause is Cause.CRASHED else Save.CONTEXT


def _ready(state: Starting, now: float, terms: Terms) -> Step:
    drivers = [seat for seat, role in state.waiting if role is Role.DRIVER]
    observers = frozenset(seat for seat, role in state.waiting if role is Role.OBSERVER)
    admitted = tuple(Admit(seat) for seat, _ in state.waiting)
    if drivers:
        return Attached(drivers[0], observers, terms.keep), admitted
    until = now + terms.keep if state.until is None else state.until
    return _alone(observers, until, now, terms), admitted


def _launch_failed(state: Starting, terms: Terms) -> Step:
    refused = tuple(Refuse(seat, Code.BROWSER_FAILED, Cause.LAUNCH_FAILED) for seat, _ in state.waiting)
    if terms.saved:  # what was saved is not lost: the next connect tries again
        return Suspended(Cause.LAUNCH_FAILED), refused
    return Ended(Cause.LAUNCH_FAILED), refused


def _released(state: State, saved: bool, terms: Terms) -> Step:
    match state:
        case Stopping(cause):
            return Ended(cause), ()
        case Suspending(cause, waiting):
            if not saved and not terms.saved:
                cause = cause if cause is Cause.CRASHED else Cause.SAVE_FAILED
                return Ended(cause), tuple(Refuse(seat, Code.SESSION_ENDED, cause) for seat, _ in waiting)
            if waiting:
                return Starting(waiting), (Launch(),)
            return Suspended(cause), ()
    return state, ()


def _tick(state: State, now: float, terms: Terms) -> Step:
    if now >= terms.expires_at:
        return _put_away(state, Cause.EXPIRED, terms)
    if isinstance(state, Attached | Detached) and terms.idle_at is not None and now >= terms.idle_at:
        return _put_away(state, Cause.INACTIVE, terms)
    if isinstance(state, Detached) and now >= state.until:
        if terms.survives and state.observers:  # someone looks at it in DevTools
            return replace(state, until=now + max(terms.keep, 1.0)), ()
        return _put_away(state, Cause.UNUSED, terms)
    if isinstance(state, Detached) and not state.parked and state.park_at is not None and now >= state.park_at:
        if state.observers:
            return _alone(state.observers, state.until, now, terms), ()
        return replace(state, parked=True), (Park(),)
    return state, ()
