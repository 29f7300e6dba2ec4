"""Steel's `sessionContext`, as its API and its SDKs have it. Pure; the mirror images `to_steel` and `from_steel`.

    {"cookies": [...], "localStorage": {KEY: {NAME: VALUE}}, "sessionStorage": {KEY: {NAME: VALUE}},
     "indexedDB": {KEY: [{"id", "name", "data": [{"id", "name", "records": [{"key", "value", "blobFiles"}]}]}]}}

KEY is an origin where we write it. Read is a host name too, whose scheme and port are those that a cookie of that host
was set under; without one it is https, and http for the machine itself (localhost, 127.0.0.1). The Python SDK sends
names in snake_case (or both ways at once) when it is given its own model, and nulls for what is not there.

The format has no schema of databases. Ours is written beside it (`version`, `keyPath`, `autoIncrement`, `indexes`, and
values in the encoding of `storage.js`), which its SDKs carry along. Without it a database gets version 1 and stores
whose keys lie outside of the values.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Tab, origin_of
from gateway.snapshot.fields import check_json, each, mapping, optional, refuse, required, sequence, string
from gateway.snapshot.parsing import cookie, database
from gateway.snapshot.playwright import plain

FIELDS = ("cookies", "localStorage", "sessionStorage", "indexedDB")
SNAKE = {
    "local_storage": "localStorage", "session_storage": "sessionStorage", "indexed_db": "indexedDB",
    "http_only": "httpOnly", "partition_key": "partitionKey", "same_party": "sameParty", "same_site": "sameSite",
    "source_port": "sourcePort", "source_scheme": "sourceScheme", "top_level_site": "topLevelSite",
    "has_cross_site_ancestor": "hasCrossSiteAncestor", "blob_files": "blobFiles",
}  # fmt: skip


def to_steel(document: ContextDocument) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A `sessionContext`, and in words what it cannot hold."""
    lost = list(document.missing)
    session: dict[str, dict[str, str]] = {}
    for tab in sorted(document.tabs, key=lambda tab: not tab.active):
        for origin, items in (tab.session_storage or {}).items():
            if session.setdefault(origin, dict(items)) != items:
                lost.append(f"session storage of {origin} in another tab")
    if tabs := [tab for tab in document.tabs if tab.url != "about:blank"]:
        lost.append(f"{len(tabs)} tabs with their history")
    if document.permissions:
        lost.append("permissions")
    return {
        "cookies": [_cookie(one) for one in document.cookies],
        "localStorage": {state.origin: dict(state.local_storage) for state in document.origins if state.local_storage},
        "sessionStorage": session,
        "indexedDB": {
            state.origin: [_database(number, one) for number, one in enumerate(state.databases, 1)]
            for state in document.origins
            if state.databases
        },
    }, tuple(lost)


def _cookie(one: Cookie) -> dict[str, Any]:
    return {**one.to_json(), "session": one.expires is None, "size": len(one.name) + len(one.value)}


def _database(number: int, database: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "name": database["name"],
        "version": database["version"],
        "data": [
            {
                "id": id,
                "name": store["name"],
                "keyPath": store["keyPath"],
                "autoIncrement": store["autoIncrement"],
                "indexes": store["indexes"],
                "records": [{"key": key, "value": value} for key, value in store["records"]],
            }
            for id, store in enumerate(database["stores"], 1)
        ],
    }


