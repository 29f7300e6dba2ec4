"""The lean flags of flags.py are not to be seen: pages find what they find in a browser with Puppeteer's own flags.

And what they are for: an idle browser has no process that it could do without.
"""

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from browser_pool.binary import Binaries
from browser_pool.browser import Browser, launched
from browser_pool.command_line import command_line
from browser_pool.devtools import DevTools, DevToolsError, open_devtools
from browser_pool.process import become_subreaper, chromium, endpoint, environment
from browser_pool.profile import BrowserDirectory
from browser_pool.spec import LaunchSpec, Mode
from tests.browser_pool.seen import command_line_of, tree
from tests.journeys.running import eventually

PAGES = Path(__file__).with_name("pages")
PATIENCE = 60.0  # seconds, on a busy machine
MEDIA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
# Puppeteer 24's ChromeLauncher.defaultArgs, without what only reports or prints differently.
PUPPETEER = """
    --allow-pre-commit-input --disable-background-networking --disable-background-timer-throttling
    --disable-backgrounding-occluded-windows --disable-breakpad --disable-client-side-phishing-detection
    --disable-component-extensions-with-background-pages --disable-crash-reporter --disable-default-apps
    --disable-dev-shm-usage --disable-hang-monitor --disable-infobars --disable-ipc-flooding-protection
    --disable-popup-blocking --disable-prompt-on-repost --disable-renderer-backgrounding
    --disable-search-engine-choice-screen --disable-sync --enable-automation --export-tagged-pdf
    --force-color-profile=srgb --metrics-recording-only --no-first-run --password-store=basic --use-mock-keychain
    --disable-features=Translate,AcceptCHFrame,MediaRouter,OptimizationHints,WebUIReloadButton,IsolateSandboxedIframes
    --headless=new --hide-scrollbars --mute-audio --disable-extensions --remote-debugging-port=0
""".split()


@pytest.fixture(autouse=True)
def _subreaper() -> None:
    become_subreaper()


@pytest.fixture(params=[Mode.HEADLESS, Mode.SHELL])
def mode(request: pytest.FixtureRequest, binaries: Binaries) -> Mode:
    mode: Mode = request.param
    if mode is Mode.SHELL and binaries.shell is None:
        pytest.skip("no headless shell here")
    return mode


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Where the pages of this test are served, with a file to download, one to cache and a socket that echoes."""

    async def cached(request: web.Request) -> web.Response:
        return web.Response(text=os.urandom(8).hex(), headers={"Cache-Control": "max-age=600"})

    async def download(request: web.Request) -> web.Response:
        return web.Response(body=b"downloaded", headers={"Content-Disposition": "attachment; filename=it.bin"})

    async def socket(request: web.Request) -> web.WebSocketResponse:
        reply = web.WebSocketResponse()
        await reply.prepare(request)
        async for message in reply:
            await reply.send_str(f"{message.data} out")
        return reply

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGES / {"worker": "worker.js"}.get(name := request.match_info["name"], f"{name}.html"))

    app = web.Application()
    app.add_routes([web.get("/cached", cached), web.get("/file", download), web.get("/socket", socket)])
    app.add_routes([web.get("/{name:worker}.js", file), web.get("/{name:probe|other}", file)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0)  # under the name localhost it is another site
        await listener.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def started(path: Path, argv: Callable[[Path], list[str]]) -> AsyncIterator[DevTools]:
    """A browser with an argv of the test's own, made from its profile's path."""
    directory = BrowserDirectory(path)
    directory.make()
    directory.prepare()
    async with AsyncExitStack() as stack:
        stack.callback(directory.remove)
        process = await stack.enter_async_context(
            chromium(argv(directory.profile), directory, environment(directory, None))
        )
        port, where = await endpoint(process, directory, PATIENCE)
        devtools = await stack.enter_async_context(open_devtools(f"ws://127.0.0.1:{port}{where}"))
        async with told(devtools, "Target.targetCreated"):
            await devtools.send("Target.setDiscoverTargets", {"discover": True, "filter": [{"type": "page"}]})
        yield devtools


class Page:
    """The first page of a browser."""

    def __init__(self, devtools: DevTools, target: str, session: str) -> None:
        self.devtools, self.target, self.session = devtools, target, session

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        return await self.devtools.send(method, params, session=self.session)

    async def evaluate(self, expression: str) -> Any:
        reply = await self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def goto(self, url: str) -> None:
        loader = (await self.send("Page.navigate", url=url))["loaderId"]
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(DevToolsError):  # the document before goes while we ask
                    if (await self.send("Page.getFrameTree"))["frameTree"]["frame"]["loaderId"] == loader:
                        break
        await self.evaluate("document.readyState === 'complete' || new Promise((done) => { onload = () => done() })")


@asynccontextmanager
async def told(devtools: DevTools, method: str, **wanted: Any) -> AsyncIterator[None]:
    """Wait at the end of the block for an event that came within or comes then."""
    came = asyncio.Event()

    def look(name: str, params: dict[str, Any], session: str | None) -> None:
        if name == method and wanted.items() <= params.items():
            came.set()

    with devtools.listening(look):
        yield
        await asyncio.wait_for(came.wait(), PATIENCE)


@asynccontextmanager
async def first_page(devtools: DevTools) -> AsyncIterator[Page]:
    target = (await targets(devtools, "page"))[0]["targetId"]
    async with devtools.attached(target) as session:
        page = Page(devtools, target, session)
        await page.send("Page.enable")
        yield page


async def targets(devtools: DevTools, kind: str) -> list[dict[str, Any]]:
    found = (await devtools.send("Target.getTargets", {"filter": [{}]}))["targetInfos"]
    return [target for target in found if target["type"] == kind]


async def findings(devtools: DevTools, origin: str, downloads: Path) -> dict[str, Any]:
    """All that a visit to the probing page shows."""
    async with first_page(devtools) as page:
        await page.goto(f"{origin}/probe")
        picture = (await page.send("Page.captureScreenshot", format="png"))["data"]
        found: dict[str, Any] = await page.evaluate("probe()")
        found["picture"] = picture
        found["frames of their own process"] = len(await targets(devtools, "iframe"))
        printed = base64.b64decode((await page.send("Page.printToPDF"))["data"])
        found["pdf"] = printed[:5], len(re.findall(rb"/Type\s*/Page\b", printed)), b"/StructTreeRoot" in printed
        await devtools.send(
            "Browser.setDownloadBehavior",
            {"behavior": "allow", "downloadPath": str(downloads), "eventsEnabled": True},
        )
        async with told(devtools, "Browser.downloadProgress", state="completed"):
            await page.evaluate("setTimeout(() => { location = '/file' }), null")
        found["download"] = (downloads / "it.bin").read_bytes()
        return found


def plain(binary: Path) -> Callable[[Path], list[str]]:
    """Chromium as Puppeteer starts it."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return lambda profile: [str(binary), f"--user-data-dir={profile}", *PUPPETEER, *root, *MEDIA, "about:blank"]


