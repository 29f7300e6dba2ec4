"""A caller's context document: what is accepted, and how the rest is refused."""

import json
from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument, Cookie, Entry, OriginState, PartitionKey, Permission, Tab
from gateway.snapshot.parsing import parse

STORE = {"name": "s", "keyPath": ["a", "b"], "autoIncrement": False, "indexes": [], "records": [[None, {"a": 1}]]}
FULL: dict[str, Any] = {
    "version": 1,
    "cookies": [
        {
            "name": "a",
            "value": "1",
            "domain": ".x.test",
            "path": "/p",
            "expires": 1.5,
            "httpOnly": True,
            "secure": True,
            "sameSite": "None",
            "priority": "High",
            "sourceScheme": "Secure",
            "sourcePort": 443,
            "partitionKey": {"topLevelSite": "https://y.test", "hasCrossSiteAncestor": True},
        }
    ],
    "origins": [
        {
            "origin": "https://x.test:8443",
            "localStorage": [{"name": "k", "value": "v"}],
            "indexedDB": [{"name": "db", "version": 2, "stores": [STORE]}],
        }
    ],
    "tabs": [
        {
            "url": "https://x.test:8443/p#f",
            "active": True,
            "sessionStorage": {"https://x.test:8443": {"k": "v"}},
            "history": {
                "index": 1,
                "entries": [
                    {"url": "https://x.test/", "title": "Before"},
                    {"url": "https://x.test:8443/p#f", "title": ""},
                ],
            },
            "scroll": {"x": 0, "y": 250.5},
        }
    ],
    "permissions": [{"origin": "https://x.test", "name": "geolocation"}],
    "missing": ["words"],
}


def test_the_native_format_round_trips() -> None:
    document = parse(FULL)
    assert document.to_json() == FULL
    assert parse(json.loads(json.dumps(document.to_json()))) == document
    assert document.cookies[0].partition_key == PartitionKey("https://y.test", True)
    history = (Entry("https://x.test/", "Before"), Entry("https://x.test:8443/p#f"))
    storage = {"https://x.test:8443": {"k": "v"}}
    assert document.tabs == (Tab("https://x.test:8443/p#f", True, storage, history, 1, (0, 250.5)),)
    assert document.permissions == (Permission("https://x.test", "geolocation"),)


def test_an_empty_document_and_nulls_are_fine() -> None:
    assert parse({}) == ContextDocument()
    assert parse({"cookies": None, "origins": [{"origin": "http://x.test", "localStorage": None}]}) == ContextDocument(
        origins=(OriginState("http://x.test"),)
    )


def test_a_session_cookie_has_no_expiry_or_minus_one() -> None:
    plain = {"name": "a", "value": "", "domain": "x.test"}
    for value in (plain, {**plain, "expires": -1}, {**plain, "expires": None, "session": True, "size": 1}):
        assert parse({"cookies": [value]}).cookies == (Cookie("a", "", "x.test"),)
    assert Cookie("a", "", "x.test").to_json()["expires"] == -1


def test_playwrights_storage_state_is_accepted() -> None:
    state = {
        "cookies": [
            {
                "name": "sid",
                "value": "1",
                "domain": "x.test",
                "path": "/",
                "expires": -1,
                "httpOnly": True,
                "secure": False,
                "sameSite": "Lax",
                "partitionKey": "https://y.test",
                "_crHasCrossSiteAncestor": True,
            }
        ],
        "origins": [{"origin": "https://x.test", "localStorage": [{"name": "k", "value": "v"}]}],
    }
    document = parse(state)
    assert document.cookies[0].partition_key == PartitionKey("https://y.test", True)
    assert document.origins == (OriginState("https://x.test", (("k", "v"),)),)


def test_a_tab_without_history_or_scroll_has_none() -> None:
    for value in (tab(), tab(history=None, scroll=None)):
        read = parse(value)
        assert read.tabs == (Tab("a:b", False, {}, (), 0, (0, 0)),)
        assert read.to_json()["tabs"] == [{"url": "a:b", "active": False, "sessionStorage": {}}]


def test_a_partition_named_by_its_site_alone_is_read_as_playwright_does() -> None:
    value = {"name": "a", "value": "", "domain": "x.test", "partitionKey": "https://y.test"}
    assert parse({"cookies": [value]}).cookies[0].partition_key == PartitionKey("https://y.test", True)
    key = parse({"cookies": [{**value, "_crHasCrossSiteAncestor": False}]}).cookies[0].partition_key
    assert key == PartitionKey("https://y.test", False)


COOKIE = FULL["cookies"][0]
HERE = {"url": "a:b"}


