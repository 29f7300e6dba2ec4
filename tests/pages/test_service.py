"""Playwright for requests: who shares a browser, what ends with it, and a session's own browser."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from playwright.async_api import Dialog

from gateway.errors import Code, GatewayError
from gateway.pages import service
from gateway.pages.service import Pages, open_pages
from gateway.pages.shared import Wanted
from gateway.pages.visit import Visit, visited
from gateway.session.life import Attached, Detached, Role
from gateway.session.session import Session
from tests.inside import ADMIN, Inside, inside, until
from tests.site.app import Site

US, THEM = Wanted("us"), Wanted("them")


def sessions(gateway: Inside) -> dict[str, Session]:
    """The running ones by tenant."""
    return {one.record.spec.tenant: one for one in gateway.registry._live.values()}


async def seen(pages: Pages, wanted: Wanted, url: str) -> str:
    """The cookies with which a fresh context shows `url`, having set one of its own."""
    async with pages.context(wanted) as context:
        page = await context.new_page()
        await page.goto(url)
        before = await page.evaluate("document.cookie")
        await page.evaluate("document.cookie = 'mine=1'")
        return str(before)


async def test_service_browsers(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        inside(tmp_path) as gateway,
        open_pages(gateway.registry, tmp_path / "d", ttl=600, at_once=2, idle=60) as pages,
    ):
        url = f"{site.url}/page/1"
        assert [await seen(pages, US, url) for _ in range(2)] == ["", ""]
        ours = sessions(gateway)["us"]
        assert isinstance(ours.state, Attached)
        assert await seen(pages, THEM, url) == ""
        assert sessions(gateway)["them"] is not ours
        assert (pages.browsers, pages.running, pages.waiting()) == (2, 0, 0)

        # The browser crashes: who is in it is told, who waits gets the next one.
        async def held() -> None:
            async with pages.context(US) as context:
                await (await context.new_page()).evaluate("new Promise(() => 0)")

        failing = [asyncio.create_task(held()) for _ in range(2)]
        await until(lambda: pages.running == 2)
        waiting = asyncio.create_task(seen(pages, US, url))
        await until(lambda: pages.waiting("us") == 1)
        assert (pages.waiting("them"), pages.waiting()) == (0, 1)
        assert ours.browser is not None
        os.kill(ours.browser.pid, signal.SIGKILL)
        for failed in await asyncio.gather(*failing, return_exceptions=True):
            assert isinstance(failed, GatewayError)
            assert failed.code is Code.BROWSER_FAILED
        assert await waiting == ""
        again = sessions(gateway)["us"]
        assert again is not ours

        # Who gives up, waiting or working, leaves nothing.
        holding = [asyncio.create_task(held()) for _ in range(3)]
        await until(lambda: pages.waiting() == 1)
        with pytest.raises(GatewayError):
            async with pages.context(US, weight=service.HELD + 1):
                pass
        monkeypatch.setattr(service, "WAITING", 1)
        with pytest.raises(GatewayError) as refused:
            await held()
        assert refused.value.code is Code.TOO_MANY_SESSIONS
        for task in (holding[2], *holding[:2]):
            task.cancel()
        await asyncio.wait(holding)
        assert (pages.running, pages.waiting()) == (0, 0)
        assert again.browser is not None
        async with asyncio.timeout(30):  # those that were just being made go a moment later
            while (await again.browser.devtools.send("Target.getBrowserContexts"))["browserContextIds"]:
                pass

        # Their browser is taken by somebody else.
        taken = sessions(gateway)["them"]
        with pytest.raises(GatewayError, match="took over"):
            async with pages.context(THEM) as context, taken.attach(Role.DRIVER, takeover=True):
                await (await context.new_page()).evaluate("new Promise(() => 0)")
        last = sessions(gateway)["us"]
    assert last.over.is_set()
    with pytest.raises(GatewayError) as refused:
        await seen(pages, US, url)
    assert refused.value.code is Code.DRAINING


async def test_an_unused_browser_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        inside(tmp_path, max_sessions="1") as gateway,
        open_pages(gateway.registry, tmp_path / "d", ttl=600, idle=3600) as pages,
    ):
        async with pages.context(US):
            pass
        assert gateway.registry.count == 1
        monkeypatch.setattr(pages, "_idle", 0.01)
        async with pages.context(THEM):  # as soon as it is in somebody's way
            assert list(sessions(gateway)) == ["them"]
        await until(lambda: not gateway.registry.count)  # or was there long enough


async def test_within_a_session(tmp_path: Path, site: Site) -> None:
    async with (
        inside(tmp_path) as gateway,
        open_pages(gateway.registry, tmp_path / "d", ttl=600) as pages,
    ):
        status, made = await gateway.call("POST", "/session", json={"url": f"{site.url}/page/1", "parkAfter": 50})
        assert status == 201
        session = await gateway.registry.session(ADMIN, made["id"])
        await until(lambda: session.parked)
        async with pages.within(session) as remote:
            assert isinstance(session.state, Attached)
            page = remote.contexts[0].pages[0]
            await page.evaluate("window.kept = 1")
            with pytest.raises(GatewayError) as refused:
                async with pages.within(session):
                    pass
            assert refused.value.code is Code.DRIVER_CONNECTED
            # Beside a driver; what it downloads goes where the session has it.
            async with pages.within(session, drive=False) as beside:
                own = beside.contexts[0]
                assert await own.pages[0].evaluate("window.kept") == 1
                # Its dialogs are the driver's; those of a page beside it, and what that opens, go with it.
                both = asyncio.Event()
                own.on("dialog", lambda _: both.set())

                async def accept(dialog: Dialog) -> None:
                    await both.wait()
                    await dialog.accept()

                page.on("dialog", accept)
                assert await page.evaluate("confirm('?')") is True
                asks = "<script>open('about:blank'); document.title = confirm('?')</script>"
                async with visited(own, Visit(html=asks), borrowed=True) as there:
                    assert await there.page.title() == "false"
                await until(lambda: len(own.pages) == 1)
            await page.evaluate(
                """() => {
                    const link = document.createElement('a');
                    [link.href, link.download] = ['data:text/csv,1', 'a.csv'];
                    link.click();
                }"""
            )
            assert session.browser is not None
            saved = session.browser.directory.downloads / "a.csv"
            await until(saved.exists)
        await until(lambda: isinstance(session.state, Detached))
        browser = session.browser
        assert browser is not None
        await until(lambda: len(browser.pages) == 1)

        # A stop in the middle of it.
        async def held() -> None:
            async with pages.within(session) as remote:
                await remote.contexts[0].pages[0].evaluate("new Promise(() => 0)")

        task = asyncio.create_task(held())
        await until(lambda: isinstance(session.state, Attached))
        await session.stop(force=True)
        with pytest.raises(GatewayError, match="the session was stopped"):
            await task
