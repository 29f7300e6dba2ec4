"""What counts of what several nodes have put there: every order of two writers' steps, without any storage."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations

import pytest

from gateway.snapshot.blobs import Blob
from gateway.snapshot.claims import Copy, Held, Plan, Stored, orphans, plan, read_claim, stored, token, write_claim

A, B, C = "a" * 16, "b" * 16, "c" * 16


def listed(*names: str) -> Stored:
    return stored([Blob(f"s/{name}", 10, 0.0) for name in names], "s")


def test_a_listing_is_read() -> None:
    found = listed(
        f"1.2.{A}.manifest", "2.stop", "2.claim", "pack-0f.aa", "pack-0f.bb", "notes.txt", "x.stop", "1.2.zz.manifest"
    )
    assert found.copies == (Copy(2, 1, A),)
    assert found.copies[0].name == f"1.2.{A}.manifest"
    assert (set(found.stops), set(found.claims), found.size) == ({2}, {2}, 80)
    assert found.packs == {"pack-0f": ("pack-0f.aa", "pack-0f.bb")}
    assert (found.highest, found.owner) == (2, 2)
    assert Copy.of(3, 1, b"x") == Copy(3, 1, token(b"x"))
    empty = listed()
    assert (empty.highest, empty.owner, empty.valid(), empty.claimed) == (0, 0, (), False)


@pytest.mark.parametrize(
    ("names", "taken", "valid", "stale"),
    [
        pytest.param([f"1.1.{A}.manifest", f"1.2.{B}.manifest"], [], "1.1 1.2", "", id="the first incarnation"),
        pytest.param([f"1.1.{A}.manifest", "2.stop"], [], "1.1", "", id="a stop is no claim"),
        pytest.param(
            [f"1.1.{A}.manifest", f"1.2.{B}.manifest", "2.stop", "2.claim"],
            [f"1.1.{A}.manifest"],
            "1.1",
            f"1.2.{B}.manifest 2.stop",
            id="what came after the claim",
        ),
        pytest.param(
            [f"1.1.{A}.manifest", f"2.2.{B}.manifest", f"1.2.{C}.manifest", "2.claim"],
            [f"1.1.{A}.manifest"],
            "1.1 2.2",
            f"1.2.{C}.manifest",
            id="one version twice",
        ),
        pytest.param(
            [f"1.1.{A}.manifest", f"2.2.{B}.manifest", "2.claim", "3.claim", "1.stop", "3.stop"],
            [f"2.2.{B}.manifest"],
            "2.2",
            f"1.1.{A}.manifest 2.claim 1.stop 3.stop",
            id="the highest claim alone",
        ),
        pytest.param([f"0.4.{A}.manifest", f"0.4.{B}.manifest"], [], "0.4", "", id="two that saved a profile at once"),
        pytest.param(["2.claim", "3.stop"], [f"1.1.{A}.manifest"], "", "", id="what was claimed is gone"),
    ],
)
def test_what_counts(names: list[str], taken: list[str], valid: str, stale: str) -> None:
    for order in permutations(names):
        found = listed(*order)
        count = found.valid(read_claim(write_claim(copy for copy in listed(*taken).copies)))
        assert " ".join(f"{copy.fence}.{copy.version}" for copy in count) == valid
        assert sorted(found.stale(count)) == sorted(stale.split())


@dataclass
class World:
    """A storage that is a set of names, and the claims' contents."""

    names: set[str] = field(default_factory=lambda: {f"1.1.{A}.manifest"})
    claims: dict[int, frozenset[str]] = field(default_factory=dict)

    def valid(self) -> tuple[Copy, ...]:
        found = listed(*self.names)
        return found.valid(self.claims[found.owner] if found.claimed else ())


def saves(world: World, fence: int, version: int, letter: str, said: list[str]) -> Iterator[None]:
    """A node that saves a version: it says so only if it has seen no stop."""
    copy = Copy(version, fence, letter * 16)
    world.names.add(copy.name)
    yield
    if listed(*world.names).highest <= fence:
        said.append(copy.name)


def claims(world: World, fence: int, said: list[str]) -> Iterator[None]:
    world.names.add(f"{fence}.stop")
    yield
    there, valid = listed(*world.names), world.valid()
    if there.highest > fence:
        return
    yield
    world.claims[fence] = frozenset(copy.name for copy in valid)
    world.names.add(f"{fence}.claim")
    yield
    yield from saves(world, fence, max((copy.version for copy in valid), default=0) + 1, "b", said)


