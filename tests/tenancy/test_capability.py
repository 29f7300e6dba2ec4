import pytest

from gateway.records import SessionId, new_session_id
from gateway.tenancy.capability import TICKET_LIFE, Capabilities, Claim, Scope

NOW = 1_000_000.0
SESSION = new_session_id()
CAPABILITIES = Capabilities(bytes(range(32)))


@pytest.mark.parametrize("scope", [Scope.SESSION, Scope.RECONNECT])
def test_a_capability_says_which_session_and_what_for(scope: Scope) -> None:
    assert CAPABILITIES.read(CAPABILITIES.capability(SESSION, scope), NOW) == Claim(scope, session=SESSION)


def test_a_ticket_says_for_whom_until_it_is_too_old() -> None:
    ticket = CAPABILITIES.ticket("one", NOW)
    assert CAPABILITIES.read(ticket, NOW + TICKET_LIFE) == Claim(Scope.CREATE, tenant="one")
    assert CAPABILITIES.read(ticket, NOW + TICKET_LIFE + 1) is None


@pytest.mark.parametrize("credential", ["", ".", "~", "~~", "a~b~c", f"{SESSION}.", f"{SESSION}~1~", "ü", "\udcff"])
def test_what_is_none_of_ours(credential: str) -> None:
    assert CAPABILITIES.read(credential, NOW) is None


def test_another_key_is_another_gateways() -> None:
    other = Capabilities(bytes(32))
    assert CAPABILITIES.read(other.capability(SessionId(SESSION)), NOW) is None
    assert CAPABILITIES.read(other.ticket("one", NOW), NOW) is None
