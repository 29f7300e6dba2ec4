"""What a session's pages are not to load, to save bandwidth: kinds of things, hosts, URLs. Pure."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.adblock.filters import Filter
from gateway.records import Thrift


def thrifty(thrift: Thrift | None, beside: Filter | None) -> Filter | None:
    """A filter for both, `beside` being one of advertisements; None where nothing is to be blocked."""
    return beside if thrift is None else Thrifty(thrift, beside)


@dataclass(frozen=True)
class Thrifty:
    """The filter of one session. Pages themselves are never asked about: what a person goes to is loaded."""

    thrift: Thrift
    beside: Filter | None = None
    _hosts: frozenset[str] = field(init=False)
    _urls: tuple[re.Pattern[str], ...] = field(init=False)

    def __post_init__(self) -> None:
        hosts = frozenset(host.lower().removeprefix("*.").rstrip(".") for host in self.thrift.hosts)
        object.__setattr__(self, "_hosts", hosts)
        object.__setattr__(self, "_urls", tuple(matching(text) for text in self.thrift.patterns))

    def blocks(self, url: str, source: str, kind: str) -> bool:
        """See Filter."""
        if kind in self.thrift.kinds or any(pattern.search(url) for pattern in self._urls):
            return True
        if self._hosts and _under(_host(url), self._hosts):
            return True
        return self.beside is not None and self.beside.blocks(url, source, kind)


def matching(text: str) -> re.Pattern[str]:
    """A part of a URL, in which `*` stands for anything; one that begins with a scheme is the URL's beginning."""
    parts = (re.escape(part) for part in re.split(r"\*+", text))
    return re.compile(("^" if re.match(r"[a-z]+://", text) else "") + ".*?".join(parts), re.DOTALL)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # Chromium takes more for a URL than Python does
        return ""


def _under(host: str, hosts: frozenset[str]) -> bool:
    while host:
        if host in hosts:
            return True
        host = host.partition(".")[2]
    return False
