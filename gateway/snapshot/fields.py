"""Reading a caller's JSON strictly: every refusal names the path of what is wrong (`context.cookies[3].domain`).

All of them raise GatewayError(BAD_REQUEST). `at` is the path of the value at hand.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from gateway.errors import Code, GatewayError

MAX_DEPTH = 200  # of a stored value; Python's and Chromium's JSON parsers give up somewhat above it

T = TypeVar("T")


def check_json(value: object, at: str, depth: int = MAX_DEPTH) -> None:
    if depth == 0:
        refuse(at, "is nested too deeply")
    if isinstance(value, float) and not math.isfinite(value):
        refuse(at, "has a number that JSON does not know")
    if isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            check_json(part, at, depth - 1)


def refuse(at: str, why: str) -> NoReturn:
    raise GatewayError(Code.BAD_REQUEST, f"{at} {why}")


def mapping(value: object, at: str, *names: str) -> Mapping[str, Any]:
    """An object with no other fields than `names`; with none given, any."""
    if not isinstance(value, dict):
        refuse(at, "must be an object")
    for name in value if names else ():
        if name not in names:
            refuse(f"{at}.{name}", "is not a known field")
    return value


def sequence(value: object, at: str) -> list[Any]:
    if not isinstance(value, list):
        refuse(at, "must be a list")
    return value


def each(fields: Mapping[str, Any], name: str, at: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
    value = fields.get(name)
    items = [] if value is None else sequence(value, f"{at}.{name}")
    return tuple(read(item, f"{at}.{name}[{number}]") for number, item in enumerate(items))


def required(fields: Mapping[str, Any], name: str, at: str) -> object:
    if fields.get(name) is None:
        refuse(f"{at}.{name}", "is required")
    return fields[name]


def optional(fields: Mapping[str, Any], name: str, at: str, read: Callable[[object, str], T]) -> T | None:
    value = fields.get(name)
    return None if value is None else read(value, f"{at}.{name}")


def string(value: object, at: str) -> str:
    if not isinstance(value, str):
        refuse(at, "must be a string")
    return value


def flag(value: object, at: str) -> bool:
    if not isinstance(value, bool):
        refuse(at, "must be true or false")
    return value


def number(value: object, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse(at, "must be a number")
    return value
