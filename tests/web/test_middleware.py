import json
from collections.abc import AsyncIterator

import pytest
import structlog
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from gateway.errors import Code, GatewayError
from gateway.records import new_session_id
from gateway.tenancy.access import Access
from gateway.web.door import PRINCIPAL, Door
from gateway.web.headers import HEADERS
from gateway.web.middleware import dressing, middleware

ACCESS = Access("the-token", bytes(32))
AUTH = {"Authorization": "Bearer the-token"}


async def fine(request: web.Request) -> web.Response:
    return web.json_response({"role": request[PRINCIPAL].role})


async def public(request: web.Request) -> web.Response:
    return web.json_response({"known": PRINCIPAL in request}, headers={"Cache-Control": "max-age=60"})


async def refusing(request: web.Request) -> web.Response:
    raise GatewayError(Code.TOO_MANY_SESSIONS, "full", retry_after=5)


async def faulty(request: web.Request) -> web.Response:
    raise ZeroDivisionError("with a secret in it")


async def reading(request: web.Request) -> web.Response:
    return web.json_response({"bytes": len(await request.read())})


async def form(request: web.Request) -> web.Response:
    reader = await request.multipart()
    return web.json_response({"part": await reader.next() is not None})


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    app = web.Application(middlewares=[middleware(Door(ACCESS, None, ()), frozenset({"public"}))], client_max_size=1000)
    app.on_response_prepare.append(dressing({"/public": "default-src 'self'"}, tls=True))
    app.router.add_get("/fine", fine)
    app.router.add_get("/public", public, name="public")
    app.router.add_get("/refusing", refusing)
    app.router.add_get("/faulty", faulty)
    app.router.add_post("/reading", reading)
    app.router.add_post("/form", form)
    app.router.add_get("/session/{key}", fine)
    async with TestServer(app) as server, ClientSession(server.make_url("/")) as client:
        yield client


async def refused(client: ClientSession, method: str, path: str, **options: object) -> tuple[int, str, dict[str, str]]:
    """Status, code and headers of a refusal in the one shape there is."""
    async with client.request(method, path, **options) as answer:  # type: ignore[arg-type]
        body = await answer.json()
        assert set(body) == {"error", "requestId"}
        assert set(body["error"]) == {"code", "message"}
        assert body["error"]["message"]
        assert body["requestId"] == answer.headers["X-Request-Id"]
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["Server"] == "cdp-gateway"
        assert answer.headers["X-Frame-Options"] == "DENY"
        return answer.status, body["error"]["code"], dict(answer.headers)


async def test_a_request_with_a_credential_is_handled(client: ClientSession) -> None:
    async with client.get("/fine", headers=AUTH) as one, client.get("/fine", headers=AUTH) as two:
        assert one.status == 200
        assert await one.json() == {"role": "admin"}
        assert one.headers["X-Request-Id"] != two.headers["X-Request-Id"]
        assert one.headers["Referrer-Policy"] == "no-referrer"
        assert one.headers["Cache-Control"] == "no-store"


async def test_without_one_it_is_refused(client: ClientSession) -> None:
    status, code, headers = await refused(client, "GET", "/fine")
    assert (status, code, headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")


async def test_public_routes_need_none(client: ClientSession) -> None:
    async with client.get("/public") as answer:
        assert await answer.json() == {"known": False}
        assert answer.headers["Cache-Control"] == "max-age=60"
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
        assert "X-Frame-Options" not in answer.headers


async def test_foreign_hosts_and_origins_are_refused_before_all_else(client: ClientSession) -> None:
    assert (await refused(client, "GET", "/public", headers={"Host": "evil.example"}))[:2] == (403, "host_refused")
    assert (await refused(client, "GET", "/none", headers={"Origin": "https://evil.example"}))[:2] == (
        403,
        "origin_refused",
    )


async def test_refusals_of_handlers(client: ClientSession) -> None:
    status, code, headers = await refused(client, "GET", "/refusing", headers=AUTH)
    assert (status, code, headers["Retry-After"]) == (429, "too_many_sessions", "5")


async def test_the_frameworks_own_refusals(client: ClientSession) -> None:
    assert (await refused(client, "GET", "/none", headers=AUTH))[:2] == (404, "not_found")
    status, code, headers = await refused(client, "DELETE", "/reading", headers=AUTH)
    assert (status, code, headers["Allow"]) == (405, "method_not_allowed", "POST")
    assert (await refused(client, "POST", "/reading", headers=AUTH, data=b"x" * 1001))[:2] == (413, "body_too_large")
    async with client.post("/reading", headers=AUTH, data=b"x" * 1000) as answer:
        assert await answer.json() == {"bytes": 1000}


async def test_each_dialect_is_refused_in_its_own_words(client: ClientSession) -> None:
    async with client.get("/v1/sessions/none") as answer:
        body = await answer.json()
        assert (answer.status, body["message"]) == (401, body["error"]["message"])
        assert body["requestId"] == answer.headers["X-Request-Id"]
    async with client.post("/v1/fetch", headers=AUTH) as answer:
        body = await answer.json()
        assert (answer.status, set(body)) == (404, {"request_id", "error", "diagnostics"})
        assert body["request_id"] == answer.headers["X-Request-Id"]


async def test_a_form_that_is_no_http_is_the_callers_fault(client: ClientSession) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="\x15"\r\n\r\nx\r\n--b--\r\n'
    headers = {**AUTH, "Content-Type": "multipart/form-data; boundary=b"}
    assert (await refused(client, "POST", "/form", headers=headers, data=body))[:2] == (400, "bad_request")
    async with client.post("/form", headers=headers, data=body.replace(b"\x15", b"file")) as answer:
        assert await answer.json() == {"part": True}


async def test_nobody_learns_what_there_is_without_a_credential(client: ClientSession) -> None:
    assert (await refused(client, "GET", "/none"))[:2] == (401, "unauthorized")


async def test_a_fault_is_logged_and_not_told(client: ClientSession) -> None:
    with structlog.testing.capture_logs() as logs:
        async with client.get("/faulty", headers=AUTH) as answer:
            text = await answer.text()
    assert answer.status == 500
    assert json.loads(text)["error"]["code"] == "internal"
    assert "secret" not in text
    fault, line = logs
    assert (fault["event"], fault["log_level"], fault["exc_info"]) == ("request_fault", "error", True)
    assert (line["event"], line["status"]) == ("request", 500)


async def test_each_request_is_one_line_without_its_query(client: ClientSession) -> None:
    path = f"/session/{new_session_id()}"
    with structlog.testing.capture_logs() as logs:
        async with client.get(f"{path}?token=the-token&x=1"):
            pass
    (line,) = logs
    assert (line["method"], line["path"], line["status"]) == ("GET", path, 200)
    assert line["ms"] >= 0
    assert "the-token" not in str(logs)
