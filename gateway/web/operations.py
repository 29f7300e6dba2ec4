"""Every operation of the gateway, by the name of its route."""

import importlib
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec

from gateway.web import around, native
from gateway.web.operation import Operation


def _under(group: str, operations: Iterable[Operation]) -> tuple[Operation, ...]:
    return tuple(replace(operation, group=group) for operation in operations)


NATIVE = (
    *_under("Websockets", around.WEBSOCKETS),
    *_under("Sessions", native.SESSIONS),
    *_under("Files", native.FILES),
    *_under("Identities", native.IDENTITIES),
    *_under("Remote debugging", around.DEBUGGING),
    *_under("The gateway", around.GATEWAY),
)
DIALECTS = ("browserless", "steel", "steel_profiles", "steel_computer", "steel_pages", "scrapio")


def all_operations() -> tuple[Operation, ...]:
    """In the order of the document."""
    found = list(NATIVE)
    for name in DIALECTS:
        if find_spec(f"gateway.web.{name}") is not None:
            found += getattr(importlib.import_module(f"gateway.web.{name}"), "OPERATIONS", ())
    return tuple(found)
