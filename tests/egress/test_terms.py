"""What goes through the pipe comes out the same."""

import json

from gateway.egress.terms import Terms
from gateway.records import Egress, Rules, Upstream

UPSTREAM = Upstream("socks5", "proxy.example", 1080, "user", "hunter2", ("*.local",))


def test_terms() -> None:
    for session in (Egress(), Egress(("a",), ("b",), True, 1.5, 3, False, UPSTREAM)):
        terms = Terms(Rules(("10.0.0.0/8",), ("x",)), session)
        assert Terms.load(json.loads(json.dumps(terms.dump()))) == terms


def test_a_password_is_no_part_of_their_text() -> None:
    assert "hunter2" not in repr(Terms(session=Egress(upstream=UPSTREAM)))
