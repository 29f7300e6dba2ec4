"""Every interleaving of two drivers, an observer, a stop, a crash, a reconnect, a drain and the clock.

The state space is small: all reachable (state, world) pairs are visited, and in each what must always hold is checked.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from gateway.errors import CloseCode, Code
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
    Stop,
    Stopping,
    Suspended,
    Suspending,
    Terms,
    Tick,
    Use,
    Wake,
)
from gateway.session.machine import advance, deadline, seats, told

ONE, TWO, WATCHER, TICKET = SeatId(1), SeatId(2), SeatId(3), SeatId(9)
STANDARD = Terms(keep=0, expires_at=100, survives=False)
API = Terms(keep=10, expires_at=100, survives=True)
BRIEF = Terms(keep=10, expires_at=100, survives=False)
SAVED = replace(API, saved=True)
PARKED = replace(API, park=5)
TERMS = {
    "standard": STANDARD,
    "standard-parked": replace(STANDARD, park=5),
    "api": API,
    "api-saved": SAVED,
    "api-not-persisted": BRIEF,
    "api-parked": PARKED,
    "api-idle": replace(SAVED, idle_at=20),
    "api-parked-idle": replace(PARKED, idle_at=20),
    "standard-idle": replace(STANDARD, idle_at=20),
}


@dataclass(frozen=True)
class World:
    """What is outside the machine: clients, the browser, the clock. Each client lives once, as seats do."""

    clients: tuple[tuple[SeatId, str], ...] = ((ONE, "new"), (TWO, "new"), (WATCHER, "new"))
    browser: str = "launching"  # launching, up, gone, releasing, none
    time: int = 0
    stopped: str = "no"  # no, asked, refused
    drained: bool = False
    parked: bool = False

    def client(self, seat: SeatId) -> str:
        return dict(self.clients).get(seat, "never")

    def with_client(self, seat: SeatId, how: str) -> "World":
        return replace(self, clients=tuple((one, how if one == seat else was) for one, was in self.clients))


def possible(world: World) -> Iterator[tuple[Event, World]]:
    """Whatever can happen next: an event and the world in which it arrives."""
    for seat, how in world.clients:
        role = Role.OBSERVER if seat == WATCHER else Role.DRIVER
        if how == "new":
            yield Attach(seat, role), world.with_client(seat, "waiting")
            if role is Role.DRIVER:
                yield Attach(seat, role, takeover=True), world.with_client(seat, "waiting")
        if how in ("waiting", "admitted", "evicted"):
            yield Detach(seat), world.with_client(seat, "left")
        if how == "admitted":
            yield Linger(seat, 20), world
            yield CloseBrowser(seat), world
        if how == "left":
            yield Detach(seat), world  # once more: harmless
            yield Linger(seat, 20), world  # late
    if world.browser == "launching":
        yield BrowserReady(), replace(world, browser="up")
        yield BrowserFailed(), replace(world, browser="none")
    if world.browser == "up":
        yield BrowserGone(), replace(world, browser="gone")
    if world.browser == "releasing":
        yield BrowserReleased(), replace(world, browser="none")
        yield BrowserReleased(saved=False), replace(world, browser="none")
    if world.stopped == "no":
        yield Stop(TICKET), replace(world, stopped="asked")
        yield Stop(TICKET, force=True), replace(world, stopped="asked")
    if not world.drained:
        yield Drain(), replace(world, drained=True)
        yield Lost(), replace(world, drained=True)
    yield Tick(), world
    yield Renew(), world
    yield Use(), world
    for later in (6, 15, 40, 100):
        if world.time < later:
            yield Tick(), replace(world, time=later)


def carried_out(world: World, effects: tuple[Effect, ...]) -> World:
    """The world after the effects; asserts that each makes sense in it."""
    for effect in effects:
        match effect:
            case Launch():
                assert world.browser == "none", "two browsers"
                world = replace(world, browser="launching")
            case Release(save):
                assert world.browser in ("launching", "up", "gone"), "a browser put away twice"
                if world.browser == "launching":
                    assert save is Save.NOTHING, "nothing can be saved of a browser that never was"
                if save is Save.CONTEXT:
                    assert world.browser == "up", "a dead browser cannot be asked for its context"
                world = replace(world, browser="releasing", parked=False)
            case Park():
                assert world.browser in ("up", "gone"), "no browser to park"
                assert not world.parked, "parked twice"
                world = replace(world, parked=True)
            case Wake():
                assert world.parked, "awake already"
                world = replace(world, parked=False)
            case Admit(seat):
                assert world.browser == "up", "admitted without a browser"
                assert not world.parked, "admitted to a parked browser"
                if world.client(seat) == "waiting":
                    world = world.with_client(seat, "admitted")
                else:
                    assert world.client(seat) == "left", f"admitted twice: {world.client(seat)}"
            case Refuse(seat):
                if seat == TICKET:
                    assert world.stopped == "asked"
                    world = replace(world, stopped="refused")
                else:
                    assert world.client(seat) == "waiting", "an answer nobody waits for"
                    world = world.with_client(seat, "refused")
            case Evict(seat):
                assert world.client(seat) in ("admitted",), "evicted who was not admitted"
                world = world.with_client(seat, "evicted")
    return world


def check(state: State, world: World, terms: Terms) -> None:
    """What always holds."""
    admitted = {seat for seat, how in world.clients if how == "admitted"}
    waiting = {seat for seat, how in world.clients if how == "waiting"}
    # Whoever was admitted has a seat and whoever has a seat was admitted; nobody else waits than the machine knows.
    assert admitted == set(seats(state))
    assert len(admitted - {WATCHER}) <= 1, "two drivers"
    known = {seat for seat, _ in state.waiting} if isinstance(state, Starting | Suspending) else set()
    assert waiting == known, "a client without an answer"
    assert world.parked == (isinstance(state, Detached) and state.parked)
    assert not (world.parked and admitted), "somebody looks at a parked browser"
    match state:
        case Starting():
            assert world.browser == "launching"
        case Attached() | Detached():
            assert world.browser in ("up", "gone")
        case Suspending() | Stopping():
            assert world.browser == "releasing"
            assert deadline(state, terms) is None
        case Suspended():
            assert world.browser == "none"
            assert terms.survives or terms.saved
        case Ended():
            assert world.browser == "none"
            assert deadline(state, terms) is None
    if isinstance(state, Attached | Detached | Starting):
        when = deadline(state, terms)
        assert when is not None
        assert when <= terms.expires_at
        if terms.idle_at is not None and isinstance(state, Attached | Detached):
            assert when <= terms.idle_at


@pytest.mark.parametrize("name", TERMS)
def test_all_interleavings(name: str) -> None:
    terms = TERMS[name]
    first: tuple[State, World] = (Starting(), World())
    seen = {first}
    todo = deque([first])
    while todo:
        state, world = todo.popleft()
        for event, arrived in possible(world):
            following, effects = advance(state, event, arrived.time, terms)
            after = carried_out(arrived, effects)
            try:
                check(following, after, terms)
            except AssertionError as error:
                raise AssertionError(f"{error}: {state} --{event}--> {following}, {effects} in {after}") from error
            if isinstance(state, Ended):
                assert isinstance(following, Ended), "there is a way back from the end"
            if (following, after) not in seen:
                seen.add((following, after))
                todo.append((following, after))
    assert len(seen) > 1000
    reached = {type(state) for state, _ in seen}
    expected = {Starting, Attached, Detached, Stopping, Ended}
    assert expected <= reached
    inactive = {type(state) for state, _ in seen if getattr(state, "cause", None) is Cause.INACTIVE}
    assert inactive == (set() if terms.idle_at is None else {Stopping, Ended}), "for good, whatever was saved"
    assert (Suspended in reached) == (terms.survives or terms.saved)


@pytest.mark.parametrize("name", TERMS)
def test_every_session_can_end(name: str) -> None:
    """From each reachable state a forced stop and the browser's release lead to the end."""
    terms = TERMS[name]
    first: tuple[State, World] = (Starting(), World())
    seen = {first}
    todo = deque([first])
    while todo:
        state, world = todo.popleft()
        ended, _ = advance(state, Stop(TICKET, force=True), world.time, terms)
        ended, _ = advance(ended, BrowserReleased(), world.time, terms)
        assert ended == Ended(Cause.STOPPED), state
        for event, arrived in possible(world):
            following, effects = advance(state, event, arrived.time, terms)
            pair = following, carried_out(arrived, effects)
            if pair not in seen:
                seen.add(pair)
                todo.append(pair)


