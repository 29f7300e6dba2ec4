"""A stored identity for every client, after every end: another driver, the gateway's kill -9, a stop and a restore."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.identity.places import Places, differing, places
from tests.journeys.driving import driver
from tests.journeys.running import Gateway, Starter

LIKE_GECKO = "AppleWebKit/537.36 (KHTML, like Gecko)"
AGENT = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {LIKE_GECKO} Chrome/156.0.0.0 Safari/537.36"
IDENTITY = {
    "userAgent": AGENT,
    "locale": "fr-FR",
    "timezone": "Europe/Paris",
    "viewport": {"width": 1001, "height": 701},
    "geolocation": {"latitude": 48.85, "longitude": 2.35},
    "extraHeaders": {"X-Key": "s3cret-header"},
}
SEEN = {
    "userAgent": AGENT,
    "platform": "MacIntel",
    "system": "macOS",
    "languages": "fr-FR,fr",
    "locale": "fr-FR",
    "timezone": "Europe/Paris",
}
WHERE = "new Promise((yes, no) => navigator.geolocation.getCurrentPosition((place) => yes(place.coords.latitude), no))"


@pytest.fixture
async def places_site() -> AsyncIterator[Places]:
    async with places() as running:
        yield running


async def look(library: str, session: dict[str, Any], site: Places) -> None:
    """Connect, see the identity in all places and requests, and leave."""
    site.requests.clear()
    async with driver(library) as client:
        await client.connect(session["connect"])
        await client.goto(site.url + "/")
        found = await client.evaluate(f"everywhere('{site.other}')")
        assert differing(found, SEEN) == {}
        assert await client.evaluate("[outerWidth, outerHeight]") == [1001, 701]
        assert await client.evaluate(WHERE) == 48.85
    wanted = {"user-agent": AGENT, "x-key": "s3cret-header", "accept-language": "fr-FR,fr;q=0.9"}
    for path, sent in site.requests.items():
        if path == "/service.js":
            sent.setdefault("x-key", wanted["x-key"])  # no client sees Chromium's look for a newer one
        assert {name: sent.get(name) for name in wanted} == wanted, path
    assert site.requests["/frame"]["sec-ch-ua-platform"] == '"macOS"'


async def test_every_client_after_every_end(start_gateway: Starter, places_site: Places) -> None:
    first = await start_gateway()
    (await first.request("POST", "/identities", json={"name": "paris", **IDENTITY})).ok(201)
    session = await first.create(identity="paris", processKeepAlive=60_000)
    await look("puppeteer", session, places_site)
    await look("playwright", session, places_site)
    first.kill()
    second = await start_gateway()
    again = await second.status(session["id"], "detached")
    await look("puppeteer", again, places_site)
    (await second.request("DELETE", "/identities/paris")).ok(204)
    (await second.request("DELETE", f"/session/{session['id']}")).ok()
    restored = (await second.request("POST", f"/session/{session['id']}/restore")).ok(201)
    await look("playwright", restored, places_site)
    assert_kept_to_itself(first, second)


def assert_kept_to_itself(*gateways: Gateway) -> None:
    """No header's value in any log."""
    for gateway in gateways:
        assert "s3cret-header" not in gateway.log.read_text()
