"""Steel's session context: every form in which its SDKs send it, and what it does not say."""

from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, PartitionKey, Permission, Tab
from gateway.snapshot.steel import from_steel, origin_of_key, to_steel

STORE: dict[str, Any] = {
    "name": "people",
    "keyPath": "id",
    "autoIncrement": True,
    "indexes": [{"name": "both", "keyPath": ["a", "b"], "unique": True, "multiEntry": False}],
    "records": [[None, {"id": 1, "when": {"$": "Date", "v": "1970-01-01T00:00:00.005Z"}, "http_only": None}]],
}
LOOSE: dict[str, Any] = {
    "name": "loose",
    "keyPath": None,
    "autoIncrement": False,
    "indexes": [],
    "records": [["k", {"$": "Blob", "v": "AQ==", "type": "x"}], [5, None]],
}
DOCUMENT = ContextDocument(
    cookies=(
        Cookie(
            "a", "1", ".x.test", "/p", 1.5, True, True, "None", "High", "Secure", 443, PartitionKey("https://y.test")
        ),
        Cookie("b", "", "x.test"),
    ),
    origins=(
        OriginState("https://x.test", (("k", "v"), ("session_storage", "2"))),
        OriginState("http://y.test:81", (), ({"name": "db", "version": 3, "stores": [STORE, LOOSE]},)),
    ),
    tabs=(Tab("about:blank", True, {"https://x.test": {"tab": "1"}}),),
)

# What `sessions.create(session_context=…)` sends for the same context, by the way it was given (steel-sdk 0.19).
SNAKE = {
    "cookies": [{"name": "a", "value": "b", "domain": "x.test", "expires": -1.0, "http_only": True, "same_site": "Lax",
                 "partition_key": {"has_cross_site_ancestor": False, "top_level_site": "https://y.test"}}],
    "local_storage": {"https://x.test": {"local_storage": "v"}},
    "session_storage": {},
    "indexed_db": {"https://x.test": [{"id": 1.0, "name": "d", "version": 3, "data": [
        {"id": 1.0, "name": "s", "keyPath": "id", "autoIncrement": True, "indexes": [],
         "records": [{"key": None, "value": {"id": 1, "http_only": 2}, "blob_files": None}]}]}]},
}  # fmt: skip
NULLS = {
    "cookies": [{"name": "a", "value": "b", "domain": "x.test", "expires": -1.0, "httpOnly": True, "sameSite": "Lax",
                 "partitionKey": {"hasCrossSiteAncestor": False, "topLevelSite": "https://y.test"}, "path": "/",
                 "priority": None, "sameParty": None, "secure": None, "session": None, "size": None,
                 "sourcePort": None, "sourceScheme": None, "url": None}],
    "indexedDB": {"https://x.test": [{"id": 1, "name": "d", "version": 3, "data": [
        {"id": 1, "name": "s", "keyPath": "id", "autoIncrement": True, "indexes": [],
         "records": [{"key": None, "value": {"id": 1, "http_only": 2}}]}]}]},
    "localStorage": {"https://x.test": {"local_storage": "v"}},
    "sessionStorage": None,
}  # fmt: skip


def test_what_we_write_is_read_as_it_was() -> None:
    written, lost = to_steel(DOCUMENT)
    assert lost == ()
    assert from_steel(written) == DOCUMENT
    assert written["localStorage"] == {"https://x.test": {"k": "v", "session_storage": "2"}}
    assert written["sessionStorage"] == {"https://x.test": {"tab": "1"}}
    assert written["cookies"][1] == {
        "name": "b",
        "value": "",
        "domain": "x.test",
        "path": "/",
        "expires": -1,
        "httpOnly": False,
        "secure": False,
        "session": True,
        "size": 1,
    }
    (database,) = written["indexedDB"]["http://y.test:81"]
    assert (database["id"], database["name"]) == (1, "db")
    assert [(store["id"], store["name"]) for store in database["data"]] == [(1, "people"), (2, "loose")]
    assert database["data"][1]["records"][0]["key"] == "k"


def test_each_way_of_the_sdk_says_the_same() -> None:
    expected = ContextDocument(
        cookies=(
            Cookie(
                "a", "b", "x.test", http_only=True, same_site="Lax", partition_key=PartitionKey("https://y.test", False)
            ),
        ),
        origins=(
            OriginState(
                "https://x.test",
                (("local_storage", "v"),),
                (
                    {
                        "name": "d",
                        "version": 3,
                        "stores": [
                            {
                                "name": "s",
                                "keyPath": "id",
                                "autoIncrement": True,
                                "indexes": [],
                                "records": [[None, {"id": 1, "http_only": 2}]],
                            }
                        ],
                    },
                ),
            ),
        ),
    )
    assert from_steel(SNAKE) == expected
    assert from_steel(NULLS) == expected
    both = {**SNAKE, **{name: value for name, value in NULLS.items() if name != "cookies"}}
    assert from_steel(both) == expected


def test_what_it_cannot_hold_is_named() -> None:
    items = {"https://x.test": {"a": "first"}}
    document = ContextDocument(
        tabs=(
            Tab("https://x.test/1", False, {"https://x.test": {"a": "other"}, "https://y.test": {"b": "2"}}),
            Tab("https://x.test/2", True, items),
        ),
        permissions=(Permission("https://x.test", "midi"),),
        missing=("before",),
    )
    written, lost = to_steel(document)
    # The tab that is shown speaks for its origin.
    assert written["sessionStorage"] == {**items, "https://y.test": {"b": "2"}}
    assert lost == (
        "before",
        "session storage of https://x.test in another tab",
        "2 tabs with their history",
        "permissions",
    )


