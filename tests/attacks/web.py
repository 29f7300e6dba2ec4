"""A person's web browser, which has a page of a stranger's open, and the stranger's site."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from browser_pool.binary import Binaries
from browser_pool.spec import Mode
from gateway.config import load
from gateway.node import prepare, started
from gateway.session.registry import Registry

# Where the names of strangers lead, as their own DNS would say.
NAMES = "--host-resolver-rules=MAP *.example 127.0.0.1"
# Newer browsers ask the person first before a page reaches into a local network; not all do, and not everybody says no.
UNASKED = "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets"


@asynccontextmanager
async def trusting(directory: Path, **settings: str) -> AsyncIterator[tuple[str, Registry]]:
    """A gateway that asks for no credentials: its `http://HOST:PORT`, and its sessions."""
    given = {"data_dir": str(directory), "port": "0", "warm": "0", "adopt_timeout": "0", "no_auth": "true"}
    config = load({**given, **settings}, {}, None)
    async with started(config, prepare(config)) as (registry, port):
        yield f"http://127.0.0.1:{port}", registry


@asynccontextmanager
async def page_at(url: str) -> AsyncIterator[Page]:
    """A page of theirs at `url`; what is there does not matter, its script is the test's."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=Binaries().path(Mode.HEADLESS), args=[NAMES, UNASKED]
        )
        page = await browser.new_page()
        await page.route(url, lambda route: route.fulfill(body="<title>stranger</title>", content_type="text/html"))
        await page.goto(url)
        yield page
        await browser.close()
