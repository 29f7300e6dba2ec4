"""Holds replies of a running gateway to the API's document: status, content type, and JSON without a field too many."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

from gateway.web.openapi import document
from gateway.web.operations import all_operations

UNDOCUMENTED = (405,)  # no operation has it: it says that there is none
WIDE = ("path",)  # of the parameters in a path those that may have slashes in them


@dataclass(frozen=True)
class Documented:
    """The operations of the document by method and path."""

    paths: tuple[tuple[re.Pattern[str], dict[str, Any]], ...]
    schemas: dict[str, Any]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """What the document says of a request; None if there is no such operation."""
        method = "get" if method.lower() == "head" else method.lower()
        for pattern, operations in self.paths:
            if method in operations and pattern.fullmatch(path.rstrip("/") or "/"):
                found: dict[str, Any] = operations[method]
                return found
        return None

    @cache  # noqa: B019 (there is one for the whole run)
    def _validator(self, reference: str) -> Any:
        return jsonschema_rs.Draft202012Validator(
            {"$ref": reference, "components": {"schemas": self.schemas}}, validate_formats=True
        )

    def check(self, method: str, url: str, status: int, media: str, body: object) -> None:
        """Fail when this reply is not one that the document has; `body` is decoded JSON where `media` is that."""
        path = urlsplit(url).path
        operation = self.operation(method, path)
        if operation is None or status in UNDOCUMENTED:
            return
        where = f"{method} {path}"
        reply = operation["responses"].get(str(status))
        assert reply is not None, f"{where}: {status} is not in the document (gateway/web/operations.py): {body}"
        content = reply.get("content")
        if content is None or method.upper() == "HEAD" or "*/*" in content:
            return
        assert media in content, f"{where}: {status} is {media}, which is not in the document: {list(content)}"
        if "schema" in content[media]:
            reference = content[media]["schema"]["$ref"]
            for error in self._validator(reference).iter_errors(body):
                name = reference.rpartition("/")[2]
                raise AssertionError(
                    f"{where}: {status} is not as {name} says, at {error.instance_path}: {error.message}"
                )

    def __hash__(self) -> int:
        return id(self)


@cache
def documented() -> Documented:
    """The document of this code."""
    made = document(all_operations())
    # What is spelled out goes before what is filled in, and that before what takes all the rest.
    paths = sorted(made["paths"].items(), key=lambda item: [_rank(part) for part in item[0].split("/")])
    return Documented(
        tuple((_pattern(path, operations), operations) for path, operations in paths), made["components"]["schemas"]
    )


def _rank(part: str) -> int:
    return 0 if not part.startswith("{") else 2 if part[1:-1] in WIDE else 1


def _pattern(path: str, operations: dict[str, Any]) -> re.Pattern[str]:
    parameters = [one for operation in operations.values() for one in operation["parameters"] if one["in"] == "path"]
    inner = {one["name"]: "|".join(one["schema"].get("enum", ["[^/]+"])) for one in parameters}
    inner |= dict.fromkeys(WIDE, ".+")
    parts = re.split(r"{(\w+)}", path)
    filled = (f"(?:{inner[name]})" for name in parts[1::2])
    return re.compile("".join(re.escape(fixed) + next(filled, "") for fixed in parts[::2]))
