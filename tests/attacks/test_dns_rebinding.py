"""A stranger's name leads to the gateway once its page is loaded: then that page has the gateway's own origin."""

from pathlib import Path

from tests.attacks.web import page_at, trusting

FETCH = """path => fetch(path, {method: path == "/session" ? "POST" : "GET"})
    .then(answer => answer.text().then(text => answer.status + " " + text), error => String(error))"""
OPEN = """path => new Promise(done => {
    const socket = new WebSocket("ws://" + location.host + path);
    socket.onopen = () => { socket.close(); done("opened"); };
    socket.onerror = () => done("refused");
})"""


async def test_the_gateways_own_port_under_a_foreign_name(tmp_path: Path) -> None:
    """Open where that name is one of ours: nothing but the Host header tells the two apart."""
    name = "127.0.0.1.rebound.example"
    async with (
        trusting(tmp_path / "open", allowed_origins=f"http://{name}") as unguarded,
        trusting(tmp_path / "guarded") as guarded,
        page_at(f"http://{name}/page") as page,
    ):
        for (base, registry), succeeds in ((unguarded, True), (guarded, False)):
            own = f"http://{name}:{base.rpartition(':')[2]}/page"
            await page.route(own, lambda route: route.fulfill(body="<title>stranger</title>", content_type="text/html"))
            await page.goto(own)
            told = await page.evaluate(FETCH, "/json/version")
            assert told.startswith("200 " if succeeds else "403 "), told
            assert ("webSocketDebuggerUrl" if succeeds else "host_refused") in told
            assert (await page.evaluate(FETCH, "/session")).startswith("201 " if succeeds else "403 ")
            assert await page.evaluate(OPEN, "/") == ("opened" if succeeds else "refused")
            assert (registry.count > 0) is succeeds
