"""What pages have stored last is in their browser's memory: on its way to the disk, and lost if the browser ends first.

Chromium writes localStorage some seconds late, at once when the last page of its origin closes, and drops what is still
to be written when it exits on a busy machine (seen in 2 of 25 exits). Its storage learns that a page has closed when
the page's process ends. A service worker of the site keeps that alive: so they are stopped, too.
"""

import asyncio
from contextlib import suppress

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsError, DevToolsGone
from gateway.snapshot.blank import flushed

LIMIT = 3.0  # seconds for all of it
ENDED = 0.5  # seconds of it for the closed pages' processes to end; one that others use does not
LOOK = 0.005  # seconds between looks at them: no event tells


async def written(browser: Browser) -> None:
    """Close its pages, so that their last words are said, and return once the disk has what they stored."""
    try:
        async with asyncio.timeout(LIMIT):
            before = await _renderers(browser)
            await browser.close_pages()
            with suppress(DevToolsError):  # a Chromium that does not know how
                await _without_workers(browser)
            with suppress(TimeoutError):
                async with asyncio.timeout(ENDED):
                    while before & await _renderers(browser):  # noqa: ASYNC110
                        await asyncio.sleep(LOOK)
            await flushed(browser.devtools, timeout=LIMIT)
    except (TimeoutError, DevToolsError, DevToolsGone):
        pass  # it hangs, or is gone: what there is on the disk has to do


async def _renderers(browser: Browser) -> set[int]:
    """The processes that pages and workers run in (SystemInfo.getProcessInfo); none if it does not say."""
    try:
        found = (await browser.devtools.send("SystemInfo.getProcessInfo"))["processInfo"]
    except DevToolsError:
        return set()
    return {process["id"] for process in found if process["type"] == "renderer"}


async def _without_workers(browser: Browser) -> None:
    """Stop all service workers of the default context (ServiceWorker.stopAllWorkers); its empty page is asked."""
    page = next((info["targetId"] for info in await browser.targets() if info["type"] == "page"), None)
    if page is None:
        return
    async with browser.devtools.attached(page) as session:
        await browser.devtools.send("ServiceWorker.enable", session=session)
        await browser.devtools.send("ServiceWorker.stopAllWorkers", session=session)
