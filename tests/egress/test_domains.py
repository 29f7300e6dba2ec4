"""What goes to each domain: counted, and limited."""

import asyncio

import pytest

from gateway.egress.breaker import LEAST
from gateway.egress.domains import MOST, OTHERS, PATIENCE, REFUSALS, Domain, Domains
from gateway.egress.refusal import Refused


def at_once(domains: Domains, domain: Domain) -> bool:
    """Whether a request need not wait."""
    asking = domains.admitted(domain)
    try:
        asking.send(None)
    except StopIteration:
        return True
    asking.close()
    return False


async def test_a_rate_makes_requests_wait() -> None:
    """By a clock that stands still, so that it makes no difference how fast the machine is."""
    now = 100.0
    domains = Domains(rate=16, clock=lambda: now)
    domain = domains.of("a")
    assert [at_once(domains, domain) for _ in range(16)] == [True] * 16, "a second's worth"
    waiting = [asyncio.ensure_future(domains.admitted(domain)) for _ in range(3)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert done == {waiting[0]}, "then one by one"
    begin = asyncio.get_running_loop().time()
    await asyncio.wait(waiting)
    assert asyncio.get_running_loop().time() - begin < 30
    now = 110.0
    assert [at_once(domains, domain) for _ in range(17)] == [True] * 16 + [False]


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
