"""The driver's process: there when it is needed, again when it died, with none of our secrets, gone at the end."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from browser_pool.binary import Binaries
from browser_pool.browser import Browser, launched
from browser_pool.spec import LaunchSpec, Mode
from gateway.errors import Code, GatewayError
from gateway.pages.driver import Driver, environment


def test_the_environment_is_what_a_program_needs() -> None:
    usual = {
        "PATH": "/bin",
        "GATEWAY_TOKEN": "secret",
        "AWS_KEY": "secret",
        "PW_LANG_NAME": "python",
        "TMPDIR": "/else",
    }
    assert environment(usual, Path("/mine")) == {"PATH": "/bin", "PW_LANG_NAME": "python", "TMPDIR": "/mine"}


def nobody() -> None:
    raise AssertionError("nothing was to end")


async def title(driver: Driver, browser: Browser) -> str:
    """Of the browser's first page."""
    async with driver.connected(browser, nobody) as remote:
        return await remote.contexts[0].pages[0].title()


async def test_its_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "a-secret")
    directory = tmp_path / "driver"
    directory.mkdir()
    (directory / "left").touch()  # by an earlier process
    spec = LaunchSpec(Mode.SHELL)
    async with launched(spec, tmp_path / "b", Binaries(None)) as browser:
        allowed = {"behavior": "allow", "downloadPath": str(browser.directory.downloads), "eventsEnabled": False}
        await browser.devtools.send("Browser.setDownloadBehavior", allowed)
        async with Driver(directory) as driver:
            assert [driver.pid, directory.exists()] == [None, False]
            assert await title(driver, browser) == ""
            first = driver.pid
            assert first is not None
            assert "GATEWAY_TOKEN" not in psutil.Process(first).environ()
            assert await title(driver, browser) == ""
            assert driver.pid == first
            assert browser.pages  # to leave closes none

            # It dies: whoever is in the middle of something is told, and the next gets another one.
            gone = asyncio.Event()
            async with driver.connected(browser, gone.set) as remote:
                waiting = asyncio.ensure_future(remote.contexts[0].pages[0].evaluate("new Promise(() => 0)"))
                await asyncio.sleep(0)
                os.kill(first, signal.SIGKILL)
                await gone.wait()
                with pytest.raises(Exception, match="closed"):
                    await waiting
            assert await title(driver, browser) == ""
            assert driver.pid not in (None, first)
            second = driver.pid

            # The browser ends.
            gone.clear()
            async with driver.connected(browser, gone.set):
                await browser.kill()
                await gone.wait()
            with pytest.raises(GatewayError) as refused:
                await title(driver, browser)
            assert refused.value.code is Code.BROWSER_FAILED
    assert second is not None
    assert not psutil.pid_exists(second)
    assert not directory.exists()
    with pytest.raises(GatewayError) as refused:
        await title(driver, browser)
    assert refused.value.code is Code.DRAINING
