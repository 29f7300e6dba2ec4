from dataclasses import replace

import pytest

from browser_pool.spec import LaunchSpec
from gateway.errors import Code, GatewayError
from gateway.records import Kind, Limits, SessionSpec, Tenant
from gateway.tenancy.quota import Bucket, Quotas

SPEC = SessionSpec("a", Kind.API, LaunchSpec(), ttl=600, keep=30)
LIMITS = Limits(ttl_max=3600, keep=30, reconnect=60, reconnect_max=600)


def quotas(**limits: object) -> Quotas:
    return Quotas(lambda name: replace(Tenant(name), **limits) if name == "a" else Tenant(name))  # type: ignore[arg-type]


async def refused(of: Quotas, spec: SessionSpec, now: float, count: int = 1) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        await of.admit(spec, now, count)
    return error.value


def test_a_bucket_fills_at_its_rate_and_not_above() -> None:
    bucket = Bucket(6, 6, 100)
    assert [bucket.take(1, 100) for _ in range(6)] == [0] * 6
    assert bucket.take(1, 100) == 10
    assert bucket.take(1, 105) == 5
    assert bucket.take(1, 110) == 0
    assert bucket.take(6, 10_000) == 0
    assert bucket.take(1, 10_000) > 0


async def test_so_many_creates_a_minute() -> None:
    own = quotas(creates_per_minute=2)
    assert await own.admit(SPEC, 0) == await own.admit(SPEC, 0) == SPEC
    error = await refused(own, SPEC, 1)
    assert (error.code, error.retry_after) == (Code.RATE_LIMITED, 29)
    await own.admit(SPEC, 30)
    for now in range(30, 40):
        await own.admit(replace(SPEC, tenant="b"), now)  # another's own business


async def test_of_many_at_once_all_or_none() -> None:
    own = quotas(creates_per_minute=3)
    assert (await refused(own, SPEC, 0, 4)).code is Code.BAD_REQUEST, "no waiting helps"
    await own.admit(SPEC, 0)
    assert (await refused(own, SPEC, 0, 3)).code is Code.RATE_LIMITED
    await own.admit(SPEC, 0, 2)


async def test_another_rate_does_not_fill_the_bucket() -> None:
    rate = 5
    own = Quotas(lambda name: Tenant(name, creates_per_minute=rate))
    await own.admit(SPEC, 0, 5)
    rate = 600
    assert (await refused(own, SPEC, 0)).retry_after == 1
    await own.admit(SPEC, 1, 10)
    rate = 1
    await own.admit(SPEC, 61)
    assert (await refused(own, SPEC, 61)).retry_after == 60


async def test_the_ceiling_of_a_life() -> None:
    assert quotas().limits("a", LIMITS) == LIMITS
    assert quotas(ttl_max=60.0).limits("a", LIMITS) == replace(LIMITS, ttl_max=60)
    assert quotas(ttl_max=1e9).limits("a", LIMITS) == LIMITS
    assert quotas(ttl_max=60.0).limits("b", LIMITS) == LIMITS
    assert (await quotas(ttl_max=60.0).admit(SPEC, 0)).ttl == 60
    assert (await quotas(ttl_max=6000.0).admit(SPEC, 0)).ttl == 600


@pytest.mark.parametrize(
    ("allowed", "flags", "named"),
    [
        (None, ("--lang=de",), None),
        ((), (), None),
        ((), ("--lang=de",), "--lang"),
        (("--lang",), ("--lang=de", "--lang"), None),
        (("--lang=de",), ("--lang=de",), None),
        (("--lang=de",), ("--lang=fr",), "--lang"),
        (("--lang",), ("--lang=de", "--language=x"), "--language"),
    ],
)
async def test_flags(allowed: tuple[str, ...] | None, flags: tuple[str, ...], named: str | None) -> None:
    spec = replace(SPEC, launch=LaunchSpec(args=flags))
    if named is None:
        assert await quotas(args=allowed).admit(spec, 0) == spec
        return
    error = await refused(quotas(args=allowed), spec, 0)
    assert error.code is Code.FLAG_REFUSED
    assert f"flag {named} is refused" in error.message


async def test_a_fleet_counts_for_all_its_nodes() -> None:
    asked: list[tuple[str, int, int]] = []

    async def charge(tenant: str, rate: int, count: int) -> float:
        asked.append((tenant, rate, count))
        return 0.0 if len(asked) < 3 else 6.5

    own = Quotas(lambda name: Tenant(name, creates_per_minute=2 if name == "a" else None), charge)
    await own.admit(SPEC, 0, 2)
    await own.admit(SPEC, 0)
    await own.admit(replace(SPEC, tenant="b"), 0)
    assert (await refused(own, SPEC, 0)).retry_after == 7
    assert asked == [("a", 2, 2), ("a", 2, 1), ("a", 2, 1)]
