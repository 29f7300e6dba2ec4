import base64
import hashlib
import hmac
import time

import pytest

from gateway.records import SessionId
from gateway.tenancy.capability import SESSION_LIFE, TICKET_LIFE, Capabilities, Claim, Scope, tag

NOW = 1_000_000.0
SESSION = SessionId("3b1f6c2a-9d84-47e0-8a55-0c6de1f2b793")
KEY = bytes(range(32))
CAPABILITIES = Capabilities(KEY)


@pytest.mark.parametrize("scope", [Scope.SESSION, Scope.RECONNECT])
@pytest.mark.parametrize("generation", [0, 1, 123_456_789])
def test_a_capability_says_which_session_what_for_and_of_which_generation(scope: Scope, generation: int) -> None:
    secret = CAPABILITIES.capability(SESSION, scope, generation=generation)
    assert CAPABILITIES.read(secret, NOW) == Claim(scope, session=SESSION, generation=generation)


def test_one_to_look_on_says_so() -> None:
    secret = CAPABILITIES.capability(SESSION, viewer=True)
    assert CAPABILITIES.read(secret, NOW) == Claim(Scope.SESSION, session=SESSION, viewer=True)
    assert CAPABILITIES.read(CAPABILITIES.capability(SESSION), NOW) == Claim(Scope.SESSION, session=SESSION)


def test_a_capability_ends_at_its_instant() -> None:
    secret = CAPABILITIES.capability(SESSION, expires=NOW + 0.5)
    assert CAPABILITIES.read(secret, NOW + 1) is not None  # rounded up
    assert CAPABILITIES.read(secret, NOW + 1.1) is None
    usual, now = CAPABILITIES.capability(SESSION), time.time()
    assert CAPABILITIES.read(usual, now + SESSION_LIFE - 60) is not None
    assert CAPABILITIES.read(usual, now + SESSION_LIFE + 60) is None


def test_it_begins_with_the_id_and_fits_into_a_path_and_a_query_as_it_is() -> None:
    secret = CAPABILITIES.capability(SESSION, generation=3)
    session, dot, rest = secret.partition(".")
    assert (session, dot) == (SESSION, ".")
    assert all(character.isalnum() or character in "-_" for character in rest)
    assert len(base64.urlsafe_b64decode(rest[-24:])) * 8 >= 128


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (SESSION, SessionId("7e40a1d8-52cb-4f96-b3e7-91d05a68c24f")),
        (".s3-", ".r3-"),
        (".s3-", ".v3-"),
        (".s3-", ".s4-"),
        ("-f4241-", "-ff4241-"),
        ("-f4241-", "-0f4241-"),
        (".s3-", ".s03-"),
        (".s3-", ".s٣-"),
    ],
)
def test_no_part_of_it_can_be_changed(part: str, other: str) -> None:
    secret = CAPABILITIES.capability(SESSION, generation=3, expires=NOW + 1)
    assert CAPABILITIES.read(secret, NOW) is not None
    assert secret.count(part) == 1
    assert CAPABILITIES.read(secret.replace(part, other), NOW) is None


def test_no_bit_of_its_mac_can_be_changed() -> None:
    secret = CAPABILITIES.capability(SESSION)
    for place in range(len(secret) - 24, len(secret)):
        changed = secret[:place] + ("A" if secret[place] != "A" else "B") + secret[place + 1 :]
        assert CAPABILITIES.read(changed, NOW) is None
    for changed in (secret[:-1], secret + "A", secret + "\n", secret + "=", secret[:-24]):
        assert CAPABILITIES.read(changed, NOW) is None


def early(scope: Scope) -> str:
    """As version 0.6 made them."""
    digest = hmac.digest(KEY, f"{scope}:{SESSION}".encode(), hashlib.sha256)
    return f"{SESSION}.{base64.urlsafe_b64encode(digest[:18]).decode()}"


@pytest.mark.parametrize("scope", [Scope.SESSION, Scope.RECONNECT])
def test_one_from_before_there_were_generations_is_good_for_sessions_from_then(scope: Scope) -> None:
    assert CAPABILITIES.read(early(scope), NOW) == Claim(scope, session=SESSION, generation=0)
    assert CAPABILITIES.read(early(Scope.CREATE), NOW) is None


def test_a_ticket_says_for_whom_until_it_is_too_old() -> None:
    ticket = CAPABILITIES.ticket("one", NOW)
    assert CAPABILITIES.read(ticket, NOW + TICKET_LIFE) == Claim(Scope.CREATE, tenant="one")
    assert CAPABILITIES.read(ticket, NOW + TICKET_LIFE + 1) is None


@pytest.mark.parametrize(
    "credential",
    [
        "",
        ".",
        "~",
        "~~",
        "a~b~c",
        f"{SESSION}.",
        f"{SESSION}~1~",
        "ü",
        "\udcff",
        f"{SESSION}.s1-ffffffff-",
        "." * 10**6,
    ],
)
def test_what_is_none_of_ours(credential: str) -> None:
    assert CAPABILITIES.read(credential, NOW) is None


def test_another_key_is_another_gateways() -> None:
    other = Capabilities(bytes(32))
    assert CAPABILITIES.read(other.capability(SessionId(SESSION)), NOW) is None
    assert CAPABILITIES.read(other.ticket("one", NOW), NOW) is None


def test_a_hint_is_signed_with_the_rest() -> None:
    node = tag("http://10.0.0.3:3000")
    secret = CAPABILITIES.capability(SESSION, generation=2, hint=node)
    assert CAPABILITIES.read(secret, NOW) == Claim(Scope.SESSION, session=SESSION, generation=2, hint=node)
    bare = CAPABILITIES.capability(SESSION, generation=2)
    for changed in (
        secret.replace(f"-{node}-", f"-{tag('http://10.0.0.4:3000')}-"),
        secret.replace(f"-{node}-", "-"),
        bare[:-24] + f"{node}-" + bare[-24:],
        secret.replace(f"-{node}-", f"-{node}0-"),
    ):
        assert changed != secret
        assert CAPABILITIES.read(changed, NOW) is None


@pytest.mark.parametrize("hint", [None, "0123ab"])
def test_a_mac_may_look_like_a_hint(hint: str | None) -> None:
    """A MAC has the same letters, and dashes: it is told from a hint by its length, whatever it is."""
    for generation in range(2000):
        secret = CAPABILITIES.capability(SESSION, generation=generation, expires=NOW, hint=hint)
        claim = CAPABILITIES.read(secret, NOW)
        assert claim is not None
        assert (claim.generation, claim.hint) == (generation, hint)


def test_a_tag_is_six_digits_of_the_name() -> None:
    names = [f"http://10.0.{high}.{low}:3000" for high in range(4) for low in range(250)]
    tags = {tag(name) for name in names}
    assert len(tags) > 990
    assert all(len(one) == 6 and int(one, 16) >= 0 for one in tags)
    assert tag(names[0]) == tag(names[0])
