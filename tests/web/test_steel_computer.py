"""Steel's computer actions, by the real SDK: what agents call."""

import base64
from typing import Any
from urllib.parse import quote

import pytest
from steel import APIStatusError, AsyncSteel

from gateway.pages.computer import Click, Press, Where
from gateway.pages.hand import Point
from gateway.pages.keys import key_named
from gateway.web.steel_computer import KINDS, action_of, read_action
from tests.journeys.running import Gateway, eventually_asked

PAGE = quote("""<title>form</title><body style="margin: 0"><input id=name style="width: 200px; height: 50px">
<button style="position: absolute; left: 300px; top: 0; width: 100px; height: 50px" onclick="
document.title = document.getElementById('name').value + '!'">go</button>""")


async def test_an_agent_fills_in_a_form(gateway: Gateway) -> None:
    created = await gateway.create(url=f"data:text/html,{PAGE}", headless="shell", processKeepAlive=60_000)
    async with AsyncSteel(
        steel_api_key=gateway.token, base_url=gateway.url, _strict_response_validation=True, max_retries=0
    ) as steel:

        async def act(**action: Any) -> Any:
            reply = await steel.sessions.computer(created["id"], **action)
            assert reply.error is None, reply
            return reply

        first = await act(action="take_screenshot")
        assert base64.b64decode(first.base64_image).startswith(b"\x89PNG")
        await act(action="click_mouse", coordinates=[50, 25])
        await act(action="type_text", text="wrong")
        await act(action="press_key", keys=["Control", "a"])
        await act(action="type_text", text="Alice")
        await act(action="move_mouse", coordinates=[350, 25], hold_keys=["Shift"])
        await act(action="click_mouse", click_type="down")
        await act(action="click_mouse", click_type="up")
        await act(action="drag_mouse", path=[[10, 300], [60, 300]])
        await act(action="scroll", coordinates=[10, 300], delta_y=100)
        waited = await act(action="wait", duration=0.01, screenshot=True)
        assert base64.b64decode(waited.base64_image).startswith(b"\x89PNG")
        assert (await act(action="get_cursor_position")).output == "X=10,Y=300"

        async def titles() -> bool:
            details = await steel.sessions.live_details(created["id"])
            return [page.title for page in details.pages] == ["Alice!"]

        await eventually_asked("the page has done it", titles)  # a browser that is busy tells of no titles

        for field, wrong in (
            ("action", {"action": "jump"}),
            ("keys", {"action": "press_key", "keys": ["Hyper"]}),
            ("coordinates", {"action": "move_mouse", "coordinates": [1]}),
            ("coordinates", {"action": "move_mouse", "coordinates": [-1, 1]}),
            ("num_clicks", {"action": "click_mouse", "num_clicks": 1.5}),
            ("num_clicks", {"action": "click_mouse", "num_clicks": 2, "click_type": "down"}),
            ("path", {"action": "drag_mouse", "path": [[1, 1]]}),
            ("duration", {"action": "wait", "duration": 3600}),
            ("speed", {"action": "get_cursor_position", "speed": 1}),
        ):
            reply = await gateway.request("POST", f"/v1/sessions/{created['id']}/computer", json=wrong)
            assert reply.status == 400, reply.body
            assert field in reply.body["message"], reply.body
        await steel.sessions.release(created["id"])
        with pytest.raises(APIStatusError) as ended:
            await act(action="take_screenshot")
        assert ended.value.status_code == 410


def test_what_is_left_out_has_its_usual_value() -> None:
    assert action_of(read_action({"action": "click_mouse"})) == Click()
    pressed = action_of(read_action({"action": "press_key", "keys": ["ctrl+c"], "duration": 0.5}))
    assert pressed == Press((key_named("Control"), key_named("c")), 0.5)
    clicked = action_of(read_action({"action": "click_mouse", "coordinates": [1, 2.5], "num_clicks": 3.0}))
    assert clicked == Click(Point(1, 2.5), times=3)
    assert action_of(read_action({"action": "get_cursor_position"})) == Where()
    assert len(KINDS) == 9
