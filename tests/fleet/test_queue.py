"""A full fleet: who waits is served in turn, on whichever node there is room."""

import asyncio
from pathlib import Path
from typing import Any

from tests.fleet.nodes import Fleet, Node, fleet
from tests.fleet.test_routing import told
from tests.journeys.driving import wire
from tests.journeys.running import eventually_asked


async def queued(node: Node, count: int) -> Any:
    """/pressure, once that many wait."""

    async def look() -> Any:
        now = (await told(node.runs, "GET", "/pressure"))["pressure"]
        return now if now["queued"] == count else None

    return await eventually_asked(f"{count} wait", look, 40)


async def create(node: Node) -> str:
    return str((await node.runs.create(processKeepAlive=120_000))["id"])


async def test_sessions_are_placed_where_there_is_room_and_wait_in_turn(tmp_path: Path) -> None:
    async with fleet(tmp_path, max_sessions="1", queue_length="2") as three:
        one, two, _ = three.nodes
        # All asked of one node: each gets a node of its own.
        made = [await create(one) for _ in range(3)]
        assert {len(node.sessions()) for node in three.nodes} == {1}
        await waiting(three, made)
        # A client that gives up leaves the queue, over whatever node it came.
        async with asyncio.TaskGroup() as group:
            giving_up = group.create_task(two.runs.request("POST", "/session", json={}))
            await queued(one, 1)
            giving_up.cancel()
        await queued(one, 0)
        # A websocket waits like all others.
        async with asyncio.TaskGroup() as group:
            driven = group.create_task(standard(two))
            await queued(one, 1)
            await told(one.runs, "DELETE", f"/session/{made.pop()}")
        assert driven.result() == 2


async def standard(node: Node) -> int:
    async with wire(node.runs.driver("/")) as client:
        return int(await client.evaluate("1 + 1", await client.page()))


async def waiting(three: Fleet, made: list[str]) -> None:
    """Two wait, at two nodes; a third is refused; as places come back they are served in the order of their coming."""
    one, two, third = three.nodes
    async with asyncio.TaskGroup() as group:
        first = group.create_task(create(two))
        now = await queued(one, 1)
        assert (now["running"], now["maxConcurrent"], now["isAvailable"], now["reason"]) == (3, 3, False, "full")
        second = group.create_task(create(third))
        assert (await queued(two, 2))["positions"] == [1, 2]
        full = await one.runs.request("POST", "/session", json={})
        assert full.status == 429, full.body
        assert int(full.headers["Retry-After"]) >= 1
        assert (await one.runs.request("GET", "/active")).status == 429
        await told(third.runs, "DELETE", f"/session/{made.pop(0)}")
        await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        assert first.done()
        assert not second.done()
        await told(two.runs, "DELETE", f"/session/{made.pop(0)}")
    made += [first.result(), second.result()]
    assert {len(node.sessions()) for node in three.nodes} == {1}
