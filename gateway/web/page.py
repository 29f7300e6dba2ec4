"""The API's document as a page for people: HTML of it, whole without scripts. Pure.

What is in the document is text here, never markup, but for `code` in backticks.
"""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

JSON = "application/json"
BASE = "{{base}}"  # where the page is served
_IN_PATH = re.compile(r"{(\w+)}")
_CODE = re.compile(r"`([^`]*)`")
_NOTES = (
    ("format", "{}"),
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {}"),
    ("maxItems", "at most {}"),
    ("maxProperties", "at most {}"),
)


def page(document: Mapping[str, Any], frame: str) -> str:
    """`frame` with the document in it: its marks are `{{words}}`, `{{index}}`, `{{operations}}` and `{{models}}`."""
    groups: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    index: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_operation(method, path, operation, document))
            index[operation["tags"][0]].append(
                f'<li><a href="#{operation["operationId"]}">{_method(method, operation)}'
                f"<span>{_path(path)}</span></a></li>"
            )
    words = {tag["name"]: tag["description"] for tag in document["tags"]}
    parts = {
        "version": escape(document["info"]["version"]),
        "words": text(document["info"]["description"]),
        "index": "".join(
            f'<section><h2><a href="#{_slug(tag)}">{escape(tag)}</a></h2><ul>{"".join(items)}</ul></section>'
            for tag, items in index.items()
        ),
        "operations": "".join(
            f'<section class="group" aria-labelledby="{_slug(tag)}"><h2 id="{_slug(tag)}">{escape(tag)}</h2>'
            f"<p>{text(words[tag])}</p>{''.join(found)}</section>"
            for tag, found in groups.items()
        ),
        "models": "".join(_model(name, schema) for name, schema in document["components"]["schemas"].items()),
    }
    return re.sub(r"{{(version|words|index|operations|models)}}", lambda match: parts[match[1]], frame)


def text(words: str) -> str:
    """Words as HTML, what is in backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(words, quote=False)).replace("\n\n", "<br>")


def kind(schema: Mapping[str, Any]) -> str:
    """What a schema takes, in a few words of HTML."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f'<a href="#model-{escape(name)}">{escape(short(name))}</a>'
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(kind(one) for one in schema[several]))
    found = schema.get("type", "anything")
    if found == "array":
        return f"list of {kind(schema['items'])}" if schema.get("items") else "list"
    if found == "object":
        values = schema.get("additionalProperties")
        return f"object of {kind(values)}" if isinstance(values, Mapping) and values else "object"
    return " or ".join(found) if isinstance(found, list) else escape(str(found))


def notes(schema: Mapping[str, Any]) -> str:
    """Its bounds, in words."""
    branches = [schema, *(one for one in schema.get("anyOf", ()) if isinstance(one, Mapping))]
    return ", ".join(
        dict.fromkeys(words.format(one[name]) for one in branches for name, words in _NOTES if name in one)
    )


def short(name: str) -> str:
    """A model's name without the module that tells it from another of that name."""
    return name.rpartition("__")[2]


def curl(method: str, path: str, operation: Mapping[str, Any], body: Any = None) -> str:
    """The command, for a shell."""
    place = _IN_PATH.sub(lambda match: "$ID" if match[1] in ("key", "id") else f"${match[1].upper()}", path)
    query = "&".join(f"{one['name']}=…" for one in operation["parameters"] if one["in"] == "query" and one["required"])
    url = f"{BASE}{place}" + (f"?{query}" if query else "")
    if "101" in operation["responses"]:
        address = f"{url.replace(BASE, '{{ws}}')}{'&' if query else '?'}token=$GATEWAY_TOKEN"
        return f'npx wscat -c "{address}"'
    lines = [f'curl{"" if method == "get" else f" -X {method.upper()}"} "{url}"']
    if operation.get("security") != []:
        lines.append('-H "Authorization: Bearer $GATEWAY_TOKEN"')
    if body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append("-d '" + json.dumps(body, indent=2, ensure_ascii=False).replace("'", "'\\''") + "'")
    return " \\\n  ".join(lines)


