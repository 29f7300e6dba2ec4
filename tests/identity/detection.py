"""A detection page: `detect.js` in every place that a page has, and what its requests say."""

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from browser_pool.devtools import DevTools
from tests.identity.places import evaluate, goto
from tests.site.local import served

DETECT = Path(__file__).with_name("detect.js").read_text()
TELL = f"<script>{DETECT} detect().then((found) => parent.postMessage([name, found], '*'))</script>"
ANSWERS = {
    "/frame": TELL,
    "/worker.js": f"{DETECT} detect().then(async (found) => (await fetch('/asked/worker'), postMessage(found)));",
    "/shared.js": f"{DETECT} onconnect = async (event) => event.ports[0].postMessage(await detect());",
    "/service.js": f"{DETECT} oninstall = () => skipWaiting(); onactivate = () => clients.claim();"
    "onmessage = async (event) => event.source.postMessage(await detect());",
}
PAGE = f"""<!doctype html><title>detection</title><script>{DETECT}
const frame = (name, more) => new Promise((done) => {{
  addEventListener("message", (event) => event.data[0] === name && done(event.data[1]));
  document.body.append(Object.assign(document.createElement("iframe"), {{ name, ...more }}));
}});
const told = (port) => new Promise((done) => (port.onmessage = (event) => done(event.data)));
const service = async () => {{
  await navigator.serviceWorker.register("/service.js");
  (await navigator.serviceWorker.ready).active.postMessage(1);
  return told(navigator.serviceWorker);
}};
const blank = () => {{
  const inside = document.body.appendChild(document.createElement("iframe")).contentWindow;
  return inside.eval(`${{document.querySelector("script").textContent.split("const frame =")[0]}} detect()`);
}};
const everywhere = async (other) => {{
  await fetch("/asked/page");
  return {{
    page: await detect(), blank: await blank(), frame: await frame("same", {{ src: "/frame" }}),
    srcdoc: await frame("srcdoc", {{ srcdoc: document.querySelector("#inner").value }}),
    foreign: await frame("foreign", {{ src: other + "/frame" }}),
    worker: await told(new Worker("/worker.js")), shared: await told(new SharedWorker("/shared.js").port),
    service: await service(),
  }};
}};
</script><body><textarea id="inner" hidden>{html.escape(TELL)}</textarea></body>"""
PLACES = ("page", "blank", "frame", "srcdoc", "foreign", "worker", "shared", "service")
HIGH = "Sec-CH-UA-Full-Version-List, Sec-CH-UA-Platform, Sec-CH-UA-Arch"


@dataclass
class Detection:
    """The running site, and the headers of each path that it was asked for."""

    url: str = ""
    other: str = ""
    requests: dict[str, dict[str, str]] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        self.requests[request.path] = {name.lower(): value for name, value in request.headers.items()}
        kind = "text/javascript" if request.path.endswith(".js") else "text/html"
        headers = {"Content-Type": kind, "Accept-CH": HIGH, "Cache-Control": "no-store"}
        return web.Response(text=PAGE if request.path == "/" else ANSWERS.get(request.path, ""), headers=headers)

    async def look(self, client: DevTools, session: str) -> dict[str, dict[str, list[Any]]]:
        """Every check in every place, from the page in `session`: [whether Chrome would say so, what was said]."""
        self.requests.clear()
        await goto(client, session, self.url + "/")
        async with asyncio.timeout(60):
            return json.loads(await evaluate(client, session, f"JSON.stringify(await everywhere('{self.other}'))"))  # type: ignore[no-any-return]


@asynccontextmanager
async def detection() -> AsyncIterator[Detection]:
    """The site, on a free port of this machine."""
    site = Detection()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.answer)
    async with served(app) as port:
        site.url, site.other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        yield site


def caught(found: dict[str, dict[str, list[Any]]]) -> dict[str, str]:
    """The checks that an ordinary Chrome would pass and this browser did not: `place.check` to what it said."""
    return {f"{place}.{name}": saw for place, all_ in found.items() for name, (fine, saw) in all_.items() if not fine}
