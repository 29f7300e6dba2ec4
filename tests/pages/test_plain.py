"""Pages over plain HTTP: redirects, cookies, sizes, encodings, and the egress guard, which nothing gets round."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from gateway.egress.breaker import LEAST
from gateway.errors import Code, GatewayError
from gateway.pages import plain
from gateway.pages.jar import Jar
from gateway.pages.plain import Plain, Whose, lent
from gateway.records import Egress, Identity, new_session_id
from gateway.snapshot.document import Cookie
from tests.inside import inside


async def headers(request: web.Request) -> web.Response:
    return web.json_response({name.lower(): value for name, value in request.headers.items()})


async def hop(request: web.Request) -> web.Response:
    left = int(request.match_info["left"])
    where = f"/hop/{left - 1}" if left else "/headers#part"
    reply = web.Response(status=(301, 302, 303, 307, 308)[left % 5], headers={"Location": where})
    reply.set_cookie(f"hop{left}", "1", path="/")
    reply.del_cookie("old")
    return reply


async def leads(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query["to"]})


async def sized(request: web.Request) -> web.Response:
    count = int(request.query["bytes"])
    if "packed" not in request.query:
        return web.Response(text="x" * count, content_type="text/html")
    packed = gzip.compress(b"x" * count)
    return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})


async def body(request: web.Request) -> web.Response:
    kind, text = request.query["kind"], request.query["text"]
    return web.Response(body=text.encode(request.query.get("as", "utf-8")), headers={"Content-Type": kind})


async def never(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def broken(request: web.Request) -> web.Response:
    return web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})


async def refusing(request: web.Request) -> web.Response:
    return web.Response(status=403)


@asynccontextmanager
async def wire() -> AsyncIterator[str]:
    """A server of answers as no good site gives them."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/headers", headers),
            web.get(r"/hop/{left:\d+}", hop),
            web.get("/leads", leads),
            web.get("/sized", sized),
            web.get("/body", body),
            web.get("/never", never),
            web.get("/broken", broken),
            web.get("/refusing", refusing),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0)
        await listener.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def refused(fetcher: Plain, url: str, whose: Whose, timeout: float = 10) -> tuple[Code, str]:
    with pytest.raises(GatewayError) as error:
        await fetcher.fetch(url, whose, Jar(), timeout)
    return error.value.code, error.value.message


async def test_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with inside(tmp_path) as gateway, wire() as url:
        fetcher = Plain(gateway.registry.means)
        whose = Whose("default", identity=Identity(locale="de-DE", extra_headers=(("X-Mine", "1"), ("accept", "no"))))

        jar = Jar([Cookie("sid", "1", "127.0.0.1", http_only=True), Cookie("old", "1", "127.0.0.1")])
        there = await fetcher.fetch(f"{url}/hop/2", whose, jar, 10)
        assert (there.url, there.status) == (f"{url}/headers#part", 200)
        assert there.redirects == (f"{url}/hop/2", f"{url}/hop/1", f"{url}/hop/0")
        assert there.html.startswith("<html><head></head><body><pre>{")
        assert '"cookie": "sid=1; hop2=1; hop1=1; hop0=1"' in there.html
        assert '"accept-language": "de-DE,de;q=0.9"' in there.html
        assert '"x-mine": "1"' in there.html
        assert "no" not in there.html.partition('"accept": "')[2].partition('"')[0]
        assert {cookie.name for cookie in jar.cookies} == {"sid", "hop0", "hop1", "hop2"}

        for kind, text, coded, shown in (
            ("text/html", "<p>é", "latin-1", "<p>é"),
            ("text/html; charset=utf-8", "<p>é", "utf-8", "<p>é"),
            ("text/html", "<meta charset=windows-1251><p>Ж", "windows-1251", "Ж"),
            ("text/plain", "<b> & é", "utf-8", "<pre>&lt;b&gt; &amp; é</pre>"),
            ("application/json", '{"a": 1}', "utf-8", '<pre>{"a": 1}</pre>'),
            ("application/xml", "<a>1</a>", "utf-8", "<a>1</a>"),
        ):
            query = {"kind": kind, "text": text, "as": coded}
            address = URL(f"{url}/body").with_query(query)
            assert shown in (await fetcher.fetch(str(address), Whose("default"), Jar(), 10)).html, kind

        usual = Whose("default")
        assert await refused(fetcher, f"{url}/body?kind=image/png&text=x", usual) == (
            Code.PAGE_UNREADABLE,
            "the page cannot be read: it is image/png, not text",
        )
        assert (await refused(fetcher, f"{url}/hop/40", usual))[1].endswith("ERR_TOO_MANY_REDIRECTS")
        assert (await refused(fetcher, f"{url}/leads?to=file:///etc/passwd", usual))[0] is Code.PAGE_UNREACHABLE
        assert (await refused(fetcher, f"{url}/broken", usual))[0] is Code.PAGE_UNREACHABLE
        assert await refused(fetcher, f"{url}/never", usual, 0.2) == (
            Code.PAGE_UNREACHABLE,
            "the page could not be loaded: it did not answer within 200 ms",
        )
        assert (await refused(fetcher, "http://127.0.0.1:1/", usual))[0] is Code.PAGE_UNREACHABLE
        assert (await refused(fetcher, url.replace("http", "https"), usual))[1].startswith(
            "the page could not be loaded: TLS"
        )
        monkeypatch.setattr(plain, "MOST", 1000)
        assert len((await fetcher.fetch(f"{url}/sized?bytes=1000", usual, Jar(), 10)).html) == 1000
        for size in ("bytes=1001", "bytes=50000000&packed"):
            assert (await refused(fetcher, f"{url}/sized?{size}", usual))[0] is Code.PAGE_UNREADABLE


