"""A context document as parts that change on their own, and back: what did not change is not written again. Blocking.

Parts are the cookies, each origin, each tab, and the rest. What is written here was read strictly (`parsing.py`) or
captured by us, and is read back as strictly.
"""

import json
from dataclasses import replace
from typing import Any

from gateway.errors import GatewayError
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.manifest import Part, Parts
from gateway.snapshot.packs import Damaged, PackReader, PackWriter
from gateway.snapshot.parsing import parse

LONG = frozenset(("indexedDB", "stores", "records"))  # lists of an origin that may be very long
STEP = 100  # records
_json = json.JSONEncoder(separators=(",", ":")).encode


def put_document(document: ContextDocument, writer: PackWriter) -> Parts:
    """Raises OSError."""
    rest = replace(document, cookies=(), origins=(), tabs=()).to_json()

    def put(name: str, value: object) -> Part:
        # ASCII: strings of a site may have halves of surrogate pairs, which UTF-8 does not know.
        return Part(name, writer.put_all(_dumps(value).encode("ascii")))

    return Parts(
        rest=put("rest", rest),
        cookies=put("cookies", [cookie.to_json() for cookie in document.cookies]),
        origins=tuple(put(state.origin, state.to_json()) for state in document.origins),
        tabs=tuple(put("", tab.to_json()) for tab in document.tabs),
    )


def _dumps(value: object) -> str:
    """JSON in short steps: Python's own encoder lets no other thread run until it is done, however long it takes."""
    if isinstance(value, dict):
        items = (f"{_json(name)}:{_dumps(item) if name in LONG else _json(item)}" for name, item in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[" + ",".join(map(_dumps, value)) + "]"
    if isinstance(value, list):
        steps = (value[start : start + STEP] for start in range(0, len(value), STEP))
        return "[" + ",".join(_json(step)[1:-1] for step in steps) + "]"
    return _json(value)


def get_document(parts: Parts, reader: PackReader, *, storage: bool = True) -> ContextDocument:
    """Without `storage` the origins are there by name only, which is quick. Raises Damaged."""

    def get(part: Part) -> Any:
        return json.loads(reader.get_all(part.pieces))

    try:
        return parse(
            {
                **get(parts.rest),
                "cookies": get(parts.cookies),
                "origins": [get(part) if storage else {"origin": part.name} for part in parts.origins],
                "tabs": [get(part) for part in parts.tabs],
            }
        )
    except Damaged:
        raise
    except (GatewayError, ValueError, TypeError, RecursionError) as error:
        raise Damaged("its context is no context document") from error
