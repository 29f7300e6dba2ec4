"""A caller's JSON to a context document, strictly: what is wrong is refused by its path.

The shape is at the top of `document.py`. What Playwright names otherwise (partition keys, compound key paths, records)
is accepted as well.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.snapshot import playwright
from gateway.snapshot.document import (
    VERSION,
    ContextDocument,
    Cookie,
    Entry,
    OriginState,
    PartitionKey,
    Permission,
    Tab,
    default_port,
    origin_of,
)
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

SAME_SITE = ("Strict", "Lax", "None")


def parse(value: object, at: str = "context") -> ContextDocument:
    """A caller's JSON (decoded) to a document; raises GatewayError(BAD_REQUEST) naming the path of what is wrong."""
    fields = mapping(value, at, "version", "cookies", "origins", "tabs", "permissions", "missing", "stale", "overlay")
    if fields.get("version", VERSION) != VERSION:
        refuse(f"{at}.version", f"must be {VERSION}")
    document = ContextDocument(
        cookies=each(fields, "cookies", at, cookie),
        origins=each(fields, "origins", at, _origin_state),
        tabs=each(fields, "tabs", at, _tab),
        permissions=each(fields, "permissions", at, _permission),
        missing=each(fields, "missing", at, string),
        stale=optional(fields, "stale", at, flag) or False,
        overlay=optional(fields, "overlay", at, flag) or False,
    )
    if sum(tab.active for tab in document.tabs) > 1:
        refuse(f"{at}.tabs", "only one tab can be active")
    names = [origin.origin for origin in document.origins]
    if len(set(names)) != len(names):
        refuse(f"{at}.origins", "an origin is there more than once")
    return document


def cookie(value: object, at: str) -> Cookie:
    """One cookie, CDP's or Playwright's (which differ in the partition key)."""
    fields = mapping(
        value, at, "name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite", "priority",
        "sourceScheme", "sourcePort", "partitionKey", "_crHasCrossSiteAncestor",
        "size", "session", "sameParty", "partitionKeyOpaque",  # of CDP's reply; no part of the cookie itself
        "url",  # instead of the domain, where a cookie is to be set
    )  # fmt: skip
    domain = _host(fields, at)
    if domain is None:
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


def _host(fields: Mapping[str, Any], at: str) -> str | None:
    """The host of the url, for a cookie that has no domain."""
    if fields.get("domain") is not None or fields.get("url") is None:
        return None
    origin = origin_of(string(fields["url"], f"{at}.url"))
    if origin is None:
        refuse(f"{at}.url", "must be an http or https url")
    return urlsplit(origin).hostname


def _partition(fields: Mapping[str, Any], at: str) -> PartitionKey | None:
    """CDP: {"topLevelSite", "hasCrossSiteAncestor"}; Playwright: the site, and a field of its own beside it."""
    key = fields.get("partitionKey")
    if key is None:
        return None
    if isinstance(key, str):
        # Where the second field is missing, Playwright takes it for true.
        return PartitionKey(key, optional(fields, "_crHasCrossSiteAncestor", at, flag) is not False)
    at = f"{at}.partitionKey"
    parts = mapping(key, at, "topLevelSite", "hasCrossSiteAncestor")
    site = string(required(parts, "topLevelSite", at), f"{at}.topLevelSite")
    return PartitionKey(site, optional(parts, "hasCrossSiteAncestor", at, flag) or False)


def _origin(value: object, at: str) -> str:
    text = string(value, at)
    origin = origin_of(text)
    if origin is None or text.lower().rstrip("/") not in (origin, f"{origin}:{default_port(urlsplit(origin).scheme)}"):
        refuse(at, "must be an origin such as https://example.com:8443")
    return origin


def _origin_state(value: object, at: str) -> OriginState:
    fields = mapping(value, at, "origin", "localStorage", "indexedDB")
    return OriginState(
        origin=_origin(required(fields, "origin", at), f"{at}.origin"),
        local_storage=each(fields, "localStorage", at, _item),
        databases=each(fields, "indexedDB", at, database),
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


def database(value: object, at: str) -> Mapping[str, Any]:
    """One IndexedDB database, ours or Playwright's."""
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
