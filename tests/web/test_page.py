import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.web.docs import FRAME
from gateway.web.openapi import document
from gateway.web.operations import all_operations
from gateway.web.page import curl, kind, notes, page, text

WHOLE = document(all_operations())
PAGE = page(WHOLE, FRAME)
EMPTY: dict[str, Any] = {"parameters": [], "responses": {"200": {}}}


class Reader(HTMLParser):
    """Ids, links and whether what is opened is closed."""

    VOID = frozenset({"meta", "input", "wbr", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not any(name.startswith("on") or name in ("style", "src") for name in given), f"{tag} {given}"
        self.scripts += tag in ("script", "style")
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_by_itself() -> None:
    reader = Reader()
    reader.feed(PAGE)
    assert reader.open == []
    assert reader.scripts == 2
    assert len(set(reader.ids)) == len(reader.ids)
    for link in reader.links:
        assert link == "/openapi.json" or link.removeprefix("#") in reader.ids, link
    assert "{{words}}" not in PAGE
    assert {one["operationId"] for methods in WHOLE["paths"].values() for one in methods.values()} <= set(reader.ids)


def test_words_are_text() -> None:
    assert text("<b> & `a<b`") == "&lt;b&gt; &amp; <code>a&lt;b</code>"


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "string"}, "string"),
        ({"$ref": "#/components/schemas/a__b__Name"}, '<a href="#model-a__b__Name">Name</a>'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        ({"type": "array"}, "list"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "object of boolean"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({"enum": ["<a>", 1]}, "<code>&quot;&lt;a&gt;&quot;</code>, <code>1</code>"),
        ({"const": "x"}, "<code>&quot;x&quot;</code>"),
        ({"type": ["string", "null"]}, "string or null"),
        ({}, "anything"),
    ],
    ids=str,
)
def test_what_a_schema_takes(schema: dict[str, Any], shown: str) -> None:
    assert kind(schema) == shown


def test_bounds() -> None:
    assert notes({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]}) == "≥ 1, ≤ 9"
    assert notes({"type": "string"}) == ""


def test_a_command_can_be_given_to_a_shell() -> None:
    made = curl("post", "/session/{key}/x/{name}", EMPTY, {"a": "it's"})
    assert made.startswith('curl -X POST "{{base}}/session/$ID/x/$NAME" \\\n')
    assert "-d '{\n  \"a\": \"it'\\''s\"\n}'" in made
    assert "Authorization: Bearer $GATEWAY_TOKEN" in made
    assert "Authorization" not in curl("get", "/healthz", {**EMPTY, "security": []})
    socket = curl("get", "/chromium", {**EMPTY, "responses": {"101": {}}})
    assert socket == 'npx wscat -c "{{ws}}/chromium?token=$GATEWAY_TOKEN"'
    wanted = {**EMPTY, "parameters": [{"name": "url", "in": "query", "required": True}]}
    assert '"{{base}}/x?url=…"' in curl("get", "/x", wanted)


def test_every_method_is_named() -> None:
    assert {"GET", "POST", "PUT", "PATCH", "DELETE", "WS"} == set(re.findall(r'<b class="method \w+">(\w+)</b>', PAGE))
