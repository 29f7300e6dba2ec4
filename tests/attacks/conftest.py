"""Browsers to attack from, without confinement and with it: each attack must succeed in the one, and not in the other.

`confined` is both in turn, False first.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from browser_pool import confine
from browser_pool.binary import Binaries
from browser_pool.browser import Browser
from browser_pool.confinement import Cell, Confinement, Limits, Wish
from browser_pool.devtools import DevToolsError, DevToolsGone
from browser_pool.pool import BrowserPool
from browser_pool.road import Roads
from tests.browser_pool.conftest import binaries, root, spec  # noqa: F401
from tests.browser_pool.wrapped import reap

REPOSITORY = Path(__file__).parent.parent.parent
NEVER = 60.0  # seconds for a page to answer


@pytest.fixture(params=[False, True], ids=["open", "confined"])
def confined(request: pytest.FixtureRequest) -> bool:
    """Whether what is attacked is protected."""
    return bool(request.param)


Pools = Callable[..., AbstractAsyncContextManager[BrowserPool]]


@pytest.fixture
def pools(confined: bool, root: Path, binaries: Binaries) -> Pools:  # noqa: F811
    """`async with pools(roads=…, limits=…) as pool`: with roads and limits only where it is confined."""

    @asynccontextmanager
    async def entered(roads: Roads | None = None, limits: Limits | None = None) -> AsyncIterator[BrowserPool]:
        wanted = Confinement(Wish.REQUIRED if confined else Wish.OFF, limits or Limits())
        async with BrowserPool(root, binaries, roads=roads if confined else None, confinement=wanted) as pool:
            yield pool

    return entered


@dataclass(frozen=True)
class Page:
    """A page of a browser, as a client of it has one."""

    browser: Browser
    session: str

    async def open(self, url: str) -> str:
        """Its text once it is there; what kept it from opening in place of that."""
        told = await self.browser.devtools.send("Page.navigate", {"url": url}, session=self.session, timeout=NEVER)
        if "errorText" in told:
            await self._error_shown()
            return f"refused: {told['errorText']}"
        loaded = "document.readyState === 'complete' && location.href !== 'about:blank'"
        while await self.run(loaded) is not True:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return str(await self.run("document.documentElement.innerText"))

    async def _error_shown(self) -> None:
        """Chromium's page about it comes a moment later: what is asked just then is sometimes never answered."""
        asked = {"expression": "location.href", "returnByValue": True}
        with suppress(TimeoutError):  # not every refusal has one
            async with asyncio.timeout(3):
                while True:
                    with suppress(DevToolsError, DevToolsGone):
                        send = self.browser.devtools.send
                        reply = await send("Runtime.evaluate", asked, session=self.session, timeout=1)
                        if reply["result"].get("value", "").startswith("chrome-error:"):
                            return
                    await asyncio.sleep(0.02)

    async def run(self, script: str) -> Any:
        """What it comes to (Runtime.evaluate), a promise awaited; the exception's words where it throws."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        reply = await self.browser.devtools.send("Runtime.evaluate", asked, session=self.session, timeout=NEVER)
        if "exceptionDetails" in reply:
            return f"refused: {reply['result'].get('description', reply['exceptionDetails']['text'])}"
        return reply["result"].get("value")

    async def send(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One CDP command."""
        return await self.browser.devtools.send(method, params, session=self.session, timeout=NEVER)


async def run_as(browser: Browser, pool: BrowserPool, *argv: str) -> tuple[int, str]:
    """A program held as that browser is, for one whose process was taken over: exit code, and what it wrote."""
    user = browser.directory.path.stat().st_gid if pool.held.own_users else None
    cell = Cell(pool.held, root=pool.root, user=user, port=None if browser.road is None else browser.road.port)
    words = [] if pool.confinement.wish is Wish.OFF else cell.words(Path(argv[0]), browser.directory, None, {})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", confine.STARTER, str(REPOSITORY), str(os.getpid()), *words, "--", *argv),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=browser.directory.path,
        start_new_session=True,
    )
    said, _ = await process.communicate()
    await asyncio.to_thread(reap, process.pid)
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


@asynccontextmanager
async def page_of(browser: Browser, **context: str) -> AsyncIterator[Page]:
    """A new page; with `context` one of a browser context of its own (Target.createBrowserContext)."""
    where = {}
    if context:
        where = await browser.devtools.send("Target.createBrowserContext", dict(context))
    made = await browser.devtools.send("Target.createTarget", {"url": "about:blank", **where})
    async with browser.devtools.attached(made["targetId"]) as session:
        await browser.devtools.send("Page.enable", session=session)
        yield Page(browser, session)
