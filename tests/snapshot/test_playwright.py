"""Playwright's storage state, as Playwright itself writes it."""

import asyncio
import json
import shutil
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.async_api import async_playwright

from gateway.snapshot.document import ContextDocument, Cookie, OriginState, PartitionKey, Permission, Tab
from gateway.snapshot.formats import parse_any
from gateway.snapshot.parsing import parse
from gateway.snapshot.playwright import record, to_playwright
from tests.snapshot.live import Place, restore, running_browser

FILL = """async () => {
  localStorage.token = "p";
  await new Promise((done, failed) => {
    const request = indexedDB.open("app", 3);
    request.onupgradeneeded = () => {
      const people = request.result.createObjectStore("people", { keyPath: "id", autoIncrement: true });
      people.createIndex("both", ["a", "b"], { unique: true });
      const shared = { n: 1 };
      people.put({ a: 1, b: 2, when: new Date(5), big: 5n, none: undefined, odd: [NaN, -0], shared, again: shared });
      people.put({ a: 3, b: 4, $: "Date" });
      request.result.createObjectStore("loose").put("date", new Date(7));
    };
    request.onsuccess = () => { request.result.close(); done(); };
    request.onerror = failed;
  });
}"""

CHECK = """new Promise((done, failed) => {
  const request = indexedDB.open("app");
  request.onerror = failed;
  request.onsuccess = () => {
    const work = request.result.transaction(["people", "loose"]);
    const one = work.objectStore("people").index("both").get([1, 2]), two = work.objectStore("people").get(2);
    const loose = work.objectStore("loose").get(new Date(7));
    work.oncomplete = () => {
      const { when, big, odd, shared, again } = one.result;
      done([
        request.result.version, when instanceof Date && +when, String(big), "none" in one.result,
        Number.isNaN(odd[0]) && Object.is(odd[1], -0), shared === again, two.result.$, loose.result,
      ]);
    };
  };
})"""


async def test_a_storage_state_of_playwright_is_restored(tmp_path: Path, place: Place, kind: str) -> None:
    async with running_browser(tmp_path / "one", kind) as first:
        port = await first.devtools_port()
        async with async_playwright() as playwright:
            driver = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
            context = driver.contexts[0]
            page = context.pages[0]
            await page.goto(place.at(path="/login"))
            await page.evaluate(FILL)
            state = await context.storage_state(indexed_db=True)
            await driver.close()
    async with running_browser(tmp_path / "two", kind) as second:
        assert await restore(second.devtools, parse(state), storage=True) == ()
        place.requests.clear()
        async with second.first_page() as fresh:
            await fresh.goto(place.at())
            assert await fresh.evaluate("first.token") == "p"
            assert await fresh.evaluate(CHECK) == [3, 5, "5", True, True, True, "Date", "date"]
        assert place.requests[0][1].keys() == {"session", "strict", "kept", "part"}


@pytest.mark.parametrize(
    ("fields", "pair"),
    [
        ({"key": 1, "value": {"a": [1, None]}}, [1, {"a": [1, None]}]),
        ({"value": {"$": "x"}}, [None, {"$": "object", "v": [["$", "x"]]}]),
        (
            {"keyEncoded": {"d": "1970-01-01T00:00:00.000Z"}, "value": 1},
            [{"$": "Date", "v": "1970-01-01T00:00:00.000Z"}, 1],
        ),
        ({"valueEncoded": {"v": "undefined"}}, [None, {"$": "undefined"}]),
        ({"valueEncoded": {"v": "null"}}, [None, None]),
        ({"valueEncoded": {"r": {"p": "a", "f": "g"}}}, [None, {"$": "RegExp", "v": "a", "flags": "g"}]),
        ({"valueEncoded": {"ta": {"b": "AQ==", "k": "ui8"}}}, [None, {"$": "Uint8Array", "v": "AQ=="}]),
        ({"valueEncoded": {"d": None}}, [None, {"$": "Date", "v": None}]),
        (
            {"valueEncoded": {"m": [{"k": {"s": [1], "id": 2}, "v": {"ref": 1}}], "id": 1}},
            [None, {"$": "Map", "v": [[{"$": "Set", "v": [1]}, {"$": "ref", "v": 0}]]}],
        ),
        (
            {"valueEncoded": {"e": {"n": "TypeError", "m": "no", "s": "TypeError: no"}}},
            [None, {"$": "Error", "name": "TypeError", "v": "no", "stack": "TypeError: no"}],
        ),
        (
            {"valueEncoded": {"o": [{"k": "s", "v": {"a": [1], "id": 2}}, {"k": "t", "v": {"ref": 2}}], "id": 1}},
            [None, {"s": [1], "t": {"$": "ref", "v": 1}}],
        ),
    ],
)
def test_records(fields: dict[str, object], pair: list[object]) -> None:
    assert record(fields) == pair


