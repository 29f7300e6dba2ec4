"""A page of a foreign origin opens a websocket to the gateway from a person's browser, which may reach it."""

from pathlib import Path

from tests.attacks.web import page_at, trusting
from tests.inside import TOKEN, inside, until

EVIL = "http://evil.example:8000"
OPEN = """url => new Promise(done => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send('{"id": 1, "method": "Browser.getVersion"}');
    socket.onmessage = message => { socket.close(); done(message.data); };
    socket.onerror = () => done("refused");
})"""
# A form would do as well: neither needs the other side's leave to be sent.
CREATE = """url => fetch(url, {method: "POST", mode: "no-cors", body: "{}", headers: {"Content-Type": "text/plain"}})
    .then(() => "sent", error => String(error))"""


async def test_where_no_credential_is_asked_for(tmp_path: Path) -> None:
    async with (
        trusting(tmp_path / "open", allowed_origins=EVIL) as unguarded,
        trusting(tmp_path / "guarded") as guarded,
        page_at(f"{EVIL}/page") as page,
    ):
        for (base, registry), succeeds in ((unguarded, True), (guarded, False)):
            for path in ("/", "/chromium"):
                told = await page.evaluate(OPEN, base.replace("http", "ws") + path)
                assert ("Chrome/" in told) is succeeds, told
            await until(lambda registry=registry: registry.count == 0)  # type: ignore[misc]
            await page.evaluate(CREATE, f"{base}/session")
            assert (registry.count == 1) is succeeds


async def test_with_a_token_that_it_cannot_know(tmp_path: Path) -> None:
    """Even where the page's origin is allowed it must bring one: no cookie and no login of a browser stands for it."""
    async with inside(tmp_path, allowed_origins=EVIL) as gateway, page_at(f"{EVIL}/page") as page:
        for query, succeeds in ((f"?token={TOKEN}", True), ("", False), ("?token=", False), ("?token=guess", False)):
            told = await page.evaluate(OPEN, f"{gateway.ws}/{query}")
            assert ("Chrome/" in told) is succeeds, told
        # One that leaked is not enough on a page from elsewhere.
        await page.route("http://other.example/", lambda route: route.fulfill(body=""))
        await page.goto("http://other.example/")
        assert await page.evaluate(OPEN, f"{gateway.ws}/?token={TOKEN}") == "refused"
        await until(lambda: gateway.registry.count == 0)
