"""From one browser to another: what the first script of a page finds, and what is left behind."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from browser_pool.devtools import DevToolsGone
from gateway.snapshot import reopen
from gateway.snapshot.capture import capture
from gateway.snapshot.document import ContextDocument, Cookie, OriginState, Tab
from gateway.snapshot.parsing import parse
from gateway.snapshot.restore import cookie_param
from tests.ports import free_port
from tests.snapshot.live import Browser, Place, restore, running_browser

FILL = """(async () => {
  localStorage.token = "t1";
  localStorage.setItem("__proto__", "lone \\ud800");
  sessionStorage.tab = "one";
  const database = await new Promise((done, failed) => {
    const request = indexedDB.open("app", 7);
    request.onupgradeneeded = () => {
      const people = request.result.createObjectStore("people", { keyPath: "id", autoIncrement: true });
      people.createIndex("name", ["last", "first"], { unique: true });
      people.createIndex("tags", "tags", { multiEntry: true });
      request.result.createObjectStore("loose");
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  const shared = { n: 1 }, circle = { shared, again: shared };
  circle.self = circle;
  const work = database.transaction(["people", "loose"], "readwrite");
  work.objectStore("people").add({
    first: "Ada", last: "L", tags: ["x", "y"], born: new Date(5), photo: new Blob(["héllo"], { type: "text/plain" }),
    file: new File(["z"], "z.txt", { lastModified: 9 }), words: new Uint16Array([1, 300]), raw: new ArrayBuffer(3),
    map: new Map([[{ k: 1 }, new Set([1n, undefined])]]), odd: [NaN, -0, Infinity, null], pattern: /a+/gi,
    circle, $: "own", error: new TypeError("bad"),
  });
  const loose = work.objectStore("loose");
  loose.put("date", new Date(7));
  loose.put("bytes", new Uint8Array([1, 2]));
  loose.put("list", [1, "x"]);
  await new Promise((done, failed) => { work.oncomplete = done; work.onabort = () => failed(work.error); });
  database.close();
})()"""

CHECK = """(async () => {
  const database = await new Promise((done, failed) => {
    const request = indexedDB.open("app");
    request.onsuccess = () => done(request.result);
    request.onupgradeneeded = request.onerror = () => failed(new Error("not there"));
  });
  const ask = (request) => new Promise((done, failed) => {
    request.onsuccess = () => done(request.result); request.onerror = () => failed(request.error);
  });
  const work = database.transaction(["people", "loose"], "readwrite");
  const people = work.objectStore("people"), loose = work.objectStore("loose");
  const ada = await ask(people.index("name").get(["L", "Ada"]));
  const tagged = (await ask(people.index("tags").getAll("y"))).length;
  const next = await ask(people.add({ first: "B", last: "B", tags: [] }));
  const found = await Promise.all(
    [new Date(7), new Uint8Array([1, 2]), [1, "x"]].map((key) => ask(loose.get(key))).map((it) => it.catch(String)),
  ).catch(String);
  const twice = await ask(people.add({ first: "B", last: "B", tags: [] })).catch((error) => error.name);
  const [[key, set]] = ada.map;
  return {
    version: database.version, tagged, next, twice, found, id: ada.id, own: ada.$,
    born: ada.born instanceof Date && +ada.born,
    photo: [ada.photo.constructor.name, ada.photo.type, await ada.photo.text()],
    file: [ada.file.name, ada.file.lastModified, await ada.file.text()],
    words: [ada.words.constructor.name, ...ada.words], raw: ada.raw.byteLength,
    map: [key.k, [...set].map((it) => typeof it)],
    odd: [Number.isNaN(ada.odd[0]), Object.is(ada.odd[1], -0), ada.odd[2] === Infinity, ada.odd[3]],
    pattern: String(ada.pattern), error: [ada.error instanceof TypeError, ada.error.message],
    circle: [ada.circle.self === ada.circle, ada.circle.shared === ada.circle.again],
  };
})()"""

CHECKED = {
    "version": 7,
    "tagged": 1,
    "next": 2,
    "twice": "ConstraintError",
    "found": ["date", "bytes", "list"],
    "id": 1,
    "own": "own",
    "born": 5,
    "photo": ["Blob", "text/plain", "héllo"],
    "file": ["z.txt", 9, "z"],
    "words": ["Uint16Array", 1, 300],
    "raw": 3,
    "map": [1, ["bigint", "undefined"]],
    "odd": [True, True, True, None],
    "pattern": "/a+/gi",
    "error": [True, "bad"],
    "circle": [True, True],
}


async def test_a_whole_context_comes_back_before_the_first_script(tmp_path: Path, place: Place, kind: str) -> None:
    async with running_browser(tmp_path / "one", kind) as first:
        async with first.first_page() as page:
            await page.goto(place.at("earlier.localhost"))
            await page.evaluate("localStorage.token = 'earlier'")
            await page.goto(place.at(path="/login"))
            await page.evaluate(FILL)
            await page.goto(place.at(path="/outer?q=1"))
        async with first.new_page(place.at("other.localhost")) as page:
            await page.evaluate("localStorage.token = 'other'; sessionStorage.tab = 'two'")
        async with first.page_at(place.at(path="/outer")) as page:
            await page.evaluate("sessionStorage.own = 'mine'")
        taken = await capture(first.devtools, profile=first.profile)
        await first.close()
    assert taken.missing == ()
    assert [state.origin for state in taken.origins] == [
        place.origin(host) for host in ("earlier.localhost", "localhost", "other.localhost")
    ]
    tabs = [(tab.url, tab.active) for tab in taken.tabs]
    assert tabs == [(place.at(path="/outer?q=1"), False), (place.at("other.localhost"), True)]
    document = parse(json.loads(json.dumps(taken.to_json())))
    assert document == taken

    place.requests.clear()
    async with running_browser(tmp_path / "two", kind) as second:
        assert await restore(second.devtools, document, storage=True) == ()
        assert await second.urls() == sorted(url for url, _ in tabs)
        async with second.page_at(place.origin()) as page:
            seen = {"cookie": "strict=s2; kept=s3", "token": "t1", "tab": "one", "history": 3, "referrer": ""}
            assert await page.evaluate("first") == seen
            assert await page.history() == [
                place.at("earlier.localhost"),
                place.at(path="/login"),
                place.at(path="/outer?q=1"),
            ]
            assert await page.evaluate("localStorage.getItem('__proto__')") == "lone \ud800"
            assert await page.evaluate("sessionStorage.own") == "mine"
            assert await page.evaluate(CHECK) == CHECKED
        async with second.page_at(place.origin("other.localhost")) as page:
            seen = {"cookie": "", "token": "other", "tab": "two", "history": 1, "referrer": ""}
            assert await page.evaluate("first") == seen
            assert await page.evaluate("document.visibilityState") == "visible"
            # What the application changes stays changed.
            await page.evaluate("localStorage.token = 'changed'; sessionStorage.clear()")
            await page.goto(place.at("other.localhost", "/again"))
            assert await page.evaluate("[first.token, first.tab]") == ["changed", None]
            await page.goto(place.at("earlier.localhost"))
            assert await page.evaluate("first.token") == "earlier"
    everything = {"session": "s1", "strict": "s2", "kept": "s3", "part": "s4"}
    assert ("/outer", everything) in place.requests
    assert not [path for path, _ in place.requests if path.startswith("/.well-known")]


async def test_a_frame_of_another_site_has_its_session_storage(tmp_path: Path, place: Place, kind: str) -> None:
    inner = place.origin("127.0.0.1")
    storage = {place.origin(): {"tab": "outer"}, inner: {"tab": "</script>inner"}}
    document = ContextDocument(tabs=(Tab(place.at(path="/outer"), True, storage),))
    async with running_browser(tmp_path / "one", kind) as browser:
        assert await restore(browser.devtools, document, storage=True) == ()
        async with browser.page_at(place.origin()) as page:
            assert await page.evaluate("first.tab") == "outer"
            assert await page.history() == [place.at(path="/outer")]
        again = await capture(browser.devtools)
        assert again.tabs == document.tabs


async def test_one_bad_cookie_does_not_cost_the_others(browser: Browser) -> None:
    good = Cookie("good", "1", "example.com", secure=True, same_site="None")
    bad = Cookie("__Host-bad", "1", ".example.com", path="/x")
    wide = Cookie("wide", "2", ".example.com", expires=2_000_000_000, http_only=True)
    lost = await restore(browser.devtools, ContextDocument(cookies=(good, bad, wide)), storage=True)
    assert len(lost) == 1
    assert "__Host-bad" in lost[0]
    kept = {cookie.name: cookie for cookie in (await capture(browser.devtools)).cookies}
    assert set(kept) == {"good", "wide"}
    assert (kept["good"].domain, kept["good"].expires) == ("example.com", None)
    assert kept["wide"].domain == ".example.com"
    assert kept["wide"].expires is not None


async def test_a_host_cookie_keeps_its_prefix(browser: Browser) -> None:
    cookie = Cookie("__Host-id", "1", "example.com", secure=True, http_only=True, source_scheme="Secure")
    assert await restore(browser.devtools, ContextDocument(cookies=(cookie,)), storage=True) == ()
    assert [(kept.name, kept.domain) for kept in (await capture(browser.devtools)).cookies] == [
        ("__Host-id", "example.com")
    ]


def test_a_session_cookie_has_no_expiry_for_chromium() -> None:
    assert "expires" not in cookie_param(Cookie("a", "1", "x.test"))
    assert cookie_param(Cookie("a", "1", "x.test", expires=5))["expires"] == 5


async def test_pages_that_are_no_web_pages_are_named_or_opened_as_they_are(browser: Browser) -> None:
    tabs = (
        Tab("chrome://version/?secret"),
        Tab("data:text/html,<title>hi</title>"),
        Tab("about:blank", active=True),
        Tab("file:///etc/passwd"),
        Tab("blob:http://x.test/1"),
    )
    lost = await restore(browser.devtools, ContextDocument(tabs=tabs), storage=True)
    assert await browser.urls() == ["about:blank", "data:text/html,<title>hi</title>"]
    assert len(lost) == 3
    assert "secret" not in lost[0]


async def test_a_page_that_cannot_be_prepared_is_opened_all_the_same(browser: Browser) -> None:
    lost = await restore(browser.devtools, ContextDocument(tabs=(Tab("http://exa%mple/", True),)), storage=True)
    assert len(lost) == 1
    assert "invalid URL" in lost[0]
    assert len(await browser.urls()) == 1


async def test_without_tabs_one_empty_page_stays(browser: Browser) -> None:
    assert await restore(browser.devtools, ContextDocument(), storage=True) == ()
    assert await browser.urls() == ["about:blank"]


async def test_slow_and_dead_pages_hold_up_nobody(
    browser: Browser, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopen, "TAB_LIMIT", 2.0)
    slow, dead = place.at(path="/slow"), f"http://localhost:{free_port()}/dead"
    quick = place.at("other.localhost")
    document = ContextDocument(
        tabs=(Tab(slow), Tab(dead), Tab(quick, True, {place.origin("other.localhost"): {"tab": "q"}}))
    )
    started = time.monotonic()
    assert await restore(browser.devtools, document, storage=True) == ()
    assert time.monotonic() - started < 20
    async with browser.page_at(quick) as page:
        await page.arrived()
        assert await page.evaluate("first.tab") == "q"
    assert slow in [tab.url for tab in (await capture(browser.devtools, target_limit=1)).tabs]
    # The slow one still loads, once its server answers.
    place.hold.set()
    async with asyncio.timeout(60):
        while sum(info["title"] == "app" for info in await browser.targets()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await browser.urls() == sorted([slow, dead, quick])


async def test_a_worker_of_the_site_is_left_out_while_storage_is_written(browser: Browser, place: Place) -> None:
    async with browser.first_page() as page:
        await page.goto(place.at())
        await page.evaluate("navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready)")
        await page.goto("about:blank")
    state = OriginState(place.origin(), (("token", "t"),))
    tab = Tab(place.at(path="/page"), True, {place.origin(): {"tab": "s"}})
    assert await restore(browser.devtools, ContextDocument(origins=(state,), tabs=(tab,)), storage=True) == ()
    async with browser.page_at(place.origin()) as page:
        assert await page.evaluate("document.body.textContent") == "from the worker"
        assert await page.evaluate("[localStorage.token, sessionStorage.tab]") == ["t", "s"]


async def test_what_cannot_be_stored_is_told(browser: Browser, place: Place) -> None:
    state = OriginState(
        place.origin(),
        (("small", "1"), ("large", "x" * (12 << 20))),
        (
            {
                "name": "db",
                "version": 1,
                "stores": [
                    {
                        "name": "s",
                        "keyPath": None,
                        "autoIncrement": False,
                        "indexes": [],
                        "records": [[1, {"$": "nonsense"}], [2, "fine"], [None, "no key"]],
                    }
                ],
            },
        ),
    )
    lost = await restore(browser.devtools, ContextDocument(origins=(state,)), storage=True)
    assert len(lost) == 2
    assert "item large" in lost[0]
    assert "2 records" in lost[1]
    async with browser.new_page(place.at()) as page:
        assert await page.evaluate("localStorage.small") == "1"


async def test_a_browser_that_goes_away_is_an_error(tmp_path: Path, place: Place) -> None:
    async with running_browser(tmp_path / "one") as browser:
        await browser.close()
        await browser.devtools.closed.wait()
        with pytest.raises(DevToolsGone):
            await restore(browser.devtools, ContextDocument(tabs=(Tab(place.at()),)), storage=True)