@pytest.mark.parametrize(
    "fields",
    [
        {"key": 1},
        {"valueEncoded": {"u": "http://x"}},
        {"valueEncoded": {"ref": 9}},
        {"valueEncoded": {"o": [{"k": "x"}], "id": 1}},
        {"valueEncoded": {"m": [5], "id": 1}},
    ],
)
def test_what_has_no_counterpart_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="has"):
        record(fields)


RICH: dict[str, Any] = {
    "id": 2,
    "$in": {"deep": [None, True, 1.5, "text"]},
    "when": {"$": "Date", "v": "1970-01-01T00:00:00.005Z"},
    "big": {"$": "bigint", "v": "5"},
    "none": {"$": "undefined"},
    "odd": [{"$": "NaN"}, {"$": "-0"}],
    "bytes": {"$": "Uint8Array", "v": "AQI="},
    "raw": {"$": "ArrayBuffer", "v": "Aw=="},
    "map": {"$": "Map", "v": [["k", {"$": "Set", "v": [1, 2]}]]},
    "shape": {"$": "RegExp", "v": "a+", "flags": "gi"},
    "dollar": {"$": "object", "v": [["$", "Date"], ["v", 1]]},
    "shared": [1],
    # In the order in which they are met, `shared` is the twelfth object of this one.
    "again": {"$": "ref", "v": 11},
}
SAYS = """new Promise((done, failed) => {
  const request = indexedDB.open("app");
  request.onerror = failed;
  request.onsuccess = () => {
    const work = request.result.transaction(["people", "loose"]);
    const people = work.objectStore("people"), both = people.index("both"), rich = both.get([2, 3]);
    const loose = work.objectStore("loose").get(new Date(7)), count = people.count(), unique = both.unique;
    work.oncomplete = () => {
      const { when, big, odd, bytes, raw, map, shape, dollar, shared, again } = rich.result;
      done([
        request.result.version, people.keyPath, people.autoIncrement, unique, count.result,
        when instanceof Date && +when, String(big), "none" in rich.result, Number.isNaN(odd[0]), Object.is(odd[1], -0),
        [...bytes], raw.byteLength, [...map.get("k")], String(shape), dollar.$, shared === again, loose.result,
        localStorage.token, document.cookie,
      ]);
    };
  };
})"""
SAID = [
    3, "id", True, True, 2, 5, "5", True, True, True, [1, 2], 1, [1, 2], "/a+/gi", "Date", True, "date", "t", "here=1",
]  # fmt: skip


TOMORROW = float(int(time.time()) + 86400)


def rich(origin: str) -> ContextDocument:
    """A document with what Playwright can hold."""
    people = {
        "name": "people",
        "keyPath": "id",
        "autoIncrement": True,
        "indexes": [{"name": "both", "keyPath": ["a", "b"], "unique": True, "multiEntry": False}],
        "records": [[None, {"id": 1, "a": 1, "b": 2}], [None, {**RICH, "a": 2, "b": 3}]],
    }
    loose = {
        "name": "loose",
        "keyPath": None,
        "autoIncrement": False,
        "indexes": [],
        "records": [[{"$": "Date", "v": "1970-01-01T00:00:00.007Z"}, "date"]],
    }
    return ContextDocument(
        cookies=(
            Cookie("here", "1", "localhost", same_site="Lax"),
            Cookie("hidden", "2", "localhost", expires=TOMORROW, http_only=True, same_site="Strict"),
            Cookie(
                "part",
                "3",
                "x.test",
                http_only=True,
                secure=True,
                same_site="None",
                partition_key=PartitionKey("https://y.test", True),
            ),
        ),
        origins=(OriginState(origin, (("token", "t"),), ({"name": "app", "version": 3, "stores": [loose, people]},)),),
    )


def test_what_we_write_is_read_as_it_was() -> None:
    document = rich("http://localhost:1")
    state, lost = to_playwright(document)
    assert lost == ()
    assert parse_any(json.loads(json.dumps(state))) == document
    assert state.keys() == {"cookies", "origins"}
    first, second = state["origins"][0]["indexedDB"][0]["stores"][1]["records"]
    assert first == {"value": {"id": 1, "a": 1, "b": 2}}
    assert second.keys() == {"valueEncoded"}
    assert state["cookies"][2]["partitionKey"] == "https://y.test"


