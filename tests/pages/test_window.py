"""What a browser's window would do with keys: the way by which agents go to pages."""

import asyncio
from pathlib import Path

from gateway.pages.computer import Click, Outcome, Press, Type
from gateway.pages.hand import Point
from gateway.pages.keys import chord
from tests.inside import until
from tests.pages.desktop import Desktop, desktop
from tests.site.app import Site


async def press(desk: Desktop, *keys: str) -> Outcome:
    return await desk.act(Press(chord(keys)))


async def shown(desk: Desktop, *wanted: str) -> None:
    """Return once these are the ends of the open pages' URLs: Chromium tells of them a moment after it goes there."""
    async with asyncio.timeout(60), desk.session.used() as browser:
        seen: list[str] = []
        while seen != list(wanted):
            infos = await browser.targets()
            seen = sorted(info["url"].rpartition("/")[2] for info in infos if info["type"] == "page")


async def test_the_address_line(tmp_path: Path, site: Site) -> None:
    async with desktop(tmp_path, headless="shell", url="about:blank") as desk:
        # As Steel's agents are told to.
        assert (await press(desk, "Control", "l")).output == "the address line has the keys"
        await desk.act(Type(f"{site.url}/page/1"))
        assert (await press(desk, "Enter")).output == "the page is there"
        await shown(desk, "1")
        await press(desk, "ctrl+L")
        await desk.act(Type("what is not meant"))
        await press(desk, "Control+a")
        assert (await desk.act(Type(f"{site.url}/page/2\n"))).output == "the page is there"
        await shown(desk, "2")

        assert (await press(desk, "Alt+Left")).output == "went back"
        await shown(desk, "1")
        assert (await press(desk, "Alt+Right")).output == "went forward"
        await shown(desk, "2")
        assert (await press(desk, "Alt+Right")).output == "there is no page to go to"
        asked = site.asked["/page/2"]
        assert (await press(desk, "F5")).output == "reloaded"
        await until(lambda: site.asked["/page/2"] == asked + 1)

        await press(desk, "Control", "t")
        await desk.act(Type(f"{site.url}/page/3x"))
        await press(desk, "Backspace")
        await press(desk, "Return")
        await shown(desk, "2", "3")
        assert (await press(desk, "Control", "w")).output == "the tab is closed"
        await shown(desk, "2")
        await press(desk, "Control", "w")  # the last one stays
        await shown(desk, "2")

        for line, words in (
            ("http://127.0.0.1:9/", "could not be loaded"),
            ("two words", "no search"),
            ("file:///etc/passwd", "takes http"),
            ("chrome://version", "takes http"),
            ("javascript:alert(1)", "takes http"),
        ):
            await press(desk, "F6")
            failed = await desk.act(Type(f"{line}\n"))
            assert failed.error is not None, failed
            assert words in failed.error


async def test_the_page_gets_no_keys_meanwhile(tmp_path: Path) -> None:
    async with desktop(tmp_path, headless="shell") as desk:
        await desk.act(Click(Point(20, 20)))
        for leave in ("Escape", "click"):
            keys = [event["key"] for event in await desk.done(Press(chord(["Control", "l"]))) if "key" in event]
            assert keys == ["Control", "l", "l", "Control"]
            assert await desk.done(Type("nothing for it")) == []
            assert await desk.done(Press(chord(["x"]))) == []
            await (press(desk, leave) if leave == "Escape" else desk.act(Click(Point(20, 20))))
            await desk.act(Type("."))
        assert await desk.eval("text.value") == ".."
        assert (await press(desk, "Control", "l")).error is None
        assert (await press(desk, "Enter")).output == "the address line was empty"
