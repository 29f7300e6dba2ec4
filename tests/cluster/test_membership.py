import asyncio

from gateway.cluster.membership import View
from gateway.tenancy.capability import tag

LIFE = 6.0


def view(*others: str, unbroken: float = LIFE) -> View:
    made = View("me", LIFE)
    made.answered(100.0, unbroken, ())
    made.listed(1, ["me", *others])
    return made


def test_it_begins_with_itself() -> None:
    alone = View("me", LIFE)
    assert (set(alone.nodes), alone.version, alone.connected, alone.trusted(0.0)) == ({"me"}, None, False, False)
    assert alone.named_by(tag("me")) == "me"


def test_nodes_come_and_leave() -> None:
    async def run() -> None:
        seen = view("a", "b")
        assert set(seen.nodes) == {"me", "a", "b"}
        assert seen.named_by(tag("a")) == "a"
        gone, here = seen.gone("a"), seen.gone("b")
        seen.listed(2, ["b"])
        assert (set(seen.nodes), gone.is_set(), here.is_set()) == ({"me", "b"}, True, False)
        assert seen.named_by(tag("a")) is None
        seen.listed(3, ["a", "b"])
        assert not seen.gone("a").is_set(), "it is there again"

    asyncio.run(run())


def test_one_that_died() -> None:
    seen = view("a", "b")
    gone = seen.gone("a")
    seen.answered(101.0, LIFE + 1, ["a"])
    assert (set(seen.nodes), set(seen.dead), gone.is_set(), seen.gone("a").is_set()) == ({"me", "b"}, {"a"}, True, True)
    assert seen.named_by(tag("a")) is None
    seen.answered(102.0, LIFE + 2, [])
    assert (set(seen.nodes), set(seen.dead)) == ({"me", "a", "b"}, set()), "it is back"
    assert not seen.gone("a").is_set()


def test_nobody_is_dead_as_long_as_nobody_can_tell() -> None:
    seen = view("a", "b")
    gone = seen.gone("a")
    seen.answered(101.0, 0.5, ["a", "b", "me"])
    assert (set(seen.nodes), set(seen.dead), gone.is_set()) == ({"me", "a", "b"}, set(), False)
    seen.answered(107.0, LIFE, ["a", "me"])
    assert (set(seen.nodes), set(seen.dead), gone.is_set()) == ({"me", "b"}, {"a"}, True)


def test_who_was_dead_stays_so_while_nobody_can_tell() -> None:
    seen = view("a", "b")
    seen.answered(101.0, LIFE, ["a", "b"])
    seen.answered(102.0, 0.0, ["a"])
    assert set(seen.dead) == {"a"}


def test_trust() -> None:
    seen = view(unbroken=LIFE - 0.1)
    assert not seen.trusted(100.0)
    seen.answered(101.0, LIFE, ())
    assert seen.trusted(101.0)
    assert seen.trusted(101.0 + LIFE / 2)
    assert not seen.trusted(101.1 + LIFE / 2), "it has not asked for too long"
    seen.failed()
    assert not seen.trusted(101.0)


def test_what_is_said_once() -> None:
    seen = view()
    assert [seen.failed(), seen.failed(), seen.connected] == [True, False, False]
    assert [seen.answered(103.0, 0.0, ()), seen.answered(104.0, 1.0, ()), seen.connected] == [True, False, True]


def test_after_redis_was_away_the_fleet_recovers_for_a_while() -> None:
    seen = view()
    recovering = [seen.recovering]
    seen.failed()
    recovering.append(seen.recovering)
    for now, unbroken in ((110.0, 0.0), (115.0, 5.0), (116.0, LIFE), (130.0, 0.0)):
        seen.answered(now, unbroken, ())
        recovering.append(seen.recovering)
    assert recovering == [False, True, True, True, False, True]


def test_a_gap_that_only_redis_has_noticed() -> None:
    seen = view()
    assert seen.answered(103.0, 0.0, ())
    assert not seen.answered(104.0, 1.0, ())


def test_a_fleet_that_begins_does_not_recover() -> None:
    seen = view(unbroken=0.0)
    seen.answered(101.0, 1.0, ())
    assert not seen.recovering


def test_two_nodes_of_one_tag() -> None:
    names: dict[str, str] = {}
    number = 0
    while True:
        name = f"http://10.0.0.1:{number}"
        if (other := names.setdefault(tag(name), name)) != name:
            break
        number += 1
    seen = view(name, other)
    assert seen.named_by(tag(name)) is None
    seen.listed(2, [name])
    assert seen.named_by(tag(name)) == name


def test_who_has_not_come_back_yet_is_not_gone() -> None:
    """Redis has forgotten all, and this node hears of the others before they have all told it that they are there."""
    seen = view("a", "b")
    gone = seen.gone("a")
    seen.failed()
    seen.answered(110.0, 0.0, [])
    seen.listed(1, ["b"])
    assert (set(seen.nodes), gone.is_set(), seen.version) == ({"me", "a", "b"}, False, 1)
    seen.answered(112.0, 2.0, [])
    assert (gone.is_set(), seen.version) == (False, 1)
    seen.answered(110.0 + LIFE, LIFE, [])
    assert (seen.version, gone.is_set()) == (None, False), "the list is asked for again"
    seen.listed(3, ["b"])
    assert (set(seen.nodes), gone.is_set(), seen.version) == ({"me", "b"}, True, 3)