def test_a_database_without_a_schema_is_a_plain_one() -> None:
    files = [{"blobNumber": 1, "mimeType": "x", "size": 1}]
    document = from_steel(
        {
            "indexedDB": {
                "x.test": [
                    {
                        "id": 1,
                        "name": "d",
                        "data": [
                            {"id": 1, "name": "s", "records": [{"key": 5, "value": {"$": "x"}, "blobFiles": files}]},
                            {"id": 2, "name": "t", "records": [{"key": None, "value": 1}]},
                        ],
                    }
                ]
            }
        }
    )
    (database,) = document.origins[0].databases
    assert database["version"] == 1
    kept = [(store["keyPath"], store["autoIncrement"], store["records"]) for store in database["stores"]]
    assert kept == [
        (None, False, [[5, {"$": "object", "v": [["$", "x"]]}]]),
        (None, True, [[None, 1]]),
    ]
    assert document.missing == ("the schema of database d", "the files of 1 records of database d")


def reached(host: str, scheme: str, port: int | None) -> Cookie:
    return Cookie("a", "", host, source_scheme=scheme, source_port=port)


@pytest.mark.parametrize(
    ("key", "cookies", "origin"),
    [
        ("https://X.test:443", (), "https://x.test"),
        ("http://x.test/", (), "http://x.test"),
        ("x.test", (), "https://x.test"),
        ("X.test:8443", (), "https://x.test:8443"),
        ("localhost", (), "http://localhost"),
        ("localhost:3000", (), "http://localhost:3000"),
        ("app.localhost", (), "http://app.localhost"),
        ("127.0.0.1:80", (), "http://127.0.0.1"),
        ("[::1]:3000", (), "http://[::1]:3000"),
        ("x.test", (reached("other.test", "NonSecure", 80),), "https://x.test"),
        ("x.test", (reached(".x.test", "NonSecure", 80),), "http://x.test"),
        ("x.test", (reached("x.test", "NonSecure", 8080),), "http://x.test:8080"),
        ("x.test", (reached("x.test", "Secure", -1),), "https://x.test"),
        ("x.test:81", (reached("x.test", "NonSecure", 8080),), "http://x.test:81"),
        ("localhost", (reached("localhost", "NonSecure", 3000),), "http://localhost:3000"),
        ("localhost", (reached("localhost", "Unset", None),), "http://localhost"),
    ],
)
def test_keys_are_origins_or_hosts(key: str, cookies: tuple[Cookie, ...], origin: str) -> None:
    assert origin_of_key(key, "at", cookies) == origin


def test_two_keys_of_one_origin_are_one() -> None:
    document = from_steel(
        {"localStorage": {"x.test": {"a": "1", "b": "1"}, "https://x.test": {"b": "2"}}, "sessionStorage": None}
    )
    assert document.origins == (OriginState("https://x.test", (("a", "1"), ("b", "2"))),)
    assert document.tabs == ()


def test_a_cookie_may_have_an_url_for_a_domain() -> None:
    (cookie,) = from_steel(
        {"cookies": [{"name": "a", "value": "1", "url": "https://x.test:81/p", "domain": None}]}
    ).cookies
    assert (cookie.domain, cookie.path) == ("x.test", "/")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "context must be an object"),
        ({"tabs": []}, "context.tabs is not a known field"),
        ({"cookies": {}}, "context.cookies must be a list"),
        ({"cookies": [{"name": "a", "value": "1"}]}, "context.cookies[0].domain is required"),
        ({"cookies": [{"name": "a", "value": "1", "url": "x"}]}, "context.cookies[0].url must be an http or https url"),
        ({"cookies": [{"name": "a", "value": "1", "domain": "x", "flavour": 1}]}, "context.cookies[0].flavour is not"),
        ({"localStorage": []}, "context.localStorage must be an object"),
        ({"localStorage": {"x.test": []}}, "context.localStorage['x.test'] must be an object"),
        ({"localStorage": {"x.test": {"k": 1}}}, "context.localStorage['x.test']['k'] must be a string"),
        ({"local_storage": {"x y": {}}}, "context.localStorage['x y'] must be an origin such as"),
        ({"sessionStorage": {"": {}}}, "context.sessionStorage[''] must be an origin"),
        ({"sessionStorage": {"file:///x": {}}}, "context.sessionStorage['file:///x'] must be an origin"),
        ({"sessionStorage": {"https://x.test/p": {}}}, "context.sessionStorage['https://x.test/p'] must be an origin"),
        ({"indexedDB": {"x.test": {}}}, "context.indexedDB['x.test'] must be a list"),
        ({"indexedDB": {"x.test": [{"id": 1}]}}, "context.indexedDB['x.test'][0].name is required"),
        (
            {"indexedDB": {"x.test": [{"name": "d", "data": [{"name": "s", "keyPath": "id"}]}]}},
            "context.indexedDB['x.test'][0].data[0].keyPath is not a known field",
        ),
        (
            {"indexedDB": {"x.test": [{"name": "d", "data": [{"name": "s", "records": [1]}]}]}},
            "context.indexedDB['x.test'][0].data[0].records[0] must be an object",
        ),
        (
            {"indexedDB": {"x.test": [{"name": "d", "version": 0, "data": []}]}},
            "context.indexedDB['x.test'][0].version must be a whole number from 1",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(value: object, words: str) -> None:
    with pytest.raises(GatewayError) as refused:
        from_steel(value)
    assert refused.value.code is Code.BAD_REQUEST
    assert words in refused.value.message
