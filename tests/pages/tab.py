"""A context of a plain browser, without a gateway, for what is done to pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import BrowserContext, async_playwright

from browser_pool.binary import Binaries
from browser_pool.spec import Mode

ARGS = ["--no-sandbox", "--no-proxy-server"]


@asynccontextmanager
async def fresh(**options: Any) -> AsyncIterator[BrowserContext]:
    """As `Pages.context` gives it, with these options."""
    async with async_playwright() as playwright:
        path = str(Binaries(None).path(Mode.SHELL))
        browser = await playwright.chromium.launch(executable_path=path, args=ARGS)
        try:
            yield await browser.new_context(**options)
        finally:
            await browser.close()
