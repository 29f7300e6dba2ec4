"""The documents that stand at the URLs of a tab's history until its pages load from their servers. Pure.

One of them is where the tab is: it receives the tab's sessionStorage and is scrolled to where the page was, which
Chromium notes in the history entry and applies to the page that follows.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.snapshot.blank import HEAD, PATH
from gateway.snapshot.document import Entry, Tab, origin_of

BEFORE, AFTER = 15, 5  # entries of a history that are made again around the current one: each costs some 25 ms

EMPTY = "about:blank"

Items = Mapping[str, str]


def can_open(url: str) -> bool:
    """Not chrome:, devtools: and file:, which are no web pages, nor blob:, whose data is gone."""
    return url == EMPTY or url.startswith("data:") or origin_of(url) is not None


def trail(tab: Tab) -> tuple[tuple[Entry, ...], int]:
    """The entries to make for a tab, and the place of its own page among them.

    Pages that cannot be opened are left out; so are empty ones, unless the tab is there, and those that follow one of
    the same URL, which Chromium would take for a reload.
    """
    own = tab.history[tab.index] if tab.history else Entry(tab.url)
    before = _distinct([*_web(tab.history[: tab.index]), own])[:-1][-BEFORE:]
    if own.url == EMPTY and not before:
        return (own,), 0
    return (*before, own, *_distinct([own, *_web(tab.history[tab.index + 1 :])])[1 : 1 + AFTER]), len(before)


def _web(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if can_open(entry.url) and entry.url != EMPTY]


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Of neighbours with the same URL one."""
    kept: list[Entry] = []
    for entry in entries:
        if not kept or entry.url != kept[-1].url:
            kept.append(entry)
    return kept


@dataclass(frozen=True)
class Stop:
    """One step on the way to a tab's page: a URL, and the document that stands there.

    `frames` are the documents of the frames in it by their origin. One that `stores` has to be there whole before the
    tab goes on, and tells what it could not store.
    """

    url: str
    document: str
    frames: Mapping[str, str] = field(default_factory=dict)
    stores: bool = False


def stops(tab: Tab, *, wakes: bool, more: bool = False) -> tuple[tuple[Stop, ...], int | None]:
    """The stops of a tab, and where it rests among them until its page is loaded there.

    That is None for a tab whose page can be loaded as one stop more: nothing has to be put at its own entry. One stop
    stores, at the tab's origin; with `more` also where the tab itself has nothing to store.
    """
    entries, own = trail(tab)
    place: int | None = own
    while place and not _fresh(entries, place):  # its document is that of the first entry with its URL
        place -= 1
    rest: int | None = own
    origin = origin_of(tab.url)
    if origin and 0 < own == place == len(entries) - 1 and not wakes and not any(tab.scroll):
        stored = {name for name, items in (tab.session_storage or {}).items() if items}
        stored |= {origin} if more else set()
        near = [at for at in range(own) if origin_of(entries[at].url) == origin and _fresh(entries, at)]
        if not stored or (stored == {origin} and near):
            place, rest, entries = near[-1] if stored else None, None, entries[:own]
    made = []
    for number, entry in enumerate(entries):
        if number not in (place, rest) or origin_of(entry.url) is None:
            made.append(Stop(entry.url, f"{HEAD}{_title(entry)}<script>{RETURNING}</script>"))
        else:
            stores = number == place
            made.append(Stop(entry.url, resting(tab, entry, wakes=wakes), frames(tab), stores=stores))
    return tuple(made), rest


def _fresh(entries: Sequence[Entry], number: int) -> bool:
    """Whether its page has a document of its own: that of one that differs by its fragment stays."""
    return number == 0 or _plain(entries[number].url) != _plain(entries[number - 1].url)


def _plain(url: str) -> str:
    return url.partition("#")[0]


def resting(tab: Tab, entry: Entry, *, wakes: bool) -> str:
    """The document at which the tab rests; one that `wakes` loads the page when it is looked at."""
    own = origin_of(tab.url)
    stored = dict(tab.session_storage or {})
    items = stored.pop(own, {}) if own else {}
    # A frame's storage may be partitioned by the page around it, so it can only be written there. With names of their
    # own, so that Chromium does not take the page's frames for these and loads them from here.
    inner = [f'<iframe name="{PATH}{n}" src="{html.escape(other)}{PATH}"></iframe>' for n, other in enumerate(stored)]
    x, y = (max(0, round(length)) for length in tab.scroll)
    room = ROOM % (x, y) if x or y else ""
    script = [_putting(items, own or ""), f"scrollTo({x}, {y});" if room else "", WAKING if wakes else ""]
    return f'{HEAD}{_title(entry)}<body style="margin:0">{room}{"".join(inner)}<script>{"".join(script)}</script>'


def frames(tab: Tab) -> dict[str, str]:
    """The documents of the frames in `resting`, by their origin."""
    own = origin_of(tab.url)
    stored = tab.session_storage or {}
    return {other: storing(items, other) for other, items in stored.items() if other != own}


def storing(items: Items, origin: str) -> str:
    """A document at `origin` that puts these into its sessionStorage, and tells what it could not."""
    return f"{HEAD}<script>{_putting(items, origin)}</script>"


# `rested` of storage.js tells of what is in `lost`.
PUTTING = """for (const [name, value] of JSON.parse(%s)) {
  try {
    if (location.origin !== %s) throw new Error(`it came up as ${location.origin}`);
    sessionStorage.setItem(name, value);
  } catch (error) { (window.lost ??= []).push(`session storage, item ${name}: ${error.message}`); }
}"""
# Without an anchor Chromium notes the plain offset, and not an element to be at.
ROOM = """<style>* { overflow-anchor: none }</style>
<div style="width: calc(100vw + %dpx); height: calc(100vh + %dpx)"></div>"""
# Where a client has turned on Chromium's cache of whole pages.
RETURNING = 'addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });'
WAKING = """for (const event of ["visibilitychange", "pageshow"]) {
  addEventListener(event, (it) => {
    if (document.visibilityState === "visible" && it.persisted !== false) location.reload();
  });
}"""


def _title(entry: Entry) -> str:
    return f"<title>{html.escape(entry.title)}</title>" if entry.title else ""


def _putting(items: Items, origin: str) -> str:
    return PUTTING % (_literal(json.dumps(list(items.items()))), _literal(origin)) if items else ""


def _literal(text: str) -> str:
    """A string in a script in HTML."""
    return json.dumps(text).replace("<", "\\u003c")
