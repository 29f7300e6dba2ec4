"""What pages have stored last is in their browser's memory: on its way to the disk, and lost if the browser ends first.

Chromium writes localStorage some seconds late, at once when the last page of its origin closes, and drops what is still
to be written when it exits on a busy machine (seen in 2 of 25 exits).
"""

import asyncio

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsError, DevToolsGone
from gateway.snapshot.blank import flushed

LIMIT = 3.0  # seconds for all of it


async def written(browser: Browser) -> None:
    """Close its pages, so that their last words are said, and return once the disk has what they stored."""
    try:
        async with asyncio.timeout(LIMIT):
            await browser.close_pages()
            await flushed(browser.devtools, timeout=LIMIT)
    except (TimeoutError, DevToolsError, DevToolsGone):
        pass  # it hangs, or is gone: what there is on the disk has to do
