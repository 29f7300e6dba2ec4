"""One browser, one identity: every place in it and every request of it agree, from the first script on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser_pool.devtools import DevTools
from browser_pool.spec import Mode
from gateway.identity.keeper import keeping
from gateway.records import Identity
from tests.identity.places import (
    AGENT,
    GERMAN,
    LIKE_GECKO,
    SEEN,
    WHERE,
    Places,
    browser,
    client_of,
    differing,
    evaluate,
    first_session,
    goto,
    seen_in,
    session_on,
    shown,
)
from tests.journeys.driving import driver
from tests.journeys.running import eventually, eventually_asked

FIREFOX = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = f"Mozilla/5.0 (Linux; Android 10; K) {LIKE_GECKO} Chrome/156.0.0.0 Mobile Safari/537.36"
EVERYWHERE = {"page", "blank", "frame", "foreign", "worker", "nested", "shared", "service"}
FRAMES = ("/", "/frame", "/foreign", "/asked/page")
WORKERS = ("/worker.js", "/shared.js", "/service.js", "/asked/worker", "/asked/shared", "/asked/service")


async def told(client: DevTools, session: str, site: Places) -> dict[str, Any]:
    """What all places of the site see, from its page in `session`."""
    await goto(client, session, site.url + "/")
    found = await evaluate(client, session, f"await everywhere('{site.other}')")
    assert set(found) == EVERYWHERE
    return dict(found)


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_all_places_and_requests_agree(tmp_path: Path, site: Places, mode: Mode) -> None:
    async with (
        browser(tmp_path, GERMAN, mode) as running,
        keeping(running.devtools, GERMAN),
        client_of(running) as client,
    ):
        session = await first_session(client)
        found = await told(client, session, site)
        assert differing(found, SEEN) == {}
        brands = found["page"]["now"]["brands"]
        assert {brand for brand in brands.split(",") if "Not" not in brand} == {"Chromium/156", "Google Chrome/156"}
        assert differing(found, {"brands": brands}) == {}
        assert all(seen["high"] == found["page"]["high"] for seen in found.values())
        assert found["page"]["high"]["platformVersion"] == "19.0.0"
        full = running.version["product"].partition("/")[2]
        assert {"brand": "Google Chrome", "version": full} in found["page"]["high"]["fullVersionList"]

        assert await evaluate(client, session, "[outerWidth, outerHeight, devicePixelRatio]") == [1111, 777, 2]
        assert await evaluate(client, session, f"await {WHERE}") == 52.52
        # It behaves as the browser's own.
        getter = "Object.getOwnPropertyDescriptor(Navigator.prototype, 'platform').get"
        assert "[native code]" in await evaluate(client, session, f"{getter}.toString()")
        assert await evaluate(
            client, session, f"(() => {{ try {{ {getter}.call({{}}) }} catch (e) {{ return e.name }} }})()"
        )

        for path in (*FRAMES, *WORKERS):
            headers = await site.sent(path)
            assert headers["user-agent"] == AGENT, path
            assert headers["accept-language"] == "de-DE,de;q=0.9", path
            assert (headers["x-team"], headers["x-key"]) == ("red", "s3cret"), path
        for path in FRAMES:
            headers = site.requests[path]
            listed = ", ".join('"{}";v="{}"'.format(*brand.split("/")) for brand in brands.split(","))
            assert (headers["sec-ch-ua"], headers["sec-ch-ua-platform"]) == (listed, '"Windows"'), path
        assert site.requests["/asked/page"]["sec-ch-ua-platform-version"] == '"19.0.0"'
        assert f'"Google Chrome";v="{full}"' in site.requests["/asked/page"]["sec-ch-ua-full-version-list"]
        # Chromium sends none of them from workers; then there is nothing to agree.
        assert not any(name.startswith("sec-ch-ua") for path in WORKERS for name in site.requests[path])


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_a_context_that_a_client_made(tmp_path: Path, site: Places, mode: Mode) -> None:
    identity = replace(GERMAN, extra_headers=())  # of which every request would be held
    async with (
        browser(tmp_path, identity, mode) as running,
        keeping(running.devtools, identity),
        client_of(running) as client,
    ):
        context = await client.send("Target.createBrowserContext")
        created = await client.send("Target.createTarget", {"url": "about:blank", **context})
        session = await session_on(client, created["targetId"])
        await client.send("Page.enable", session=session)  # as every driver does before it navigates
        assert differing(await told(client, session, site), SEEN) == {}
        for path in (*FRAMES, *WORKERS):
            assert (await site.sent(path))["accept-language"] == "de-DE,de;q=0.9", path


@pytest.mark.parametrize("library", ["puppeteer", "playwright"])
async def test_drivers_that_attach_to_everything_themselves(tmp_path: Path, site: Places, library: str) -> None:
    async with (
        browser(tmp_path, GERMAN) as running,
        keeping(running.devtools, GERMAN),
        driver(library) as client,
    ):
        await client.connect(f"ws://127.0.0.1:{running.port}{running.path}")
        for own_context in (False, True):
            await client.do("newPage", ownContext=own_context)
            await client.goto(site.url + "/")
            found = await client.evaluate(f"everywhere('{site.other}')")
            assert set(found) == EVERYWHERE
            # Whichever client is first lets a shared worker run: through the gateway a driver waits for us.
            found["shared"]["first"] = found["shared"]["now"]
            assert differing(found, SEEN) == {}
        before = len(await client.do("pages"))
        await client.evaluate(f"void open('{site.other}/window')")
        await eventually("the window", lambda: shown(running))

        async def listed() -> bool:
            return len(await client.do("pages")) == before + 1

        await eventually_asked("the driver sees the window", listed)
        # The time zone is no override of ours, so that a driver's is taken.
        await client.cdp("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
        assert await client.evaluate("new Intl.DateTimeFormat().resolvedOptions().timeZone") == "Asia/Tokyo"


async def test_a_browser_that_ran_without_us_gets_it_in_what_it_shows(tmp_path: Path, site: Places) -> None:
    async with browser(tmp_path, GERMAN) as running, client_of(running) as client:
        session = await first_session(client)
        before = await told(client, session, site)
        assert before["page"]["now"]["platform"] == before["worker"]["now"]["platform"] == "Linux x86_64"
        await evaluate(client, session, "void await told((globalThis.kept = new Worker('/worker.js')))")
        async with keeping(running.devtools, GERMAN):
            pass  # as a gateway that was killed
        async with keeping(running.devtools, GERMAN):
            asked = "(kept.postMessage(1), await told(kept))"
            again = f"{{ page: await later(), shared: await shared(), service: await service(), worker: {asked} }}"
            found = {name: json.loads(text) for name, text in (await evaluate(client, session, again)).items()}
            for seen in found.values():
                seen["first"] = seen["now"]  # what ran before cannot be undone
            assert differing(found, SEEN) == {}
            await goto(client, session, site.other + "/foreign")
            assert differing({"next": await seen_in(client, session)}, SEEN) == {}


async def test_a_service_worker_outlives_its_pages(tmp_path: Path, site: Places) -> None:
    """What it has it must not have from them."""
    async with browser(tmp_path, GERMAN) as running, keeping(running.devtools, GERMAN), client_of(running) as client:
        session = await first_session(client)
        await told(client, session, site)
        for url in (site.other, site.url, "data:,", site.url):
            await goto(client, session, url if ":," in url else url + "/")
        assert differing({"service": json.loads(await evaluate(client, session, "await service()"))}, SEEN) == {}


async def test_intl_is_as_if_it_spoke_so_by_itself(tmp_path: Path, site: Places) -> None:
    async with browser(tmp_path, GERMAN) as running, keeping(running.devtools, GERMAN), client_of(running) as client:
        session = await first_session(client)
        await goto(client, session, site.url + "/")
        for expression, wanted in {
            "[1234.5, 2n].map((one) => one.toLocaleString())": ["1.234,5", "2"],
            "[0.5, 1].toLocaleString()": "0,5,1",
            "[(0.5).toLocaleString('fr'), new Intl.NumberFormat('en').format(0.5)]": ["0,5", "0.5"],
            "new Intl.DateTimeFormat(undefined, { month: 'long' }).format(new Date(2024, 2, 5))": "März",
            "Intl.DateTimeFormat().resolvedOptions().timeZone": "Europe/Berlin",
            "new Date(2024, 2, 5, 6).toLocaleDateString()": "5.3.2024",
            "new Date(2024, 2, 5, 16).toLocaleTimeString()": "16:00:00",
            "new Intl.DisplayNames(undefined, { type: 'region' }).of('DE')": "Deutschland",
            "['z', 'ä'].sort((one, other) => one.localeCompare(other))": ["ä", "z"],
            "['ß'.toLocaleUpperCase(), 'I'.toLocaleLowerCase('tr')]": ["SS", "ı"],
            "new Intl.NumberFormat() instanceof Intl.NumberFormat": True,
            "new (class extends Intl.NumberFormat {})().format(0.5)": "0,5",
            "new Intl.NumberFormat().constructor === Intl.NumberFormat": True,
            "Intl.NumberFormat.toString().includes('[native code]')": True,
            "globalThis.Temporal ? Temporal.PlainDate.from('2024-03-05').toLocaleString() : '5.3.2024'": "5.3.2024",
        }.items():
            assert await evaluate(client, session, expression) == wanted, expression


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_a_locale_alone_is_found_missing_each_time(tmp_path: Path, site: Places, mode: Mode) -> None:
    identity = Identity(locale="de-DE")
    async with browser(tmp_path, identity, mode) as running, client_of(running) as client:
        session = await first_session(client)
        for _ in range(2):  # the second finds pages that say it already
            async with keeping(running.devtools, identity):
                for page in (session, await session_on(client, await blank(client))):
                    await client.send("Page.enable", session=page)  # as every driver does before it navigates
                    await goto(client, page, site.url + "/window")
                    wanted = {name: SEEN[name] for name in ("language", "languages", "locale", "number")}
                    assert differing({"window": await seen_in(client, page)}, wanted) == {}


async def blank(client: DevTools) -> str:
    """A new page."""
    return str((await client.send("Target.createTarget", {"url": "about:blank"}))["targetId"])


async def test_a_browser_that_is_not_chromium_has_no_hints(tmp_path: Path, site: Places) -> None:
    identity = Identity(user_agent=FIREFOX)
    async with (
        browser(tmp_path, identity) as running,
        keeping(running.devtools, identity),
        client_of(running) as client,
    ):
        session = await first_session(client)
        found = await told(client, session, site)
        wanted = {"userAgent": FIREFOX, "platform": "MacIntel", "brands": None, "system": None, "locale": "en-US"}
        assert differing(found, wanted) == {}
        assert await evaluate(client, session, "['userAgentData' in navigator, navigator.vendor]") == [False, ""]
        await evaluate(client, session, "void open('/window', '', 'noopener')")
        assert (await site.sent("/window"))["user-agent"] == FIREFOX
        assert not [name for sent in site.requests.values() for name in sent if name.startswith("sec-ch-ua")]


async def test_a_phone(tmp_path: Path, site: Places) -> None:
    identity = Identity(user_agent=PHONE)
    async with (
        browser(tmp_path, identity, Mode.SHELL) as running,
        keeping(running.devtools, identity),
        client_of(running) as client,
    ):
        session = await first_session(client)
        await goto(client, session, site.url + "/window")
        found = await seen_in(client, session)
        wanted = {"platform": "Linux armv81", "system": "Android", "mobile": True}
        assert differing({"window": found}, wanted) == {}
        assert found["high"]["model"] == "Pixel 8"
        assert await evaluate(client, session, "[navigator.maxTouchPoints, 'ontouchstart' in window]") == [5, True]
        assert site.requests["/window"]["sec-ch-ua-mobile"] == "?1"


async def test_a_header_that_the_page_sets_itself_is_its_own(tmp_path: Path, site: Places) -> None:
    identity = Identity(extra_headers=GERMAN.extra_headers)
    async with (
        browser(tmp_path, identity) as running,
        keeping(running.devtools, identity),
        client_of(running) as client,
    ):
        session = await first_session(client)
        await goto(client, session, site.url + "/")
        await evaluate(client, session, "void await fetch('/asked/own', { headers: { 'x-team': 'blue' } })")
        assert (site.requests["/asked/own"]["x-team"], site.requests["/asked/own"]["x-key"]) == ("blue", "s3cret")
        # They are no reason to ask the other site first, nor to refuse what needs no asking.
        await evaluate(client, session, f"void await fetch('{site.other}/asked/image', {{ mode: 'no-cors' }})")
        assert site.requests["/asked/image"]["x-team"] == "red"
        infos = (await client.send("Target.getTargets"))["targetInfos"]
        assert len(infos) == 1


@pytest.mark.parametrize(
    "identity",
    [
        None,
        Identity(),
        Identity(locale="en-US"),
        replace(GERMAN, user_agent=None, locale=None, geolocation=None, extra_headers=()),
    ],
    ids=["none", "empty", "the usual locale", "flags alone"],
)
async def test_what_flags_do_costs_no_session(tmp_path: Path, site: Places, identity: Identity | None) -> None:
    async with browser(tmp_path, identity) as running, keeping(running.devtools, identity):
        infos = (await running.devtools.send("Target.getTargets"))["targetInfos"]
        assert [info["attached"] for info in infos if info["type"] == "page"] == [False]


async def test_a_browser_may_go_at_any_moment(tmp_path: Path, site: Places) -> None:
    async with browser(tmp_path, GERMAN) as running:
        async with keeping(running.devtools, GERMAN), client_of(running) as client:
            for _ in range(4):
                await client.send("Target.createTarget", {"url": site.url + "/"})
            await running.kill()
        assert running.gone.is_set()


async def test_requests_are_let_go_with_the_keeper(tmp_path: Path, site: Places) -> None:
    """Whoever held them is gone, be it by its own end or by a kill."""
    async with browser(tmp_path, GERMAN) as running, client_of(running) as client:
        session = await first_session(client)
        await goto(client, session, site.url + "/")
        for end in ("the block's", "the connection's"):
            async with client_of(running) as ours, keeping(ours, GERMAN):
                if end == "the connection's":
                    await ours._socket.close()
            assert await evaluate(client, session, f"(await fetch('/asked/{end[4]}')).status") == 200
        assert "x-team" not in site.requests["/asked/b"]
