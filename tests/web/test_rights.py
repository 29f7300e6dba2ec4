"""Every route, every role, own and other tenant: who gets in. A route without a line in RIGHTS fails here."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway import node
from gateway.errors import GatewayError
from gateway.records import Role, SessionId
from gateway.tenancy.access import NOBODY, Principal
from gateway.tenancy.capability import Scope
from gateway.web import rights
from gateway.web.app import build_app
from gateway.web.rights import RIGHTS, Right, check, name_of
from tests.inside import Inside, inside
from tests.session.test_registry import API

FILE = """
[tenants.own]
tokens = ["token-admin"]
role = "admin"
[tenants.user]
tokens = ["token-user"]
[tenants.viewer]
tokens = ["token-viewer"]
role = "viewer"
"""
SOCKETS = {
    "GET /",
    "GET /chromium",
    "GET /chrome",
    "GET /reconnect/{key}",
    "GET /session/connect/{key}",
    "GET /devtools/{what}/{target}",
    "GET /session/{key}/devtools/{what}/{target}",
    "GET /session/{key}/live/socket",
}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
# What changes nothing and needs no browser is asked in earnest; all else only whether it is refused.
HARMLESS = {"GET /sessions", "GET /session/{key}", "GET /pressure", "GET /active", "GET /metrics", "GET /identities"}


def routes(app: web.Application) -> Iterator[str]:
    for route in app.router.routes():
        assert route.resource is not None
        yield name_of(route.method, route.resource.canonical)


def path_of(name: str, session: str) -> str:
    """A path of that route for a session; no target, name or file is really there."""
    fixed = {
        "key": session,
        "id": session,
        "what": "page",
        "action": "close",
        "path": "inspector.html",
        "engine": "chrome",
    }
    return re.sub(r"{(\w+)}", lambda match: fixed.get(match[1], "none"), name.partition(" ")[2])


def is_keyed(name: str) -> bool:
    """Whether the route is one session's, and looks for that first."""
    return "{key}" in name or (
        "/sessions/{id}" in name and not name.endswith(("/computer", "/status", "/solve", "-image"))
    )


async def asked(gateway: Inside, name: str, token: str, session: SessionId) -> tuple[int, str]:
    """Status and error code."""
    headers = {"Authorization": f"Bearer {token}", **(UPGRADE if name in SOCKETS else {})}
    query = f"?sessionId={session}" if name in ("GET /", "GET /chromium", "GET /chrome") else ""
    method, path = name.partition(" ")[0], path_of(name, session) + query
    body = None if is_keyed(name) or method not in ("POST", "PUT") else {"nonsense": 1}
    async with gateway.http.request(method, path, headers=headers, json=body, allow_redirects=False) as answer:
        told = await answer.json() if answer.content_type == "application/json" else {}
        return answer.status, told["error"]["code"] if "error" in told else ""


async def test_every_route_for_every_role_and_for_anothers_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[web.Application] = []

    def build(*parts: Any, **more: Any) -> web.Application:
        built.append(build_app(*parts, **more))
        return built[-1]

    monkeypatch.setattr(node, "build_app", build)
    file = tmp_path / "tenants.toml"
    file.write_text(FILE)
    async with inside(tmp_path / "data", tenants_file=str(file), auth_failures="0") as gateway:
        spec = replace(API, tenant="own")
        ended = await gateway.registry.created(spec)
        await ended.stop(force=True)
        number = ended.record.id
        found = set(routes(built[0]))
        assert found == set(RIGHTS), "every route has a line in RIGHTS, and every line a route"
        for name in sorted(found):
            right, keyed = RIGHTS[name], is_keyed(name) or name in ("GET /", "GET /chromium", "GET /chrome")
            for role in ("user", "viewer"):
                status, code = await asked(gateway, name, f"token-{role}", number)
                where = f"{name} for {role}: {status} {code}"
                if right is Right.ANYONE:
                    assert status == 404 if "hosted" in name else status in (200, 204), where
                elif right is Right.NODE or (role == "viewer" and right is not Right.LOOK):
                    assert (status, code) == (403, "forbidden"), where
                elif keyed:
                    assert (status, code) == (404, "session_not_found"), where
                elif name in HARMLESS:
                    assert status in (200, 204), where
                else:
                    assert status not in (401, 403), where
            if keyed:
                status, code = await asked(gateway, name, "token-admin", number)
                assert (status, code) not in ((403, "forbidden"), (404, "session_not_found")), f"{name}: {status}"
            status, _ = await asked(gateway, name, "token-of-nobody", number)
            assert status == 401 or right is Right.ANYONE, f"{name} for nobody: {status}"


def refused(asked_for: Right, principal: Principal) -> str:
    with pytest.raises(GatewayError) as error:
        check(asked_for, principal)
    assert error.value.code.status == 403
    return error.value.message


def test_who_may_what() -> None:
    admin, user, viewer = (Principal("a", role) for role in (Role.ADMIN, Role.USER, Role.VIEWER))
    bearer = Principal(NOBODY, Role.USER, Scope.SESSION, SessionId("x"))
    onlooker = replace(bearer, role=Role.VIEWER)
    may = {
        Right.ANYONE: (admin, user, viewer, bearer, onlooker),
        Right.LOOK: (admin, user, viewer, bearer, onlooker),
        Right.USE: (admin, user, bearer),
        Right.TENANT: (admin, user),
        Right.NODE: (admin,),
    }
    for right in Right:
        for one in (admin, user, viewer, bearer, onlooker):
            if one in may[right]:
                check(right, one)
            else:
                assert refused(right, one)
    assert "list and show" in refused(Right.USE, viewer)
    assert "role admin" in refused(Right.NODE, user)


def test_the_key_of_a_route() -> None:
    assert name_of("HEAD", "/json/") == "GET /json"
    assert name_of("GET", "/") == "GET /"
    assert rights.name_of("PUT", "/json/new") == "PUT /json/new"
