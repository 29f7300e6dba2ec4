"""DevTools' own pages as stepping stones to another browser: who drives one may open and script them.

Chromium refuses the origin of devtools:// itself where a socket is asked for, and what such a page may fetch is kept
small by its content policy. The policy can be set aside by who drives it, and each DevTools port serves the same
pages under its own origin, which it lets in.
"""

import asyncio
import json

from browser_pool.browser import Browser
from browser_pool.spec import LaunchSpec
from tests.attacks.conftest import Pools, page_of
from tests.browser_pool.roads import OpenRoads
from tests.inside import until

BUNDLED = "devtools://devtools/bundled/inspector.html"
VICTIM = "data:text/html,<title>a secret</title>"
READ = """new Promise((done, fail) => {
    const socket = new WebSocket("ws://%s");
    const ask = {id: 1, method: "Runtime.evaluate", params: {expression: "document.title"}};
    socket.onopen = () => socket.send(JSON.stringify(ask));
    socket.onmessage = message => done(message.data);
    socket.onerror = () => fail(new Error("no socket"));
})"""


async def listed(browser: Browser, tab: str) -> bool:
    """Whether it has that page."""
    return tab in {info["targetId"] for info in await browser.targets()}


async def test_a_devtools_page_reads_or_closes_another_ones_tab(pools: Pools, confined: bool) -> None:
    async with pools(OpenRoads()) as pool, pool.lease(LaunchSpec()) as other, page_of(other) as theirs:
        await theirs.open(VICTIM)
        await until(lambda: VICTIM in other.pages.values())
        tab = next(target for target, url in other.pages.items() if url == VICTIM)
        address = f"127.0.0.1:{other.port}"
        socket = f"{address}/devtools/page/{tab}"
        pool.roads = OpenRoads(address) if confined else None
        async with pool.lease(LaunchSpec()) as mine, page_of(mine, proxyServer="direct://") as page:
            await page.open(f"http://{address}/devtools/inspector.html?ws={socket}")
            read = str(await page.run(READ % socket))
            assert ("a secret" in read) is not confined, read

            await page.send("Page.setBypassCSP", {"enabled": True})
            await page.open(f"{BUNDLED}?ws={socket}")
            assert "no socket" in str(await page.run(READ % socket)), "Chromium itself refuses it"
            closing = json.dumps(f"http://{address}/json/close/{tab}")
            said = str(await page.run(f"fetch({closing}, {{mode: 'no-cors'}}).then(() => 'closed')"))
            assert (said == "closed") is not confined, said
            while not confined and await listed(other, tab):  # noqa: ASYNC110  # answered before it is gone
                await asyncio.sleep(0.02)
            assert await listed(other, tab) is confined
