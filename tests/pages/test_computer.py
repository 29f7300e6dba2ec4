"""What agents do to a session: beside a driver, in a parked or suspended one, with several tabs."""

import asyncio
import base64
import struct
from pathlib import Path

import pytest

from browser_pool.browser import Browser
from gateway.errors import Code, GatewayError
from gateway.pages import computer
from gateway.pages.computer import Click, Look, Move, Scroll, Type, Wait, Where
from gateway.pages.hand import Point
from gateway.records import new_session_id
from tests.inside import ADMIN, ask, until
from tests.pages.desktop import desktop

SECOND = "data:text/html,<title>second</title><body style='background:green'>"


def size(picture: str | None) -> tuple[int, int]:
    """Of a PNG in base64."""
    assert picture is not None
    data = base64.b64decode(picture)
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


async def in_front(browser: Browser, target: str) -> None:
    """Return once it is: Chromium answers before pages know."""
    async with asyncio.timeout(30):
        while await computer.active_page(browser.devtools, browser.pages) != target:
            pass


async def test_a_session_that_nobody_drives(tmp_path: Path) -> None:
    identity = {"viewport": {"width": 900, "height": 700}, "deviceScaleFactor": 2}
    async with desktop(tmp_path, parkAfter=50, identity=identity) as desk:
        assert (await desk.act(Where())).output == "X=0,Y=0"
        # A point of the picture is a point for the mouse, whatever the screen's density.
        shown = await desk.act(Move(Point(33, 44)), picture=True)
        view = await desk.eval("[innerWidth, innerHeight, devicePixelRatio]")
        assert (size(shown.picture), view[2]) == ((view[0], view[1]), 2)
        await until(lambda: desk.session.parked)
        assert (await desk.act(Where())).output == "X=33,Y=44"
        assert (await desk.act(Scroll(Point(600, 400), down=300))).error is None
        await desk.until("scrollY === 300")  # at the latest with its next frame
        await desk.act(Scroll(down=-300))
        await desk.until("scrollY === 0")

        # A question is answered by the session itself.
        where = await desk.eval("(box => [box.x + 5, box.y + 5])(ask.getBoundingClientRect())")
        assert (await desk.act(Click(Point(*where)))).error is None
        assert await desk.eval("said") is False

        # With two tabs it is the one in front.
        async with desk.session.used() as browser:
            (first,) = browser.pages
            made = await browser.devtools.send("Target.createTarget", {"url": SECOND})
            await in_front(browser, made["targetId"])
            await browser.devtools.send("Target.activateTarget", {"targetId": first})
            await in_front(browser, first)
        await desk.act(Click(Point(20, 20)))
        await desk.act(Type("hello"))
        assert await desk.eval("text.value") == "hello"

        # One that was put away comes back.
        code, _ = await desk.gateway.call("PATCH", f"/session/{desk.id}", json={"processKeepAlive": 1})
        assert code == 200
        await until(lambda: desk.gateway.registry.live(desk.id) is None)
        assert size((await desk.act(Look())).picture) == (view[0], view[1])
        assert (await desk.gateway.call("DELETE", f"/session/{desk.id}?force=true"))[0] == 200
        with pytest.raises(GatewayError) as ended:
            await desk.act(Look())
        assert ended.value.code is Code.SESSION_ENDED
        with pytest.raises(GatewayError) as unknown:
            await desk.computers.act(ADMIN, new_session_id(), Look(), picture=False)
        assert unknown.value.code is Code.SESSION_NOT_FOUND


async def test_beside_a_driver(tmp_path: Path) -> None:
    async with desktop(tmp_path, headless="shell") as desk:
        path = f"/session/connect/{desk.id}"
        async with desk.gateway.connect(path) as driver:
            await ask(driver, "Browser.getVersion")
            await desk.act(Click(Point(20, 20)))
            await desk.act(Type("both"))
            assert await desk.eval("text.value") == "both"

            # The driver's questions are the driver's to answer: the action says so, in bounded time.
            targets = (await ask(driver, "Target.getTargets"))["result"]["targetInfos"]
            page = next(info["targetId"] for info in targets if info["type"] == "page")
            attached = await ask(driver, "Target.attachToTarget", {"targetId": page, "flatten": True})
            flat = attached["result"]["sessionId"]
            await ask(driver, "Page.enable", sessionId=flat)
            where = await desk.eval("(box => [box.x + 5, box.y + 5])(ask.getBoundingClientRect())")
            hasty = computer.Computers(desk.gateway.registry, 1.0)
            outcome = await hasty.act(ADMIN, desk.id, Click(Point(*where)), picture=True)
            assert outcome.error is not None
            assert "dialog" in outcome.error
            await ask(driver, "Page.handleJavaScriptDialog", {"accept": True}, sessionId=flat)
            assert await desk.eval("said") is True
            assert (await desk.act(Type("!"))).error is None

            # One after the other, in order.
            words = await asyncio.gather(*(desk.act(Move(Point(number, 1))) for number in range(3)))
            assert [word.output for word in words] == [f"the mouse is at {number}, 1" for number in range(3)]
            waiting = asyncio.create_task(desk.act(Wait(60)))
            async with desk.session.used() as browser:
                await asyncio.sleep(0)
                await browser.kill()
            gone = await waiting
            assert gone.error is not None
            assert "ended" in gone.error
