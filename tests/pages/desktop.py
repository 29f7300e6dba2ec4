"""A session whose page writes down every event that it gets, for tests of what agents do to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from browser_pool.browser import Browser
from gateway.pages.computer import Action, Computers, Outcome
from gateway.pages.hand import PATIENCE
from gateway.records import SessionId
from gateway.session.session import Session
from tests.inside import ADMIN, Inside, inside

PAGE = """<!doctype html><title>first</title><style>body { margin: 0 } body > * { position: absolute }</style>
<textarea id=text style="left: 0; top: 0; width: 300px; height: 100px"></textarea>
<button id=ask style="left: 400px; top: 0" onclick="said = confirm('?')">ask</button>
<div id=from draggable=true style="left: 0; top: 200px; width: 50px; height: 50px; background: red"></div>
<div id=to style="left: 300px; top: 200px; width: 50px; height: 50px; background: blue"></div>
<p style="top: 4000px">below</p>
<script>
let log = [], said = null;
for (const name of ["mousedown", "mouseup", "mousemove", "click", "dblclick", "contextmenu", "keydown", "keyup",
                    "input", "wheel", "dragstart", "drop"])
  addEventListener(name, e => log.push({name, real: e.isTrusted, at: [e.clientX, e.clientY], button: e.button,
    buttons: e.buttons, count: e.detail, key: e.key, code: e.code, which: e.keyCode,
    mods: (e.shiftKey ? "S" : "") + (e.ctrlKey ? "C" : "") + (e.altKey ? "A" : "") + (e.metaKey ? "M" : "")}), true);
addEventListener("dragover", e => e.preventDefault());
</script>"""
URL = f"data:text/html,{quote(PAGE)}"


@dataclass
class Desktop:
    """The session, by its id, and what acts in it."""

    gateway: Inside
    computers: Computers
    id: SessionId

    @property
    def session(self) -> Session:
        found = self.gateway.registry.live(self.id)
        assert found is not None
        return found

    async def act(self, action: Action, *, picture: bool = False) -> Outcome:
        return await self.computers.act(ADMIN, self.id, action, picture=picture)

    async def done(self, action: Action) -> list[dict[str, Any]]:
        """Do it; what its page got of it."""
        await self.eval("log.splice(0)")
        outcome = await self.act(action)
        assert outcome.error is None, outcome
        found: list[dict[str, Any]] = json.loads(await self.eval("JSON.stringify(log)"))
        assert all(event["real"] for event in found), found
        return found

    async def eval(self, expression: str, title: str = "first") -> Any:
        """In the page of that title."""
        async with self.session.used() as browser, browser.devtools.attached(await titled(browser, title)) as session:
            asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
            answer = await browser.devtools.send("Runtime.evaluate", asked, session=session, timeout=60)
            assert "exceptionDetails" not in answer, answer
            return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Return once it is true in the first page."""
        async with asyncio.timeout(30):
            while not await self.eval(expression):
                pass


async def titled(browser: Browser, title: str) -> str:
    """The page of that title, once there is one: Chromium tells of titles a moment later."""
    async with asyncio.timeout(30):
        while True:
            for info in await browser.targets():
                if info["type"] == "page" and info["title"] == title:
                    return str(info["targetId"])


@asynccontextmanager
async def desktop(directory: Path, *, patience: float = PATIENCE, **body: Any) -> AsyncIterator[Desktop]:
    """For this block; `patience` in seconds with its pages; `body` of POST /session."""
    async with inside(directory) as gateway:
        status, session = await gateway.call("POST", "/session", json={"url": URL, **body})
        assert status == 201, session
        yield Desktop(gateway, Computers(gateway.registry, patience), SessionId(session["id"]))