async def test_nothing_gets_round_the_guard(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway, wire() as url:
        fetcher = Plain(gateway.registry.means)
        usual, narrow = Whose("default"), Whose("default", egress=Egress(allow=("*.example",)))
        blocked = Code.BLOCKED_BY_POLICY
        assert await refused(fetcher, "http://10.0.0.1/", usual) == (
            blocked,
            "the page may not be reached from here: private-address",
        )
        assert (await refused(fetcher, "https://169.254.169.254/latest", usual))[0] is blocked
        assert (await refused(fetcher, f"{url}/leads?to=http://192.168.0.1/", usual))[0] is blocked
        assert (await refused(fetcher, f"{gateway.base}/sessions", usual))[0] is blocked
        assert (await refused(fetcher, f"{url}/headers", narrow))[0] is blocked
        said = await fetcher.refused("https://[fd00::1]:8443/", usual)
        assert said is not None
        assert said.code is blocked
        assert await fetcher.refused(f"{url}/", usual) is None


async def test_what_refuses_is_left_alone_by_all_of_a_tenants_fetches(tmp_path: Path) -> None:
    """As by a browser's pages; but a session's fetches are its own."""
    async with inside(tmp_path) as gateway, wire() as url:
        fetcher, means = Plain(gateway.registry.means), gateway.registry.means
        usual = Whose("default")
        for _ in range(LEAST):
            assert (await fetcher.fetch(f"{url}/refusing", usual, Jar(), 10)).status == 403
        assert await refused(fetcher, f"{url}/refusing", usual) == (
            Code.PAGE_UNREACHABLE,
            "the page could not be loaded: it has refused so often that it is left alone for a while (circuit-open)",
        )
        session = new_session_id()
        async with lent(means, "default", Egress(), session) as loan:
            whose = Whose("default", road=loan.ready.result())
            assert (await fetcher.fetch(f"{url}/headers", whose, Jar(), 10)).status == 200
            used = await means.egress.lent.spent(loan)
            assert (used.requests, used.domains[0].domain) == (1, "127.0.0.1")
            assert used.bytes_in > 100
        # What a browser would be told is asked apart, and leaves nothing behind.
        assert await fetcher.refused(f"{url}/", usual) is None
        async with lent(means, "default", Egress()) as loan:
            used = await means.egress.lent.spent(loan)
            assert (used.domains[0].requests, used.domains[0].circuit) == (LEAST, "open")
            assert [(one.rule, one.count) for one in used.refusals] == [("circuit-open", 1)]


async def test_no_road_is_told(tmp_path: Path) -> None:
    async with inside(tmp_path) as gateway:
        bad = Egress(deny=("not a pattern",))
        code, words = await refused(Plain(gateway.registry.means), "http://a.example/", Whose("default", egress=bad))
        assert code is Code.BROWSER_FAILED
        assert words.startswith("the way to the network: ")
