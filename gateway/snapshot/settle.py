"""What pages have stored last is in their browser's memory: on its way to the disk, and lost if the browser ends first.

Chromium writes localStorage some seconds late, at once when the last page of its origin closes, and drops what is still
to be written when it exits on a busy machine (seen in 2 of 25 exits).
"""

import asyncio
from pathlib import Path

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsError, DevToolsGone

LIMIT = 3.0  # seconds for all of it
QUIET = 0.3  # seconds without a change on the disk
POLL = 0.05  # seconds: no event tells of a write


async def written(browser: Browser) -> None:
    """Close its pages, so that their last words are said, and return once the disk has what they stored."""
    try:
        async with asyncio.timeout(LIMIT):
            pages = tuple(browser.pages)
            # Without a page a browser with windows would end.
            await browser.devtools.send("Target.createTarget", {"url": "about:blank", "background": True})
            await asyncio.gather(
                *(browser.devtools.send("Target.closeTarget", {"targetId": page}) for page in pages),
                return_exceptions=True,  # one that has closed itself
            )
            await _quiet(browser.directory.profile / "Default" / "Local Storage" / "leveldb")
    except (TimeoutError, DevToolsError, DevToolsGone):
        pass  # it hangs, or is gone: what there is on the disk has to do


async def _quiet(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    seen, since = await asyncio.to_thread(_sizes, folder), loop.time()
    while loop.time() < since + QUIET:
        await asyncio.sleep(POLL)
        now = await asyncio.to_thread(_sizes, folder)
        if now != seen:
            seen, since = now, loop.time()


def _sizes(folder: Path) -> dict[str, int]:
    try:
        return {entry.name: entry.stat().st_size for entry in folder.iterdir()}
    except FileNotFoundError:  # compacted away between the list and the look, or there is none
        return {}
