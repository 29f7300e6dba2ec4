"""IndexedDB records in Playwright's storage state to the encoding of `storage.js`. Pure.

Playwright writes `key`/`value` where plain JSON is enough, else `keyEncoded`/`valueEncoded`: its own
serialisation of values (packages/injected/src/utilityScriptSerializers.ts), with "id" and "ref" for shared objects.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

SPECIAL = {"undefined": "undefined", "NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity", "-0": "-0"}
TYPED_ARRAYS = {
    "i8": "Int8Array", "ui8": "Uint8Array", "ui8c": "Uint8ClampedArray", "i16": "Int16Array",
    "ui16": "Uint16Array", "i32": "Int32Array", "ui32": "Uint32Array", "f32": "Float32Array",
    "f64": "Float64Array", "bi64": "BigInt64Array", "bui64": "BigUint64Array",
}  # fmt: skip


def record(fields: Mapping[str, Any]) -> list[Any]:
    """A record to [key or None, value]; raises ValueError in words for what has no counterpart."""
    key = _decode(fields["keyEncoded"]) if "keyEncoded" in fields else _plain(fields.get("key"))
    if "valueEncoded" in fields:
        return [key, _decode(fields["valueEncoded"])]
    if "value" not in fields:
        raise ValueError("has no value")
    return [key, _plain(fields["value"])]


def _plain(value: object) -> Any:
    """Plain JSON: only an object with a field "$" must be told from our tags."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return _object([(name, _plain(item)) for name, item in value.items()])
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
    match value:
        case {"d": str(instant)}:
            return {"$": "Date", "v": instant}
        case {"r": {"p": str(pattern), "f": str(flags)}}:
            return {"$": "RegExp", "v": pattern, "flags": flags}
        case {"ab": {"b": str(data)}}:
            return {"$": "ArrayBuffer", "v": data}
        case {"ta": {"b": str(data), "k": str(kind)}} if kind in TYPED_ARRAYS:
            return {"$": TYPED_ARRAYS[kind], "v": data}
        case {"a": list(items), "id": int(id)}:
            seen[id] = number
            return [_serialised(item, numbers, seen) for item in items]
        case {"o": list(fields), "id": int(id)}:
            seen[id] = number
            return _object([(field["k"], _serialised(field["v"], numbers, seen)) for field in fields])
    raise ValueError(f"has a value of a kind that cannot be restored: {', '.join(sorted(value))}")