async def test_pages_find_what_they_find_in_a_plain_browser(
    root: Path, tmp_path: Path, binaries: Binaries, origin: str, mode: Mode
) -> None:
    async with started(root / "plain", plain(binaries.path(mode))) as devtools:
        expected = await findings(devtools, origin, tmp_path / "1")
    async with launched(LaunchSpec(mode=mode, args=MEDIA), root / "lean", binaries) as browser:
        found = await findings(browser.devtools, origin, tmp_path / "2")
        assert not {"network", "audio"} & set(kinds(browser)), "still none after all that"
    for name, value in expected.items():
        assert found[name] == value, name
    # And a plain browser is a fair measure: it could do all of it.
    assert not {name: value for name, value in expected.items() if str(value).startswith("failed")}
    assert expected["cache"] == 0
    assert expected["webgl"][0]["pixel"] == [255, 128, 0, 255]
    assert expected["textures"] == [0, 4999 % 256, 1, 2, 255]
    assert expected["audio"][0] == "running"
    assert expected["socket"] == "over and out"
    assert expected["serviceWorker"] == "intercepted"
    assert expected["frame"] == "from localhost"
    assert expected["popup"] == ["from 127.0.0.1", True]
    assert expected["frames of their own process"] == (mode is Mode.HEADLESS), "the shell isolates no sites"
    assert expected["pdf"][:2] == (b"%PDF-", 1)
    assert expected["download"] == b"downloaded"


