"""IndexedDB in portions: whole, only what changed again, and without holding the page up."""

import asyncio
import time
from typing import Any

import pytest

from gateway.snapshot import databases as module
from gateway.snapshot.databases import Databases
from gateway.snapshot.script import Ask, isolated
from tests.snapshot.live import Browser, Page, Place

FILL = """new Promise((done, failed) => {
  const request = indexedDB.open("many");
  request.onupgradeneeded = () => {
    const own = request.result.createObjectStore("own", { keyPath: "id" });
    own.createIndex("name", "name", { unique: true });
    for (let id = 0; id < 1001; id++) own.put({ id, name: "n" + id });
    const loose = request.result.createObjectStore("loose");
    loose.put("x".repeat(300000), [1, new Date(5)]);
    loose.put("y".repeat(300000), new Uint8Array([7]));
  };
  request.onsuccess = () => { request.result.close(); done(); };
  request.onerror = failed;
})"""
# How long the page's own tasks have to wait, at most, in ms.
GAPS = """
  window.longest = 0;
  let last = performance.now();
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    port2.postMessage(0);
  };
  port2.postMessage(0);
"""


def soon(seconds: float = 60) -> float:
    return asyncio.get_running_loop().time() + seconds


async def world(browser: Browser, page: Page) -> Ask:
    return await isolated(browser.devtools, page.session, page.target, timeout=30)


async def test_all_of_it_is_read_and_again_only_what_is_told(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(FILL)
        asked: list[tuple[Any, ...]] = []
        plain = await world(browser, page)

        async def ask(*words: Any) -> Any:
            asked.append(words)
            return await plain(*words)

        databases = Databases()
        assert await databases.read(ask, until=soon()) is True
        (many,) = databases.state()
        assert [(store["name"], store["keyPath"], len(store["records"])) for store in many["stores"]] == [
            ("loose", None, 2),
            ("own", "id", 1001),
        ]
        assert [value["id"] for _, value in many["stores"][1]["records"]] == list(range(1001))
        assert [key for key, _ in many["stores"][0]["records"]] == [
            {"$": "ArrayBuffer", "v": "Bw=="},
            [1, {"$": "Date", "v": "1970-01-01T00:00:00.005Z"}],
        ]
        assert many["stores"][1]["indexes"] == [
            {"name": "name", "keyPath": "name", "unique": True, "multiEntry": False}
        ]
        assert not databases.dirty

        databases.note("many", "own")
        asked.clear()
        assert await databases.read(ask, until=soon()) is False
        assert {words[:3] for words in asked} == {("records", "many", "own")}
        assert databases.state() == (many,)

        # Whatever a changed store is called that is not known, its database is another one by now.
        await page.evaluate("new Promise((done) => { indexedDB.deleteDatabase('many').onsuccess = done })")
        databases.note("many", "new")
        assert await databases.read(ask, until=soon()) is True
        assert databases.state() == ()


async def test_what_fails_in_between_is_read_again_and_what_was_known_stays(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(FILL)
        plain = await world(browser, page)
        databases = Databases()
        await databases.read(plain, until=soon())
        before = databases.state()

        async def failing(*words: Any) -> Any:
            if words[0] == "records" and words[3] is not None:
                raise TimeoutError
            return await plain(*words)

        databases.forget()
        try:
            await databases.read(failing, until=soon())
        except TimeoutError:
            assert databases.dirty
            assert databases.state() == before
        else:
            raise AssertionError("it failed, and nobody was told")
        assert await databases.read(plain, until=soon()) is False


async def test_what_takes_too_long_is_told(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(FILL)
        databases = Databases()
        assert await databases.read(await world(browser, page), until=soon(-1)) is True
        assert databases.lost == [
            "object store loose of database many: more than can be read in time",
            "object store own of database many: more than can be read in time",
        ]
        databases.forget()
        assert await databases.read(await world(browser, page), until=soon()) is True
        whole = databases.state()
        assert (databases.lost, len(whole[0]["stores"][1]["records"])) == ([], 1001)
        databases.note("many", "own")
        assert await databases.read(await world(browser, page), until=soon(-1)) is True
        assert databases.state() == whole
        assert len(databases.lost) == 1


async def test_a_database_held_open_by_another_page_is_no_hang(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(
            """new Promise((done) => {
                 const request = indexedDB.open("held", 1);
                 request.onsuccess = () => {
                   window.held = request.result; // it does not heed versionchange
                   indexedDB.open("held", 2); // and waits; every later open waits behind it
                   setTimeout(done);
                 };
               })"""
        )
        databases = Databases()
        await databases.read(await world(browser, page), until=soon())
    assert databases.state() == ()
    assert databases.lost == ["database held: could not be opened in time"]


async def test_the_page_goes_on_meanwhile(browser: Browser, place: Place) -> None:
    async with browser.new_page(place.at()) as page:
        await page.evaluate(FILL.replace("id < 1001", "id < 5000"))
        await page.evaluate(f"{{ {GAPS} }}")
        shares = []
        for _ in range(12):
            databases = Databases()
            ask = await world(browser, page)
            await page.evaluate("longest = 0")
            began = time.monotonic()
            await databases.read(ask, until=soon())
            took = time.monotonic() - began
            longest = await page.evaluate("longest")
            shares.append(longest / 1000 / took)
            assert len(databases.state()[0]["stores"][1]["records"]) == 5000
            if longest < 30:
                return
    # A slow machine: in one piece it would be nearly all of the time. Its hiccups, which are not ours, come and go.
    assert min(shares) < 0.25, shares


async def test_what_sounds_like_an_echo_is_looked_at_when_somebody_asks(
    browser: Browser, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ECHO", 600.0)  # however long the page takes to store something
    async with browser.new_page(place.at()) as page:
        ask, databases = await world(browser, page), Databases()
        assert await databases.read(ask, until=soon()) is False, "there is none; its echo is expected"
        await page.evaluate(FILL)
        databases.note(None, None)
        before = databases.dirty
        databases.doubt()
        assert (before, databases.dirty) == (False, True), "reading itself is told in this way"
        assert await databases.read(ask, until=soon()) is True
        assert [one["name"] for one in databases.state()] == ["many"]
        before = databases.dirty
        databases.doubt()
        assert databases.dirty == before, "once for each"
