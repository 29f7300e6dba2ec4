import time
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionRecord, SessionSpec, Status, new_session_id
from gateway.tenancy.access import TENANT, Access
from gateway.tenancy.capability import SESSION_LIFE, WINDOW_LIFE, Scope, tag
from gateway.web.links import Links, links_of

NOW = 1_000_000.0
ACCESS = Access("the-token", bytes(32))
SESSION = new_session_id()
ENDS = time.time() + 36_000  # later than any run of all tests
RECORD = SessionRecord(
    SESSION, SessionSpec(TENANT, Kind.API, LaunchSpec(), 300, 30), Status.DETACHED, NOW, ENDS, generation=7
)


@pytest.fixture(params=["http://127.0.0.1:3000", "https://gate.example"])
def links(request: pytest.FixtureRequest) -> Links:
    return Links(request.param, ACCESS)


def every(links: Links) -> list[str]:
    return [
        links.connect(RECORD),
        links.stop(RECORD),
        links.drive(RECORD),
        links.websocket(RECORD),
        links.reconnect(RECORD),
        links.open(TENANT, NOW),
        links.session(RECORD),
        links.devtools_socket(RECORD, "page/T"),
        links.devtools_page(RECORD),
        links.devtools_page(RECORD, "T"),
    ]


def token(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


def test_none_has_the_tenants_token(links: Links) -> None:
    assert len(set(every(links))) == 10
    assert not any("the-token" in url for url in every(links))


def test_scheme_and_address_are_the_base_ones(links: Links) -> None:
    http, ws = links.base, links.base.replace("http", "ws", 1)
    for url, start in zip(every(links), [ws, http, ws, ws, ws, ws, http, ws, http, http], strict=True):
        assert url.startswith(f"{start}/"), url


def test_connect_stop_and_drive_carry_a_capability_of_the_session(links: Links) -> None:
    for url, path in (
        (links.connect(RECORD), f"/session/connect/{SESSION}"),
        (links.stop(RECORD), f"/session/{SESSION}"),
        (links.drive(RECORD), "/"),
    ):
        assert urlsplit(url).path == path
        principal = ACCESS.principal(token(url), NOW)
        assert (principal.scope, principal.session) == (Scope.SESSION, SESSION)
    assert parse_qs(urlsplit(links.drive(RECORD)).query)["sessionId"] == [SESSION]


def test_reconnect_has_it_in_the_path_since_scripts_append_a_query(links: Links) -> None:
    parts = urlsplit(links.reconnect(RECORD))
    assert not parts.query
    principal = ACCESS.principal(parts.path.rpartition("/")[2], NOW)
    assert (principal.scope, principal.session) == (Scope.RECONNECT, SESSION)


def test_open_makes_a_session_of_the_tenant(links: Links) -> None:
    principal = ACCESS.principal(token(links.open(TENANT, NOW)), NOW)
    assert (principal.scope, principal.tenant) == (Scope.CREATE, TENANT)


def test_devtools_go_along_with_the_capability(links: Links) -> None:
    capability = links.session(RECORD, WINDOW_LIFE).rpartition("/")[2]
    assert ACCESS.principal(capability, NOW).session == SESSION
    socket = links.devtools_socket(RECORD, "page/T")
    assert socket == f"{links.ws}/session/{capability}/devtools/page/T"
    page = urlsplit(links.devtools_page(RECORD, "T"))
    assert page.path == f"/session/{capability}/devtools/inspector.html"
    # The frontend's own parameter: ws= or wss=, without a scheme.
    scheme, _, address = socket.partition("://")
    assert page.query == f"{scheme}={address}"
    assert links.devtools_page(RECORD) == f"{links.session(RECORD, WINDOW_LIFE)}/devtools/inspector.html"


def test_a_url_is_of_the_sessions_generation_and_the_same_with_every_look(links: Links) -> None:
    principal = ACCESS.principal(token(links.connect(RECORD)), NOW)
    assert (principal.session, principal.generation) == (SESSION, 7)
    assert links.connect(RECORD) == links.connect(RECORD)
    assert links.connect(RECORD) != links.connect(replace(RECORD, generation=8))


def test_in_a_fleet_every_secret_says_where_the_session_is(links: Links) -> None:
    node = "http://10.0.0.3:3000"
    there = replace(RECORD, node=node)
    secrets = [
        token(links.connect(there)),
        token(links.stop(there)),
        links.reconnect(there).rpartition("/")[2],
        links.devtools_page(there).split("/")[4],
        links.live(there).split("/")[4],
    ]
    assert [ACCESS.principal(secret, NOW).hint for secret in secrets] == [tag(node)] * 5
    assert not any("10.0.0.3" in secret for secret in secrets)
    assert ACCESS.principal(token(links.connect(RECORD)), NOW).hint is None


def lasts(credential: str, moment: float) -> bool:
    return ACCESS.capabilities.read(credential, moment) is not None


def test_a_sessions_urls_last_longer_than_what_it_leaves_and_a_windows_a_day(links: Links) -> None:
    connect, window = token(links.connect(RECORD)), links.devtools_page(RECORD).split("/")[4]
    now = time.time()
    assert lasts(connect, RECORD.expires_at + SESSION_LIFE)
    assert not lasts(connect, RECORD.expires_at + SESSION_LIFE + 3601)
    assert lasts(window, now + WINDOW_LIFE - 60)
    assert not lasts(window, now + WINDOW_LIFE + 3602)
    # Of a session that ended long ago they are good from now on.
    assert lasts(token(links.stop(replace(RECORD, expires_at=NOW))), now + SESSION_LIFE - 60)


@pytest.mark.parametrize("external", [None, "https://gate.example"])
async def test_links_are_for_the_address_that_the_client_used(external: str | None) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(links_of(request, ACCESS, external).base)

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server, ClientSession() as client:
        for host in ("gateway:3000", "[::1]:3000"):
            async with client.get(server.make_url("/"), headers={"Host": host}) as answer:
                assert await answer.json() == (external or f"http://{host}")


def test_steels_websocket_has_the_id_last(links: Links) -> None:
    """So that what a script adds with a second question mark can be told from the secret."""
    url = links.websocket(RECORD)
    assert url.endswith(f"&sessionId={SESSION}")
    assert (
        parse_qs(urlsplit(f"{url}&apiKey=KEY").query)["token"] == parse_qs(urlsplit(links.drive(RECORD)).query)["token"]
    )
    assert parse_qs(urlsplit(links.websocket(RECORD, secret=False)).query) == {"sessionId": [SESSION]}
