import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel, ConfigDict

from gateway.web.openapi import SCHEMES, document, replies_of, with_url
from gateway.web.operation import Example, Operation, Parameter, Reply, refused
from gateway.web.operations import all_operations


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 3


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str
    inner: Inner | None = None


class Told(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    more: int = 7


MADE = Operation(
    "POST /thing/{key}/part/{name}",
    "Make",
    {201: Reply("Made.", Told), 204: Reply("Nothing."), **refused(409)},
    Body,
    parameters=(Parameter("name", "whose", {"enum": ["a", "b"]}, where="path"), Parameter("loud", "whether")),
    examples=(Example("one", {"url": "URL/login", "inner": {"size": 1}}, 201),),
    dialect="steel",
    words="Words.",
    fields={"url": "Where.", "inner": "What."},
)
WHOLE = document(all_operations())


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for name, text in value.items() if name == "$ref")
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_an_operation_in_the_document() -> None:
    made = document([MADE])
    shown = made["paths"]["/thing/{key}/part/{name}"]["post"]
    assert shown["operationId"] == "POST_thing_key_part_name"
    assert shown["tags"] == ["Steel"]
    assert [(one["name"], one["in"], one["required"]) for one in shown["parameters"]] == [
        ("key", "path", True),
        ("name", "path", True),
        ("loud", "query", False),
    ]
    assert shown["parameters"][1]["schema"] == {"enum": ["a", "b"]}
    body = shown["requestBody"]
    assert body["required"]
    content = body["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Body"}
    assert content["examples"]["one"]["value"] == {"url": "https://example.com/login", "inner": {"size": 1}}
    assert set(shown["responses"]) == {"201", "204", "400", "401", "403", "404", "408", "409", "413", "429", "503"}
    assert "content" not in shown["responses"]["204"]
    refusal = shown["responses"]["409"]["content"]["application/json"]["schema"]
    assert refusal == {"$ref": "#/components/schemas/SteelRefusal"}
    assert set(shown["responses"]["429"]["headers"]) == {"X-Request-Id", "Retry-After"}
    assert "`name_in_use`" in shown["responses"]["409"]["description"]


def test_defaults_are_told_of_what_is_taken_and_not_of_what_is_given() -> None:
    schemas = document([MADE])["components"]["schemas"]
    assert schemas["Inner"]["properties"]["size"]["default"] == 3
    assert "default" not in schemas["Told"]["properties"]["more"]
    assert "more" not in schemas["Told"]["required"]
    assert schemas["Body"]["properties"]["url"]["description"] == "Where."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("URL", "http://here/"),
        ("URL/login", "http://here/login"),
        ("an URL", "an URL"),
        ({"a": ["URL", 1, None]}, {"a": ["http://here/", 1, None]}),
        ((), []),
    ],
)
def test_the_url_of_an_example(value: Any, shown: Any) -> None:
    assert with_url(value, "http://here/") == shown


def test_public_routes_say_so() -> None:
    paths = WHOLE["paths"]
    assert paths["/healthz"]["get"]["security"] == []
    assert {} in paths["/"]["get"]["security"]
    assert "security" not in paths["/sessions"]["get"]
    assert WHOLE["security"] == [{name: []} for name in SCHEMES]


def test_the_whole_is_valid_json_schema_and_every_reference_leads_somewhere() -> None:
    assert json.loads(json.dumps(WHOLE)) == WHOLE
    components = WHOLE["components"]
    for reference in set(references(WHOLE)):
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in components[kind], reference
    for name, schema in components["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        for pattern in re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(schema)):
            re.compile(json.loads(f'"{pattern}"')), name


def test_operation_ids_and_paths_are_each_ones_own() -> None:
    operations = [one for methods in WHOLE["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    shapes = [re.sub(r"{\w+}", "{}", path) for path in WHOLE["paths"]]
    # DevTools' own files lie beside the sockets of debuggers.
    assert len(set(shapes)) == len(shapes), "two paths that differ only in what a parameter is called"


def test_every_body_is_refused_with_401_by_the_shape_of_its_dialect() -> None:
    for operation in all_operations():
        assert 403 in replies_of(operation)
        shown = WHOLE["paths"][operation.name.split()[1]][operation.name.split()[0].lower()]
        refusal = shown["responses"]["403"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert refusal == {"steel": "SteelRefusal", "scrapio": "ScrapioRefusal"}.get(operation.dialect, "Refusal")