@pytest.mark.parametrize("state", [Attached(ONE, frozenset({WATCHER}), 10), Detached(frozenset({WATCHER}), 50)])
def test_one_that_another_node_has_is_not_saved(state: State) -> None:
    after, effects = advance(state, Lost(), 5, SAVED)
    assert after == Stopping(Cause.MOVED)
    assert effects[-1] == Release(Save.NOTHING)
    told_off = [effect for effect in effects if isinstance(effect, Evict)]
    assert [effect.seat for effect in told_off] == list(seats(state))
    assert {effect.close for effect in told_off} == {CloseCode.NODE_GONE}
    assert advance(after, BrowserReleased(), 6, SAVED)[0] == Ended(Cause.MOVED)
    assert advance(after, Lost(), 6, SAVED) == (after, ())


def test_time_runs_from_the_moment_the_client_goes() -> None:
    state: State = Attached(ONE, frozenset(), keep=0)
    state, _ = advance(state, Linger(ONE, 20), 5, STANDARD)
    assert advance(state, Tick(), 50, STANDARD) == (state, ())  # a client that stays is not cut off
    state, _ = advance(state, Detach(ONE), 50, STANDARD)
    assert state == Detached(frozenset(), until=70)
    assert advance(state, Tick(), 69, STANDARD)[0] == state
    assert advance(state, Tick(), 70, STANDARD) == (Stopping(Cause.UNUSED), (Release(Save.NOTHING),))


