"""Whether cookies or storage of a context have changed between two looks at it. Pure.

Not counted: the order of things, which tabs there are and what they show, and that a cookie which is as it was ends a
little later than before, as it does where a site sets it again with every answer.
"""

import json
from collections.abc import Iterable
from typing import Any

from gateway.snapshot.document import ContextDocument, Cookie, origin_of

RENEWED = 0.1  # of a cookie's remaining life: an end that moves by more is a change
JITTER = 1.0  # seconds


def changed(before: ContextDocument, after: ContextDocument, now: float) -> bool:
    """`now` is the instant of the second look."""
    return (
        _cookies(before.cookies, after.cookies, now)
        or _stored(before, after)
        or _differs(_session_storage(before), _session_storage(after), _shown(after))
    )


def _cookies(before: Iterable[Cookie], after: Iterable[Cookie], now: float) -> bool:
    old, new = ({_place(cookie): cookie for cookie in jar} for jar in (before, after))
    # One whose time was up goes by itself.
    gone = [cookie for place, cookie in old.items() if place not in new]
    if any(cookie.expires is None or cookie.expires > now for cookie in gone):
        return True
    return any(place not in old or _is_other(old[place], cookie, now) for place, cookie in new.items())


def _place(cookie: Cookie) -> tuple[object, ...]:
    return (cookie.domain, cookie.path, cookie.name, cookie.partition_key)


def _is_other(old: Cookie, new: Cookie, now: float) -> bool:
    if (old.value, old.http_only, old.secure, old.same_site) != (new.value, new.http_only, new.secure, new.same_site):
        return True
    if old.expires is None or new.expires is None:
        return old.expires != new.expires
    left = max(old.expires, new.expires) - now
    return abs(old.expires - new.expires) > max(JITTER, RENEWED * left)


def _stored(before: ContextDocument, after: ContextDocument) -> bool:
    """localStorage and IndexedDB. An origin that could not be read, which `missing` tells, is as it was."""
    unread = " ".join((*before.missing, *after.missing))
    old, new = (_origins(document) for document in (before, after))
    return any(old.get(origin) != new.get(origin) for origin in {*old, *new} if f"{origin}:" not in f"{unread} ")


def _origins(document: ContextDocument) -> dict[str, tuple[Any, ...]]:
    return {
        state.origin: (tuple(sorted(state.local_storage)), _databases(state.databases))
        for state in document.origins
        if state.local_storage or state.databases
    }


def _databases(databases: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted(_text(_ordered(database)) for database in databases))


def _ordered(database: Any) -> dict[str, Any]:
    stores = [
        {
            **store,
            "indexes": sorted(store.get("indexes", ()), key=_text),
            "records": sorted(store.get("records", ()), key=_text),
        }
        for store in database.get("stores", ())
    ]
    return {**database, "stores": sorted(stores, key=_text)}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=list)


def _session_storage(document: ContextDocument) -> dict[str, list[str]]:
    """By origin: what each tab has of it."""
    found: dict[str, list[str]] = {}
    for tab in document.tabs:
        for origin, items in (tab.session_storage or {}).items():
            if items:
                found.setdefault(origin, []).append(_text(dict(items)))
    return {origin: sorted(items) for origin, items in found.items()}


def _shown(document: ContextDocument) -> set[str]:
    return {origin for tab in document.tabs if (origin := origin_of(tab.url))}


def _differs(old: dict[str, list[str]], new: dict[str, list[str]], shown: set[str]) -> bool:
    """An origin that a tab has left cannot be asked for what the tab has of it: that is no change."""
    return any(old.get(origin, []) != items for origin, items in new.items()) or any(
        origin in shown for origin in old if origin not in new
    )
