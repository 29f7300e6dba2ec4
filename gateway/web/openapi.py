"""The API's document: OpenAPI 3.1, made of the operations and of the very models that check requests. Pure.

Source: OpenAPI 3.1.1; a schema there is JSON Schema 2020-12, which pydantic writes.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from gateway import __version__
from gateway.web.answers import Refusal, ScrapioRefusal, SteelRefusal
from gateway.web.dialects import Dialect
from gateway.web.operation import JSON, Operation, Parameter, Reply, refused
from gateway.web.rights import RIGHTS, Right

REFUSALS: Mapping[str, type[BaseModel]] = {
    Dialect.NATIVE: Refusal,
    Dialect.BROWSERLESS: Refusal,
    Dialect.STEEL: SteelRefusal,
    Dialect.SCRAPIO: ScrapioRefusal,
}
TAGS = {
    "Native: Websockets": "What a CDP client connects to. A refusal comes as HTTP, before the upgrade.",
    "Native: Sessions": "Browsers that outlive their clients.",
    "Native: Files": "What a session's browser downloaded, and what is brought for it to upload.",
    "Native: Identities": "Who a browser says it is, under a name of your own.",
    "Native: Remote debugging": "As Chromium has it. Every URL in an answer leads back through the gateway.",
    "Native: The gateway": "Whether it lives, and how much it has to do.",
    "Browserless": "For clients of Browserless: pages as pictures, documents and text.",
    "Steel": "For clients of Steel: the `steel-sdk`, with STEEL_BASE_URL set to this address.",
    "Scrapio": "For clients of Scrapio: fetch and interact, with named sessions.",
}
WORDS = (
    "One port, one core, three more dialects for clients of other services. JSON in and out; times in milliseconds, "
    "instants ISO 8601 UTC. Websockets are described as the GET that is answered with 101; what is spoken there is "
    "CDP. Besides what is listed, a slash at the end of `/json` paths and HEAD in place of GET make no difference."
)
SCHEMES: Mapping[str, Mapping[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "xApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "steelApiKey": {"type": "apiKey", "in": "header", "name": "steel-api-key"},
    "token": {"type": "apiKey", "in": "query", "name": "token"},
    "apiKey": {"type": "apiKey", "in": "query", "name": "apiKey"},
}
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Request-Id": {"description": "Finds the request in the log.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
}
RIGHT_WORDS = {
    Right.ANYONE: "No credential is needed.",
    Right.LOOK: "Role viewer may, too.",
    Right.TENANT: "Wants a tenant's token: a session's own URL is not enough.",
    Right.NODE: "For role admin.",
}
KEYS = {
    "key": "A session's id, or the capability from one of its URLs.",
    "id": "An id.",
    "name": "A name.",
}
PLACE = "https://example.com/"  # what `URL` in an example is, for readers
URL = "URL"
REF = "#/components/schemas/{model}"
Names = Mapping[type[BaseModel], Mapping[str, Any]]  # what stands where a model is used
_IN_PATH = re.compile(r"{(\w+)}")


class _Schemas(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """A default as JSON; that of a model may be given in another type than the one that it is read into."""
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, warnings=False)
        return super().encode_default(dft)


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """All but `servers`, which depends on who asks."""
    found = tuple(operations)
    schemas, names = _schemas(found)
    paths: dict[str, dict[str, Any]] = {}
    for operation in found:
        method, _, path = operation.name.partition(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(operation, names)
    tags = [{"name": tag, "description": TAGS.get(tag, "")} for tag in dict.fromkeys(map(tag_of, found))]
    return {
        "openapi": "3.1.1",
        "info": {"title": "cdp-gateway", "version": __version__, "description": WORDS},
        "tags": tags,
        "security": [{name: []} for name in SCHEMES],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": SCHEMES, "headers": HEADERS},
    }


def with_url(value: Any, url: str) -> Any:
    """An example's body with `url` for its `URL`, wherever a string begins with that."""
    if isinstance(value, str):
        return url + value.removeprefix(URL).removeprefix("/") if value.startswith(URL) else value
    if isinstance(value, Mapping):
        return {name: with_url(part, url) for name, part in value.items()}
    return [with_url(part, url) for part in value] if isinstance(value, list | tuple) else value


def tag_of(operation: Operation) -> str:
    """What it stands under: its dialect, and its group within that."""
    dialect = operation.dialect.capitalize()
    return f"{dialect}: {operation.group}" if operation.group else dialect