def test_the_next_client_must_ask_again() -> None:
    state: State = Detached(frozenset(), until=70)
    state, _ = advance(state, Attach(TWO), 60, STANDARD)
    state, effects = advance(state, Detach(TWO), 61, STANDARD)
    assert (state, effects) == (Stopping(Cause.CLIENT_LEFT), (Release(Save.NOTHING),))


def test_a_second_reconnect_starts_the_time_anew() -> None:
    state: State = Attached(ONE, frozenset(), keep=0)
    state, _ = advance(state, Linger(ONE, 20), 5, STANDARD)
    state, _ = advance(state, Linger(ONE, 60), 6, STANDARD)
    assert advance(state, Detach(ONE), 10, STANDARD)[0] == Detached(frozenset(), until=70)


def test_one_driver_at_a_time() -> None:
    state = Attached(ONE, frozenset(), keep=10)
    assert advance(state, Attach(TWO), 0, API) == (state, (Refuse(TWO, Code.DRIVER_CONNECTED),))
    taken, effects = advance(state, Attach(TWO, takeover=True), 0, API)
    assert taken == Attached(TWO, frozenset(), keep=10)
    assert isinstance(effects[0], Evict)
    assert effects[0].seat == ONE
    assert effects[0].close is CloseCode.TAKEN_OVER
    assert effects[1] == Admit(TWO)
    # The evicted driver's late Detach does not touch the new one.
    assert advance(taken, Detach(ONE), 0, API) == (taken, ())


def test_a_stop_is_refused_while_a_driver_is_connected() -> None:
    state = Attached(ONE, frozenset({WATCHER}), keep=10)
    assert advance(state, Stop(TICKET), 0, API) == (state, (Refuse(TICKET, Code.DRIVER_CONNECTED),))
    stopping, effects = advance(state, Stop(TICKET, force=True), 0, API)
    assert stopping == Stopping(Cause.STOPPED)
    assert [type(effect) for effect in effects] == [Evict, Evict, Release]
    assert effects[-1] == Release(Save.CONTEXT)


def test_a_stop_while_it_is_put_away_ends_it_as_stopped() -> None:
    state: State = Suspending(Cause.CLOSED, waiting=((TWO, Role.DRIVER),))
    state, effects = advance(state, Stop(TICKET), 0, API)
    assert effects == (Refuse(TWO, Code.SESSION_ENDED, Cause.STOPPED),)
    assert advance(state, BrowserReleased(), 0, SAVED) == (Ended(Cause.STOPPED), ())


def test_who_comes_while_it_is_put_away_gets_the_next_browser() -> None:
    state, effects = advance(Suspending(Cause.UNUSED), Attach(TWO), 0, API)
    assert effects == ()
    state, effects = advance(state, BrowserReleased(), 0, SAVED)
    assert (state, effects) == (Starting(((TWO, Role.DRIVER),)), (Launch(),))


def test_a_crash_is_revivable_when_something_can_be_saved() -> None:
    state, effects = advance(Attached(ONE, frozenset(), 10), BrowserGone(), 0, API)
    assert state == Suspending(Cause.CRASHED)
    assert isinstance(effects[0], Evict)
    assert effects[0].close is CloseCode.CRASHED
    assert effects[1] == Release(Save.PROFILE)
    assert advance(state, BrowserReleased(saved=False), 0, API) == (Ended(Cause.CRASHED), ())
    assert advance(state, BrowserReleased(), 0, SAVED) == (Suspended(Cause.CRASHED), ())


def test_a_crash_ends_a_standard_session() -> None:
    state, _ = advance(Attached(ONE, frozenset(), 0), BrowserGone(), 0, STANDARD)
    assert state == Stopping(Cause.CRASHED)
    assert Cause.CRASHED.status.value == "failed"


