"""Mouse and keyboard over one page: what the page gets, also when something goes wrong in the middle."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.pages.computer import Click, Drag, Press, Type, Wait
from gateway.pages.hand import Hand, Point, Reach
from gateway.pages.keys import chord
from tests.pages.desktop import Desktop, desktop


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path, headless="shell") as running:
        await running.act(Wait(0.01), picture=True)  # it has been drawn
        yield running


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["name"] for event in events]


async def test_what_pages_get(desk: Desktop) -> None:
    clicked = await desk.done(Click(Point(20, 30), times=2))
    assert names(clicked) == ["mousemove", *["mousedown", "mouseup", "click"] * 2, "dblclick"]
    assert [event["count"] for event in clicked if event["name"] == "mousedown"] == [1, 2]
    assert [event["buttons"] for event in clicked] == [0, 1, 0, 0, 1, 0, 0, 0]
    assert {tuple(event["at"]) for event in clicked} == {(20, 30)}

    right = await desk.done(Click(Point(700, 30), button="right", held=chord(["Control"])))
    assert {"contextmenu", "mousedown", "mouseup"} <= set(names(right))
    assert {(event["button"], event["mods"]) for event in right if event["name"] == "mousedown"} == {(2, "C")}
    assert (right[0]["key"], right[-1]["key"], right[-1]["mods"]) == ("Control", "Control", "")

    await desk.done(Click(Point(20, 30)))
    typed = await desk.done(Type("aB1!"))
    keys = [(e["name"], e["key"], e["code"], e["which"], e["mods"]) for e in typed if e["name"] == "keydown"]
    assert keys == [
        ("keydown", "a", "KeyA", 65, ""),
        ("keydown", "Shift", "ShiftLeft", 16, "S"),
        ("keydown", "B", "KeyB", 66, "S"),
        ("keydown", "1", "Digit1", 49, ""),
        ("keydown", "Shift", "ShiftLeft", 16, "S"),
        ("keydown", "!", "Digit1", 49, "S"),
    ]
    assert names(typed).count("keyup") == len(keys)
    assert "keydown" not in names(await desk.done(Type("é👍🏽")))
    await desk.done(Type("\n2"))
    assert await desk.eval("text.value") == "aB1!é👍🏽\n2"

    combined = await desk.done(Press(chord(["Control+A"])))  # as everyone means it: without Shift
    assert [(event["key"], event["mods"]) for event in combined] == [
        ("Control", "C"),
        ("a", "C"),
        ("a", "C"),
        ("Control", ""),
    ]
    await desk.done(Press(chord(["Delete"])))
    assert await desk.eval("text.value") == ""

    dragged = await desk.done(Drag((Point(20, 220), Point(320, 220), Point(325, 225))))
    assert {"dragstart", "drop"} <= set(names(dragged))
    free = await desk.done(Drag((Point(700, 220), Point(800, 220))))
    moves = [event for event in free if event["name"] == "mousemove"]
    assert len(moves) > 4
    assert {event["buttons"] for event in moves[1:]} == {1}
    assert names(free)[-2:] == ["mouseup", "click"]
    assert desk.session.browser is not None


async def test_nothing_stays_down_where_a_page_breaks_off(desk: Desktop) -> None:
    async with desk.session.used() as browser, browser.devtools.attached(next(iter(browser.pages))) as session:
        hand = Hand()
        reach = Reach(hand, browser.devtools, session)
        await reach.move(Point(700, 300))
        with pytest.raises(ZeroDivisionError):
            async with reach.holding(chord(["Control", "Shift"])):
                raise ZeroDivisionError
        assert reach.modifiers == 0
        holding = asyncio.create_task(reach.stroke(chord(["a"]), seconds=60))
        while not await desk.eval("log.some(event => event.key === 'a')"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
        assert await desk.eval("log.filter(event => event.key === 'a').map(event => event.name).join()") == (
            "keydown,keyup"
        )
        await reach.press("left")
        assert hand.buttons == 1
        await reach.release("left")
        assert hand.buttons == 0
