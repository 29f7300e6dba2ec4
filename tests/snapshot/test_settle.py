"""What pages have stored last reaches the disk before their browser ends."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.browser import launched
from browser_pool.devtools import DevTools, DevToolsError
from browser_pool.spec import LaunchSpec
from gateway.snapshot.settle import written
from tests.site.app import Site

LAST = "written in the last moment"
FAREWELL = "written while it was closed"


async def ready(devtools: DevTools, session: str) -> None:
    """Return once the service worker controls the page."""
    asked = {"expression": "document.documentElement.dataset.ready"}
    async with asyncio.timeout(60):
        while True:
            with suppress(DevToolsError):  # the page before goes while we ask
                reply = await devtools.send("Runtime.evaluate", asked, session=session)
                if reply["result"].get("value"):
                    return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/", "/worker"], ids=["a page alone", "its service worker keeps its process"])
async def test_the_last_words_are_on_the_disk(tmp_path: Path, site: Site, path: str) -> None:
    async with launched(LaunchSpec(), tmp_path / "b", Binaries()) as browser:
        devtools = browser.devtools
        target = (await devtools.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
        async with devtools.attached(target) as session:
            await devtools.send("Page.enable", session=session)
            await devtools.send("Page.navigate", {"url": site.url + path}, session=session)
            if path == "/worker":
                await ready(devtools, session)
            leaving = f"addEventListener('pagehide', () => localStorage.farewell = {FAREWELL!r})"
            store = f"localStorage.last = {LAST!r}; {leaving}"
            await devtools.send("Runtime.evaluate", {"expression": store}, session=session)
        await written(browser)
        assert target not in browser.pages
        await browser.kill()  # nothing is written any more
        folder = browser.directory.profile / "Default" / "Local Storage" / "leveldb"
        data = b"".join(file.read_bytes() for file in folder.glob("*.log"))
        assert LAST.encode() in data
        assert FAREWELL.encode() in data


async def test_a_browser_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    async with launched(LaunchSpec(), tmp_path / "b", Binaries()) as browser:
        await browser.kill()
        await written(browser)
        assert browser.gone.is_set()
