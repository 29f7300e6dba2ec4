"""Pictures of what real pages show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.browser import Browser, launched
from browser_pool.devtools import DevToolsGone
from browser_pool.spec import LaunchSpec, Mode
from gateway.relay.screencast import Caption, Picture, screencast

PAGE = "data:text/html,<title>{0}</title><body style='background:{0}'>"


@pytest.fixture(params=[Mode.HEADLESS, Mode.SHELL])
async def browser(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Browser]:
    binaries = Binaries()
    if (binaries.shell if request.param is Mode.SHELL else binaries.full) is None:
        pytest.skip(f"no {request.param} here")
    async with launched(LaunchSpec(mode=request.param), tmp_path / "b", binaries) as running:
        yield running


async def opened(browser: Browser, colour: str) -> str:
    reply = await browser.devtools.send("Target.createTarget", {"url": PAGE.format(colour)})
    return str(reply["targetId"])


async def until(shows: AsyncIterator[Picture | Caption], colour: str) -> None:
    """The caption of that page, and a picture after it."""
    async with asyncio.timeout(60):
        async for one in shows:
            if isinstance(one, Caption) and one.url == PAGE.format(colour):
                break
        async for one in shows:
            if isinstance(one, Picture):
                assert one.data.startswith(b"\xff\xd8\xff"), "a JPEG"
                return


async def test_it_follows_the_page_that_is_seen(browser: Browser) -> None:
    await opened(browser, "red")
    async with aclosing(screencast(browser)) as shows:
        await until(shows, "red")
        green = await opened(browser, "green")
        await until(shows, "green")
        await browser.devtools.send("Target.closeTarget", {"targetId": green})
        await until(shows, "red")
        await browser.kill()
        with pytest.raises(DevToolsGone):
            await until(shows, "never")


async def test_a_picture_is_asked_for_when_the_last_one_was_taken(browser: Browser) -> None:
    target = await opened(browser, "red")
    async with browser.devtools.attached(target) as session, aclosing(screencast(browser)) as shows:
        await until(shows, "red")
        count = 0

        def look(method: str, params: object, source: str | None) -> None:
            nonlocal count
            count += method == "Page.screencastFrame"

        moving = "setInterval(() => document.body.style.background = `hsl(${performance.now()}, 90%, 50%)`, 5)"
        with browser.devtools.listening(look):
            await browser.devtools.send("Runtime.evaluate", {"expression": moving}, session=session)
            frame = "let n = 0; (function frame() { ++n > 40 ? done() : requestAnimationFrame(frame) })();"
            asked = {"expression": f"new Promise((done) => {{ {frame} }})", "awaitPromise": True}
            await browser.devtools.send("Runtime.evaluate", asked, session=session)
        assert count <= 4, "nobody took the first ones"
