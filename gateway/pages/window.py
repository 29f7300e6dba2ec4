"""What a browser's window does with keys, for browsers that have none: the address line, reload, history, tabs.

Agents go to pages as people do, with Ctrl+L, a URL and Enter. Keys that a page is sent by CDP never reach the window,
so what it would do is done here, behind the page's own events. While the address line has the keys no page gets them.
"""

from collections.abc import Sequence
from typing import Any

from browser_pool.devtools import DevTools, DevToolsError, DevToolsGone
from gateway.pages.hand import Hand
from gateway.pages.keys import Key

LOADING = 30.0  # seconds for a server to answer
SCHEMES = ("http:", "https:", "data:", "about:")  # Chromium's own pages and the machine's files are nobody's
ADDRESS = frozenset({"Control+l", "Meta+l", "Alt+d", "F6"})
RELOAD = frozenset({"F5", "Control+r", "Meta+r", "Control+F5"})
BACK, FORWARD = frozenset({"Alt+ArrowLeft"}), frozenset({"Alt+ArrowRight"})
NEW, CLOSE = frozenset({"Control+t", "Meta+t"}), frozenset({"Control+w", "Meta+w"})
ALL = frozenset({"Control+a", "Meta+a"})


def named(keys: Sequence[Key]) -> str:
    """A shortcut's name: "Control+l", whether l or L was said."""
    return "+".join(key.key.lower() if len(key.key) == 1 else key.key for key in keys)


async def in_address(hand: Hand, devtools: DevTools, session: str, keys: Sequence[Key]) -> str:
    """Keys that go to the address line; what there is to say. Raises DevToolsError, DevToolsGone."""
    name, line = named(keys), hand.address or ""
    if name in ("Escape", "Tab"):
        hand.address = None
        return "the page has the keys again"
    if name == "Enter":
        return await _go(hand, devtools, session)
    if name in ("Backspace", "Delete"):
        hand.address = line[:-1] if name == "Backspace" and not hand.marked else "" if hand.marked else line
        hand.marked = False
    elif name in ADDRESS | ALL:
        hand.marked = True
    elif len(keys) == 1 and keys[0].text:
        return await write(hand, devtools, session, keys[0].text)
    return "the address line has the keys"


async def write(hand: Hand, devtools: DevTools, session: str, text: str) -> str:
    """Text for the address line; what there is to say. A line break is Enter. Raises as `in_address`."""
    line, ended, _ = text.replace("\r", "\n").partition("\n")
    hand.address = line if hand.marked else f"{hand.address or ''}{line}"
    hand.marked = False
    return await _go(hand, devtools, session) if ended else "the address line has the text: Enter goes there"


async def pressed(hand: Hand, devtools: DevTools, target: str, session: str, keys: Sequence[Key]) -> str | None:
    """What the window does with keys that its page has got; None if that is nothing. Raises as `in_address`."""
    name = named(keys)
    if name in ADDRESS:
        hand.address, hand.marked = "", True
        return "the address line has the keys"
    if name in RELOAD:
        await devtools.send("Page.reload", {"ignoreCache": name == "Control+F5"}, session=session, timeout=LOADING)
        return "reloaded"
    if name in BACK | FORWARD:
        return await _step(devtools, session, -1 if name in BACK else 1)
    if name in NEW:
        await devtools.send("Target.createTarget", {"url": "about:blank"})
        hand.address, hand.marked = "", True
        return "a new tab; the address line has the keys"
    if name in CLOSE and len(await _pages(devtools)) > 1:
        await devtools.send("Target.closeTarget", {"targetId": target})
        return "the tab is closed"
    return None


async def _go(hand: Hand, devtools: DevTools, session: str) -> str:
    line = (hand.address or "").strip()
    hand.address, hand.marked = None, False
    if not line:
        return "the address line was empty"
    url = line if line.lower().startswith(SCHEMES) else f"https://{line}"
    if " " in line and not line.lower().startswith("data:"):
        raise DevToolsError("Page.navigate", 0, "there is no search here: the address line takes URLs")
    if ":" in line.partition("/")[0] and url is not line and not line.partition(":")[2][:1].isdigit():
        raise DevToolsError("Page.navigate", 0, "the address line takes http and https URLs")
    try:
        answer = await devtools.send("Page.navigate", {"url": url}, session=session, timeout=LOADING)
    except DevToolsGone:
        if devtools.closed.is_set():
            raise
        return "the page is on its way"
    if error := answer.get("errorText"):
        raise DevToolsError("Page.navigate", 0, f"the page could not be loaded: {str(error).removeprefix('net::')}")
    return "the page is there"


async def _step(devtools: DevTools, session: str, by: int) -> str:
    history = await devtools.send("Page.getNavigationHistory", session=session)
    index = history["currentIndex"] + by
    if not 0 <= index < len(history["entries"]):
        return "there is no page to go to"
    entry = history["entries"][index]["id"]
    await devtools.send("Page.navigateToHistoryEntry", {"entryId": entry}, session=session, timeout=LOADING)
    return "went back" if by < 0 else "went forward"


async def _pages(devtools: DevTools) -> list[Any]:
    infos = (await devtools.send("Target.getTargets"))["targetInfos"]
    return [info for info in infos if info["type"] == "page"]
