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
Permissions are those that were granted, by the names of CDP's Browser.PermissionDescriptor. Playwright's storage
state is accepted as it is (`playwright.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.snapshot import playwright
from gateway.snapshot.fields import (
    check_json,
    each,
    flag,
    mapping,
    number,
    optional,
    refuse,
    required,
    sequence,
    string,
)

VERSION = 1
SAME_SITE = ("Strict", "Lax", "None")


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

    `stale`: it was remembered, not captured, beside a profile that is newer, whose own cookies stand.
    """

    cookies: tuple[Cookie, ...] = ()
    origins: tuple[OriginState, ...] = ()
    tabs: tuple[Tab, ...] = ()
    permissions: tuple[Permission, ...] = ()
    missing: tuple[str, ...] = ()
    stale: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "cookies": [cookie.to_json() for cookie in self.cookies],
            "origins": [origin.to_json() for origin in self.origins],
            "tabs": [tab.to_json() for tab in self.tabs],
            "permissions": [{"origin": given.origin, "name": given.name} for given in self.permissions],
            "missing": list(self.missing),
            **({"stale": True} if self.stale else {}),
        }


def parse(value: object) -> ContextDocument:
    """A caller's JSON (decoded) to a document; raises GatewayError(BAD_REQUEST) naming the path of what is wrong."""
    at = "context"
    fields = mapping(value, at, "version", "cookies", "origins", "tabs", "permissions", "missing", "stale")
    if fields.get("version", VERSION) != VERSION:
        refuse(f"{at}.version", f"must be {VERSION}")
    document = ContextDocument(
        cookies=each(fields, "cookies", at, cookie),
        origins=each(fields, "origins", at, _origin_state),
        tabs=each(fields, "tabs", at, _tab),
        permissions=each(fields, "permissions", at, _permission),
        missing=each(fields, "missing", at, string),
        stale=optional(fields, "stale", at, flag) or False,
    )
    if sum(tab.active for tab in document.tabs) > 1:
        refuse(f"{at}.tabs", "only one tab can be active")
    names = [origin.origin for origin in document.origins]
    if len(set(names)) != len(names):
        refuse(f"{at}.origins", "an origin is there more than once")
    return document


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
    return f"{parts.scheme}://{name}" + (f":{port}" if port and port != _default_port(parts.scheme) else "")


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def cookie(value: object, at: str) -> Cookie:
    """One cookie, CDP's or Playwright's (which differ in the partition key)."""
    fields = mapping(
        value, at, "name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite", "priority",
        "sourceScheme", "sourcePort", "partitionKey", "_crHasCrossSiteAncestor",
        "size", "session", "sameParty", "partitionKeyOpaque",  # of CDP's reply; no part of the cookie itself
    )  # fmt: skip
    domain = string(required(fields, "domain", at), f"{at}.domain")
    if not domain.strip(".") or any(sign in domain for sign in " /?#@\\"):
        refuse(f"{at}.domain", "must be a host name, with a leading dot if subdomains get the cookie too")
    path = optional(fields, "path", at, string) or "/"
    if not path.startswith("/"):
        refuse(f"{at}.path", "must begin with /")
    expires = optional(fields, "expires", at, number)
    same_site = optional(fields, "sameSite", at, string)
    if same_site is not None and same_site not in SAME_SITE:
        refuse(f"{at}.sameSite", f"must be one of {', '.join(SAME_SITE)}")
    port = optional(fields, "sourcePort", at, number)
    return Cookie(
        name=string(required(fields, "name", at), f"{at}.name"),
        value=string(required(fields, "value", at), f"{at}.value"),
        domain=domain,
        path=path,
        expires=None if expires is None or expires < 0 else expires,
        http_only=optional(fields, "httpOnly", at, flag) or False,
        secure=optional(fields, "secure", at, flag) or False,
        same_site=same_site,
        priority=optional(fields, "priority", at, string),
        source_scheme=optional(fields, "sourceScheme", at, string),
        source_port=None if port is None else int(port),
        partition_key=_partition(fields, at),
    )


def _partition(fields: Mapping[str, Any], at: str) -> PartitionKey | None:
    """CDP: {"topLevelSite", "hasCrossSiteAncestor"}; Playwright: the site, and a field of its own beside it."""
    key = fields.get("partitionKey")
    if key is None:
        return None
    if isinstance(key, str):
        return PartitionKey(key, optional(fields, "_crHasCrossSiteAncestor", at, flag) or False)
    at = f"{at}.partitionKey"
    parts = mapping(key, at, "topLevelSite", "hasCrossSiteAncestor")
    site = string(required(parts, "topLevelSite", at), f"{at}.topLevelSite")
    return PartitionKey(site, optional(parts, "hasCrossSiteAncestor", at, flag) or False)


def _origin(value: object, at: str) -> str:
    text = string(value, at)
    origin = origin_of(text)
    if origin is None or text.lower().rstrip("/") not in (origin, f"{origin}:{_default_port(urlsplit(origin).scheme)}"):
        refuse(at, "must be an origin such as https://example.com:8443")
    return origin


def _origin_state(value: object, at: str) -> OriginState:
    fields = mapping(value, at, "origin", "localStorage", "indexedDB")
    return OriginState(
        origin=_origin(required(fields, "origin", at), f"{at}.origin"),
        local_storage=each(fields, "localStorage", at, _item),
        databases=each(fields, "indexedDB", at, _database),
    )


def _item(value: object, at: str) -> tuple[str, str]:
    fields = mapping(value, at, "name", "value")
    return (string(required(fields, "name", at), f"{at}.name"), string(required(fields, "value", at), f"{at}.value"))


def _tab(value: object, at: str) -> Tab:
    fields = mapping(value, at, "url", "active", "sessionStorage", "history", "scroll")
    url = _url(fields, at)
    history, index = _history(fields, at, url)
    scroll = _scroll(fields, at)
    at = f"{at}.sessionStorage"
    storage = mapping(fields.get("sessionStorage") or {}, at)
    items = {
        _origin(origin, f"{at}[{origin!r}]"): {
            name: string(text, f"{at}[{origin!r}][{name!r}]")
            for name, text in mapping(pairs, f"{at}[{origin!r}]").items()
        }
        for origin, pairs in storage.items()
    }
    return Tab(url, optional(fields, "active", at, flag) or False, items, history, index, scroll)


def _url(fields: Mapping[str, Any], at: str) -> str:
    url = string(required(fields, "url", at), f"{at}.url")
    if ":" not in url:
        refuse(f"{at}.url", "must be a whole url")
    return url


def _history(fields: Mapping[str, Any], at: str, url: str) -> tuple[tuple[Entry, ...], int]:
    if fields.get("history") is None:
        return (), 0
    at = f"{at}.history"
    parts = mapping(fields["history"], at, "index", "entries")
    entries = each(parts, "entries", at, _entry)
    index = number(required(parts, "index", at), f"{at}.index")
    if index != int(index) or not 0 <= index < len(entries) or entries[int(index)].url != url:
        refuse(f"{at}.index", "must be that of the entry with the tab's own url, from 0")
    return entries, int(index)


def _entry(value: object, at: str) -> Entry:
    fields = mapping(value, at, "url", "title")
    return Entry(_url(fields, at), optional(fields, "title", at, string) or "")


def _scroll(fields: Mapping[str, Any], at: str) -> tuple[float, float]:
    if fields.get("scroll") is None:
        return 0, 0
    at = f"{at}.scroll"
    parts = mapping(fields["scroll"], at, "x", "y")
    return number(required(parts, "x", at), f"{at}.x"), number(required(parts, "y", at), f"{at}.y")


def _permission(value: object, at: str) -> Permission:
    fields = mapping(value, at, "origin", "name")
    origin = _origin(required(fields, "origin", at), f"{at}.origin")
    return Permission(origin, string(required(fields, "name", at), f"{at}.name"))


def _database(value: object, at: str) -> Mapping[str, Any]:
    fields = mapping(value, at, "name", "version", "stores")
    version = number(required(fields, "version", at), f"{at}.version")
    if version < 1 or version != int(version):
        refuse(f"{at}.version", "must be a whole number from 1")
    name = string(required(fields, "name", at), f"{at}.name")
    return {"name": name, "version": int(version), "stores": list(each(fields, "stores", at, _store))}


def _store(value: object, at: str) -> dict[str, Any]:
    fields = mapping(value, at, "name", "keyPath", "keyPathArray", "autoIncrement", "indexes", "records")
    return {
        "name": string(required(fields, "name", at), f"{at}.name"),
        "keyPath": _key_path(fields, at),
        "autoIncrement": optional(fields, "autoIncrement", at, flag) or False,
        "indexes": list(each(fields, "indexes", at, _index)),
        "records": list(each(fields, "records", at, _record)),
    }


def _index(value: object, at: str) -> dict[str, Any]:
    fields = mapping(value, at, "name", "keyPath", "keyPathArray", "unique", "multiEntry")
    path = _key_path(fields, at)
    if path is None:
        refuse(f"{at}.keyPath", "is required")
    return {
        "name": string(required(fields, "name", at), f"{at}.name"),
        "keyPath": path,
        "unique": optional(fields, "unique", at, flag) or False,
        "multiEntry": optional(fields, "multiEntry", at, flag) or False,
    }


def _key_path(fields: Mapping[str, Any], at: str) -> str | list[str] | None:
    path = fields.get("keyPath")
    if path is None:
        path = fields.get("keyPathArray")  # Playwright's name for a compound one
    if path is None or isinstance(path, str):
        return path
    return [string(part, f"{at}.keyPath[{index}]") for index, part in enumerate(sequence(path, f"{at}.keyPath"))]


def _record(value: object, at: str) -> list[Any]:
    """Ours is a pair, Playwright's an object."""
    check_json(value, at)
    if isinstance(value, dict):
        fields = mapping(value, at, "key", "keyEncoded", "value", "valueEncoded")
        try:
            pair = playwright.record(fields)
        except ValueError as error:
            refuse(at, str(error))
    else:
        pair = sequence(value, at)
        if len(pair) != 2:
            refuse(at, "must be a pair of key and value")
    return pair
