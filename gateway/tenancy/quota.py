"""What a tenant may ask for: how often, how long, with which flags. Only creates are counted; times are given."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from gateway.errors import Code, GatewayError
from gateway.records import Limits, SessionSpec, Tenant


@dataclass(slots=True)
class Bucket:
    """`rate` tokens a minute, at most as many at once; `left` of them at the instant `at`, in seconds."""

    rate: int
    left: float
    at: float

    def take(self, count: int, now: float) -> float:
        """Take `count` tokens: 0, or how many seconds until there are as many, and then none is taken."""
        self.left = min(float(self.rate), self.left + (now - self.at) * self.rate / 60)
        self.at = now
        if self.left < count:
            return (count - self.left) * 60 / self.rate
        self.left -= count
        return 0.0


Charge = Callable[[str, int, int], Awaitable[float]]  # tenant, a minute's rate, count: 0, or seconds to wait


class Quotas:
    """Of all tenants. `tenant_of` says what a tenant may have now; `charge` counts for a whole fleet."""

    def __init__(self, tenant_of: Callable[[str], Tenant] = Tenant, charge: Charge | None = None) -> None:
        self.tenant_of = tenant_of
        self._shared = charge
        self._buckets: dict[str, Bucket] = {}

    def limits(self, tenant: str, limits: Limits) -> Limits:
        """The gateway's `limits`, as far as they go for the tenant."""
        most = self.tenant_of(tenant).ttl_max
        return limits if most is None else replace(limits, ttl_max=min(most, limits.ttl_max))

    async def admit(self, spec: SessionSpec, now: float, count: int = 1) -> SessionSpec:
        """`count` sessions of `spec` are to be made at `now`, on a clock that never goes back: the spec as it may be.

        Raises GatewayError: FLAG_REFUSED, BAD_REQUEST (400) for more than can ever be, RATE_LIMITED (429).
        """
        tenant = self.tenant_of(spec.tenant)
        refuse_flags(tenant, spec.launch.args)
        if tenant.creates_per_minute is not None:
            await self._charge(tenant.name, tenant.creates_per_minute, count, now)
        if tenant.ttl_max is not None and spec.ttl > tenant.ttl_max:
            spec = replace(spec, ttl=tenant.ttl_max)  # one that is made as an earlier one was
        return spec

    async def _charge(self, tenant: str, rate: int, count: int, now: float) -> None:
        if count > rate:
            raise GatewayError(Code.BAD_REQUEST, f"count: this tenant may make {rate} sessions a minute")
        if self._shared is not None:
            wait = await self._shared(tenant, rate, count)
        else:
            bucket = self._buckets.setdefault(tenant, Bucket(rate, float(rate), now))
            bucket.rate = rate
            wait = bucket.take(count, now)
        if wait:
            raise GatewayError(
                Code.RATE_LIMITED,
                f"this tenant may make {rate} sessions a minute",
                retry_after=max(1, math.ceil(wait)),
            )


def refuse_flags(tenant: Tenant, args: tuple[str, ...]) -> None:
    """Raises FLAG_REFUSED naming the first flag that the tenant's clients may not set, or not to that value."""
    if tenant.args is None:
        return
    for flag in args:
        name = flag.partition("=")[0]
        if name not in tenant.args and flag not in tenant.args:
            raise GatewayError(Code.FLAG_REFUSED, f"flag {name} is refused: it is not among those of this tenant")
