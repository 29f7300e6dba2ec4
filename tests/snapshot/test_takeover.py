"""Two nodes that write one session, in every order of their steps; and a node that is killed at any of them."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.blobs import DirectoryBlobs
from gateway.snapshot.document import ContextDocument, OriginState
from gateway.snapshot.seal import Sealer
from gateway.snapshot.shared import SharedVault
from tests.snapshot.stepping import Actor, Killed, Stepping, in_order
from tests.snapshot.test_vault import SESSION

Work = Callable[[], Coroutine[Any, Any, None]]
SAID = ["second", "late", "first"]  # what the one is told to be saved, in this order
SHARE = 37  # of the orders one in so many is tried


def document(word: str) -> ContextDocument:
    """Of its own in all it says: what one version needs is in a pack that no other needs, if it says something else."""
    return ContextDocument(origins=(OriginState("https://x.test", (("word", word * 200),)),), missing=(word,))


def word_of(found: ContextDocument) -> str:
    (word,) = found.missing
    assert found == document(word)
    return word


async def save(vault: SharedVault, word: str, fence: int) -> None:
    await vault.save(SESSION, document(word), profile=None, kind="chromium", reason="r", fence=fence)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here loses its power, and waiting for a disk is what takes long."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


class Nodes:
    """Two that write, `one` and its follower `two`; what each was told to be saved is in `said`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.stores = [Stepping(DirectoryBlobs(place / "store")) for _ in range(2)]
        self.vaults = [self.vault("one", self.stores[0]), self.vault("two", self.stores[1])]
        self.said: list[str] = []
        asyncio.run(self._begin())

    def vault(self, name: str, store: Stepping) -> SharedVault:
        return SharedVault(self.place / name, Sealer(), store, keep=1)

    async def _begin(self) -> None:
        await self.vaults[0].claim(SESSION, 1)
        for word in ("first", "second"):
            await save(self.vaults[0], word, 1)
            self.said = [word]
        await self.vaults[1].load_document(SESSION)  # it knows it already
        for store in self.stores:
            store.calls.clear()

    async def late(self) -> None:
        """What the one does that does not know yet: the second says again what nobody keeps any more."""
        try:
            for word in ("late", "first"):
                await save(self.vaults[0], word, 1)
                self.said.append(word)
        except GatewayError as error:
            assert error.code is Code.FENCED, error.message  # noqa: PT017

    async def follow(self) -> None:
        vault = self.vaults[1]
        await vault.claim(SESSION, 2)
        found = word_of(await vault.load_document(SESSION))
        assert found in ("second", "late", "first")
        for word in (f"after {found}", "first", found):
            await save(vault, word, 2)
            self.said.append(word)

    def close(self) -> None:
        for vault in self.vaults:
            vault.close()


async def looked(nodes: Nodes, name: str) -> list[str]:
    """What a node finds that had nothing to do with it: all versions whole."""
    vault = nodes.vault(name, Stepping(DirectoryBlobs(nodes.place / "store")))
    try:
        infos = await vault.list(SESSION)
        return [word_of(await vault.load_document(SESSION, info.version)) for info in infos]
    finally:
        vault.close()


def counts(place: Path) -> tuple[int, int]:
    """Calls that each makes when it is alone."""
    nodes = Nodes(place)
    asyncio.run(nodes.late())
    asyncio.run(nodes.follow())
    nodes.close()
    return len(nodes.stores[0].calls), len(nodes.stores[1].calls)


def turns(ones: int, twos: int) -> Iterator[list[int]]:
    """The one is interrupted once, by the other, which is interrupted once; and the other way about."""
    for first in range(ones + 1):
        for other in range(0, twos + 1, 2):
            yield [0] * first + [1] * other + [0] * (ones - first) + [1] * (twos - other)
    for other in range(0, twos + 1, 2):
        for first in range(0, ones + 1, 2):
            yield [1] * other + [0] * first + [1] * (twos - other) + [0] * (ones - first)


def raced(place: Path, order: list[int]) -> None:
    nodes = Nodes(place)
    actors = [Actor(nodes.stores[0], nodes.late), Actor(nodes.stores[1], nodes.follow)]
    in_order(actors, order)
    found = asyncio.run(looked(nodes, "third"))
    nodes.close()
    assert [actor.failed for actor in actors] == [None, None], (order, [actor.failed for actor in actors])
    # The follower kept one version, its last, which says again what it went on from: what the other was told by then.
    begin = next(word for word in nodes.said if word.startswith("after ")).removeprefix("after ")
    assert found == [begin], (order, found, nodes.said)
    before = nodes.said[: nodes.said.index(f"after {begin}")]
    assert SAID.index(begin) >= max(SAID.index(word) for word in before if word in SAID), (order, nodes.said)


def test_the_follower_has_the_last_word_whatever_the_order(tmp_path: Path) -> None:
    ones, twos = counts(tmp_path / "alone")
    assert ones >= 6
    assert twos >= 12
    for number, order in enumerate(turns(ones, twos)):
        if number % SHARE == 0:
            raced(tmp_path / str(number), order)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_node_killed_at_any_step_leaves_what_it_said_and_harms_nothing(tmp_path: Path, late: bool) -> None:
    """Before or after each of its calls has been done; the follower goes on, and so does its own next process."""
    for number in range(100):
        nodes = Nodes(tmp_path / f"{number}")

        def kill(call: int, name: str, at: int = number) -> None:
            if call >= at:
                raise Killed

        setattr(nodes.stores[0], "after" if late else "before", kill)
        killed = False
        try:
            asyncio.run(nodes.late())
        except Killed:
            killed = True
        (found,) = asyncio.run(looked(nodes, "third"))[-1:]
        assert SAID.index(found) >= SAID.index(nodes.said[-1]), (number, found, nodes.said)
        for name in ("one", "two") if number % 2 else ("two", "one"):
            again = nodes.vault(name, Stepping(DirectoryBlobs(nodes.place / "store")))
            asyncio.run(_goes_on(again, 2 if name == "two" else 3, SAID.index(found)))
            again.close()
            if name == "one" and number % 2 == 0:
                break
        nodes.close()
        if not killed:
            assert number > 6
            return
    raise AssertionError("it makes no end of calls")


async def _goes_on(vault: SharedVault, fence: int, least: int) -> None:
    await asyncio.to_thread(vault.sweep)
    try:
        await vault.claim(SESSION, fence)
    except GatewayError as error:
        assert error.code is Code.FENCED  # noqa: PT017
        return
    found = word_of(await vault.load_document(SESSION))
    assert found == "mine" or SAID.index(found) >= least
    await save(vault, "mine", fence)
    assert word_of(await vault.load_document(SESSION)) == "mine"
    assert len(await vault.list(SESSION)) == 1
