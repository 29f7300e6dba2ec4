"""Playwright's storage state: the file that it writes loads here, and what is written here loads there. Pure.

IndexedDB values are `value` where plain JSON is enough, else `valueEncoded`, likewise keys: Playwright's own
serialisation (packages/isomorphic/utilityScriptSerializers.ts), with "id" and "ref" for shared objects. Ours is that
of `storage.js`.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gateway.snapshot.document import ContextDocument, Cookie, OriginState

SPECIAL = {"undefined": "undefined", "NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity", "-0": "-0"}
TYPED_ARRAYS = {
    "i8": "Int8Array", "ui8": "Uint8Array", "ui8c": "Uint8ClampedArray", "i16": "Int16Array",
    "ui16": "Uint16Array", "i32": "Int32Array", "ui32": "Uint32Array", "f32": "Float32Array",
    "f64": "Float64Array", "bi64": "BigInt64Array", "bui64": "BigUint64Array",
}  # fmt: skip
CODES = {kind: code for code, kind in TYPED_ARRAYS.items()}

# --- theirs to ours ---


def record(fields: Mapping[str, Any]) -> list[Any]:
    """A record to [key or None, value]; raises ValueError in words for what has no counterpart."""
    key = _decode(fields["keyEncoded"]) if "keyEncoded" in fields else plain(fields.get("key"))
    if "valueEncoded" in fields:
        return [key, _decode(fields["valueEncoded"])]
    if "value" not in fields:
        raise ValueError("has no value")
    return [key, plain(fields["value"])]


def plain(value: object) -> Any:
    """Plain JSON in our encoding: only an object with a field "$" must be told from our tags."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return _object([(name, plain(item)) for name, item in value.items()])
    return value


def _object(pairs: list[tuple[str, Any]]) -> Any:
    if any(name in ("$", "__proto__") for name, _ in pairs):
        return {"$": "object", "v": [[name, item] for name, item in pairs]}
    return dict(pairs)


def _decode(value: object) -> Any:
    return _serialised(value, itertools.count(), {})


def _serialised(value: object, numbers: Iterator[int], seen: dict[int, int]) -> Any:
    """`numbers` counts objects in the order that `storage.js` meets them, `seen` maps Playwright's ids to ours."""
    if not isinstance(value, dict):
        return value
    match value:
        case {"v": "null"}:
            return None
        case {"v": str(name)} if name in SPECIAL:
            return {"$": SPECIAL[name]}
        case {"bi": str(digits)}:
            return {"$": "bigint", "v": digits}
        case {"ref": int(number)} if number in seen:
            return {"$": "ref", "v": seen[number]}
    number = next(numbers)

    def inner(part: object) -> Any:
        return _serialised(part, numbers, seen)

    match value:
        case {"d": str() | None as instant}:
            return {"$": "Date", "v": instant}
        case {"r": {"p": str(pattern), "f": str(flags)}}:
            return {"$": "RegExp", "v": pattern, "flags": flags}
        case {"e": {"n": str(name), "m": str(message), "s": str(stack)}}:
            return {"$": "Error", "name": name, "v": message, "stack": stack}
        case {"ab": {"b": str(data)}}:
            return {"$": "ArrayBuffer", "v": data}
        case {"ta": {"b": str(data), "k": str(kind)}} if kind in TYPED_ARRAYS:
            return {"$": TYPED_ARRAYS[kind], "v": data}
        case {"a": list(items), "id": int(id)}:
            seen[id] = number
            return [inner(item) for item in items]
        case {"o": list(fields), "id": int(id)}:
            seen[id] = number
            return _object([(name, inner(item)) for name, item in _pairs(fields) if isinstance(name, str)])
        case {"m": list(fields), "id": int(id)}:
            seen[id] = number
            return {"$": "Map", "v": [[inner(key), inner(item)] for key, item in _pairs(fields)]}
        case {"s": list(items), "id": int(id)}:
            seen[id] = number
            return {"$": "Set", "v": [inner(item) for item in items]}
    raise ValueError(f"has a value of a kind that cannot be restored: {', '.join(sorted(value))}")


