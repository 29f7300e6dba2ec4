from uuid import UUID

import pytest

from gateway.cluster.fleet import Lease
from gateway.cluster.leases import BATCH, Held, Token, lease_of, new_nonce
from gateway.records import SessionId

SESSION = SessionId(str(UUID(int=1)))


@pytest.mark.parametrize(
    "token",
    [
        Token("http://a:3000", 7, "abc", "shop"),
        Token("https://[fd00::1]:3000", 1795281569022, "abc", "shop", "main"),
        Token("http://a:3000", 7, "abc", "shop", "a|name|with||bars"),
    ],
    ids=["plain", "named", "bars"],
)
def test_a_lease_is_read_as_it_was_written(token: Token) -> None:
    assert Token.read(str(token)) == token
    assert lease_of(SESSION, str(token)) == Lease(SESSION, token.node, str(token))


@pytest.mark.parametrize("text", ["", "http://a:3000", "a|b|c|d|e", "a|1|c|d"], ids=["empty", "node", "epoch", "short"])
def test_what_is_no_lease(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        Token.read(text)


def test_nonces_differ() -> None:
    assert len({new_nonce() for _ in range(100)}) == 100


def lease(number: int, token: str = "one") -> Lease:
    return Lease(SessionId(str(UUID(int=number))), "a", token)


def test_one_lease_of_each_session() -> None:
    held = Held()
    held.add(lease(1))
    held.add(lease(2))
    held.add(lease(1, "two"))
    assert (len(held), set(held)) == (2, {lease(1, "two"), lease(2)})
    assert lease(1) not in held
    assert not held.remove(lease(1)), "a later one has followed it"
    assert held.remove(lease(1, "two"))
    assert not held.remove(lease(1, "two"))
    assert list(held) == [lease(2)]


@pytest.mark.parametrize(
    ("number", "sizes"),
    [(0, [0]), (1, [1]), (BATCH, [BATCH]), (BATCH + 1, [BATCH, 1]), (3 * BATCH, [BATCH] * 3)],
    ids=str,
)
def test_batches(number: int, sizes: list[int]) -> None:
    held = Held()
    for one in range(number):
        held.add(lease(one))
    batches = list(held.batches())
    assert [len(batch) for batch in batches] == sizes
    assert {one for batch in batches for one in batch} == set(held)


def test_what_is_given_back_meanwhile_is_still_in_the_batch() -> None:
    held = Held()
    for one in range(BATCH + 1):
        held.add(lease(one))
    batches = held.batches()
    first = next(batches)
    held.remove(first[0])
    held.remove(lease(BATCH))
    assert (len(first), next(batches)) == (BATCH, [lease(BATCH)])
