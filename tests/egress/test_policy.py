"""Who may open, who may narrow, and who wins."""

from ipaddress import ip_address

import pytest

from gateway.egress.policy import NOT_ALLOWED, EgressPolicy
from gateway.records import Egress, Rules

PUBLIC = "93.184.216.34"


def rule(
    host: str, address: str, node: Rules | None = None, tenant: Rules | None = None, session: Egress | None = None
) -> str | None:
    policy = EgressPolicy.joined(node or Rules(), tenant or Rules(), session or Egress())
    return policy.of_address(host, 80, ip_address(address))


def test_by_default_what_is_public_is_open() -> None:
    assert rule("example.com", PUBLIC) is None
    assert rule("example.com", "10.0.0.1") == "private-address"
    assert rule("example.com", "169.254.169.254") == "metadata-address"


@pytest.mark.parametrize("text", ["10.0.0.0/8", "intranet.example", "*.example", "10.0.0.1:80"])
def test_node_and_tenant_open(text: str) -> None:
    assert rule("intranet.example", "10.0.0.1", node=Rules((text,))) is None
    assert rule("intranet.example", "10.0.0.1", tenant=Rules((text,))) is None
    assert rule("example.com", PUBLIC, tenant=Rules((text,))) is None  # it closes nothing


@pytest.mark.parametrize("text", ["*", "*:80", "10.0.0.0/8:443", "other.example"])
def test_what_opens_nothing_private(text: str) -> None:
    assert rule("intranet.example", "10.0.0.1", node=Rules((text,))) == "private-address"


def test_a_session_cannot_widen() -> None:
    assert rule("a.example", "10.0.0.1", session=Egress(("10.0.0.0/8",))) == "private-address"
    assert rule("a.example", "10.0.0.1", session=Egress(("10.0.0.0/8", "a.example"))) == "private-address"


def test_an_admins_session_can() -> None:
    assert rule("a.example", "10.0.0.1", session=Egress(("10.0.0.0/8",), opens=True)) is None
    denied = Rules(deny=("10.0.0.0/8",))
    assert rule("a.example", "10.0.0.1", denied, session=Egress(("10.0.0.0/8",), opens=True)) == "denied: 10.0.0.0/8"


def test_a_session_narrows() -> None:
    only = Egress(("*.good.example", "93.184.216.34:80"))
    assert rule("www.good.example", "1.1.1.1", session=only) is None
    assert rule("bad.example", "1.1.1.1", session=only) == NOT_ALLOWED
    assert rule("bad.example", PUBLIC, session=only) is None
    tenant = Rules(("10.0.0.0/8",))
    assert rule("a.good.example", "10.0.0.1", tenant=tenant, session=only) is None
    assert rule("a.bad.example", "10.0.0.1", tenant=tenant, session=only) == NOT_ALLOWED


@pytest.mark.parametrize("owner", ["node", "tenant"])
def test_deny_wins_over_the_same_and_any_other_owner(owner: str) -> None:
    both = {owner: Rules(("ads.example",), ("*.example",))}
    session = Egress(("ads.example",), opens=True)
    assert rule("ads.example", PUBLIC, session=session, **both) == "denied: *.example"
    assert rule("a.test", "10.0.0.1", Rules(("10.0.0.0/8",)), Rules(deny=("10.0.0.0/8",))) == "denied: 10.0.0.0/8"


def test_a_star_in_deny_makes_allow_all_there_is() -> None:
    tenant = Rules(("good.example", "10.0.0.0/8"), ("*", "evil.good.example"))
    assert rule("good.example", PUBLIC, tenant=tenant) is None
    assert rule("a.example", "10.0.0.1", tenant=tenant) is None
    assert rule("bad.example", PUBLIC, tenant=tenant) == NOT_ALLOWED
    assert rule("evil.good.example", PUBLIC, tenant=tenant) == "denied: evil.good.example"
    assert rule("a.example", PUBLIC, session=Egress(deny=("*",))) == NOT_ALLOWED


def test_what_is_said_before_a_name_is_resolved() -> None:
    policy = EgressPolicy.joined(Rules(), Rules(), Egress(("good.example",), ("bad.good.example",)))
    assert policy.of_name("good.example", 80) is None
    assert policy.of_name("other.example", 80) == NOT_ALLOWED
    assert policy.of_name("bad.good.example", 80) == "denied: bad.good.example"
    # A network may hold what the name resolves to.
    assert EgressPolicy.joined(Rules(), Rules(), Egress(("10.0.0.0/8",))).of_name("a.example", 80) is None


def test_names_that_an_upstream_resolves() -> None:
    policy = EgressPolicy.joined(Rules(), Rules(), Egress(("good.example", "10.0.0.0/8")))
    assert policy.of_upstream_name("good.example", 80) is None
    assert policy.of_upstream_name("a.example", 80) == NOT_ALLOWED
    assert EgressPolicy.joined(Rules(), Rules(), Egress()).of_upstream_name("x.localhost", 80) == "loopback-address"


def test_the_way_to_a_proxy() -> None:
    """The session's list is about destinations; but its proxy must not lead into the machine either."""
    session = Egress(("good.example",), ("proxy.example",))
    policy = EgressPolicy.joined(Rules(deny=("denied.example",)), Rules(), session).for_proxy("proxy.example:3128")
    assert policy.of_address("proxy.example", 3128, ip_address(PUBLIC)) is None
    assert policy.of_address("proxy.example", 3128, ip_address("10.0.0.1")) == "private-address"
    assert policy.of_address("denied.example", 3128, ip_address(PUBLIC)) == "denied: denied.example"
    admins = EgressPolicy.joined(Rules(), Rules(), Egress(opens=True)).for_proxy("proxy.example:3128")
    assert admins.of_address("proxy.example", 3128, ip_address("10.0.0.1")) is None
    assert admins.of_address("proxy.example", 3129, ip_address("10.0.0.1")) == "private-address"