def kinds(browser: Browser) -> list[str]:
    """What its processes are for, sorted; without Crashpad's two handlers, half a megabyte each."""
    found = []
    for pid in tree(browser.pid):
        try:
            words = " ".join(command_line_of(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        kind = re.search(r"--utility-sub-type=(\w+)", words) or re.search(r"--type=([\w-]+)", words)
        found.append(kind[1] if kind else "browser")
    return sorted(found)


async def test_an_idle_browser_has_no_process_to_spare(root: Path, binaries: Binaries, origin: str, mode: Mode) -> None:
    async with launched(LaunchSpec(mode=mode), root / "b", binaries) as browser, first_page(browser.devtools) as page:
        await page.goto(f"{origin}/other")

        def settled() -> list[str]:
            """One that it has just forked looks like the browser itself until it has become another program."""
            seen = kinds(browser)
            return seen if seen.count("browser") == 1 else []

        found = await eventually("nothing is being started", settled)
        assert found.count("renderer") == 1, "no spare one"
        assert found.count("gpu-process") == 1, "drawing in the browser's own process crashes it when it closes"
        assert found.count("zygote") <= (2 if os.geteuid() == 0 else 3)
        assert set(found) <= {"browser", "gpu-process", "renderer", "storage", "zygote"}
        assert [target["type"] for target in await browser.targets()] == ["page"]


async def test_browsers_that_close_together_all_exit_cleanly(root: Path, binaries: Binaries, mode: Mode) -> None:
    async def closed(name: str) -> str:
        async with (
            launched(LaunchSpec(mode=mode), root / name, binaries) as browser,
            first_page(browser.devtools) as page,
        ):
            async with told(browser.devtools, "Page.loadEventFired"):
                await page.send("Page.navigate", url="data:text/html,<p>drawn")
            await browser.close()
            return browser.reason

    reasons = [reason for turn in "ab" for reason in await asyncio.gather(*(closed(f"{turn}{n}") for n in range(4)))]
    assert reasons == ["Chromium exited with code 0"] * 8


async def test_pages_that_were_left_keep_no_process(root: Path, binaries: Binaries, origin: str, mode: Mode) -> None:
    async with launched(LaunchSpec(mode=mode), root / "b", binaries) as browser, first_page(browser.devtools) as page:
        for host in ("127.0.0.1", "localhost", "127.0.0.1"):
            await page.goto(f"{origin.replace('127.0.0.1', host)}/probe")
        async with told(browser.devtools, "Page.frameNavigated"):  # the load event of the page before may come late
            await page.evaluate("setTimeout(() => history.back()), null")  # answered before the page goes
        assert await page.evaluate("location.hostname") == "localhost"
        # The one before may just be ending.
        await eventually("two renderers at most", lambda: kinds(browser).count("renderer") <= 2)


async def test_a_page_that_crashes_takes_nothing_with_it(
    root: Path, binaries: Binaries, origin: str, mode: Mode
) -> None:
    async with launched(LaunchSpec(mode=mode), root / "b", binaries) as browser, first_page(browser.devtools) as page:
        devtools = browser.devtools
        await page.goto(f"{origin}/probe")
        await page.evaluate("window.kept = document.createElement('canvas').getContext('webgl'); 1")
        other = (await devtools.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
        async with devtools.attached(other) as session, told(devtools, "Target.targetCrashed", targetId=other):
            crash = asyncio.ensure_future(devtools.send("Page.navigate", {"url": "chrome://crash"}, session=session))
            await asyncio.sleep(0)
        crash.cancel()
        await asyncio.wait([crash])
        assert not browser.gone.is_set()
        assert await page.evaluate("kept.isContextLost()") is False
        assert await page.evaluate("probes.cache()") == 0


async def test_a_headed_browser_draws_without_a_screen(
    root: Path, binaries: Binaries, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    spec = LaunchSpec(mode=Mode.HEADED, viewport=(1000, 700))
    async with launched(spec, root / "b", binaries) as browser, first_page(browser.devtools) as page:
        await page.goto(f"{origin}/probe")
        assert base64.b64decode((await page.send("Page.captureScreenshot"))["data"]).startswith(b"\x89PNG")
        assert (await page.evaluate("probes.screen()"))[:6:4] == [1920, 1000]
        assert (await page.evaluate("probes.webgl()"))[0]["pixel"] == [255, 128, 0, 255]


async def test_an_extension_that_was_asked_for_is_at_work(root: Path, binaries: Binaries, origin: str) -> None:
    spec = LaunchSpec(args=("--load-extension=hello",))

    def argv(profile: Path) -> list[str]:
        return command_line(
            spec,
            binaries.path(Mode.HEADLESS),
            profile,
            sandbox=os.geteuid() != 0,
            display=False,
            user_agent=None,
            extensions=PAGES / "extensions",
        )

    async with started(root / "b", argv) as devtools, first_page(devtools) as page:
        await page.goto(f"{origin}/other")
        said = """new Promise((done) => {
            const look = () => document.title === "other" ? setTimeout(look, 10) : done(document.title); look() })"""
        assert await page.evaluate(said) == "hello, said the service worker"
        workers = await targets(devtools, "service_worker")
        assert [worker["url"].rpartition("/")[2] for worker in workers] == ["background.js"]
