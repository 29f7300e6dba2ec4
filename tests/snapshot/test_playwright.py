"""Playwright's storage state, as Playwright itself writes it."""

from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from gateway.snapshot.document import parse
from gateway.snapshot.playwright import record
from gateway.snapshot.restore import restore
from tests.snapshot.live import Place, running_browser

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
        (
            {"valueEncoded": {"o": [{"k": "s", "v": {"a": [1], "id": 2}}, {"k": "t", "v": {"ref": 2}}], "id": 1}},
            [None, {"s": [1], "t": {"$": "ref", "v": 1}}],
        ),
    ],
)
def test_records(fields: dict[str, object], pair: list[object]) -> None:
    assert record(fields) == pair


@pytest.mark.parametrize("fields", [{"key": 1}, {"valueEncoded": {"u": "http://x"}}, {"valueEncoded": {"ref": 9}}])
def test_what_has_no_counterpart_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="has"):
        record(fields)
