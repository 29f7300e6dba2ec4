"""Whether a context has changed: exact both ways."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.pages.changed import changed
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, PartitionKey, Tab

NOW = 1_000_000.0
DAY = 86400.0
SID = Cookie("sid", "1", "a.example", http_only=True)
LONG = Cookie("long", "1", "a.example", expires=NOW + 30 * DAY)
A = "https://a.example"


def database(*records: Any, stores: int = 1) -> Mapping[str, Any]:
    store = {"keyPath": None, "autoIncrement": False, "indexes": [{"name": "x"}, {"name": "y"}]}
    return {
        "name": "db",
        "version": 1,
        "stores": [{"name": f"s{number}", **store, "records": list(records)} for number in range(stores)],
    }


STORED = OriginState(A, (("k", "v"), ("l", "w")), (database([1, "one"], [2, "two"], stores=2),))
TAB = Tab(f"{A}/page", session_storage={A: {"k": "v", "l": "w"}})
BEFORE = ContextDocument(cookies=(SID, LONG), origins=(STORED,), tabs=(TAB,))


def turned(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same in another order."""
    stores = [{**one, "records": one["records"][::-1], "indexes": one["indexes"][::-1]} for one in document["stores"]]
    return {"stores": stores[::-1], "version": document["version"], "name": document["name"]}


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(BEFORE, id="nothing"),
        pytest.param(replace(BEFORE, cookies=(LONG, SID)), id="order-of-cookies"),
        pytest.param(
            replace(BEFORE, origins=(OriginState(A, STORED.local_storage[::-1], (turned(STORED.databases[0]),)),)),
            id="order-of-storage",
        ),
        pytest.param(replace(BEFORE, origins=(STORED, OriginState("https://b.example"))), id="an-empty-origin"),
        pytest.param(replace(BEFORE, cookies=(SID, replace(LONG, expires=NOW + 30 * DAY + 0.4))), id="jitter"),
        pytest.param(replace(BEFORE, cookies=(SID, replace(LONG, expires=NOW + 31 * DAY))), id="renewed"),
        pytest.param(
            replace(BEFORE, tabs=(replace(TAB, url=f"{A}/other", scroll=(0, 9), active=True),)), id="the-page-shown"
        ),
        pytest.param(replace(BEFORE, tabs=(Tab("https://b.example/"),)), id="an-origin-left"),
        pytest.param(replace(BEFORE, tabs=(TAB, Tab(f"{A}/2", session_storage={A: {}}))), id="an-empty-tab-more"),
        pytest.param(replace(BEFORE, origins=(), missing=(f"storage of {A}: it was not read",)), id="not-read"),
    ],
)
def test_it_has_not(after: ContextDocument) -> None:
    assert not changed(BEFORE, after, NOW)
    assert not changed(after, after, NOW)


def test_a_cookie_whose_time_was_up_is_gone_by_itself() -> None:
    short = replace(BEFORE, cookies=(SID, LONG, Cookie("short", "1", "a.example", expires=NOW - 1)))
    assert not changed(short, BEFORE, NOW)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(replace(BEFORE, cookies=(SID,)), id="a-cookie-gone"),
        pytest.param(replace(BEFORE, cookies=(SID, LONG, replace(SID, name="new"))), id="a-cookie-more"),
        pytest.param(replace(BEFORE, cookies=(replace(SID, value="2"), LONG)), id="value"),
        pytest.param(replace(BEFORE, cookies=(replace(SID, http_only=False), LONG)), id="http-only"),
        pytest.param(replace(BEFORE, cookies=(replace(SID, same_site="Lax"), LONG)), id="same-site"),
        pytest.param(replace(BEFORE, cookies=(replace(SID, path="/x"), LONG)), id="path"),
        pytest.param(replace(BEFORE, cookies=(replace(SID, domain=".a.example"), LONG)), id="domain"),
        pytest.param(replace(BEFORE, cookies=(replace(SID, partition_key=PartitionKey(A)), LONG)), id="partition"),
        pytest.param(replace(BEFORE, cookies=(replace(SID, expires=NOW + 9), LONG)), id="no-session-cookie-any-more"),
        pytest.param(replace(BEFORE, cookies=(SID, replace(LONG, expires=NOW + DAY))), id="ends-far-sooner"),
        pytest.param(replace(BEFORE, cookies=(SID, replace(LONG, expires=None))), id="a-session-cookie-now"),
        pytest.param(
            replace(BEFORE, origins=(replace(STORED, local_storage=(("k", "v"), ("l", "x"))),)), id="local-storage"
        ),
        pytest.param(replace(BEFORE, origins=(replace(STORED, local_storage=()),)), id="local-storage-cleared"),
        pytest.param(replace(BEFORE, origins=()), id="an-origin-cleared"),
        pytest.param(
            replace(BEFORE, origins=(replace(STORED, databases=(database([1, "one"], stores=2),)),)), id="a-record-gone"
        ),
        pytest.param(replace(BEFORE, origins=(replace(STORED, databases=()),)), id="a-database-gone"),
        pytest.param(
            replace(BEFORE, origins=(STORED, OriginState("https://b.example", (("k", "v"),)))), id="another-origin"
        ),
        pytest.param(replace(BEFORE, tabs=(replace(TAB, session_storage={A: {"k": "v"}}),)), id="session-storage"),
        pytest.param(replace(BEFORE, tabs=(replace(TAB, session_storage={}),)), id="session-storage-cleared"),
        pytest.param(
            replace(
                BEFORE, tabs=(replace(TAB, session_storage={**(TAB.session_storage or {}), "https://b": {"a": "b"}}),)
            ),
            id="another-origin-in-the-tab",
        ),
    ],
)
def test_it_has(after: ContextDocument) -> None:
    assert changed(BEFORE, after, NOW)
