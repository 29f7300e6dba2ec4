"""What a request that Chromium holds is, for a filter: who asks, and for what kind of thing. Pure."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# CDP's Network.ResourceType to the types of Adblock Plus's syntax.
KINDS = {
    "Stylesheet": "stylesheet",
    "Image": "image",
    "Media": "media",
    "Font": "font",
    "Script": "script",
    "XHR": "xmlhttprequest",
    "Fetch": "xmlhttprequest",
    "EventSource": "xmlhttprequest",
    "Ping": "ping",
    "CSPViolationReport": "csp",
    "WebSocket": "websocket",
    "Document": "subdocument",
}
FRAMES = 5000  # as many are remembered


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a filter is asked about it."""

    url: str
    source: str
    kind: str


@dataclass
class Documents:
    """Which frames are pages, and what frames show, as the events of one connection tell."""

    pages: set[str] = field(default_factory=set)
    _shown: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def target(self, method: str, params: Mapping[str, Any]) -> None:
        """Take note of a page (Target.targetCreated, Target.targetDestroyed): its target's id is its frame's."""
        if method == "Target.targetCreated" and params["targetInfo"]["type"] == "page":
            self.pages.add(params["targetInfo"]["targetId"])
        elif method == "Target.targetDestroyed":
            self.pages.discard(params["targetId"])
            self._shown.pop(params["targetId"], None)

    def asked(self, paused: Mapping[str, Any]) -> Asked | None:
        """What `Fetch.requestPaused` is about; None for what a person asked for: a page of its own.

        A request whose source nobody tells counts as one to its own site.
        """
        request, frame, kind = paused["request"], paused.get("frameId", ""), paused["resourceType"]
        url: str = request["url"]
        referrer = _referrer(request["headers"])
        if kind == "Document":
            self._shown[frame] = url
            self._shown.move_to_end(frame)
            if len(self._shown) > FRAMES:
                self._shown.popitem(last=False)
            return None if frame in self.pages else Asked(url, referrer or url, KINDS[kind])
        return Asked(url, self._shown.get(frame) or referrer or url, KINDS.get(kind, "other"))


def _referrer(headers: Mapping[str, str]) -> str | None:
    named = {name.lower(): value for name, value in headers.items()}
    origin = named.get("origin")
    return named.get("referer") or (origin if origin != "null" else None)
