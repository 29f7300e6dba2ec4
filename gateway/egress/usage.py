"""What went over a browser's road, by domain, and what was refused. Pure."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DomainUsage:
    """One domain's share. Bytes in are those that the browser got."""

    domain: str
    requests: int
    bytes_in: int
    bytes_out: int
    failures: int = 0
    circuit: str = "closed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often a rule has refused requests to a domain."""

    rule: str
    domain: str
    count: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a browser has used, the domains with the most bytes first."""

    bytes_in: int = 0
    bytes_out: int = 0
    requests: int = 0
    domains: tuple[DomainUsage, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def plus(self, other: "Usage", most: int = 200) -> "Usage":
        """Both together, with the `most` domains that have the most bytes, and as many refusals."""
        domains = {one.domain: one for one in self.domains}
        for one in other.domains:
            if (before := domains.get(one.domain)) is not None:
                one = DomainUsage(
                    one.domain,
                    before.requests + one.requests,
                    before.bytes_in + one.bytes_in,
                    before.bytes_out + one.bytes_out,
                    before.failures + one.failures,
                    one.circuit,
                )
            domains[one.domain] = one
        counts = Counter({(one.rule, one.domain): one.count for one in self.refusals})
        counts.update({(one.rule, one.domain): one.count for one in other.refusals})
        return Usage(
            self.bytes_in + other.bytes_in,
            self.bytes_out + other.bytes_out,
            self.requests + other.requests,
            tuple(sorted(domains.values(), key=lambda one: one.bytes_in + one.bytes_out, reverse=True)[:most]),
            tuple(Refusal(rule, domain, count) for (rule, domain), count in counts.most_common(most)),
        )

    def since(self, before: "Usage") -> "Usage":
        """What has come in addition to `before`, an earlier state of the same road."""
        domains = {one.domain: one for one in before.domains}
        counts = Counter({(one.rule, one.domain): one.count for one in self.refusals})
        counts.subtract({(one.rule, one.domain): one.count for one in before.refusals})
        more = []
        for one in self.domains:
            if (old := domains.get(one.domain)) is not None:
                one = DomainUsage(
                    one.domain,
                    max(0, one.requests - old.requests),
                    max(0, one.bytes_in - old.bytes_in),
                    max(0, one.bytes_out - old.bytes_out),
                    max(0, one.failures - old.failures),
                    one.circuit,
                )
            if one.requests or one.bytes_in or one.bytes_out or one.failures:
                more.append(one)
        return Usage(
            max(0, self.bytes_in - before.bytes_in),
            max(0, self.bytes_out - before.bytes_out),
            max(0, self.requests - before.requests),
            tuple(more),
            tuple(Refusal(rule, domain, count) for (rule, domain), count in counts.most_common() if count > 0),
        )

    def kinds(self) -> Counter[str]:
        """How often each kind of rule has refused, without the names in it."""
        found = Counter[str]()
        for one in self.refusals:
            found[one.rule.partition(":")[0]] += one.count
        return found

    def dump(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def load(cls, value: dict[str, Any]) -> "Usage":
        """What `dump` has written."""
        return cls(
            value["bytes_in"],
            value["bytes_out"],
            value["requests"],
            tuple(DomainUsage(**one) for one in value["domains"]),
            tuple(Refusal(**one) for one in value["refusals"]),
        )
