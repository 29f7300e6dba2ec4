"""A browser's pages as they were when they were last read, and the tabs of a context document that they make. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from browser_pool.devtools import Params
from gateway.snapshot.blank import is_blank
from gateway.snapshot.document import Entry, Tab, origin_of

MAX_ENTRIES = 50  # of a tab's history; Chromium keeps no more itself


@dataclass
class Area:
    """A localStorage or sessionStorage, as the world of `generation` has told it (`changes` in `storage.js`)."""

    items: dict[str, str] = field(default_factory=dict)
    generation: float = 0

    def copy(self) -> "Area":
        """Another one: what is told in parts is kept once it is whole."""
        return replace(self)

    def take(self, changes: Params | None) -> bool:
        """Note what has changed, None for a page without such a storage; True if there is more to be told."""
        if changes is None:
            self.items = {}
            return False
        if changes["whole"] or changes["set"] or changes["gone"]:
            items = {} if changes["whole"] else dict(self.items)
            for name in changes["gone"]:
                items.pop(name, None)
            self.items = items | dict(changes["set"])
        self.generation = changes["generation"]
        return bool(changes["more"])


@dataclass(eq=False)
class Target:
    """A page, or the frames of another process inside one."""

    id: str
    url: str
    parent_frame: str | None  # of frames of another process
    ours: bool  # of the default context
    session: str = ""
    order: int = 1 << 62  # pages by age: navigation entries are numbered as they are made
    history: tuple[Entry, ...] = ()
    index: int = 0
    origin: str | None = None  # of its main frame
    frames: list[str] = field(default_factory=list)
    areas: dict[str, Area] = field(default_factory=dict)  # sessionStorage by origin
    scroll: tuple[float, float] = (0, 0)
    visible: bool = False
    focus: bool = False
    failed: bool = False  # it did not answer


def pages_of(targets: Iterable[Target]) -> list[Target]:
    """The pages among them: ours first, by age."""
    pages = [target for target in targets if target.parent_frame is None]
    return sorted(pages, key=lambda page: (not page.ours, page.order, page.id))


def tabs_of(targets: Iterable[Target]) -> tuple[Tab, ...]:
    """The pages, each with the sessionStorage of all frames inside it."""
    everything = tuple(targets)
    pages = pages_of(everything)
    # A browser without windows shows every page as visible; then the focus decides, then the youngest page.
    # If no page that answers is visible, it is one that does not.
    active = max(pages, key=lambda page: (page.visible, page.failed, page.focus, page.order), default=None)
    frames = [target for target in everything if target.parent_frame is not None]
    found = []
    for page in pages:
        url = page.url or "about:blank"  # a popup that has not been anywhere yet has no url
        items = _session_storage(page, frames)
        # The url may be newer than the history.
        told = bool(page.history) and page.history[page.index].url == url
        history, index = (page.history, page.index) if told else ((), 0)
        found.append(Tab(url, page is active, items, history, index, page.scroll))
    return tuple(found)


def _session_storage(page: Target, frames: Sequence[Target]) -> Mapping[str, Mapping[str, str]]:
    areas = dict(page.areas)
    inside = [frame for frame in frames if frame.parent_frame in page.frames]
    while inside:  # frames of other processes, and those inside of them
        frame = inside.pop()
        for name, area in frame.areas.items():
            areas.setdefault(name, area)
        inside += [further for further in frames if further.parent_frame in frame.frames]
    return {name: dict(area.items) for name, area in areas.items() if area.items}


def entries_of(entries: Sequence[Params], current: int) -> tuple[tuple[Entry, ...], int]:
    """A tab's history around its current entry, and the place of that; nothing for a tab that was nowhere else."""
    found: list[Entry] = []
    index = -1
    for number, entry in enumerate(entries):
        url = entry["url"]
        # The empty page that a tab begins with, and ours before it went elsewhere.
        if number != current and (not url or is_blank(url) or (url == "about:blank" and not found)):
            continue
        if number == current:
            index = len(found)
        found.append(Entry(url, entry.get("title", "")))
    first = max(0, min(index - MAX_ENTRIES // 2, len(found) - MAX_ENTRIES))
    kept = tuple(found[first : first + MAX_ENTRIES])
    return (kept, index - first) if len(kept) > 1 and all(entry.url for entry in kept) else ((), 0)


def silent(page: Target) -> str:
    """A page that did not answer, in words."""
    url = page.url.partition("#")[0].partition("?")[0]  # what follows may hold secrets
    return f"session storage of the page {url}: it did not answer"


def opened(pages: Iterable[Target]) -> Iterator[str]:
    """The origins that pages of the default context are at, and have in their history."""
    for page in pages:
        if page.ours:
            for url in (page.url, *(entry.url for entry in page.history)):
                if name := origin_of(url):
                    yield name