def orders(counts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All in which so many steps of each can follow each other."""
    if not any(counts):
        yield ()
    for who, left in enumerate(counts):
        if left:
            yield from ((who, *rest) for rest in orders((*counts[:who], left - 1, *counts[who + 1 :])))


def test_two_writers_in_every_order() -> None:
    """What was said to be saved counts for good, and what the follower wrote is the newest for good."""
    seen = set()
    for order in orders((4, 5)):
        world, said = World(), list[str]()

        def late(world: World = world, said: list[str] = said) -> Iterator[None]:
            yield from saves(world, 1, 2, "c", said)
            yield
            yield from saves(world, 1, 3, "d", said)

        steps = [late(), claims(world, 2, said)]
        for who in order:
            next(steps[who], None)
            count = [copy.name for copy in world.valid()]
            lost = [name for name in said if name not in count]
            assert not lost, (order, count)
        newest = world.valid()[-1]
        assert newest.fence == 2, (order, newest)
        assert f"1.1.{A}.manifest" in count
        seen.add(tuple(count))
    assert len(seen) == 3  # before, between and after the late ones


def test_three_writers_in_every_order() -> None:
    for order in orders((2, 4, 5)):
        world, said = World(), list[str]()
        steps = [saves(world, 1, 2, "c", said), claims(world, 2, said), claims(world, 3, said)]
        for who in order:
            next(steps[who], None)
        count = [copy.name for copy in world.valid()]
        assert world.valid()[-1].fence == 3, order
        assert [name for name in said if name not in count] == [], (order, said, count)


@pytest.mark.parametrize(
    ("valid", "owner", "here", "gone", "wanted"),
    [
        pytest.param((), 0, {}, (), Plan((), (), ()), id="nothing"),
        pytest.param((Copy(1, 1, A),), 1, {}, (), Plan((Copy(1, 1, A),), (), ()), id="all is there"),
        pytest.param(
            (Copy(1, 1, A),),
            1,
            {1: Held(0, "", f"1.1.{A}.manifest")},
            (),
            Plan((), (), (Copy(1, 1, A),)),
            id="known by its name",
        ),
        pytest.param(
            (Copy(1, 1, A),), 1, {1: Held(1, A)}, (), Plan((), (), (Copy(1, 1, A),)), id="known by its content"
        ),
        pytest.param((Copy(1, 1, A),), 1, {2: Held(1, B)}, (), Plan((Copy(1, 1, A),), (), ()), id="not shared yet"),
        pytest.param((), 0, {1: Held(3, A), 2: Held(3, B)}, (), Plan((), (), ()), id="nothing was shared yet"),
        pytest.param(
            (Copy(2, 2, A),), 2, {3: Held(1, B)}, (), Plan((Copy(2, 2, A),), (3,), ()), id="of before the claim"
        ),
        pytest.param((Copy(2, 1, A),), 1, {2: Held(1, B)}, (), Plan((Copy(2, 1, A),), (2,), ()), id="another content"),
        pytest.param((), 1, {1: Held(0, "", f"1.1.{A}.manifest")}, (), Plan((), (1,), ()), id="removed by others"),
        pytest.param((Copy(1, 1, A),), 1, {}, (f"1.1.{A}.manifest",), Plan((), (), ()), id="removed here"),
    ],
)
def test_what_a_node_does_about_it(
    valid: tuple[Copy, ...], owner: int, here: dict[int, Held], gone: tuple[str, ...], wanted: Plan
) -> None:
    assert plan(valid, owner, here, gone) == wanted


def test_packs_that_nobody_names() -> None:
    found = listed(f"1.1.{A}.manifest", "pack-01.aa", "pack-02.aa", "pack-02.bb", "pack-03.aa")
    names = {f"1.1.{A}.manifest": frozenset({"pack-01"})}
    assert orphans(found, names, None) == ("pack-02.aa", "pack-02.bb", "pack-03.aa")
    assert orphans(found, names, frozenset({"pack-03"})) == ("pack-03.aa",)
    assert orphans(found, {}, None) == ()  # who knows what that one needs


def test_a_claim_that_is_none() -> None:
    for data in (b"", b"{}", b"\xff"):
        with pytest.raises(ValueError):  # noqa: PT011
            read_claim(data)
