"""What goes to each domain: counted, and limited."""

import asyncio

import pytest

from gateway.egress.breaker import LEAST
from gateway.egress.domains import MOST, OTHERS, PATIENCE, REFUSALS, Domains
from gateway.egress.refusal import Refused


async def test_a_rate_makes_requests_wait() -> None:
    domains = Domains(rate=20)
    domain = domains.of("a")
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for _ in range(20):
        await domains.admitted(domain)
    assert loop.time() - begin < 0.04, "a second's worth may go at once"
    for _ in range(3):
        await domains.admitted(domain)
    assert 0.1 < loop.time() - begin < 1


async def test_who_would_wait_too_long_is_refused() -> None:
    domains = Domains(rate=0.02)  # one in 50 s
    domain = domains.of("a")
    with pytest.raises(Refused) as refused:
        await domains.admitted(domain)
    assert refused.value.rule == "rate-limit"
    assert refused.value.after is not None
    assert refused.value.after > PATIENCE


async def test_connections_at_once() -> None:
    domains = Domains(connections=2)
    domain, other = domains.of("a"), domains.of("b")
    await domains.take(domain)
    await domains.take(domain)
    await domains.take(other)
    third = asyncio.ensure_future(domains.take(domain))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not third.done()
    domains.give(domain)
    await third
    assert domain.open == 2


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    domains = Domains(connections=1)
    domain = domains.of("a")
    async with domains.connection(domain):
        waiting = asyncio.ensure_future(domains.take(domain))
        await asyncio.sleep(0)
        assert domain.waiting == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert domain.waiting == 0
    assert domain.open == 0


async def test_a_wave_of_failures() -> None:
    domains = Domains()
    domain = domains.of("a")
    assert [domains.outcome(domain, failed=True) for _ in range(LEAST)] == [False] * (LEAST - 1) + [True]
    with pytest.raises(Refused) as refused:
        await domains.admitted(domain)
    assert refused.value.rule == "circuit-open"
    await domains.admitted(domains.of("b"))


async def test_without_a_breaker() -> None:
    domains = Domains(breaker=False)
    domain = domains.of("a")
    assert not any(domains.outcome(domain, failed=True) for _ in range(2 * LEAST))
    await domains.admitted(domain)


def test_their_number_is_bounded() -> None:
    domains = Domains()
    for number in range(MOST + 50):
        domains.of(f"{number}.example").bytes_in += 1
    assert len(domains.all()) == MOST + 1
    assert domains.all()[0].name == OTHERS
    assert domains.all()[0].bytes_in == 50


def test_refusals_are_told_once() -> None:
    domains = Domains()
    assert [domains.refused("r", "a") for _ in range(3)] == [True, False, False]
    assert domains.refused("r", "b")
    for number in range(2 * REFUSALS):
        domains.refused("r", f"{number}.example")
    assert len(domains.refusals) == REFUSALS + 1
    assert domains.refusals["r", "a"] == 3
