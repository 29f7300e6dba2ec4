"""A context in the formats of others: written in the one that is asked for, read in whichever it is. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from gateway.snapshot import steel
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.fields import mapping, refuse
from gateway.snapshot.parsing import parse
from gateway.snapshot.playwright import to_playwright
from gateway.snapshot.steel import from_steel, to_steel


class Format(StrEnum):
    """Whose shape a context has."""

    NATIVE = "native"
    PLAYWRIGHT = "playwright"
    STEEL = "steel"


def written(document: ContextDocument, format: Format) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The document as JSON (to be encoded), and in words what is not in it."""
    match format:
        case Format.NATIVE:
            return document.to_json(), document.missing
        case Format.PLAYWRIGHT:
            return to_playwright(document)
        case Format.STEEL:
            return to_steel(document)


def parse_any(value: object, at: str = "context") -> ContextDocument:
    """A caller's JSON (decoded), told by its shape: our own, Playwright's storage state, or Steel's session context.

    Raises GatewayError(BAD_REQUEST) naming the path of what is wrong.
    """
    fields = mapping(value, at)
    theirs = [name for name in fields if steel.SNAKE.get(name, name) in steel.FIELDS and name != "cookies"]
    others = [name for name in fields if name not in theirs and name != "cookies"]
    if not theirs:
        return _parsed(fields, at)
    if others:
        refuse(f"{at}.{others[0]}", f"and {at}.{theirs[0]} are of different formats")
    return from_steel(fields, at)


def _parsed(fields: Mapping[str, Any], at: str) -> ContextDocument:
    """Native, or Playwright's with what only a browser under its control can have."""
    lost = []
    if fields.get("credentials"):
        lost.append("virtual authenticators")
    rest = {name: part for name, part in fields.items() if name != "credentials"}
    origins = rest.get("origins")
    if isinstance(origins, list):
        rest["origins"] = [_without_files(origin, lost) for origin in origins]
    document = parse(rest, at)
    return replace(document, missing=(*document.missing, *lost))


def _without_files(origin: object, lost: list[str]) -> object:
    if not isinstance(origin, dict) or "opfs" not in origin:
        return origin
    if origin["opfs"]:
        lost.append(f"the private file system of {origin.get('origin')}")
    return {name: part for name, part in origin.items() if name != "opfs"}
