"""What somebody leaves in a session, and what of it is found again: one answer for each of COLUMNS."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from bench.visitor import Tab, log_in, pages, tab, until
from browser_pool.devtools import DevTools
from tests.site.app import Site

COLUMNS = (
    "session cookies",
    "persistent cookies",
    "localStorage",
    "IndexedDB",
    "sessionStorage",
    "service worker",
    "tabs",
    "history",
    "scroll",
    "typed text",
    "JS heap",
)
LAST = "the-last-word"  # written everywhere, when all else is done
SCROLLED = 2000  # pixels
TYPED = "half a sent"
PATIENCE = 5.0  # seconds for a page to come back


@dataclass(frozen=True, slots=True)
class Left:
    """What a session was left with: the values that its pages had then."""

    token: str
    draft: str
    device: str
    notes: object
    urls: tuple[str, ...]


async def leave(client: DevTools, site: Site) -> Left:
    """Log in, keep a page for offline, and leave two tabs: one with a history, scrolled and typed into."""
    async with tab(client) as page:
        await log_in(page, site)
        await page.goto(f"{site.url}/worker")
        await page.ready()
        for number in (1, 2):
            await page.goto(f"{site.url}/page/{number}")
            await page.ready()
        await client.send("Target.createTarget", {"url": f"{site.url}/page/5", "background": True})
        async with tab(client, f"{site.url}/page/5") as other:
            await other.ready()
        await page.evaluate("typed.focus()")
        await client.send("Input.insertText", {"text": TYPED}, session=page.session)
        await page.evaluate(f"scrollTo(0, {SCROLLED}), window.heap = 42")
        await page.until(f"scrollY === {SCROLLED}")
        await page.evaluate(f"write('{LAST}')")
        stored = await page.evaluate("look()")
    device = stored["server"]["cookies"]["__Host-device"]
    urls = (f"{site.url}/page/2", f"{site.url}/page/5")
    return Left(stored["token"], stored["draft"], device, stored["notes"], urls)


async def found(client: DevTools, site: Site, left: Left) -> Mapping[str, bool]:
    """Which of COLUMNS is there again. The tab is used up: it goes back in its history."""
    again = await _returned(client, left.urls)
    async with tab(client, left.urls[0] if left.urls[0] in again else "") as page:
        await client.send("Page.bringToFront", session=page.session)
        if left.urls[0] not in again:
            await page.goto(left.urls[0])
        await page.ready()
        stored = await page.evaluate("look()")
        # Chromium scrolls, and fills the form in, after the load.
        scroll = await _comes(page, f"Math.abs(scrollY - {SCROLLED}) < 2")
        typed = await _comes(page, f"typed.value === {json.dumps(TYPED)}")
        heap = await page.evaluate("window.heap === 42")
        await page.evaluate("history.back()")
        back = await _comes(page, "location.pathname === '/page/1'")
    server, last = stored["server"], {place: value == LAST for place, value in stored["last"].items()}
    device = server["cookies"].get("__Host-device")
    answers = (
        last["sessionCookie"] and server["user"] is not None and device == left.device,
        last["persistentCookie"] and "remember" in server["cookies"],
        last["localStorage"] and stored["token"] == left.token,
        last["indexedDB"] and stored["notes"] == left.notes,
        last["sessionStorage"] and stored["draft"] == left.draft,
        stored["offline"],
        again == list(left.urls),
        back,
        scroll,
        typed,
        heap,
    )
    return dict(zip(COLUMNS, answers, strict=True))


async def _returned(client: DevTools, wanted: tuple[str, ...]) -> list[str]:
    """The URLs of all pages, sorted, as soon as they are those that are wanted, else after some seconds."""
    urls: list[str] = []

    async def there() -> bool:
        urls[:] = sorted(page["url"] for page in await pages(client))
        return urls == list(wanted)

    with suppress(TimeoutError):
        await until(there, PATIENCE)
    return urls


async def _comes(page: Tab, expression: str) -> bool:
    """Whether it becomes true within a second."""
    try:
        await page.until(expression, timeout=1.0)
    except TimeoutError:
        return False
    return True
