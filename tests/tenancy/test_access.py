from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.records import SessionId, Tenant, new_session_id
from gateway.tenancy.access import NOBODY, TENANT, Access, Principal, Role
from gateway.tenancy.capability import TICKET_LIFE, Scope
from gateway.tenancy.secret import digest
from gateway.tenancy.tenants import Tenants

NOW = 1_000_000.0
KEY = bytes(range(32))
SESSION = SessionId("3b1f6c2a-9d84-47e0-8a55-0c6de1f2b793")


@pytest.fixture
def access() -> Access:
    return Access("the-token", KEY)


def refused(access: Access, credential: str | None, now: float = NOW) -> str:
    with pytest.raises(GatewayError) as error:
        access.principal(credential, now)
    assert error.value.code is Code.UNAUTHORIZED
    return error.value.message


def test_the_token_may_everything(access: Access) -> None:
    principal = access.principal("the-token", NOW)
    assert principal == Principal(TENANT, Role.ADMIN)
    principal.require_tenant()
    principal.require_create()


@pytest.mark.parametrize(
    "credential",
    ["", "the-toke", "the-token ", "THE-TOKEN", "ü", "\udcff", ".", "~", "~~", "a~b~c", f"{SESSION}.", "x" * 10**6],
)
def test_a_wrong_credential_is_refused_without_repeating_it(access: Access, credential: str) -> None:
    message = refused(access, credential)
    assert "the-token" not in message
    assert len(message) < 200


def test_a_missing_one_is_refused_with_how_to_give_it(access: Access) -> None:
    assert "?token=" in refused(access, None)


def test_without_a_token_nobody_needs_one() -> None:
    """Scripts that bring one all the same work unchanged; a capability is still for one session."""
    access = Access(None, KEY)
    for credential in (None, "anything", ""):
        assert access.principal(credential, NOW) == Principal(TENANT, Role.ADMIN)
    assert access.principal(access.capabilities.capability(SESSION), NOW).session == SESSION


@pytest.mark.parametrize("scope", [Scope.SESSION, Scope.RECONNECT])
def test_a_capability_is_for_one_session(access: Access, scope: Scope) -> None:
    secret = access.capabilities.capability(SESSION, scope)
    principal = access.principal(secret, NOW)
    assert principal == Principal(NOBODY, Role.USER, scope, SESSION)
    for ask in (principal.require_tenant, principal.require_create):
        with pytest.raises(GatewayError) as error:
            ask()
        assert error.value.code is Code.FORBIDDEN


def test_a_capability_fits_into_a_path_and_a_query_as_it_is(access: Access) -> None:
    assert all(character.isalnum() or character in "-_." for character in access.capabilities.capability(SESSION))


def test_a_capability_cannot_be_moved_or_made(access: Access) -> None:
    secret = access.capabilities.capability(SESSION)
    mac = secret.partition(".")[2]
    assert len(mac) >= 22, "at least 128 bits"
    refused(access, f"{new_session_id()}.{mac}")
    refused(access, secret[:-1])
    refused(access, secret + "A")
    refused(access, f"{SESSION}.{mac.swapcase()}")
    refused(Access("the-token", bytes(32)), secret)
    assert mac not in access.capabilities.capability(SESSION, Scope.RECONNECT)


def test_a_ticket_makes_sessions_for_an_hour(access: Access) -> None:
    ticket = access.capabilities.ticket(TENANT, NOW)
    for now in (NOW, NOW + TICKET_LIFE):
        principal = access.principal(ticket, now)
        assert principal == Principal(TENANT, Role.USER, Scope.CREATE)
        principal.require_create()
        with pytest.raises(GatewayError):
            principal.require_tenant()
    refused(access, ticket, NOW + TICKET_LIFE + 1)


def test_a_ticket_cannot_be_changed(access: Access) -> None:
    tenant, expiry, mac = access.capabilities.ticket(TENANT, NOW).split("~")
    refused(access, f"{tenant}~{int(expiry) + 3600}~{mac}")
    refused(access, f"other~{expiry}~{mac}")
    refused(access, f"{tenant}~{expiry}~")


def test_a_macs_scope_is_part_of_it(access: Access) -> None:
    # A ticket of a tenant who calls himself like a session must not open that session.
    mac = access.capabilities.ticket(SESSION, NOW).rpartition("~")[2]
    refused(access, f"{SESSION}.{mac}")
    secret = access.capabilities.capability(SESSION)
    refused(access, f"{secret[:-24]}{mac}")


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    file = tmp_path / "tenants.toml"
    file.write_text(TENANTS)
    return file


TENANTS = f"""
[tenants.one]
tokens = ["token-of-one"]
[tenants.two]
token_hashes = ["sha256:{digest("token-of-two")}"]
role = "viewer"
max_sessions = 2
"""


def test_tenants_by_their_tokens(tenants: Path) -> None:
    access = Access("the-token", KEY, Tenants(tenants))
    assert access.principal("token-of-one", NOW) == Principal("one", Role.USER)
    assert access.principal("token-of-two", NOW) == Principal("two", Role.VIEWER)
    assert access.principal("the-token", NOW) == Principal(TENANT, Role.ADMIN)
    for credential in (None, "", "one", digest("token-of-one"), f"sha256:{digest('token-of-two')}", "token-of-thre"):
        assert "token-of" not in refused(access, credential)
    assert access.tenant("two").max_sessions == 2
    assert access.tenant(TENANT) == Tenant(TENANT, Role.ADMIN)
    assert access.tenant("three").max_sessions == 0


def test_with_tenants_and_no_token_of_its_own_nobody_comes_in_without(tenants: Path) -> None:
    access = Access(None, KEY, Tenants(tenants))
    refused(access, None)
    refused(access, "anything")
    assert access.principal("token-of-one", NOW).tenant == "one"
    assert access.tenant(TENANT).max_sessions == 0


def test_a_tenant_that_is_no_more(tenants: Path) -> None:
    file = Tenants(tenants)
    access = Access("the-token", KEY, file)
    ticket, capability = access.capabilities.ticket("one", NOW), access.capabilities.capability(SESSION)
    assert access.principal(ticket, NOW) == Principal("one", Role.USER, Scope.CREATE)
    refused(access, access.capabilities.ticket("two", NOW))  # a viewer may make nothing
    tenants.write_text(TENANTS.replace("tenants.one", "tenants.three").replace("-of-one", "-of-three"))
    assert any([file.look(), file.look()])
    for credential in ("token-of-one", ticket):
        refused(access, credential)
    assert access.principal(capability, NOW).session == SESSION, "what runs goes on"
    assert access.principal("token-of-three", NOW).tenant == "three"
    refused(Access("the-token", KEY), ticket)  # nor are there any tenants any more


def test_whose_session_is_there() -> None:
    own, other = Principal("a", Role.USER), new_session_id()
    assert own.sees("a", SESSION)
    assert not own.sees("b", SESSION)
    assert Principal("b", Role.ADMIN).sees("a", SESSION)
    for scope in (Scope.SESSION, Scope.RECONNECT):
        bearer = Principal(NOBODY, Role.USER, scope, SESSION)
        assert bearer.sees("a", SESSION)
        assert not bearer.sees("a", other)
    for role in (Role.USER, Role.ADMIN):
        assert not Principal("a", role, Scope.CREATE).sees("a", SESSION), "a ticket is for a new one"
