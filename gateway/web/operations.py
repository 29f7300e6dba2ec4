"""Every operation of the gateway, by the name of its route."""

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import replace

from gateway import web
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
DIALECTS = ("browserless", "steel", "scrapio")  # how the names of their modules begin


def all_operations() -> tuple[Operation, ...]:
    """In the order of the document."""
    found = {operation.name: operation for operation in NATIVE}
    names = sorted(module.name for module in pkgutil.iter_modules(web.__path__))
    for dialect in DIALECTS:
        for name in names:
            if name.startswith(dialect):
                module = importlib.import_module(f"{web.__name__}.{name}")
                found |= {operation.name: operation for operation in getattr(module, "OPERATIONS", ())}
    return tuple(found.values())
