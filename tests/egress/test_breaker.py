"""When a destination is left alone, and for how long."""

from gateway.egress.breaker import FIRST_WAIT, LEAST, LONGEST_WAIT, PROBE, WINDOW, Breaker


def opened() -> Breaker:
    breaker = Breaker()
    for number in range(LEAST):
        assert breaker.admits(0)
        assert breaker.record(0, failed=True) is (number == LEAST - 1)
    return breaker


def test_a_wave_opens_it() -> None:
    breaker = opened()
    assert breaker.state(1) == "open"
    assert not breaker.admits(FIRST_WAIT - 0.1)
    assert breaker.left(5) == FIRST_WAIT - 5


def test_failures_among_successes_do_not() -> None:
    breaker = Breaker()
    for number in range(10 * LEAST):
        breaker.record(0.01 * number, failed=number % 3 > 0)
    assert breaker.admits(3)


def test_failures_over_a_long_time_do_not() -> None:
    breaker = Breaker()
    for number in range(3 * LEAST):
        breaker.record(number * 2 * WINDOW / LEAST, failed=True)
    assert breaker.state(0) == "closed"


def test_one_may_try_and_closes_it() -> None:
    breaker, now = opened(), FIRST_WAIT + 1
    assert breaker.state(now) == "half-open"
    assert breaker.admits(now)
    assert not breaker.admits(now)
    assert not breaker.record(now, failed=False)
    assert breaker.state(now) == "closed"
    assert all(breaker.admits(now) for _ in range(3))


def test_a_probe_that_fails_doubles_the_wait() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(8):
        now += breaker.left(now)
        assert breaker.admits(now)
        assert breaker.record(now, failed=True)
        waits.append(breaker.left(now))
    assert waits[:3] == [2 * FIRST_WAIT, 4 * FIRST_WAIT, 8 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT


def test_who_was_under_way_when_it_opened_says_nothing() -> None:
    breaker = opened()
    assert not breaker.record(1, failed=False)
    assert breaker.state(1) == "open"


def test_a_probe_without_outcome() -> None:
    breaker, now = opened(), FIRST_WAIT
    assert breaker.admits(now)
    assert not breaker.admits(now + PROBE - 1)
    assert breaker.admits(now + PROBE)
    breaker.release()
    assert breaker.admits(now + PROBE)
