"""The gateway's one Playwright driver: a Node.js process, started when it is first needed and again when it died.

It talks to Chromium's own DevTools on loopback, so nothing of it goes through the relay. Of our environment, where
secrets may be, it gets a few names only; its temporary files are in a directory of its own, which goes with it.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import playwright._impl.transport
import structlog
from playwright._impl.out_of_process import PlaywrightClient
from playwright.async_api import Browser as Remote
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Playwright, async_playwright

from browser_pool.browser import Browser
from browser_pool.tasks import to_the_end
from gateway.errors import Code, GatewayError

CONNECT = 20.0  # seconds; some 20 ms on an idle machine
GOODBYE = 5.0  # seconds for it to end by itself
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")

log = structlog.get_logger()
# Playwright has no option for its driver's environment. A new release may move this: tests/pages/test_driver.py reads
# what the process really got.
_transport: Any = playwright._impl.transport
_usual: Callable[[], dict[str, str]] = _transport.get_driver_env
_own: ContextVar[Path | None] = ContextVar("driver_directory", default=None)


def _environment() -> dict[str, str]:
    usual = _usual()
    if (directory := _own.get()) is None:
        return usual  # somebody else's driver
    return environment(usual, directory)


_transport.get_driver_env = _environment


def environment(usual: Mapping[str, str], directory: Path) -> dict[str, str]:
    """What the driver gets of the environment that Playwright would give it; its temporary files go to `directory`."""
    kept = {name: value for name, value in usual.items() if name in INHERITED or name.startswith("PW_")}
    return {**kept, "TMPDIR": str(directory)}


class Running:
    """One driver process."""

    def __init__(self, playwright: Playwright, client: PlaywrightClient) -> None:
        self.playwright = playwright
        self.process: asyncio.subprocess.Process = client._transport._proc
        self.ended: asyncio.Future[None] = client._close_promise  # its pipe is closed: calls under way fail next
        client._transport.on_error_future.add_done_callback(_read)

    @property
    def lives(self) -> bool:
        """It has not ended, as far as was seen."""
        return not self.ended.done() and self.process.returncode is None


class Driver:
    """`async with Driver(directory) as driver`: nothing runs until somebody connects; nothing is left at the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: Running | None = None
        self._starting = asyncio.Lock()
        self._over = False

    async def __aenter__(self) -> Self:
        # What an earlier process that was killed has left.
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over = True
        async with self._starting:
            if (running := self._running) is not None:
                await to_the_end(_ended(running))
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._running.process.pid if self._running is not None and self._running.lives else None

    @asynccontextmanager
    async def connected(self, browser: Browser, gone: Callable[[], None]) -> AsyncIterator[Remote]:
        """Playwright's view of `browser` for this block; what it shows and keeps is left as it is.

        `gone` is called once if browser or driver end before the block does: calls under way fail by themselves.
        Raises GatewayError: BROWSER_FAILED, BAD_GATEWAY.
        """
        remote, running = await self._connect(browser)
        told = False

        def tell(_: object = None) -> None:
            nonlocal told
            if not told:
                told = True
                gone()

        remote.on("disconnected", tell)
        running.ended.add_done_callback(tell)
        try:
            if not remote.is_connected():
                tell()
            yield remote
        finally:
            told = True
            running.ended.remove_done_callback(tell)
            await to_the_end(_left(remote))

    async def _connect(self, browser: Browser) -> tuple[Remote, Running]:
        endpoint = f"ws://127.0.0.1:{browser.port}{browser.path}"
        for last in (False, True):
            running = await self._started()
            try:
                async with asyncio.timeout(CONNECT + GOODBYE):
                    # Without its defaults: the session's own downloads, focus and fonts stay as they are.
                    remote = await running.playwright.chromium.connect_over_cdp(
                        endpoint, timeout=CONNECT * 1000, no_defaults=True, artifacts_dir=self._directory
                    )
                return remote, running
            except TimeoutError as error:  # it is the driver that hangs: whoever is in it has waited as long
                log.warning("page_driver_hangs", pid=running.process.pid)
                await _killed(running)
                if last:
                    raise GatewayError(Code.BAD_GATEWAY, "the browser's DevTools could not be reached") from error
            except PlaywrightError as error:
                if browser.gone.is_set():
                    raise GatewayError(Code.BROWSER_FAILED, f"the browser is gone: {browser.reason}") from error
                if running.lives or last:
                    raise GatewayError(Code.BAD_GATEWAY, "the browser's DevTools could not be reached") from error
        raise AssertionError("not reached")

    async def _started(self) -> Running:
        async with self._starting:
            if self._over:
                raise GatewayError(Code.DRAINING, "the gateway is stopping", retry_after=5)
            if self._running is not None and not self._running.lives:
                log.warning("page_driver_died", code=self._running.process.returncode)
                self._running = None
            if self._running is None:
                self._running = await to_the_end(self._start())
            return self._running

    async def _start(self) -> Running:
        await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        manager = async_playwright()
        token = _own.set(self._directory)
        try:
            playwright = await manager.start()
        except (PlaywrightError, OSError) as error:
            raise GatewayError(
                Code.BROWSER_FAILED, f"the driver of page services could not be started: {error}"
            ) from error
        finally:
            _own.reset(token)
        assert manager._client is not None
        running = Running(playwright, manager._client)
        log.info("page_driver_started", pid=running.process.pid)
        return running


def _read(failed: "asyncio.Future[None]") -> None:
    """Take note that the pipe broke; whoever cares looks at `Running.ended`."""
    if not failed.cancelled():
        failed.exception()


async def _ended(running: Running) -> None:
    try:
        async with asyncio.timeout(GOODBYE):
            await running.playwright.stop()
    except TimeoutError:
        log.warning("page_driver_killed", pid=running.process.pid)
    await _killed(running)


async def _killed(running: Running) -> None:
    if running.process.returncode is None:
        with suppress(ProcessLookupError):  # it has just ended
            running.process.kill()
        await running.process.wait()


async def _left(remote: Remote) -> None:
    """Of a browser connected over CDP this ends the connection, and the contexts made over it."""
    with suppress(PlaywrightError, TimeoutError):  # it is gone already, or hangs and will be
        async with asyncio.timeout(GOODBYE):
            await remote.close()
