"""What every route says to a web browser."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway import node
from gateway.web.app import STATIC, build_app
from gateway.web.headers import HEADERS, can_be_pinned, framed_policy, page_policy
from tests.inside import Inside, inside
from tests.web.certificates import make
from tests.web.raw import get, raw

ORIGIN = "https://tools.example"
SESSION = "00000000-0000-4000-8000-000000000000"
FILLED = {
    "key": SESSION,
    "target": "T",
    "what": "page",
    "name": "n",
    "action": "close",
    "path": "inspector.html",
    "engine": "chrome",
    "id": SESSION,
}


def paths(app: web.Application) -> list[tuple[str, str]]:
    """Method and a path for each route that there is."""
    found = set()
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical.format(**FILLED)
        found.add((route.method, path))
    assert len(found) > 35
    return sorted(found)


async def walked(gateway: Inside, app: web.Application) -> list[tuple[str, str, int, dict[str, str]]]:
    """Status and headers of every route, without a credential and with one, and of what there is not."""
    seen = []
    for method, path in [*paths(app), ("GET", "/none"), ("DELETE", "/"), ("TRACE", "/sessions")]:
        for headers in ({}, {"Authorization": ""}):
            async with gateway.http.request(method, path, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                seen.append((method, path, answer.status, dict(answer.headers)))
    return seen


async def test_every_reply_of_every_route_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apps: list[web.Application] = []

    def building(*arguments: Any, **more: Any) -> web.Application:
        apps.append(build_app(*arguments, **more))
        return apps[0]

    monkeypatch.setattr(node, "build_app", building)  # to have its routes
    async with inside(tmp_path) as gateway:
        seen = await walked(gateway, apps[0])
        for method, path, status, headers in seen:
            where = f"{method} {path} {status}"
            for name in HEADERS:
                assert headers.get(name), f"{where}: {name}"
            assert headers["Server"] == "cdp-gateway", where
            assert headers["Referrer-Policy"] == "no-referrer", where
            assert headers["X-Content-Type-Options"] == "nosniff", where
            assert headers["X-Frame-Options"] == "DENY", where
            assert "unsafe" not in headers["Content-Security-Policy"], where
            assert "Strict-Transport-Security" not in headers, where
            assert "Access-Control-Allow-Origin" not in headers, where
            if status != 204 and path not in ("/json/protocol", "/openapi.json", "/docs"):
                assert headers["Cache-Control"] == "no-store", where
        assert {200, 401, 404, 405, 426} <= {status for _, _, status, _ in seen}, "all kinds were seen"


async def test_only_allowed_origins_may_read_replies(tmp_path: Path) -> None:
    async with inside(tmp_path, allowed_origins=ORIGIN) as gateway:
        asking = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Authorization": ""}
        async with gateway.http.options("/session", headers=asking) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in answer.headers
        async with gateway.http.get("/sessions", headers={"Origin": ORIGIN}) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
            assert answer.headers["Vary"] == "Origin"
        async with gateway.http.get("/none", headers={"Origin": ORIGIN}) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (404, ORIGIN), "a refusal too"
        for origin in ("https://evil.example", "null"):
            async with gateway.http.options("/session", headers={**asking, "Origin": origin}) as answer:
                assert answer.status == 403
                assert "Access-Control-Allow-Origin" not in answer.headers
        async with gateway.http.get("/sessions", headers={"Origin": gateway.base}) as answer:
            assert (answer.status, answer.headers.get("Access-Control-Allow-Origin")) == (200, None), "our own"


async def test_a_domain_is_pinned_where_we_speak_tls(tmp_path: Path) -> None:
    crt, key = make(tmp_path)
    settings = {"tls_cert": str(crt), "tls_key": str(key), "external_url": "https://gate.example"}
    async with inside(tmp_path / "data", **settings) as gateway:
        base = gateway.base.replace("http://", "https://")
        for host, pinned in (("gate.example", True), ("127.0.0.1", False), ("localhost", False)):
            async with gateway.http.get(f"{base}/healthz", headers={"Host": host}, ssl=False) as answer:
                assert ("Strict-Transport-Security" in answer.headers) == pinned, host


async def test_refusals_before_there_is_a_request_have_them_too(tmp_path: Path) -> None:
    async with inside(tmp_path, max_head="4KiB") as gateway:
        for head in ("nonsense\r\n\r\n", get("/", f"X-A: {'a' * 5000}")):
            async with raw(gateway.base) as client:
                client.send(head)
                headers = (await client.answer()).headers
                assert {name.lower() for name in HEADERS} <= set(headers)


def test_the_policy_of_a_page_allows_its_own_scripts_by_hash() -> None:
    policy = page_policy("<style>a {}</style><script>let a;</script><script>let b;</script><script src=x></script>")
    for text in ("a {}", "let a;", "let b;"):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert "unsafe-inline" not in policy
    assert policy.count("sha256-") == 3
    assert "script-src 'none'" in page_policy("<p>")
    assert page_policy((STATIC / "index.html").read_text()).count("sha256-") == 2


def test_who_may_show_devtools_in_a_frame() -> None:
    assert framed_policy(()).endswith("frame-ancestors 'self'")
    assert framed_policy((ORIGIN, "http://localhost:5173")).endswith(
        f"frame-ancestors 'self' {ORIGIN} http://localhost:5173"
    )
    assert "script-src 'self' 'wasm-unsafe-eval';" in framed_policy(())


@pytest.mark.parametrize(
    ("host", "pinned"),
    [("gate.example", True), ("localhost", False), ("a.localhost", False), ("10.0.0.1", False), ("::1", False)],
)
def test_what_can_be_pinned(host: str, pinned: bool) -> None:
    assert can_be_pinned(host) == pinned
