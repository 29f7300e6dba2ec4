"""A disguised session that blocks advertisements: for every driver, and after its browser has been put away."""

from pathlib import Path

import pytest

from tests.identity.detection import Detection, caught, detection
from tests.inside import inside
from tests.journeys.driving import driver

# Drivers ask DevTools to read the console (Runtime.enable), which a page can notice; the gateway does not.
DRIVERS_OWN = "console"


async def look(library: str, endpoint: str, site: Detection) -> None:
    async with driver(library) as client:
        await client.connect(endpoint)
        await client.goto(site.url + "/")
        found = caught(await client.evaluate(f"everywhere('{site.other}')"))
        assert {name: saw for name, saw in found.items() if not name.endswith(DRIVERS_OWN)} == {}
        assert await client.evaluate("fetch('/ads/page').then(() => 'loaded', () => 'blocked')") == "blocked"


@pytest.mark.parametrize(
    ("headless", "first", "second"), [("shell", "puppeteer", "playwright"), (True, "playwright", "puppeteer")]
)
async def test_every_driver_and_a_restore(tmp_path: Path, headless: bool | str, first: str, second: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text("/ads/\n")
    async with detection() as site, inside(tmp_path / "data", filter_lists=str(file)) as gateway:
        wanted = {"stealth": True, "blockAds": True, "headless": headless, "processKeepAlive": 60_000}
        status, session = await gateway.call("POST", "/session", json=wanted)
        assert (status, session["stealth"], session["blockAds"]) == (201, True, True)
        await look(first, session["connect"], site)
        status, _ = await gateway.call("DELETE", f"/session/{session['id']}")
        assert status == 200
        status, restored = await gateway.call("POST", f"/session/{session['id']}/restore")
        assert (status, restored["stealth"], restored["blockAds"]) == (201, True, True)
        await look(second, restored["connect"], site)
