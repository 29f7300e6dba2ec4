"""A site whose pages, frames and workers tell what they see of the browser, and whose server tells what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from browser_pool.binary import Binaries
from browser_pool.browser import Browser, launched
from browser_pool.devtools import DevTools, DevToolsError, open_devtools
from browser_pool.spec import LaunchSpec, Mode
from gateway.identity.launch import launch
from gateway.records import Identity
from tests.site.local import served

LIKE_GECKO = "AppleWebKit/537.36 (KHTML, like Gecko)"
AGENT = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {LIKE_GECKO} Chrome/156.0.0.0 Safari/537.36"
# An identity of which flags can do a part only, and what every place shall see of it.
GERMAN = Identity(
    user_agent=AGENT,
    locale="de-DE",
    timezone="Europe/Berlin",
    viewport=(1111, 777),
    device_scale_factor=2,
    geolocation=(52.52, 13.405, 25.0),
    extra_headers=(("X-Key", "s3cret"), ("X-Team", "red")),
)
SEEN = {
    "userAgent": AGENT,
    "appVersion": AGENT.removeprefix("Mozilla/"),
    "platform": "Win32",
    "language": "de-DE",
    "languages": "de-DE,de",
    "locale": "de-DE",
    "number": "1.234,5",
    "date": "Januar",
    "timezone": "Europe/Berlin",
    "offset": -60,
    "system": "Windows",
    "mobile": False,
}
# JavaScript that waits for the latitude.
WHERE = "new Promise((yes, no) => navigator.geolocation.getCurrentPosition((place) => yes(place.coords.latitude), no))"

# What a script can find out at once, which is also what the first script of each place finds.
LOOK = """
const seen = () => {
  const data = navigator.userAgentData;
  return {
    userAgent: navigator.userAgent, appVersion: navigator.appVersion, platform: navigator.platform,
    language: navigator.language, languages: navigator.languages.join(),
    locale: new Intl.NumberFormat().resolvedOptions().locale, number: (1234.5).toLocaleString(),
    date: new Date(2024, 0, 2).toLocaleDateString(undefined, { month: "long" }),
    timezone: new Intl.DateTimeFormat().resolvedOptions().timeZone, offset: new Date(2024, 0, 2).getTimezoneOffset(),
    brands: data && data.brands.map((one) => one.brand + "/" + one.version).join(),
    system: data && data.platform, mobile: data && data.mobile, own: globalThis.own,
  };
};
const HIGH = ["architecture", "bitness", "model", "platformVersion", "uaFullVersion", "fullVersionList", "formFactors"];
const first = seen();
const later = async () => JSON.stringify({
  first, now: seen(), high: navigator.userAgentData && await navigator.userAgentData.getHighEntropyValues(HIGH),
});
"""
FRAME = f"<script>{LOOK} later().then((text) => (parent || self).postMessage(location.pathname + text, '*'))</script>"
WORKER = f"""{LOOK}
onmessage = () => later().then((text) => postMessage(text));
onmessage();
fetch('/asked/worker');"""
SHARED = f"""{LOOK}
onconnect = (event) => later().then((text) => event.ports[0].postMessage(text));
fetch('/asked/shared');"""
SERVICE = f"""{LOOK}
oninstall = () => skipWaiting();
onactivate = () => clients.claim();
onmessage = (event) => later().then((text) => event.source.postMessage(text));
fetch('/asked/service');"""
PAGE = f"""<title>places</title><script>{LOOK}
const frame = (url) => new Promise((done) => {{
  const path = new URL(url, location).pathname;
  addEventListener("message", (event) => event.data.startsWith?.(path) && done(event.data.slice(path.length)));
  document.body.append(Object.assign(document.createElement("iframe"), {{ src: url }}));
}});
const told = (port) => new Promise((done) => (port.onmessage = (event) => done(event.data)));
const worker = (url) => told(new Worker(url));
const shared = () => told(new SharedWorker("/shared.js").port);
const service = async () => {{
  await navigator.serviceWorker.register("/service.js");
  const {{ active }} = await navigator.serviceWorker.ready;
  active.postMessage(1);
  return told(navigator.serviceWorker);
}};
const blank = () => {{
  const inside = document.body.appendChild(document.createElement("iframe")).contentWindow;
  return inside.eval(`${{document.querySelector("script").textContent.split("const frame")[0]}} later()`);
}};
const everywhere = async (other) => {{
  const all = {{ page: later(), blank: blank(), frame: frame("/frame"), foreign: frame(other + "/foreign") }};
  Object.assign(all, {{ worker: worker("/worker.js"), shared: shared(), service: service() }});
  all.nested = worker(URL.createObjectURL(new Blob([
    `onmessage = null; new Worker("${{location.origin}}/worker.js").onmessage = (event) => postMessage(event.data)`,
  ])));
  await fetch("/asked/page");
  const texts = await Promise.all(Object.entries(all).map(async ([name, text]) => [name, JSON.parse(await text)]));
  return Object.fromEntries(texts);
}};
</script><body></body>"""
TYPES = {"js": "text/javascript", "html": "text/html"}
CLIENT_HINTS = "Sec-CH-UA-Full-Version-List, Sec-CH-UA-Platform-Version, Sec-CH-UA-Model, Sec-CH-UA-Arch"


@dataclass
class Places:
    """The running site: `url`, and the same site under another name; `requests` maps paths to the headers sent."""

    url: str = ""
    other: str = ""
    requests: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def answer(self, request: web.Request) -> web.Response:
        texts = {"/": PAGE, "/frame": FRAME, "/foreign": FRAME, "/window": FRAME}
        scripts = {"/worker.js": WORKER, "/shared.js": SHARED, "/service.js": SERVICE}
        self.requests[request.path_qs] = {name.lower(): value for name, value in request.headers.items()}
        async with self.asked:
            self.asked.notify_all()
        kind = "js" if request.path in scripts else "html"
        headers = {"Content-Type": TYPES[kind], "Cache-Control": "no-store", "Accept-CH": CLIENT_HINTS}
        return web.Response(text=texts.get(request.path) or scripts.get(request.path, ""), headers=headers)

    async def sent(self, path: str) -> dict[str, str]:
        """The headers of the request for `path`, once it has come."""
        async with asyncio.timeout(30), self.asked:
            await self.asked.wait_for(lambda: path in self.requests)
        return self.requests[path]


@asynccontextmanager
async def places() -> AsyncIterator[Places]:
    """The site, on a free port of this machine."""
    site = Places()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.answer)
    async with served(app) as port:
        site.url, site.other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        yield site


@asynccontextmanager
async def browser(
    directory: Path, identity: Identity | None = None, mode: Mode = Mode.HEADLESS
) -> AsyncIterator[Browser]:
    """A browser with what flags do of `identity`."""
    async with launched(launch(identity, LaunchSpec(mode=mode)), directory / "browser", Binaries()) as running:
        yield running


async def first_session(devtools: DevTools) -> str:
    """A session on the first page, for as long as the connection lasts."""
    infos = (await devtools.send("Target.getTargets"))["targetInfos"]
    return await session_on(devtools, next(info["targetId"] for info in infos if info["type"] == "page"))


async def session_on(devtools: DevTools, target: str) -> str:
    reply = await devtools.send("Target.attachToTarget", {"targetId": target, "flatten": True})
    return str(reply["sessionId"])


async def evaluate(devtools: DevTools, session: str, expression: str) -> Any:
    whole = f"(async () => ({expression}))()"  # so that it may await
    params = {"expression": whole, "awaitPromise": True, "returnByValue": True}
    reply = await devtools.send("Runtime.evaluate", params, session=session, timeout=60)
    assert "exceptionDetails" not in reply, reply["exceptionDetails"]
    return reply["result"].get("value")


async def seen_in(devtools: DevTools, session: str) -> dict[str, Any]:
    """What a new window of the site sees, once it shows its page and not the empty one before it."""
    async with asyncio.timeout(60):
        while True:
            with suppress(DevToolsError):  # the empty page's context goes while we ask
                if text := await evaluate(devtools, session, "typeof later === 'function' && await later()"):
                    return dict(json.loads(text))


LOADED = "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))"


async def goto(devtools: DevTools, session: str, url: str) -> None:
    """Show `url` in a page, and return once that document has loaded, not the one before it."""
    reply = await devtools.send("Page.navigate", {"url": url}, session=session)
    assert "errorText" not in reply, reply
    async with asyncio.timeout(60):
        while True:
            with suppress(DevToolsError):  # the document before goes while we ask
                tree = await devtools.send("Page.getFrameTree", session=session)
                if tree["frameTree"]["frame"]["loaderId"] == reply["loaderId"]:
                    break
    await evaluate(devtools, session, LOADED)


def differing(told: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What any place saw otherwise, at first or later: `place.first.name` to what it saw."""
    return {
        f"{place}.{when}.{name}": seen[when].get(name)
        for place, seen in told.items()
        for when in ("first", "now")
        for name, value in wanted.items()
        if seen[when].get(name) != value
    }


def client_of(running: Browser) -> AbstractAsyncContextManager[DevTools]:
    """Another client of the same browser, which has a connection of its own."""
    return open_devtools(f"ws://127.0.0.1:{running.port}{running.path}")


def shown(running: Browser) -> bool:
    """Whether a window of the site is open."""
    return any(url.endswith("/window") for url in running.pages.values())
