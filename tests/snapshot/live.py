"""A real Chromium and a real site, for the tests of this directory."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone, open_devtools
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.restore import restoring

NAMES = {
    "chromium": ("/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome"),
    "headless-shell": (
        "/usr/lib/chromium/chromium-headless-shell",
        "chromium-headless-shell",
        "chrome-headless-shell",
        "headless_shell",
    ),
}
FLAGS = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--password-store=basic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
)
START_LIMIT = 60.0  # seconds


def binary(kind: str) -> str | None:
    """Where the browser of that kind is, None where it is not."""
    return next((path for name in NAMES[kind] if (path := shutil.which(name))), None)


@dataclass
class Page:
    """One page target, attached."""

    devtools: DevTools
    target: str
    session: str

    async def evaluate(self, expression: str) -> Any:
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        reply = await self.devtools.send("Runtime.evaluate", params, session=self.session)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    async def loaded(self) -> None:
        await self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))"
        )

    async def arrived(self) -> None:
        """Until a document of the site is there and loaded, not the one that stood in for it."""
        async with asyncio.timeout(60):
            while True:
                with suppress(DevToolsError):  # one has just taken the other's place
                    if await self.evaluate("!!globalThis.first && document.readyState === 'complete'"):
                        return
                await asyncio.sleep(0.01)

    async def goto(self, url: str) -> None:
        reply = await self.devtools.send("Page.navigate", {"url": url}, session=self.session)
        assert "errorText" not in reply, reply
        await self.loaded()

    async def history(self) -> list[str]:
        reply = await self.devtools.send("Page.getNavigationHistory", session=self.session)
        return [entry["url"] for entry in reply["entries"]]


@dataclass
class Browser:
    """A running Chromium on `profile`."""

    devtools: DevTools
    profile: Path
    process: asyncio.subprocess.Process

    async def targets(self) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = (await self.devtools.send("Target.getTargets"))["targetInfos"]
        return infos

    async def urls(self) -> list[str]:
        return sorted(info["url"] for info in await self.targets() if info["type"] == "page")

    @asynccontextmanager
    async def first_page(self) -> AsyncIterator[Page]:
        target = next(info["targetId"] for info in await self.targets() if info["type"] == "page")
        async with self.devtools.attached(target) as session:
            yield Page(self.devtools, target, session)

    @asynccontextmanager
    async def new_page(self, url: str, **options: object) -> AsyncIterator[Page]:
        reply = await self.devtools.send("Target.createTarget", {"url": "about:blank", **options})
        async with self.devtools.attached(reply["targetId"]) as session:
            page = Page(self.devtools, reply["targetId"], session)
            await page.goto(url)
            yield page

    @asynccontextmanager
    async def page_at(self, start: str) -> AsyncIterator[Page]:
        """The page whose url begins with `start`, once it has loaded."""
        target = next(
            info["targetId"]
            for info in await self.targets()
            if info["type"] == "page" and info["url"].startswith(start)
        )
        async with self.devtools.attached(target) as session:
            page = Page(self.devtools, target, session)
            await page.loaded()
            yield page

    async def devtools_port(self) -> int:
        return int((await asyncio.to_thread(_lines, self.profile / "DevToolsActivePort"))[0])

    async def close(self) -> None:
        """End it as a user would, so that all is on the disk."""
        with suppress(DevToolsGone, DevToolsError):  # it may go before it has answered
            await self.devtools.send("Browser.close", timeout=60)
        await asyncio.wait_for(self.process.wait(), 60)


@asynccontextmanager
async def running_browser(profile: Path, kind: str = "chromium") -> AsyncIterator[Browser]:
    """Chromium with an about:blank page while the block lasts; none of its processes stays."""
    path = binary(kind)
    assert path is not None
    await asyncio.to_thread(profile.mkdir, parents=True, exist_ok=True)
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with profile.with_name(profile.name + ".err").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            path,
            *FLAGS,
            *root,
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
    try:
        url = await _endpoint(profile / "DevToolsActivePort", process)
        async with open_devtools(url) as devtools:
            yield Browser(devtools, profile, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def _endpoint(file: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(START_LIMIT):
        while True:
            assert process.returncode is None, "Chromium has ended"
            # Chromium has no other way to tell than this file.
            if len(lines := await asyncio.to_thread(_lines, file)) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.02)


FIRST_SCRIPT = """<!doctype html><title>app</title><link rel="icon" href="data:,"><script>
window.first = {
  cookie: document.cookie, token: localStorage.getItem("token"), tab: sessionStorage.getItem("tab"),
  history: history.length, referrer: document.referrer,
};
</script>"""


@dataclass
class Place:
    """A site on localhost, its subdomains and 127.0.0.1; `requests` are those since the start, (path, cookies)."""

    port: int
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, host: str = "localhost", path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def origin(self, host: str = "localhost") -> str:
        return f"http://{host}:{self.port}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path, dict(request.cookies)))
        if request.path == "/slow":
            await self.hold.wait()
        frame = f'<iframe src="{self.at("127.0.0.1", "/inner")}"></iframe>' if request.path == "/outer" else ""
        tall = '<div style="width:4000px;height:4000px"></div>' if request.path.startswith("/tall") else ""
        response = web.Response(text=FIRST_SCRIPT + frame + tall, content_type="text/html")
        if request.path == "/login":
            for line in (
                "session=s1; Path=/; HttpOnly",
                "strict=s2; Path=/; SameSite=Strict",
                "kept=s3; Path=/; Max-Age=86400",
                "part=s4; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
            ):
                response.headers.add("Set-Cookie", line)
        if request.path == "/worker.js":
            return web.Response(
                text="onfetch = event => event.respondWith(new Response('from the worker'))",
                content_type="text/javascript",
            )
        return response


@asynccontextmanager
async def running_place() -> AsyncIterator[Place]:
    place = Place(0)
    app = web.Application()
    app.router.add_get("/{path:.*}", place.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        place.port = runner.addresses[0][1]
        yield place
    finally:
        place.hold.set()
        await runner.cleanup()


async def restore(devtools: DevTools, document: ContextDocument, *, storage: bool) -> tuple[str, ...]:
    """All of it, until its pages are shown; what could not be put back, in words."""
    lost: list[str] = []
    async with restoring(devtools, document, storage=storage, tell=lost.append) as pages:
        pages.show()
        await pages.shown.wait()
    return tuple(lost)