def from_steel(value: object, at: str = "context") -> ContextDocument:
    """Raises GatewayError(BAD_REQUEST) naming the path of what is wrong.

    Session storage becomes that of an empty tab: Steel knows no tabs, and what nobody asked for is not to be loaded.
    """
    fields = mapping(_camel(mapping(value, at)), at, *FIELDS)
    lost: list[str] = []
    cookies = each(fields, "cookies", at, _read_cookie)
    local = _by_origin(fields, "localStorage", at, cookies, _items)
    session = _by_origin(fields, "sessionStorage", at, cookies, _items)

    def databases(value: object, at: str) -> dict[str, Any]:
        found = (_read_database(one, f"{at}[{number}]", lost) for number, one in enumerate(sequence(value, at)))
        return {one["name"]: one for one in found}

    stored = _by_origin(fields, "indexedDB", at, cookies, databases)
    origins = tuple(
        OriginState(origin, tuple(local.get(origin, {}).items()), tuple(stored.get(origin, {}).values()))
        for origin in dict.fromkeys((*local, *stored))
    )
    tabs = (Tab("about:blank", True, session),) if session else ()
    return ContextDocument(cookies=cookies, origins=origins, tabs=tabs, missing=tuple(lost))


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Names in camelCase, without the nulls. The SDK sends some things under both names: then this is the one."""
    there = {name: value for name, value in fields.items() if value is not None}
    return {SNAKE[name]: value for name, value in there.items() if name in SNAKE} | {
        name: value for name, value in there.items() if name not in SNAKE
    }


def _read_cookie(value: object, at: str) -> Cookie:
    fields = _camel(mapping(value, at))
    if "partitionKey" in fields:
        fields["partitionKey"] = _camel(mapping(fields["partitionKey"], f"{at}.partitionKey"))
    return cookie(fields, at)


def _by_origin(
    fields: Mapping[str, Any],
    name: str,
    at: str,
    cookies: tuple[Cookie, ...],
    read: Callable[[object, str], dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in mapping(fields.get(name, {}), f"{at}.{name}").items():
        place = f"{at}.{name}[{key!r}]"
        found.setdefault(origin_of_key(key, place, cookies), {}).update(read(value, place))
    return found


def origin_of_key(key: str, at: str, cookies: tuple[Cookie, ...] = ()) -> str:
    """An origin or a host name to an origin; `cookies` may know how their hosts are reached."""
    url = key if "://" in key else f"https://{key}"
    origin = origin_of(url)
    if origin is None or any(sign in url.partition("://")[2].rstrip("/") for sign in "/?#@\\ "):
        refuse(at, "must be an origin such as https://example.com:8443, or a host name")
    if url == key:
        return origin
    parts = urlsplit(origin)
    host = parts.hostname or ""
    scheme, port = next(_reached(host, cookies), ("http" if _is_local(host) else "https", None))
    port = urlsplit(url).port or port
    name = f"[{host}]" if ":" in host else host
    return origin_of(f"{scheme}://{name}" + (f":{port}" if port else "")) or origin


def _reached(host: str, cookies: tuple[Cookie, ...]) -> Iterator[tuple[str, int | None]]:
    for one in cookies:
        if one.domain.lstrip(".") == host and one.source_scheme in ("Secure", "NonSecure"):
            port = one.source_port if one.source_port and one.source_port > 0 else None
            yield "https" if one.source_scheme == "Secure" else "http", port


def _is_local(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")


def _items(value: object, at: str) -> dict[str, str]:
    return {name: string(text, f"{at}[{name!r}]") for name, text in mapping(value, at).items()}


def _read_database(value: object, at: str, lost: list[str]) -> dict[str, Any]:
    check_json(value, at)
    fields = mapping(_camel(mapping(value, at)), at, "id", "name", "version", "data")
    name = string(required(fields, "name", at), f"{at}.name")
    known = "version" in fields
    if not known:
        lost.append(f"the schema of database {name}")

    def store(value: object, at: str) -> dict[str, Any]:
        parts = _camel(mapping(value, at))
        mapping(parts, at, "id", "name", "records", *(("keyPath", "autoIncrement", "indexes") if known else ()))
        records = each(parts, "records", at, lambda value, at: _record(value, at, known))
        if files := sum(has_files for _, has_files in records):
            lost.append(f"the files of {files} records of database {name}")
        pairs = [pair for pair, _ in records]
        schema = parts if known else {**parts, "autoIncrement": any(key is None for key, _ in pairs)}
        return {**{name: part for name, part in schema.items() if name != "id"}, "records": pairs}

    stores = list(each(fields, "data", at, store))
    return dict(database({"name": name, "version": fields.get("version", 1), "stores": stores}, at))


def _record(value: object, at: str, known: bool) -> tuple[list[Any], bool]:
    """[key, value], and whether it had files, of which only names are told."""
    fields = mapping(_camel(mapping(value, at)), at, "key", "value", "blobFiles")
    key, stored = fields.get("key"), fields.get("value")
    files = optional(fields, "blobFiles", at, sequence)
    return ([key, stored] if known else [plain(key), plain(stored)]), bool(files)
