"""What a route takes and answers, beside its handler: the API's document is made of these.

Each file of handlers has its own tuple of them, those of the native ones are in `native.py` and `around.py`;
`operations.py` lists them all and `openapi.py` makes the document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gateway.errors import Code

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `model` is what its JSON is checked against, None where the body is no JSON of ours or empty.

    A refusal (400 and above) without a model has that of its dialect. `also`: what else it can be, if asked for.
    """

    words: str
    model: type[BaseModel] | None = None
    media: str = JSON
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query, of the path or a header. `schema` is JSON Schema."""

    name: str
    words: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    where: str = "query"  # or path, header
    required: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """A body that can be sent as it is; `URL` in it is a page that can be reached, `status` what is answered."""

    name: str
    body: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `name` is its key in `rights.RIGHTS`: method and the path as the router has it.

    `body` is the model that validates the request's JSON; `optional`: an empty body is as good as {}. Refusals that
    every route knows (401, 403, 429, 503 ...) are added by `openapi.py` in the shape of its `dialect`.
    """

    name: str
    summary: str
    replies: Mapping[int, Reply]
    body: type[BaseModel] | None = None
    optional: bool = False
    parameters: tuple[Parameter, ...] = ()
    examples: tuple[Example, ...] = ()
    dialect: str = "native"  # or browserless, steel, scrapio
    words: str = ""
    group: str = ""  # what it stands under on the page of a dialect with many
    fields: Mapping[str, str] = field(default_factory=dict)  # words for fields of the body that have none themselves
    upload: tuple[str, ...] = ()  # media types of a body that is not JSON


def refused(*statuses: int) -> dict[int, Reply]:
    """Refusals beyond those that every route knows: the codes that travel with these statuses."""
    return {
        status: Reply(", ".join(f"`{code.word}`" for code in Code if code.status == status) or "Refused.")
        for status in statuses
    }
