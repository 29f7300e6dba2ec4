"""The context document: what a browser knows about its user, as JSON. Taken by `capture.py`, put back by `restore.py`.

    {"version": 1,
     "cookies": [{"name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite", ...}],
     "origins": [{"origin", "localStorage": [{"name", "value"}], "indexedDB": [...]}],
     "tabs": [{"url", "active", "sessionStorage": {ORIGIN: {KEY: VALUE}}, "history": {"index", "entries": [{"url",
               "title"}]}, "scroll": {"x", "y"}}],
     "permissions": [{"origin", "name"}],
     "missing": ["words"]}

Cookies have the field names of CDP's Network.Cookie, `expires` in seconds since 1970, -1 for a session cookie.
A database is {"name", "version", "stores": [{"name", "keyPath", "autoIncrement", "indexes": [{"name", "keyPath",
"unique", "multiEntry"}], "records": [[KEY, VALUE], ...]}]}, KEY null where the value holds it, both in the encoding
of `storage.js`. A tab's history is oldest first, its entry at `index` is the tab's url; `scroll` in CSS pixels.
Permissions are those that were granted, by the names of CDP's Browser.PermissionDescriptor. `parsing.py` reads what a
caller sends, `formats.py` knows the other formats.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

VERSION = 1


@dataclass(frozen=True)
class PartitionKey:
    """Whose page a partitioned cookie belongs to (CDP Network.CookiePartitionKey)."""

    top_level_site: str
    has_cross_site_ancestor: bool = False


@dataclass(frozen=True)
class Cookie:
    """A cookie as CDP has it; `expires` in seconds since 1970, None for a session cookie.

    `domain` begins with a dot when subdomains get the cookie too.
    """

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float | None = None
    http_only: bool = False
    secure: bool = False
    same_site: str | None = None
    priority: str | None = None
    source_scheme: str | None = None
    source_port: int | None = None
    partition_key: PartitionKey | None = None

    def to_json(self) -> dict[str, Any]:
        """In CDP's names; what is unknown is left out, a session cookie has `expires` -1."""
        optional = {
            "sameSite": self.same_site,
            "priority": self.priority,
            "sourceScheme": self.source_scheme,
            "sourcePort": self.source_port,
        }
        partition = {}
        if self.partition_key is not None:
            partition["partitionKey"] = {
                "topLevelSite": self.partition_key.top_level_site,
                "hasCrossSiteAncestor": self.partition_key.has_cross_site_ancestor,
            }
        return {
            "name": self.name,
            "value": self.value,
            "domain": self.domain,
            "path": self.path,
            "expires": -1 if self.expires is None else self.expires,
            "httpOnly": self.http_only,
            "secure": self.secure,
            **{name: value for name, value in optional.items() if value is not None},
            **partition,
        }


@dataclass(frozen=True)
class OriginState:
    """What one origin has stored; `databases` in the shape at the top of this module."""

    origin: str
    local_storage: tuple[tuple[str, str], ...] = ()
    databases: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "localStorage": [{"name": name, "value": value} for name, value in self.local_storage],
            "indexedDB": [dict(database) for database in self.databases],
        }


@dataclass(frozen=True)
class Entry:
    """A page that a tab has shown, or would show again on going forward."""

    url: str
    title: str = ""


@dataclass(frozen=True)
class Tab:
    """An open page; `session_storage` maps the origins of its frames to their items.

    `history[index]` is the page itself; an empty history is that of a tab which has been nowhere else. `scroll` is
    the main frame's, in CSS pixels.
    """

    url: str
    active: bool = False
    session_storage: Mapping[str, Mapping[str, str]] | None = None
    history: tuple[Entry, ...] = ()
    index: int = 0
    scroll: tuple[float, float] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        items = {origin: dict(pairs) for origin, pairs in (self.session_storage or {}).items()}
        entries = [{"url": entry.url, "title": entry.title} for entry in self.history]
        return {
            "url": self.url,
            "active": self.active,
            "sessionStorage": items,
            **({"history": {"index": self.index, "entries": entries}} if entries else {}),
            **({"scroll": {"x": self.scroll[0], "y": self.scroll[1]}} if self.scroll != (0, 0) else {}),
        }


@dataclass(frozen=True)
class Permission:
    """What a site may do: granted to `origin`, under its name in CDP's Browser.PermissionDescriptor."""

    origin: str
    name: str


@dataclass(frozen=True)
class ContextDocument:
    """All of it. `missing` says in words, without values, what could not be read.

    `stale`: it was remembered, not captured, beside a profile that is newer, whose own cookies stand. `overlay`: it
    was captured beside a profile that was never closed, and may have older cookies and localStorage.
    """

    cookies: tuple[Cookie, ...] = ()
    origins: tuple[OriginState, ...] = ()
    tabs: tuple[Tab, ...] = ()
    permissions: tuple[Permission, ...] = ()
    missing: tuple[str, ...] = ()
    stale: bool = False
    overlay: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "cookies": [cookie.to_json() for cookie in self.cookies],
            "origins": [origin.to_json() for origin in self.origins],
            "tabs": [tab.to_json() for tab in self.tabs],
            "permissions": [{"origin": given.origin, "name": given.name} for given in self.permissions],
            "missing": list(self.missing),
            **({"stale": True} if self.stale else {}),
            **({"overlay": True} if self.overlay else {}),
        }


def telling(document: ContextDocument) -> tuple[object, ...]:
    """What makes a document another one.

    Not what changes all the time and is worth little: how far tabs are scrolled, and titles. An origin's state is
    another object exactly when it is different, and may be too large to be compared.
    """
    tabs = tuple(
        replace(tab, scroll=(0, 0), history=tuple(replace(entry, title="") for entry in tab.history))
        for tab in document.tabs
    )
    return (document.cookies, tuple(map(id, document.origins)), tabs, document.permissions, document.missing)


def origin_of(url: str) -> str | None:
    """The origin of an http(s) url as browsers write it, else None."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port and port != default_port(parts.scheme) else "")


def default_port(scheme: str) -> int:
    """Of http or https."""
    return 443 if scheme == "https" else 80