def test_a_failed_revival_does_not_lose_what_was_saved() -> None:
    waiting = Starting(((ONE, Role.DRIVER),))
    assert advance(waiting, BrowserFailed(), 0, SAVED)[0] == Suspended(Cause.LAUNCH_FAILED)
    assert advance(waiting, BrowserFailed(), 0, API)[0] == Ended(Cause.LAUNCH_FAILED)


def test_somebody_in_devtools_keeps_an_api_session_up() -> None:
    watched = Detached(frozenset({WATCHER}), until=10)
    assert advance(watched, Tick(), 10, API)[0] == Detached(frozenset({WATCHER}), until=20)
    assert advance(watched, Tick(), 100, API)[0] == Stopping(Cause.EXPIRED)
    # but not a browser that only `reconnect` keeps: its time was granted, not more
    assert advance(watched, Tick(), 10, STANDARD)[0] == Stopping(Cause.UNUSED)


def test_new_terms_start_the_wait_anew() -> None:
    assert advance(Detached(frozenset(), until=5), Renew(), 3, API)[0] == Detached(frozenset(), until=13)


def test_a_browser_without_a_client_is_parked_until_somebody_comes() -> None:
    state: State = Attached(ONE, frozenset(), keep=30)
    state, _ = advance(state, Detach(ONE), 10, PARKED)
    assert deadline(state, PARKED) == 15
    assert advance(state, Tick(), 14, PARKED) == (state, ())
    state, effects = advance(state, Tick(), 15, PARKED)
    assert effects == (Park(),)
    assert deadline(state, PARKED) == 40
    assert advance(state, Attach(TWO), 20, PARKED) == (Attached(TWO, frozenset(), 10), (Wake(), Admit(TWO)))
    state, effects = advance(state, Use(), 20, PARKED)
    assert (effects, deadline(state, PARKED)) == ((Wake(),), 25)
    assert advance(state, Tick(), 25, PARKED)[1] == (Park(),)


def test_a_watched_browser_is_not_parked() -> None:
    state = Detached(frozenset({WATCHER}), until=30, park_at=15)
    assert advance(state, Tick(), 15, PARKED) == (Detached(frozenset({WATCHER}), until=30, park_at=20), ())


def test_an_adopted_browser_has_the_time_that_was_left() -> None:
    state: State = Starting(until=7)
    state, _ = advance(state, Attach(ONE), 1, API)
    left, _ = advance(state, Detach(ONE), 2, API)
    assert advance(left, BrowserReady(), 3, API)[0] == Detached(frozenset(), until=7)
    assert advance(state, BrowserReady(), 3, API)[0] == Attached(ONE, frozenset(), 10)


IDLE = replace(SAVED, idle_at=20)


@pytest.mark.parametrize(
    "state",
    [
        Attached(ONE, frozenset({WATCHER}), keep=10),
        Detached(frozenset({WATCHER}), until=90),
        Detached(frozenset(), until=90, park_at=5, parked=True),
    ],
    ids=["driven", "watched", "parked"],
)
def test_a_session_that_nobody_uses_ends(state: State) -> None:
    assert deadline(state, IDLE) == 20
    assert advance(state, Tick(), 19.9, IDLE) == (state, ())
    ended, effects = advance(state, Tick(), 20, IDLE)
    assert ended == Stopping(Cause.INACTIVE)
    assert effects[-1] == Release(Save.CONTEXT)
    assert {effect.seat for effect in effects if isinstance(effect, Evict)} == set(seats(state))
    # Whoever used it in the meantime has moved the instant: the tick that was due then changes nothing.
    assert advance(state, Tick(), 20, replace(IDLE, idle_at=25)) == (state, ())


def test_a_browser_that_is_being_started_or_put_away_is_not_unused() -> None:
    for state in (Starting(((ONE, Role.DRIVER),)), Suspending(Cause.CLOSED), Suspended(Cause.CLOSED)):
        assert advance(state, Tick(), 50, IDLE) == (state, ())


def test_the_ttl_is_the_hard_end() -> None:
    later = replace(IDLE, idle_at=200)
    assert deadline(Attached(ONE, frozenset(), 10), later) == 100
    assert advance(Attached(ONE, frozenset(), 10), Tick(), 250, later)[0] == Stopping(Cause.EXPIRED)


def test_what_a_step_is_called() -> None:
    attached, detached = Attached(ONE, frozenset(), 10), Detached(frozenset(), until=10)
    assert told(Starting(), detached) == "started"
    assert told(Starting(), attached) == told(detached, attached) == "connected"
    assert told(attached, detached) == "disconnected"
    assert told(Suspending(Cause.CLOSED), Suspended(Cause.CLOSED)) == "suspended"
    assert told(Stopping(Cause.STOPPED), Ended(Cause.STOPPED)) == "released"
    assert told(attached, Suspending(Cause.CLOSED)) is None