def _operation(method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    parts = [f"<p>{text(operation['description'])}</p>" if operation["description"] else ""]
    if operation["parameters"]:
        parts.append(_table("Parameters", map(_parameter, operation["parameters"])))
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        parts.append(_body(content, operation["requestBody"]["required"], document))
    examples = content.get(JSON, {}).get("examples", {})
    if examples:
        parts += [_example(f": {name}", curl(method, path, operation, one["value"])) for name, one in examples.items()]
    else:
        parts.append(_example("", curl(method, path, operation)))
    parts.append(_table("Replies", (_reply(status, reply) for status, reply in operation["responses"].items())))
    words = f"{method} {path} {operation['summary']} {operation['description']}".lower()
    return (
        f'<details class="operation" id="{operation["operationId"]}" data-words="{escape(words)}"><summary>'
        f"{_method(method, operation)}<code>{_path(path)}</code><span>{text(operation['summary'])}</span></summary>"
        f"<div>{''.join(parts)}</div></details>"
    )


def _example(name: str, command: str) -> str:
    return f"<h4>Example{text(name)}</h4><pre><code>{escape(command)}</code></pre>"


def _method(method: str, operation: Mapping[str, Any]) -> str:
    name = "ws" if set(operation["responses"]) & {"101"} and "200" not in operation["responses"] else method
    return f'<b class="method {name}">{name.upper()}</b>'


def _path(path: str) -> str:
    """A path that may be broken into lines at its slashes, what is filled in marked."""
    return _IN_PATH.sub(r"<i>{\1}</i>", escape(path).replace("/", "<wbr>/"))


def _parameter(one: Mapping[str, Any]) -> tuple[str, str, str]:
    place = one["in"] + (", required" if one["required"] else "")
    return f"<code>{escape(one['name'])}</code><small>{place}</small>", _what(one["schema"]), text(one["description"])


def _body(content: Mapping[str, Any], required: bool, document: Mapping[str, Any]) -> str:
    head = "Body" if required else "Body, which may be empty"
    if JSON not in content:
        return f"<h4>{head}</h4><p>{', '.join(f'<code>{escape(media)}</code>' for media in content)}</p>"
    schema = content[JSON].get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    rows = _fields(schema)
    return _table(head, rows) if rows else f"<h4>{head}</h4><p>{_what(schema)}</p>"


def _fields(schema: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    must = schema.get("required", ())
    return [
        (
            f"<code>{escape(name)}</code>" + ("<small>required</small>" if name in must else ""),
            _what(field),
            text(field.get("description", "")) + _default(field),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _what(schema: Mapping[str, Any]) -> str:
    bounds = notes(schema)
    return kind(schema) + (f"<small>{escape(bounds)}</small>" if bounds else "")


def _default(field: Mapping[str, Any]) -> str:
    if field.get("default") in (None, [], {}, ""):
        return ""
    return f" <small>default <code>{escape(json.dumps(field['default']))}</code></small>"


def _reply(status: str, reply: Mapping[str, Any]) -> tuple[str, str, str]:
    shown = [
        kind(one["schema"]) if "schema" in one else f"<code>{escape(media)}</code>"
        for media, one in reply.get("content", {}).items()
    ]
    return f'<b class="status s{status[0]}">{status}</b>', " or ".join(shown), text(reply["description"])


def _model(name: str, schema: Mapping[str, Any]) -> str:
    rows = _fields(schema)
    inside = _table("", rows) if rows else f"<p>{_what(schema)}</p>"
    more = "<p><small>and other fields</small></p>" if schema.get("additionalProperties") is True and rows else ""
    words = f"<p>{text(schema['description'])}</p>" if "description" in schema else ""
    head = f"<h3>{escape(short(name))}</h3>"
    return f'<section class="model" id="model-{escape(name)}">{head}{words}{inside}{more}</section>'


def _table(head: str, rows: Iterable[tuple[str, str, str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (f"<h4>{head}</h4>" if head else "") + f"<table>{cells}</table>"


def _slug(tag: str) -> str:
    return re.sub(r"\W+", "-", tag.lower())
