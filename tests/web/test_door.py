import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from gateway.errors import GatewayError
from gateway.records import new_session_id
from gateway.tenancy.access import Access
from gateway.tenancy.capability import Scope
from gateway.web.door import Door, credential, hostname

ACCESS = Access("the-token", bytes(32))
SESSION = new_session_id()
CAPABILITY = ACCESS.capabilities.capability(SESSION)
Ask = Callable[..., Awaitable[str]]


@contextlib.asynccontextmanager
async def answering(say: Callable[[web.Request], object]) -> AsyncIterator[Ask]:
    """A server that answers with what `say` makes of the request, or the code of its refusal; and a way to ask it."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(str(say(request)))
        except GatewayError as error:
            return web.json_response(error.code.word)

    app = web.Application()
    app.router.add_get("/", handle)
    app.router.add_get("/session/{key}", handle)
    async with TestServer(app) as server, ClientSession(server.make_url("/")) as client:

        async def ask(path: str = "/", **headers: str) -> str:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with client.get(path, headers=named) as answer:
                text: str = await answer.json()
                return text

        yield ask


def source(external_url: str | None = None, *allowed: str) -> Callable[[web.Request], object]:
    return Door(ACCESS, external_url, allowed).check_source


OPEN = str(None)  # check_source has nothing to say


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:3000",
        "10.1.2.3",
        "[::1]:3000",
        "localhost",
        "LOCALHOST:1",
        "a.localhost",
        "gateway",
        "gateway.",
        "pod-1:80",
    ],
)
async def test_hosts_that_no_foreign_page_can_be_served_under(host: str) -> None:
    async with answering(source()) as ask:
        assert await ask(Host=host) == OPEN


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "[::1",
    ],
)
async def test_hosts_that_could_be_rebound_are_refused(host: str) -> None:
    async with answering(source()) as ask:
        assert await ask(Host=host) == "host_refused"


async def test_configured_hosts_are_served() -> None:
    async with answering(source("https://gate.example", "https://tools.example:8443")) as ask:
        for host in ("gate.example", "GATE.example:443", "tools.example"):
            assert await ask(Host=host) == OPEN
        for host in ("www.gate.example", "example", "gate.example.evil.example"):
            assert await ask(Host=host) == (OPEN if "." not in host else "host_refused")


async def test_origins() -> None:
    async with answering(source("https://gate.example", "https://tools.example/", "http://localhost:5173")) as ask:
        for origin in (
            "http://127.0.0.1:3000",  # its own
            "HTTPS://127.0.0.1:3000",  # behind a proxy that speaks TLS
            "https://gate.example",
            "https://tools.example",
            "https://Tools.example",
            "http://localhost:5173",
            "devtools://devtools",
        ):
            assert await ask(Host="127.0.0.1:3000", Origin=origin) == OPEN, origin
        for origin in (
            "null",
            "",
            "https://evil.example",
            "http://tools.example",
            "https://tools.example:444",
            "https://tools.example.evil.example",
            "http://127.0.0.1:3001",
            "http://localhost:3000",
            "ftp://127.0.0.1:3000",
            "devtools://evil",
            "chrome-extension://abc",
        ):
            assert await ask(Host="127.0.0.1:3000", Origin=origin) == "origin_refused", origin


async def test_what_pages_of_other_sites_fetch_without_an_origin() -> None:
    async with answering(source()) as ask:
        fetched = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert await ask(Host="127.0.0.1:3000", **fetched) == "origin_refused", "an image"
        for headers in ({"Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Site": "same-origin"}):
            assert await ask(Host="127.0.0.1:3000", **{**fetched, **headers}) == OPEN


@pytest.mark.parametrize(
    ("path", "headers", "wanted"),
    [
        ("/", {}, None),
        ("/", {"Authorization": "Bearer T"}, "T"),
        ("/", {"Authorization": "bearer  T "}, "T"),
        ("/", {"Authorization": "Basic T"}, None),
        ("/", {"Authorization": "Bearer"}, None),
        ("/", {"steel_api_key": "T"}, "T"),
        ("/", {"X_API_Key": "T"}, "T"),
        ("/?token=T", {}, "T"),
        ("/?apiKey=T", {}, "T"),
        ("/?token=T%2B~&apiKey=U", {}, "T+~"),
        ("/?token=", {}, ""),
        ("/?apikey=T", {}, None),
        ("/?token=Q", {"Authorization": "Bearer H", "x_api_key": "X"}, "H"),
        ("/?token=Q", {"x_api_key": "X"}, "X"),
    ],
)
async def test_where_a_credential_stands(path: str, headers: dict[str, str], wanted: str | None) -> None:
    async with answering(credential) as ask:
        assert await ask(path, **headers) == str(wanted)


async def test_who_asks() -> None:
    door = Door(ACCESS, None, ())
    async with answering(lambda request: door.principal(request).session or door.principal(request).role) as ask:
        assert await ask("/?token=the-token") == "admin"
        assert await ask("/") == "unauthorized"
        assert await ask("/?token=wrong") == "unauthorized"
        assert await ask("/?token=") == "unauthorized"
        assert await ask(f"/?token={CAPABILITY}") == SESSION
        assert await ask(f"/session/{SESSION}?token=the-token") == "admin"
        assert await ask(f"/session/{SESSION}") == "unauthorized"
        assert await ask(f"/session/{CAPABILITY}") == SESSION
        # What scripts append adds nothing, but has to be right.
        assert await ask(f"/session/{CAPABILITY}?token=the-token") == SESSION
        assert await ask(f"/session/{CAPABILITY}?token=wrong") == "unauthorized"
        assert await ask(f"/session/{SESSION}.forged?token=the-token") == "unauthorized"


async def test_narrow_credentials_are_not_enough_for_the_rest() -> None:
    door = Door(ACCESS, None, ())

    def look(request: web.Request) -> object:
        return door.whole_session(request).scope

    async with answering(look) as ask:
        assert await ask("/?token=the-token") == str(None)
        assert await ask(f"/session/{CAPABILITY}") == "session"
        assert await ask(f"/session/{ACCESS.capabilities.capability(SESSION, Scope.RECONNECT)}") == "forbidden"
        assert await ask("/?token=" + ACCESS.capabilities.ticket("default", 1e12)) == "forbidden"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Gate.Example:80", "gate.example"),
        ("[::1]:80", "::1"),
        ("", None),
        (":80", None),
        ("[::1", None),
        ("a@b:1", "b"),
    ],
)
def test_hostname(host: str, name: str | None) -> None:
    assert hostname(host) == name
