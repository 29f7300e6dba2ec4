"""What a page is waited for, and how it is told when it does not come."""

import asyncio

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.waits import ForEvent, ForFunction, ForSelector, Quiet, found, heard, listening, true
from tests.inside import until
from tests.pages.tab import fresh
from tests.site.app import Site


async def refusal(work: object) -> GatewayError:
    """What it is refused with."""
    with pytest.raises(GatewayError) as refused:
        await work  # type: ignore[misc]
    return refused.value


async def test_what_comes_and_what_does_not(site: Site) -> None:
    async with fresh() as context:
        page = await context.new_page()
        await page.set_content("<p id=there hidden>text</p><p id=seen>text</p>")
        await found(page, ForSelector("#there"))
        await found(page, ForSelector("#there", "hidden"))
        await found(page, ForSelector("#none", "hidden"))
        await found(page, ForSelector("xpath///p[@id='seen']", "visible"))
        error = await refusal(found(page, ForSelector("#there", "visible", 0.05)))
        assert (error.code, error.message) == (
            Code.WAIT_FAILED,
            "waitForSelector: '#there' is not visible after 50 ms",
        )
        assert (await refusal(found(page, ForSelector("p[", timeout=5)))).code is Code.BAD_REQUEST

        await page.evaluate("setTimeout(() => { window.ready = 1 }, 20)")
        await true(page, ForFunction("() => window.ready === 1", 0.01))
        await true(page, ForFunction("window.ready"))
        assert "nothing true within 50 ms" in (await refusal(true(page, ForFunction("false", timeout=0.05)))).message
        error = await refusal(true(page, ForFunction("() => { throw new Error('mine') }", timeout=5)))
        assert (error.code, "mine" in error.message) == (Code.WAIT_FAILED, True)

        # An event of any name, of document or window, also one that was there before anybody asked.
        name = "odd 'name'\\"
        await page.evaluate(listening(name))
        assert "was not dispatched" in (await refusal(heard(page, ForEvent(name, 0.05)))).message
        await page.evaluate("name => document.dispatchEvent(new Event(name))", name)
        await heard(page, ForEvent(name))

        quiet = Quiet(page)
        slow = page.goto(f"{site.url}/page/1")
        await slow
        await page.evaluate("url => { for (let i = 0; i < 3; i++) fetch(`${url}/slow?ms=60000&${i}`) }", site.url)
        await until(lambda: site.asked["/slow"] == 3)
        two = asyncio.create_task(quiet.until(3))
        none = asyncio.create_task(quiet.until(2))
        await two
        assert not none.done()
        await page.goto("about:blank")  # which takes them away
        await none
        quiet.end()