def replies_of(operation: Operation) -> dict[int, Reply]:
    """All that it answers, with the refusals that go without saying."""
    path = operation.name.partition(" ")[2]
    usual = [400, 403, 503] if RIGHTS.get(operation.name) is Right.ANYONE else [400, 401, 403, 429, 503]
    takes = operation.body is not None or bool(operation.upload)
    usual += [404] if "{" in path or takes else []  # a body can name what is not there, too
    usual += [408, 413] if takes else []
    return dict(sorted({**refused(*usual), **operation.replies}.items()))


def _schemas(operations: Iterable[Operation]) -> tuple[dict[str, Any], Names]:
    """The schemas of all models by their names, and for each model what stands where it is used."""
    bodies, answers = set[type[BaseModel]](), set[type[BaseModel]](REFUSALS.values())
    for operation in operations:
        if operation.body is not None:
            bodies.add(operation.body)
        answers |= {reply.model for reply in operation.replies.values() if reply.model is not None}
    models = sorted(bodies | answers, key=lambda model: (model.__module__, model.__qualname__))
    uses, defined = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template=REF, schema_generator=_Schemas
    )
    schemas: dict[str, Any] = defined.get("$defs", {})
    names = {model: uses[model, "validation"] for model in models}
    # A default says what is taken for a field that a caller leaves out; of an answer it would say nothing true.
    taken = _reached(schemas, [names[model] for model in bodies])
    for operation in operations:
        if operation.body is not None:
            fields = schemas[str(names[operation.body]["$ref"]).rpartition("/")[2]].get("properties", {})
            for field, words in operation.fields.items():
                fields[field].setdefault("description", words)
    for name in schemas.keys() - taken:
        for part in schemas[name].get("properties", {}).values():
            part.pop("default", None)
    return dict(sorted(schemas.items())), names


def _reached(schemas: Mapping[str, Any], begin: Iterable[Any]) -> set[str]:
    """The names of all schemas that are referred to from there."""
    reached, waiting = set[str](), list(begin)
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name and name not in reached:
                reached.add(name)
                waiting.append(schemas[name])
        elif isinstance(value, list):
            waiting += value
    return reached


def _operation(operation: Operation, names: Names) -> dict[str, Any]:
    right = RIGHTS.get(operation.name, Right.NODE)
    words = [operation.words, RIGHT_WORDS.get(right, "")]
    shown: dict[str, Any] = {
        "tags": [tag_of(operation)],
        "summary": operation.summary,
        "description": " ".join(part for part in words if part),
        "operationId": re.sub(r"\W+", "_", operation.name).strip("_"),
        "parameters": _parameters(operation),
        "responses": {
            str(status): _response(operation, status, reply, names) for status, reply in replies_of(operation).items()
        },
    }
    if right is Right.ANYONE or operation.name == "GET /":
        shown["security"] = [{}, *({name: []} for name in SCHEMES)] if operation.name == "GET /" else []
    if operation.body is not None or operation.upload:
        shown["requestBody"] = _body(operation, names)
    return shown


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    given = {parameter.name: parameter for parameter in operation.parameters if parameter.where == "path"}
    path = [
        given.get(name, Parameter(name, KEYS.get(name, ""), where="path")) for name in _IN_PATH.findall(operation.name)
    ]
    others = [parameter for parameter in operation.parameters if parameter.where != "path"]
    return [
        {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.words,
            "required": parameter.required or parameter.where == "path",
            "schema": dict(parameter.schema),
        }
        for parameter in (*path, *others)
    ]


def _body(operation: Operation, names: Names) -> dict[str, Any]:
    content: dict[str, Any] = {media: {} for media in operation.upload}
    if operation.body is not None:
        content[JSON] = {"schema": names[operation.body]}
    if operation.examples:
        content[JSON]["examples"] = {
            example.name: {"value": with_url(example.body, PLACE), "x-status": example.status}
            for example in operation.examples
        }
    return {"required": not operation.optional, "content": content}


def _response(operation: Operation, status: int, reply: Reply, names: Names) -> dict[str, Any]:
    headers = ["X-Request-Id"] if status != 101 else []
    headers += ["Retry-After"] if status in (429, 503) else []
    shown: dict[str, Any] = {
        "description": reply.words,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    if status in (101, 204, 302, 304):
        return shown
    model = (
        REFUSALS[operation.dialect] if reply.model is None and status >= 400 and reply.media == JSON else reply.model
    )
    shown["content"] = {reply.media: {} if model is None else {"schema": names[model]}}
    shown["content"] |= {media: {} for media in reply.also}
    return shown
