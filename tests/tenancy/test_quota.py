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


def refused(of: Quotas, spec: SessionSpec, now: float, count: int = 1) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        of.admit(spec, now, count)
    return error.value


def test_a_bucket_fills_at_its_rate_and_not_above() -> None:
    bucket = Bucket(6, 6, 100)
    assert [bucket.take(1, 100) for _ in range(6)] == [0] * 6
    assert bucket.take(1, 100) == 10
    assert bucket.take(1, 105) == 5
    assert bucket.take(1, 110) == 0
    assert bucket.take(6, 10_000) == 0
    assert bucket.take(1, 10_000) > 0


def test_so_many_creates_a_minute() -> None:
    own = quotas(creates_per_minute=2)
    assert own.admit(SPEC, 0) == own.admit(SPEC, 0) == SPEC
    error = refused(own, SPEC, 1)
    assert (error.code, error.retry_after) == (Code.RATE_LIMITED, 29)
    own.admit(SPEC, 30)
    for now in range(30, 40):
        own.admit(replace(SPEC, tenant="b"), now)  # another's own business


def test_of_many_at_once_all_or_none() -> None:
    own = quotas(creates_per_minute=3)
    assert refused(own, SPEC, 0, 4).code is Code.BAD_REQUEST, "no waiting helps"
    own.admit(SPEC, 0)
    assert refused(own, SPEC, 0, 3).code is Code.RATE_LIMITED
    own.admit(SPEC, 0, 2)


def test_another_rate_does_not_fill_the_bucket() -> None:
    rate = 5
    own = Quotas(lambda name: Tenant(name, creates_per_minute=rate))
    own.admit(SPEC, 0, 5)
    rate = 600
    assert refused(own, SPEC, 0).retry_after == 1
    own.admit(SPEC, 1, 10)
    rate = 1
    own.admit(SPEC, 61)
    assert refused(own, SPEC, 61).retry_after == 60


def test_the_ceiling_of_a_life() -> None:
    assert quotas().limits("a", LIMITS) == LIMITS
    assert quotas(ttl_max=60.0).limits("a", LIMITS) == replace(LIMITS, ttl_max=60)
    assert quotas(ttl_max=1e9).limits("a", LIMITS) == LIMITS
    assert quotas(ttl_max=60.0).limits("b", LIMITS) == LIMITS
    assert quotas(ttl_max=60.0).admit(SPEC, 0).ttl == 60
    assert quotas(ttl_max=6000.0).admit(SPEC, 0).ttl == 600


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
def test_flags(allowed: tuple[str, ...] | None, flags: tuple[str, ...], named: str | None) -> None:
    spec = replace(SPEC, launch=LaunchSpec(args=flags))
    if named is None:
        assert quotas(args=allowed).admit(spec, 0) == spec
        return
    error = refused(quotas(args=allowed), spec, 0)
    assert error.code is Code.FLAG_REFUSED
    assert f"flag {named} is refused" in error.message