def tab(**fields: object) -> dict[str, Any]:
    """A document with one tab on `a:b`."""
    return {"tabs": [{"url": "a:b", **fields}]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "context must be an object"),
        ({"version": 2}, "context.version must be 1"),
        ({"cookie": []}, "context.cookie is not a known field"),
        ({"cookies": {}}, "context.cookies must be a list"),
        ({"cookies": [COOKIE, {"name": "a", "value": "b"}]}, "context.cookies[1].domain is required"),
        ({"cookies": [{**COOKIE, "domain": 5}]}, "context.cookies[0].domain must be a string"),
        ({"cookies": [{**COOKIE, "domain": "http://x"}]}, "context.cookies[0].domain must be a host name"),
        ({"cookies": [{**COOKIE, "path": "x"}]}, "context.cookies[0].path must begin with /"),
        ({"cookies": [{**COOKIE, "expires": "soon"}]}, "context.cookies[0].expires must be a number"),
        ({"cookies": [{**COOKIE, "expires": float("nan")}]}, "context.cookies[0].expires must be a number"),
        ({"cookies": [{**COOKIE, "httpOnly": 1}]}, "context.cookies[0].httpOnly must be true or false"),
        ({"cookies": [{**COOKIE, "sameSite": "lax"}]}, "context.cookies[0].sameSite must be one of Strict, Lax, None"),
        ({"cookies": [{**COOKIE, "partitionKey": {}}]}, "context.cookies[0].partitionKey.topLevelSite is required"),
        ({"cookies": [{**COOKIE, "nmae": ""}]}, "context.cookies[0].nmae is not a known field"),
        ({"origins": [{"origin": "x.test"}]}, "context.origins[0].origin must be an origin such as"),
        ({"origins": [{"origin": "https://x.test/path"}]}, "context.origins[0].origin must be an origin"),
        ({"origins": [{"origin": "file:///etc"}]}, "context.origins[0].origin must be an origin"),
        ({"origins": [{"origin": "https://x.test"}, {"origin": "https://X.test:443"}]}, "is there more than once"),
        (
            {"origins": [{"origin": "https://x.test", "localStorage": [{"name": "k"}]}]},
            "context.origins[0].localStorage[0].value is required",
        ),
        ({"tabs": [{}]}, "context.tabs[0].url is required"),
        ({"tabs": [{"url": "x.test"}]}, "context.tabs[0].url must be a whole url"),
        ({"tabs": [{"url": "a:b", "sessionStorage": {"k": "v"}}]}, "context.tabs[0].sessionStorage['k'] must be"),
        ({"tabs": [{"url": "a:b", "active": True}] * 2}, "context.tabs only one tab can be active"),
        (tab(history=[]), ".history must be an object"),
        (tab(history={"index": 0, "entries": {}}), ".history.entries must be a list"),
        (tab(history={"entries": [HERE]}), ".history.index is required"),
        (tab(history={"index": "0", "entries": [HERE]}), ".history.index must be a number"),
        (tab(history={"index": 0.5, "entries": [HERE]}), ".history.index must be that of the entry"),
        (tab(history={"index": -1, "entries": [HERE]}), ".history.index must be that of the entry"),
        (tab(history={"index": 1, "entries": [HERE]}), ".history.index must be that of the entry"),
        (tab(history={"index": 0, "entries": []}), ".history.index must be that of the entry"),
        (tab(history={"index": 0, "entries": [{"url": "a:c"}]}), ".history.index must be that of the entry"),
        (tab(history={"index": 0, "entries": [HERE, {"url": "c"}]}), ".history.entries[1].url must be a whole url"),
        (tab(history={"index": 0, "entries": [{"url": "a:b", "title": 5}]}), ".history.entries[0].title must be a"),
        (tab(history={"index": 0, "entries": [{"url": "a:b", "id": 5}]}), ".history.entries[0].id is not a known"),
        (tab(history={"index": 0, "entries": [HERE], "length": 1}), ".history.length is not a known field"),
        (tab(scroll=[0, 1]), "context.tabs[0].scroll must be an object"),
        (tab(scroll={"x": 0}), "context.tabs[0].scroll.y is required"),
        (tab(scroll={"x": 0, "y": True}), "context.tabs[0].scroll.y must be a number"),
        (tab(scroll={"x": float("inf"), "y": 0}), "context.tabs[0].scroll.x must be a number"),
        (tab(scroll={"x": 0, "y": 0, "z": 0}), "context.tabs[0].scroll.z is not a known field"),
        ({"permissions": {}}, "context.permissions must be a list"),
        ({"permissions": [{"name": "midi"}]}, "context.permissions[0].origin is required"),
        ({"permissions": [{"origin": "x.test", "name": "midi"}]}, "context.permissions[0].origin must be an origin"),
        ({"permissions": [{"origin": "https://x.test"}]}, "context.permissions[0].name is required"),
        ({"permissions": [{"origin": "https://x.test", "name": 1}]}, "context.permissions[0].name must be a string"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(value: object, words: str) -> None:
    with pytest.raises(GatewayError) as refused:
        parse(value)
    assert refused.value.code is Code.BAD_REQUEST
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ({"name": "d", "version": 0}, ".version must be a whole number from 1"),
        ({"name": "d", "version": 1.5}, ".version must be a whole number from 1"),
        ({"name": "d", "version": 1, "stores": [{}]}, ".stores[0].name is required"),
        ({"name": "d", "version": 1, "stores": [{**STORE, "keyPath": 5}]}, ".stores[0].keyPath must be a list"),
        ({"name": "d", "version": 1, "stores": [{**STORE, "indexes": [{"name": "i"}]}]}, "keyPath is required"),
        ({"name": "d", "version": 1, "stores": [{**STORE, "records": [[1]]}]}, "records[0] must be a pair"),
        ({"name": "d", "version": 1, "stores": [{**STORE, "records": [[1, float("inf")]]}]}, "a number that JSON"),
    ],
)
def test_a_bad_database_is_refused(database: object, words: str) -> None:
    with pytest.raises(GatewayError) as refused:
        parse({"origins": [{"origin": "https://x.test", "indexedDB": [database]}]})
    assert refused.value.message.startswith("context.origins[0].indexedDB[0]")
    assert words in refused.value.message


def test_values_nested_too_deeply_are_refused() -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    database = {"name": "d", "version": 1, "stores": [{**STORE, "records": [[1, value]]}]}
    with pytest.raises(GatewayError, match="nested too deeply"):
        parse({"origins": [{"origin": "https://x.test", "indexedDB": [database]}]})
