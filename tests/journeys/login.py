"""A login in a session, and the proof that it is still there: cookies, storage, tabs."""

from typing import Any

from tests.journeys.driving import Driver, driver
from tests.site.app import Site

FIRST_NOTE = {
    "visit": 1,
    "text": "note 1",
    "at": "2024-02-29T00:00:00.000Z",
    "bytes": [1, 2, 255],
    "blob": ["text/x-note", "blob 1"],
    "nested": ["2024-02-29T00:00:00.000Z", "18446744073709551616", True],
    "tags": ["a", "b"],
}


async def log_in_and_leave(session: Any, site: Site) -> None:
    """Log in to the site in a session, leave two tabs open, and go."""
    async with driver("puppeteer") as client:
        await client.connect(session["connect"])
        await client.log_in(site)
        await client.do("newPage")
        assert (await client.state(site))["notes"]["records"] == [FIRST_NOTE]
        await client.do("disconnect")


async def assert_logged_in(client: Driver, pages: list[str], site: Site) -> None:
    """The tabs are back, and the application finds its login as if nothing had happened."""
    assert sorted(pages) == [f"{site.url}/account", f"{site.url}/state"], pages
    await client.do("usePage", url=f"{site.url}/account")
    found = await client.shown("found")
    assert await client.do("text", selector="#title") == "Hello alice", "the HttpOnly session cookie"
    assert found["cookie"] == "remember=alice", "the persistent cookie"
    assert found["token"] in site.tokens, "localStorage is there before the page's first script"
    assert found["notes"][0] == 1, "and so is IndexedDB"
    assert not found["created"]
    assert found["draft"] == "a letter of visit 1", "sessionStorage of this tab"
    cookies = {one["name"]: one for one in (await client.cdp("Network.getCookies"))["cookies"]}
    assert cookies["sid"]["httpOnly"]
    assert cookies["sid"]["session"]
    assert not cookies["remember"]["session"]
    await client.do("usePage", url=f"{site.url}/state")
    state = await client.shown("state")
    assert state["user"] == "alice"
    assert state["notes"]["version"] == 2
    assert state["notes"]["keyPath"] == "visit"
    assert state["notes"]["indexes"] == ["by_tags", "by_text"]
    assert state["notes"]["multiEntry"]
    assert state["notes"]["log"]["autoIncrement"]
    assert state["notes"]["log"]["entries"][0] == [1, "visit 1"]
    assert state["notes"]["records"][0] == FIRST_NOTE, "IndexedDB with its types"
    assert site.logins == 1
    assert not site.refused, "the token in localStorage was the one that the server gave last"


async def connect_and_see(endpoint: str, site: Site) -> None:
    async with driver("puppeteer") as client:
        await assert_logged_in(client, (await client.connect(endpoint))["pages"], site)
