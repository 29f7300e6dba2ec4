"""Pages and how one gets there."""

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.patterns import pattern
from gateway.pages.visit import (
    Canned,
    ForEvent,
    ForFunction,
    ForSelector,
    Goto,
    Tag,
    Viewport,
    Visit,
    opened,
    visited,
)
from tests.pages.tab import fresh
from tests.site.app import Site


async def test_all_that_goes_with_a_visit(site: Site) -> None:
    visit = Visit(
        url=f"{site.url}/page/1",
        goto=Goto(("domcontentloaded", "networkidle0"), referer="http://referer.example/"),
        wait_event=ForEvent("mine"),
        wait_function=ForFunction("() => window.tagged === 1"),
        wait_selector=ForSelector("h1"),
        wait=0.01,
        viewport=Viewport(500, 400, 2, True, True),
        user_agent="Mine/1",
        headers=(("X-Mine", "1"),),
        cookies=({"name": "a", "value": "b", "url": site.url},),
        reject_types=frozenset({"image", "websocket"}),
        reject_patterns=(pattern(r"/page/2", ""),),
        canned=(Canned(pattern(r"/canned$", ""), 203, (("X-A", "b"),), "text/plain", b"from us"),),
        scripts=(
            Tag("window.tagged = 1; document.dispatchEvent(new Event('mine'))"),
            Tag("window.m = 1", kind="module"),
        ),
        styles=(Tag("h1 { color: rgb(1, 2, 3) }"),),
        media="print",
    )
    async with fresh(**visit.options()) as context, visited(context, visit) as there:
        page = there.page
        assert there.response is not None
        assert (there.response.status, there.missed) == (200, ())
        assert there.response.request.headers["x-mine"] == "1"
        assert await page.evaluate("[screen.width, devicePixelRatio, navigator.userAgent]") == [500, 2, "Mine/1"]
        assert await page.evaluate("[document.cookie, document.referrer]") == ["a=b", "http://referer.example/"]
        assert await page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"
        assert await page.evaluate("matchMedia('print').matches")
        read = """async path => {
            try { const answer = await fetch(path); return answer.status + await answer.text() } catch { return 'no' }
        }"""
        assert await page.evaluate(read, "/canned") == "203from us"
        assert await page.evaluate(read, "/page/2") == "no"
        assert site.asked["/page/2"] == 0
    assert page.is_closed()


async def test_what_fails(site: Site) -> None:
    async with fresh() as context:

        async def refused(visit: Visit) -> GatewayError:
            with pytest.raises(GatewayError) as error:
                async with visited(context, visit):
                    pass
            assert context.pages == []
            return error.value

        gone = "http://127.0.0.1:9/"  # the port of discard, which Chromium takes no page from
        assert (await refused(Visit(url=gone))).code is Code.PAGE_UNREACHABLE
        slow = Visit(url=f"{site.url}/slow?ms=60000", goto=Goto(timeout=0.2))
        error = await refused(slow)
        assert (error.code, "within 200 ms (load)" in error.message) == (Code.PAGE_UNREACHABLE, True)
        page = Visit(html="<h1>there</h1>")
        assert "addScriptTag" in (await refused(replace(page, scripts=(Tag(url=gone),)))).message
        bad = {"name": "a", "value": "b"}
        assert (await refused(replace(page, cookies=(bad,)))).code is Code.BAD_REQUEST
        assert (await refused(Visit(url="chrome://crash"))).code in (Code.PAGE_CRASHED, Code.PAGE_UNREACHABLE)

        # A best attempt goes on with what there is, and says what it did without.
        hopeful = replace(page, best_attempt=True, wait_selector=ForSelector("h2", timeout=0.05))
        async with visited(context, hopeful) as there:
            assert [one.partition(":")[0] for one in there.missed] == ["waitForSelector"]
            assert await there.page.inner_text("h1") == "there"

        # Whoever gives up in the middle leaves no page.
        site.slow_started.clear()
        task = asyncio.create_task(refused(Visit(url=f"{site.url}/slow?ms=60000")))
        await site.slow_started.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert context.pages == []
        task = asyncio.create_task(opened(context))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert context.pages == []


async def test_in_a_context_that_is_not_ours() -> None:
    visit = Visit(
        html="<script>window.ran = 1</script>",
        viewport=Viewport(333, 222, 3, False, True),
        user_agent="Mine/2",
        headers=(("X-Mine", "2"),),
        javascript=False,
    )
    async with fresh(viewport={"width": 800, "height": 600}) as context:
        other = await context.new_page()
        async with visited(context, visit, borrowed=True) as there:
            seen = await there.page.evaluate(
                "[innerWidth, innerHeight, devicePixelRatio, navigator.userAgent, window.ran]"
            )
            assert seen == [333, 222, 3, "Mine/2", None]
        assert await other.evaluate("innerWidth") == 800
        with pytest.raises(GatewayError, match="authenticate") as refused:
            async with visited(context, replace(visit, credentials=("a", "b")), borrowed=True):
                pass
        assert refused.value.code is Code.UNSUPPORTED
        assert context.pages == [other]
