"""What is done on a page, one thing after the other."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.interact import Action, Direction, Verb, perform, settled
from tests.pages.tab import fresh
from tests.site.app import Site

PAGE = """<!doctype html><body style="height: 5000px; width: 3000px; margin: 0">
<input id=name><input id=late disabled><textarea id=long></textarea>
<select id=pick><option value=a>Apple<option value=b>Pear</select>
<div id=box style="height: 50px; overflow: auto"><div style="height: 1000px">x</div></div>
<button id=go onclick="this.textContent = 'done'">go</button><button id=hidden style="display: none">no</button>
<p id=far style="position: absolute; top: 4000px">far</p>
<script>
document.title = "";
document.getElementById("name").addEventListener("keydown", event => { document.title += event.key });
</script>"""
STATE = """() => [document.getElementById("name").value, document.getElementById("pick").value,
document.getElementById("go").textContent, document.getElementById("box").scrollTop,
scrollX, scrollY, document.title]"""


async def test_each_of_them() -> None:
    async with fresh(viewport={"width": 300, "height": 200}) as context:
        page = await context.new_page()
        await page.set_content(PAGE)
        done = await perform(
            page,
            [
                Action(Verb.TYPE, selector="#name", value="ab"),
                Action(Verb.PRESS, key="Enter"),
                Action(Verb.SELECT, selector="#pick", value="Pear"),
                Action(Verb.CLICK, selector="button"),
                Action(Verb.SCROLL, selector="#box", amount=30),
                Action(Verb.SCROLL),
                Action(Verb.SCROLL, direction=Direction.RIGHT, amount=120),
                Action(Verb.SCROLL, direction=Direction.LEFT, amount=20),
                Action(Verb.WAIT_FOR, selector="//p"),
                Action(Verb.WAIT_MS, seconds=0.001),
                Action(Verb.TYPE, selector="#long", value="x" * 5000),
            ],
            60,
        )
        assert [one["action"] for one in done] == list(range(11))
        assert done[1] == {"action": 1, "type": "press"}
        seen = await page.evaluate(STATE)
        assert seen[:4] == ["ab", "b", "done", 30]
        assert seen[4] == 100
        assert seen[6] == "abEnter"
        assert await page.evaluate("document.getElementById('long').value.length") == 5000
        await perform(page, [Action(Verb.SCROLL, selector="#far")], 60)
        assert await page.evaluate("scrollY") > 3000


async def test_going_elsewhere(site: Site) -> None:
    async with fresh() as context:
        page = await context.new_page()
        await perform(page, [Action(Verb.GOTO, url=f"{site.url}/page/1"), Action(Verb.GOTO)], 60)
        assert site.asked["/page/1"] == 2
        await perform(page, [Action(Verb.CLICK, selector="a"), Action(Verb.WAIT_FOR, selector="h1")], 60)
        await settled(page)
        assert page.url == f"{site.url}/page/2"


SHORT, LONG = 0.3, 20.0  # seconds, for what never comes, and for what fails by itself
FAILING = [
    (Action(Verb.CLICK, selector="#none"), "nothing matches '#none' after 300 ms", SHORT),
    (Action(Verb.CLICK, selector="#hidden"), "the element is there, but not one", SHORT),
    (Action(Verb.TYPE, selector="#late", value="secret"), "the element is there, but not one", SHORT),
    (Action(Verb.SELECT, selector="#pick", value="secret"), "it has no such option", SHORT),
    (Action(Verb.TYPE, selector="#far", value="secret"), "not an <input>", LONG),
    (Action(Verb.PRESS, key="Frob"), "there is no key 'Frob'", LONG),
    (Action(Verb.WAIT_FOR, selector="###"), "selector: Unexpected", LONG),
    (Action(Verb.GOTO, url="http://127.0.0.1:1/"), "ERR_UNSAFE_PORT", LONG),
]


async def test_the_first_that_fails_is_named() -> None:
    async with fresh() as context:
        page = await context.new_page()
        await page.set_content(PAGE)
        for action, reason, timeout in FAILING:
            actions = [Action(Verb.WAIT_MS), action, Action(Verb.CLICK, selector="#go")]
            with pytest.raises(GatewayError) as failed:
                await perform(page, actions, timeout)
            error = failed.value
            assert error.code is Code.ACTION_FAILED
            assert reason in error.details["reason"]
            assert error.details["action"] == 1
            assert error.details["done"] == [{"action": 0, "type": "wait_ms"}]
            assert error.message == f"action 1 ({action.verb}) failed: {error.details['reason']}"
            assert "secret" not in error.message
            assert "secret" not in repr(actions)
            if action.verb is not Verb.GOTO:
                assert await page.inner_text("#go") == "go"
