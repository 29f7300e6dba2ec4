"""What other nodes are being asked fails when they die, and only then."""

import asyncio
from collections import defaultdict

import pytest

from browser_pool.tasks import crew
from gateway.web.forward_http import OwnerUnreachable
from gateway.web.under_way import UnderWay


class World:
    """Nodes that die when told."""

    def __init__(self) -> None:
        self.ends: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.died: list[str] = []

    def gone(self, node: str) -> asyncio.Event:
        return self.ends[node]


async def asked(under_way: UnderWay, node: str, begun: asyncio.Event) -> str:
    try:
        async with under_way.at(node):
            begun.set()
            await asyncio.Event().wait()
    except OwnerUnreachable as error:
        return f"gone {error.gone}, sent {error.sent}"
    return "answered"


async def test_what_a_dead_node_was_asked_fails_and_nothing_else() -> None:
    world = World()
    async with crew(0) as watch:
        under_way = UnderWay(world.gone, watch, world.died.append)
        async with asyncio.TaskGroup() as group:
            begun = [asyncio.Event() for _ in range(3)]
            first = [group.create_task(asked(under_way, "a", begun[number])) for number in (0, 1)]
            other = group.create_task(asked(under_way, "b", begun[2]))
            for event in begun:
                await event.wait()
            assert len(under_way) == 3
            under_way.end("a")
            under_way.end("a")
            under_way.end("nobody")
            assert [await task for task in first] == ["gone True, sent True"] * 2
            assert len(under_way) == 1
            assert not other.done()
            under_way.end("b")
        assert len(under_way) == 0
        async with under_way.at("a"):  # it is back, and asked anew
            await asyncio.sleep(0)
    assert world.died == []


async def test_a_timeout_of_who_asks_is_theirs() -> None:
    async with crew(0) as watch:
        under_way = UnderWay(World().gone, watch, lambda node: None)
        with pytest.raises(TimeoutError):
            async with under_way.at("a"):
                raise TimeoutError
        assert len(under_way) == 0


async def test_a_death_is_told_once_each_time() -> None:
    world, told = World(), asyncio.Event()

    def died(node: str) -> None:
        world.died.append(node)
        told.set()

    async with crew(0) as watch:
        under_way = UnderWay(world.gone, watch, died)
        for count in (1, 2):
            for _ in range(3):
                under_way.follow("a")
            under_way.follow("b")
            world.ends["a"].set()
            await told.wait()
            assert world.died == ["a"] * count
            told.clear()
            world.ends["a"].clear()
