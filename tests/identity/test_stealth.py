"""A detection page finds nothing in a disguised browser, wherever it looks; in a plain one it finds a lot."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.browser import launched
from browser_pool.command_line import plain_user_agent
from browser_pool.devtools import DevTools
from browser_pool.spec import LaunchSpec, Mode
from browser_pool.stealth import FRAME
from gateway.identity.keeper import keeping
from gateway.identity.launch import launch
from gateway.identity.stealth import disguise, disguised
from gateway.records import Identity
from tests.identity.detection import PLACES, Detection, caught, detection
from tests.identity.places import AGENT, GERMAN, client_of, evaluate, first_session, goto, session_on

WINDOW = ("page", "blank", "frame", "srcdoc", "foreign")
# What the page finds in a browser as it is, and where; a check that finds nothing in either is not here.
PLAIN = {
    "agent": PLACES,
    "brands": PLACES,
    "full_versions": PLACES,
    "webgl": PLACES,
    "webgl2": PLACES,
    "webdriver": WINDOW,
    "screen": WINDOW,
    "pointer": WINDOW,
    "scrollbar": WINDOW,
}
OF_THE_SHELL = {
    "languages": PLACES,
    "connection": PLACES,
    "chrome": WINDOW,
    "plugins": WINDOW,
    "notifications": ("page", "blank", "frame", "srcdoc"),
    "window": ("page",),
}
CHECKS = 23  # in every place; windows have ten more


@pytest.fixture
async def site() -> AsyncIterator[Detection]:
    async with detection() as site:
        yield site


@asynccontextmanager
async def watched(directory: Path, spec: LaunchSpec, identity: Identity | None = None) -> AsyncIterator[DevTools]:
    """A client of a browser that is started and kept as a session's is."""
    async with (
        launched(launch(identity, spec), directory / "browser", Binaries()) as running,
        keeping(running.devtools, identity, stealth=spec.stealth),
        client_of(running) as client,
    ):
        yield client


def named(found: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {f"{place}.{check}" for check, places in found.items() for place in places}


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_a_plain_browser_is_found_out(tmp_path: Path, site: Detection, mode: Mode) -> None:
    async with watched(tmp_path, LaunchSpec(mode=mode)) as client:
        found = caught(await site.look(client, await first_session(client)))
    usual = named(PLAIN) | (named(OF_THE_SHELL) if mode is Mode.SHELL else {"page.focus"})
    assert set(found) == usual, found
    assert "HeadlessChrome" in site.requests["/worker.js"]["user-agent"]


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_a_disguised_one_is_not(tmp_path: Path, site: Detection, mode: Mode) -> None:
    async with watched(tmp_path, LaunchSpec(mode=mode, stealth=True)) as client:
        seen = await site.look(client, await first_session(client))
        assert set(seen) == set(PLACES)
        assert {len(seen["worker"]), len(seen["page"])} == {CHECKS, CHECKS + 10}
        assert caught(seen) == {}
        for check in (
            "agent",
            "brands",
            "full_versions",
            "hints",
            "languages",
            "machine",
            "webgl",
            "webgl2",
            "platform",
        ):
            assert len({all_[check][1] for all_ in seen.values()}) == 1, f"places differ in {check}"
        agent = seen["page"]["agent"][1]
        assert {headers["user-agent"] for headers in site.requests.values()} == {agent}
        assert {headers["accept-language"] for headers in site.requests.values()} == {"en-US,en;q=0.9"}
        for headers in site.requests.values():
            assert "Headless" not in str(headers)
            if listed := headers.get("sec-ch-ua"):
                assert listed.replace('"', "").replace(";v=", "/") == seen["page"]["brands"][1].replace(",", ", ")
        # A context that a client made.
        context = await client.send("Target.createBrowserContext")
        created = await client.send("Target.createTarget", {"url": "about:blank", **context})
        session = await session_on(client, created["targetId"])
        await client.send("Page.enable", session=session)
        other = caught(await site.look(client, session))
        assert other == {}


async def test_a_later_keeper_finds_it_done(tmp_path: Path, site: Detection) -> None:
    """As after a restart of the gateway: pages that are open already are not disguised twice."""
    spec = LaunchSpec(mode=Mode.SHELL, stealth=True)
    async with launched(spec, tmp_path / "browser", Binaries()) as running, client_of(running) as client:
        session = await first_session(client)
        async with keeping(running.devtools, None, stealth=True):
            await goto(client, session, site.url + "/")
        async with keeping(running.devtools, None, stealth=True):
            assert caught({"page": await evaluate(client, session, "await detect()")}) == {}
            assert await evaluate(client, session, "outerHeight - innerHeight") == FRAME


async def test_an_identity_and_the_disguise_agree(tmp_path: Path, site: Detection) -> None:
    identity = replace(GERMAN, geolocation=None)
    async with watched(tmp_path, LaunchSpec(stealth=True), identity) as client:
        session = await first_session(client)
        seen = await site.look(client, session)
        assert caught(seen) == {}
        for all_ in seen.values():
            assert all_["agent"][1] == AGENT
            assert all_["platform"][1] == "Win32 Windows"
            assert all_["languages"][1] == "de-DE,de de-DE"
            assert "Direct3D11" in all_["webgl"][1]
        assert await evaluate(client, session, "[outerWidth, outerHeight, devicePixelRatio]") == [1111, 777, 2]
        assert await evaluate(client, session, "Intl.DateTimeFormat + Intl.Collator.prototype.constructor") == (
            "function DateTimeFormat() { [native code] }function Collator() { [native code] }"
        )


def test_what_an_identity_leaves_open() -> None:
    plain = plain_user_agent("156.0.1.2")
    assert disguised(None, "156.0.1.2", shell=False) == Identity(user_agent=plain)
    assert disguised(None, "156.0.1.2", shell=True) == Identity(user_agent=plain, locale="en-US")
    assert disguised(GERMAN, "156.0.1.2", shell=True) == GERMAN
    headless = Identity(user_agent=plain.replace("Chrome/", "HeadlessChrome/"))
    assert disguised(headless, "156.0.1.2", shell=False).user_agent == plain


def test_the_key_is_the_browsers() -> None:
    first, second = (disguise(AGENT, "156.0.1.2", browser, shell=False) for browser in ("one", "two"))
    assert first != second
    assert first == disguise(AGENT, "156.0.1.2", "one", shell=False), "a later keeper finds what the first has done"
    assert '"one"' not in first
