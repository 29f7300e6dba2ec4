"""Which format it is, is told by its shape."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Permission, Tab
from gateway.snapshot.formats import Format, parse_any, written
from tests.snapshot.test_parsing import FULL

DOCUMENT = ContextDocument(
    cookies=(Cookie("a", "1", "x.test"),),
    origins=(OriginState("https://x.test", (("k", "v"),)),),
    tabs=(Tab("about:blank", True, {"https://x.test": {"s": "1"}}),),
)


@pytest.mark.parametrize("format", Format)
def test_what_is_written_in_a_format_is_read_in_it(format: Format) -> None:
    value, lost = written(DOCUMENT, format)
    read = parse_any(value)
    assert (read.cookies, read.origins) == (DOCUMENT.cookies, DOCUMENT.origins)
    assert (read.tabs == DOCUMENT.tabs) is (lost == ()) is (format is not Format.PLAYWRIGHT)


def test_our_own_loses_nothing() -> None:
    document = parse_any(FULL)
    assert written(document, Format.NATIVE) == (FULL, ("words",))
    assert document.permissions == (Permission("https://x.test", "geolocation"),)
    assert parse_any({}) == ContextDocument()
    assert parse_any({"cookies": []}) == ContextDocument()


def test_what_only_playwright_has_is_named() -> None:
    state = {
        "cookies": [],
        "origins": [
            {"origin": "https://x.test", "localStorage": [], "opfs": [{"path": "a", "type": "directory"}]},
            {"origin": "https://y.test", "localStorage": [], "opfs": []},
        ],
        "credentials": [{"id": "x"}],
    }
    document = parse_any(state)
    assert document.origins == (OriginState("https://x.test"), OriginState("https://y.test"))
    assert document.missing == ("virtual authenticators", "the private file system of https://x.test")


@pytest.mark.parametrize(
    "value",
    [
        {"localStorage": {"x.test": {"k": "v"}}},
        {"cookies": None, "local_storage": {"x.test": {"k": "v"}}, "session_storage": None},
        {"cookies": [], "indexed_db": {}, "localStorage": {"https://x.test": {"k": "v"}}},
    ],
)
def test_steels_is_told_by_its_fields(value: object) -> None:
    assert parse_any(value) == ContextDocument(origins=(OriginState("https://x.test", (("k", "v"),)),))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "body.context must be an object"),
        ("{}", "body.context must be an object"),
        ({"cookie": []}, "body.context.cookie is not a known field"),
        ({"origins": [{"origin": "x"}]}, "body.context.origins[0].origin must be an origin"),
        ({"origins": {}, "credentials": []}, "body.context.origins must be a list"),
        ({"origins": [], "localStorage": {}}, "body.context.origins and body.context.localStorage are of different"),
        ({"localStorage": {"x.test": 1}}, "body.context.localStorage['x.test'] must be an object"),
    ],
)
def test_anything_else_is_refused_by_its_path(value: object, words: str) -> None:
    with pytest.raises(GatewayError) as refused:
        parse_any(value, "body.context")
    assert refused.value.code is Code.BAD_REQUEST
    assert refused.value.message.startswith(words)
