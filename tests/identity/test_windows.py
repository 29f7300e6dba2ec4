"""New windows, by whomever they are opened: the keeper is in time for their first request and script."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from browser_pool.spec import Mode
from gateway.identity.keeper import keeping
from tests.identity.places import (
    GERMAN,
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
from tests.journeys.running import eventually

OPENED = {
    "open": "void open('{url}/window')",
    "foreign": "void open('{other}/window')",
    "small": "void open('{other}/window', '', 'width=300,height=200')",
    "without opener": "void open('{url}/window', '', 'noopener')",
    "foreign, without opener": "void open('{other}/window', '', 'noopener')",
    "link": "Object.assign(document.createElement('a'), {{ href: '{other}/window', target: '_blank' }}).click()",
    "written": "void Object.assign(open(''), {{}}).location.assign('{other}/window')",
}


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_a_new_window_has_it_from_its_first_request_and_script(tmp_path: Path, site: Places, mode: Mode) -> None:
    async with (
        browser(tmp_path, GERMAN, mode) as running,
        keeping(running.devtools, GERMAN),
        client_of(running) as client,
    ):
        session = await first_session(client)
        await goto(client, session, site.url + "/")
        first = set(running.pages)

        async def seen(name: str, target: str | None = None) -> None:
            headers = await site.sent("/window")
            assert (headers["sec-ch-ua-platform"], headers["x-team"]) == ('"Windows"', "red"), name
            await eventually("the window", lambda: shown(running))
            target = target or next(one for one in running.pages if one not in first)
            window = await session_on(client, target)
            assert differing({name: await seen_in(client, window)}, SEEN) == {}
            await client.send("Target.closeTarget", {"targetId": target})
            await eventually("one page", lambda: set(running.pages) == first)
            site.requests.clear()

        for name, script in OPENED.items():
            await evaluate(client, session, script.format(url=site.url, other=site.other))
            await seen(name)
        # A client may ask for a url at once, also in a context of its own.
        created = await client.send("Target.createTarget", {"url": site.url + "/window"})
        await seen("created", created["targetId"])
        context = await client.send("Target.createBrowserContext")
        created = await client.send("Target.createTarget", {"url": site.other + "/window", **context})
        inside = await session_on(client, created["targetId"])
        await seen_in(client, inside)
        assert await evaluate(client, inside, f"await {WHERE}") == 52.52
        await seen("in a context", created["targetId"])


async def test_a_page_that_is_navigated_in_the_same_breath(tmp_path: Path, site: Places) -> None:
    async with browser(tmp_path, GERMAN) as running, keeping(running.devtools, GERMAN), client_of(running) as client:
        for _ in range(5):
            target = (await client.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
            session = await session_on(client, target)
            await goto(client, session, site.url + "/window")
            assert differing({"window": await seen_in(client, session)}, SEEN) == {}


async def test_a_popup_waits_for_its_driver(tmp_path: Path, site: Places) -> None:
    """Whoever answers first lets it run: we must not, or a driver's own scripts for it come too late."""
    async with (
        browser(tmp_path, GERMAN, Mode.SHELL) as running,
        keeping(running.devtools, GERMAN),
        client_of(running) as client,
        asyncio.TaskGroup() as group,
    ):
        session = await first_session(client)
        await goto(client, session, site.url + "/")
        windows: asyncio.Queue[str] = asyncio.Queue()

        async def prepare(window: str) -> None:
            for _ in range(3):  # a driver has more to say than we
                await client.send("Target.getTargetInfo", session=window)
            await client.send("Page.enable", session=window)
            own = {"source": "globalThis.own = 'the driver'"}
            await client.send("Page.addScriptToEvaluateOnNewDocument", own, session=window)
            await client.send("Runtime.runIfWaitingForDebugger", session=window)
            windows.put_nowait(window)

        def opened(method: str, params: dict[str, Any], parent: str | None) -> None:
            if method == "Target.attachedToTarget" and params["waitingForDebugger"]:
                group.create_task(prepare(params["sessionId"]))

        with client.listening(opened):
            attaching = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
            await client.send("Target.setAutoAttach", {**attaching, "filter": [{"type": "page"}]})
            for _ in range(5):
                await evaluate(client, session, "void open('/window')")
                window = await windows.get()
                found = {"window": await seen_in(client, window)}
                assert differing(found, {**SEEN, "own": "the driver"}) == {}
