"""The document as it is served: to anyone, whole without a network, and shown by a real browser."""

from pathlib import Path

from gateway.web.docs import POLICY
from tests.inside import inside
from tests.pages.tab import fresh

NOBODY = {"Authorization": ""}


async def test_it_is_given_to_anyone_and_kept_by_who_has_it(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        elsewhere = gateway.base.replace("127.0.0.1", "localhost")
        for path in ("/openapi.json", "/docs"):
            async with gateway.http.get(path, headers=NOBODY) as first:
                assert first.status == 200
                assert gateway.base in await first.text()
            having = {**NOBODY, "If-None-Match": first.headers["ETag"]}
            async with gateway.http.get(path, headers=having) as second:
                assert (second.status, await second.read()) == (304, b"")
                policy = "Content-Security-Policy"
                assert second.headers[policy] == first.headers[policy], "it replaces the one that was kept"
            async with gateway.http.get(path, headers={**NOBODY, "If-None-Match": '"another"'}) as third:
                assert third.status == 200
            async with gateway.http.get(path, headers={**having, "Host": elsewhere.removeprefix("http://")}) as fourth:
                assert fourth.status == 200, "another address is another document"
                assert elsewhere in await fourth.text()
            async with gateway.http.get(path, params={"x": "1"}, headers=NOBODY) as wrong:
                assert wrong.status == 400
            async with gateway.http.get(path, headers={**NOBODY, "Host": "a'<b>&"}) as strange:
                assert strange.status in (200, 400, 403)
                assert path != "/docs" or "'<b>&/" not in await strange.text()
        async with gateway.http.get("/openapi.json", headers=NOBODY) as answer:
            made = await answer.json()
        assert made["openapi"].startswith("3.1")
        assert made["servers"] == [{"url": gateway.base}]


async def test_a_browser_shows_it_under_its_policy(tmp_path: Path) -> None:
    # Not one of the gateway's browsers: they do not get to the gateway itself.
    async with inside(tmp_path) as gateway, fresh() as context:
        page = await context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        answer = await page.goto(f"{gateway.base}/docs#POST_session")
        assert answer is not None
        assert answer.headers["content-security-policy"] == POLICY
        create = page.locator("#POST_session")
        assert await create.locator("pre").first.is_visible(), "an operation that the address names is opened"
        assert gateway.base in await create.locator("pre").first.inner_text()
        shown = page.locator(".operation:visible")
        everything = await shown.count()
        await page.keyboard.press("/")
        await page.keyboard.type("fork copies")
        assert await shown.count() == 1
        assert await page.locator("#POST_session_key_fork").is_visible()
        await page.keyboard.press("Escape")
        assert await shown.count() == everything
        before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        await page.locator("#theme").click()
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        again = await page.reload()
        assert again is not None
        assert again.headers["content-security-policy"] == POLICY, "also of what the browser has kept"
        assert await page.evaluate("getComputedStyle(document.querySelector('nav')).position") == "sticky"
        assert said == []
        assert {url.partition("#")[0] for url in asked} <= {f"{gateway.base}/docs", f"{gateway.base}/favicon.ico"}
