"""What was used: through the pipe, and in sums."""

import json
from dataclasses import replace

from gateway.egress.usage import DomainUsage, Refusal, Usage


def test_usage() -> None:
    usage = Usage(1, 2, 3, (DomainUsage("a", 3, 1, 2, 1, "open"),), (Refusal("r", "a", 2),))
    assert Usage.load(json.loads(json.dumps(usage.dump()))) == usage


def test_sums() -> None:
    one = Usage(10, 1, 1, (DomainUsage("a", 1, 10, 1),), (Refusal("r", "a", 2),))
    two = Usage(25, 2, 2, (DomainUsage("b", 1, 20, 1), DomainUsage("a", 1, 5, 1, 1, "open")), (Refusal("r", "a", 1),))
    both = one.plus(two)
    assert (both.bytes_in, both.bytes_out, both.requests) == (35, 3, 3)
    assert both.domains == (DomainUsage("b", 1, 20, 1), DomainUsage("a", 2, 15, 2, 1, "open"))
    assert both.refusals == (Refusal("r", "a", 3),)
    assert one.plus(two, most=1).domains == (DomainUsage("b", 1, 20, 1),)
    assert Usage(refusals=(Refusal("denied: a", "a", 2), Refusal("denied: b", "b", 1))).kinds() == {"denied": 3}
    assert one.plus(two, most=0) == Usage(35, 3, 3)


def test_what_has_come_since() -> None:
    before = Usage(10, 1, 1, (DomainUsage("a", 1, 10, 1), DomainUsage("idle", 1, 0, 0)), (Refusal("r", "a", 2),))
    now = Usage(
        35,
        4,
        4,
        (DomainUsage("b", 1, 20, 1, 1, "open"), DomainUsage("a", 2, 15, 3), DomainUsage("idle", 1, 0, 0)),
        (Refusal("s", "b", 1), Refusal("r", "a", 2)),
    )
    since = now.since(before)
    assert since == Usage(
        25, 3, 3, (DomainUsage("b", 1, 20, 1, 1, "open"), DomainUsage("a", 1, 5, 2)), (Refusal("s", "b", 1),)
    )
    now, before = replace(now, domains=now.domains[:2]), replace(before, domains=before.domains[:1])
    assert now.since(Usage()) == Usage(35, 4, 4, now.domains, now.refusals[::-1])
    assert now.since(now) == Usage()
    assert before.since(now) == Usage(), "a process that died has taken some with it"
