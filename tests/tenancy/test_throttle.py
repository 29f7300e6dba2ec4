import pytest

from gateway.tenancy import throttle as module
from gateway.tenancy.throttle import ADDRESSES, DELAY, HELD, LONGEST, PERIOD, Sentence, Throttle, network

HERE = "192.0.2.1"


def emptied(budget: int = 10, now: float = 0.0) -> Throttle:
    """One whose bucket for HERE is empty."""
    throttle = Throttle(budget)
    for _ in range(budget):
        assert throttle.failed(HERE, now) is None
    return throttle


def test_the_first_failures_cost_nothing_then_each_more_than_the_last() -> None:
    throttle = emptied()
    sentences = [throttle.failed(HERE, float(number)) for number in range(10)]
    waits = [sentence.retry_after for sentence in sentences if sentence]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, LONGEST, LONGEST]
    assert [sentence.delay for sentence in sentences if sentence][:4] == [0.5, 1, 2, DELAY]


def test_another_address_pays_nothing_for_it() -> None:
    throttle = emptied()
    assert throttle.failed(HERE, 0) is not None
    assert throttle.failed("192.0.2.2", 0) is None
    assert throttle.refuses("192.0.2.2", 0) is None


def test_it_is_forgiven_with_time() -> None:
    throttle = emptied()
    assert throttle.failed(HERE, 0) == Sentence(0.5, 2)
    assert throttle.failed(HERE, PERIOD / 10 + 0.01) is None, "one is earned in a tenth of the period"
    assert throttle.failed(HERE, PERIOD / 10 + 0.01) == Sentence(1, 4)
    for _ in range(10):
        assert throttle.failed(HERE, 3 * PERIOD) is None
    assert throttle.failed(HERE, 3 * PERIOD) == Sentence(0.5, 2), "the strikes are forgotten too"


def test_who_goes_on_does_not_earn_the_next_one() -> None:
    throttle = emptied()
    assert all(throttle.failed(HERE, 0.5 * step) for step in range(200))


def test_no_more_are_looked_at_than_are_held_back() -> None:
    throttle = emptied()
    looked = 0
    now = 0.0
    for _ in range(100_000):  # a guess every 0.1 ms, each on a connection of its own
        now += 0.0001
        if throttle.refuses(HERE, now) is None:
            throttle.failed(HERE, now)
            looked += 1
    assert looked <= HELD * (10 / DELAY + 3), "10 s: HELD in each DELAY, and the shorter ones at first"
    assert throttle.refuses(HERE, now) in (1, 2)
    assert throttle.refuses(HERE, now + DELAY) is None


def test_it_can_be_off() -> None:
    throttle = Throttle(0)
    assert all(throttle.failed(HERE, 0) is None for _ in range(1000))
    assert len(throttle) == 0


def test_the_table_is_bounded_and_forgets_who_failed_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ADDRESSES >= 1000
    monkeypatch.setattr(module, "ADDRESSES", 100)
    throttle = emptied()
    for number in range(99):
        throttle.failed(f"198.51.100.{number}", 0)
    assert throttle.failed(HERE, 0) is not None, "still known"
    for number in range(5000):
        throttle.failed(f"10.0.{number >> 8}.{number & 255}", 0)
    assert len(throttle) == 100
    assert throttle.failed(HERE, 0) is None, "forgotten"


@pytest.mark.parametrize(
    ("address", "known_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_what_is_one_client(address: str, known_as: str) -> None:
    assert network(address) == known_as