def test_what_it_cannot_hold_is_left_out_and_named() -> None:
    store: dict[str, Any] = {"name": "s", "keyPath": None, "autoIncrement": False, "indexes": []}
    blob = {"$": "Blob", "v": "AQ==", "type": "x"}
    records = [
        [1, "fine"],
        [2, {"file": blob}],
        [3, [blob]],
        [4, {"$": "object", "v": [["__proto__", 1]]}],
        [5, {"$": "boxed", "v": 1}],
        [6, {"$": "ref", "v": 7}],
        [7, {"$": 5}],
    ]
    document = ContextDocument(
        origins=(
            OriginState(
                "https://x.test", (), ({"name": "d", "version": 1, "stores": [{**store, "records": records}]},)
            ),
        ),
        tabs=(Tab("about:blank"), Tab("https://x.test/", True, {"https://x.test": {"a": "b"}})),
        permissions=(Permission("https://x.test", "midi"),),
        missing=("before",),
    )
    state, lost = to_playwright(document)
    assert state["origins"][0]["indexedDB"][0]["stores"][0]["records"] == [{"key": 1, "value": "fine"}]
    at = "https://x.test: object store s of database d: "
    assert lost == (
        "before",
        f"{at}2 with a Blob",
        f"{at}1 with a field named __proto__",
        f"{at}1 with a boxed",
        f"{at}1 with a ref",
        f"{at}1 with a 5",
        "1 tabs with their history and session storage",
        "permissions",
    )


async def test_python_loads_what_we_write_and_we_load_it_again(tmp_path: Path, place: Place, kind: str) -> None:
    document = rich(place.origin())
    file = tmp_path / "state.json"
    file.write_text(json.dumps(to_playwright(document)[0]))
    async with running_browser(tmp_path / "one", kind) as browser, async_playwright() as playwright:
        driver = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{await browser.devtools_port()}")
        context = await driver.new_context(storage_state=file)
        page = await context.new_page()
        await page.goto(place.at())
        assert await page.evaluate(SAYS) == SAID
        again = parse_any(await context.storage_state(indexed_db=True))
        await driver.close()
    assert set(again.cookies) == set(document.cookies)
    assert again.origins == document.origins


async def test_node_loads_what_we_write_and_we_load_it_again(tmp_path: Path, place: Place) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    document = rich(place.origin())
    file = tmp_path / "state.json"
    file.write_text(json.dumps(to_playwright(document)[0]))
    async with running_browser(tmp_path / "one", "chromium") as browser:
        environment = {
            "ENDPOINT": f"http://127.0.0.1:{await browser.devtools_port()}",
            "FILE": str(file),
            "URL": place.at(),
            "SCRIPT": SAYS,
        }
        process = await asyncio.create_subprocess_exec(
            node,
            Path(__file__).parent.parent / "clients" / "storage_state.mjs",
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    result = json.loads(out)
    assert result["said"] == SAID
    again = parse_any(result["state"])
    assert again.origins == document.origins
    assert set(again.cookies) == set(document.cookies)


NAMES = st.text(max_size=5).filter(lambda name: name not in ("$", "__proto__"))
BASE64 = st.binary(max_size=9).map(lambda data: b64encode(data).decode())


def tagged(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"$": st.just(kind), **fields})


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.sampled_from([{"$": name} for name in ("undefined", "NaN", "Infinity", "-Infinity", "-0")])
    | tagged("bigint", v=st.integers().map(str))
    | tagged("Date", v=st.none() | st.just("2020-01-01T00:00:00.000Z"))
    | tagged("RegExp", v=st.text(max_size=5), flags=st.just("g"))
    | tagged("ArrayBuffer", v=BASE64)
    | tagged("Float64Array", v=BASE64)
    | tagged("Error", name=st.text(max_size=5), v=st.text(max_size=5), stack=st.text(max_size=5))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES, inner, max_size=4)
        | tagged("Map", v=st.lists(st.tuples(inner, inner).map(list), max_size=3))
        | tagged("Set", v=st.lists(inner, max_size=3))
        | tagged("object", v=st.tuples(st.tuples(st.just("$"), inner).map(list)).map(list))
    ),
    max_leaves=15,
)


@given(key=st.none() | st.integers() | st.text(), value=VALUES)
@settings(max_examples=150, deadline=None)
def test_any_value_that_both_know_comes_back(key: object, value: object) -> None:
    store = {"name": "s", "keyPath": None, "autoIncrement": False, "indexes": [], "records": [[key, value]]}
    document = ContextDocument(
        origins=(OriginState("https://x.test", (), ({"name": "d", "version": 1, "stores": [store]},)),)
    )
    state, lost = to_playwright(document)
    assert lost == ()
    assert parse_any(json.loads(json.dumps(state))) == document