def _pairs(fields: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for field in fields:
        if not isinstance(field, dict) or "k" not in field or "v" not in field:
            raise ValueError("has a field without name or value")
        yield field["k"], field["v"]


# --- ours to theirs ---


class Untold(ValueError):
    """Playwright has no words for it; the message says for what."""


def to_playwright(document: ContextDocument) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A storage state as `new_context(storage_state=…)` takes it, and in words what it cannot hold.

    Records with a value that it does not know (blobs, files) are left out as a whole. Maps, sets and binary data are
    as Playwright 1.65 reads them.
    """
    lost = list(document.missing)
    state = {
        "cookies": [_cookie(cookie) for cookie in document.cookies],
        "origins": [_origin(state, lost) for state in document.origins],
    }
    if tabs := [tab for tab in document.tabs if tab.url != "about:blank" or tab.session_storage]:
        lost.append(f"{len(tabs)} tabs with their history and session storage")
    if document.permissions:
        lost.append("permissions")
    return state, tuple(lost)


def _cookie(cookie: Cookie) -> dict[str, Any]:
    fields = cookie.to_json()
    known = ("name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite")
    found = {name: fields[name] for name in known if name in fields}
    if (partition := cookie.partition_key) is not None:
        found["partitionKey"] = partition.top_level_site
        found["_crHasCrossSiteAncestor"] = partition.has_cross_site_ancestor
    return found


def _origin(state: OriginState, lost: list[str]) -> dict[str, Any]:
    fields = state.to_json()
    databases = [_database(database, state.origin, lost) for database in fields.pop("indexedDB")]
    return {**fields, **({"indexedDB": databases} if databases else {})}


def _database(database: Mapping[str, Any], origin: str, lost: list[str]) -> dict[str, Any]:
    stores = []
    for store in database["stores"]:
        untold: Counter[str] = Counter()
        records = [written for pair in store["records"] if (written := _written(pair, untold)) is not None]
        for kind, count in untold.items():
            lost.append(f"{origin}: object store {store['name']} of database {database['name']}: {count} with {kind}")
        stores.append(
            {
                "name": store["name"],
                "autoIncrement": store["autoIncrement"],
                **_key_path(store["keyPath"]),
                "indexes": [
                    {
                        "name": index["name"],
                        **_key_path(index["keyPath"]),
                        "multiEntry": index["multiEntry"],
                        "unique": index["unique"],
                    }
                    for index in store["indexes"]
                ],
                "records": records,
            }
        )
    return {"name": database["name"], "version": database["version"], "stores": stores}


def _key_path(path: str | list[str] | None) -> dict[str, Any]:
    if path is None:
        return {}
    return {"keyPath": path} if isinstance(path, str) else {"keyPathArray": path}


def _written(pair: Sequence[Any], untold: Counter[str]) -> dict[str, Any] | None:
    key, value = pair
    try:
        return {**({} if key is None else _named("key", key)), **_named("value", value)}
    except Untold as error:
        untold[str(error)] += 1
        return None


def _named(name: str, value: object) -> dict[str, Any]:
    return {name: value} if _is_plain(value) else {f"{name}Encoded": _Encoder().encode(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return "$" not in value and all(map(_is_plain, value.values()))
    return not isinstance(value, list) or all(map(_is_plain, value))


class _Encoder:
    """One value from our encoding to Playwright's serialisation."""

    def __init__(self) -> None:
        self._met: list[dict[str, Any]] = []  # what stands for each object that was met, in our order
        self._ids = itertools.count(1)

    def encode(self, value: object) -> Any:
        """Raises Untold."""
        match value:
            case None:
                return {"v": "null"}
            case list():
                return self._shared(lambda: {"a": [self.encode(item) for item in value]})
            case dict() if "$" not in value:
                return self._shared(lambda: {"o": self._fields(value.items())})
            case dict():
                return self._tagged(value)
        return value

    def _shared(self, content: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """An object that can be referred to, also from inside of itself."""
        id = next(self._ids)
        self._met.append({"ref": id})
        return {**content(), "id": id}

    def _alone(self, encoded: dict[str, Any]) -> dict[str, Any]:
        """An object that Playwright writes anew wherever it is met."""
        self._met.append(encoded)
        return encoded

    def _fields(self, pairs: Any) -> list[dict[str, Any]]:
        return [{"k": name, "v": self.encode(item)} for name, item in pairs]

    def _tagged(self, value: Mapping[str, Any]) -> Any:
        match value:
            case {"$": str(name)} if name in SPECIAL:
                return {"v": SPECIAL[name]}
            case {"$": "bigint", "v": str(digits)}:
                return {"bi": digits}
            case {"$": "ref", "v": int(number)} if 0 <= number < len(self._met):
                return self._met[number]
            case {"$": "object", "v": list(pairs)}:
                if any(name == "__proto__" for name, _ in pairs):
                    raise Untold("a field named __proto__")
                return self._shared(lambda: {"o": self._fields(pairs)})
            case {"$": "Map", "v": list(pairs)}:
                return self._shared(lambda: {"m": [{"k": self.encode(key), "v": self.encode(v)} for key, v in pairs]})
            case {"$": "Set", "v": list(items)}:
                return self._shared(lambda: {"s": [self.encode(item) for item in items]})
            case {"$": "Date", "v": str() | None as instant}:
                return self._alone({"d": instant})
            case {"$": "RegExp", "v": str(pattern), "flags": str(flags)}:
                return self._alone({"r": {"p": pattern, "f": flags}})
            case {"$": "Error", "name": str(name), "v": str(message), "stack": str(stack)}:
                return self._alone({"e": {"n": name, "m": message, "s": stack}})
            case {"$": "ArrayBuffer", "v": str(data)}:
                return self._alone({"ab": {"b": data}})
            case {"$": str(kind), "v": str(data)} if kind in CODES:
                return self._alone({"ta": {"b": data, "k": CODES[kind]}})
        raise Untold(f"a {value['$']}")
