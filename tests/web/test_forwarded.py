import ipaddress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from gateway.web.forwarded import Proxies, believed
from tests.inside import Inside, inside

NEAR, FAR = "10.0.0.2", "10.0.0.1"
OURS = Proxies((ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("peer", "hops", "client"),
    [
        (NEAR, [], NEAR),
        (NEAR, ["192.0.2.7"], "192.0.2.7"),
        (NEAR, ["192.0.2.7", FAR], "192.0.2.7"),
        (NEAR, ["198.51.100.1", "192.0.2.7", FAR], "192.0.2.7"),  # the first is what the client made up
        (NEAR, [FAR, "192.0.2.7"], "192.0.2.7"),  # even if it is a proxy's
        ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),
        (NEAR, ["nonsense"], NEAR),
        (NEAR, ["192.0.2.7", "unknown"], NEAR),
        (NEAR, ["192.0.2.7:4711"], "192.0.2.7"),
        (NEAR, ["[2001:db8::7]:4711"], "2001:db8::7"),
        (NEAR, ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1", ["::ffff:192.0.2.7"], "192.0.2.7"),
        ("::ffff:10.0.0.2", ["192.0.2.7"], "192.0.2.7"),
    ],
)
def test_the_client_behind_the_proxies(peer: str, hops: list[str], client: str) -> None:
    assert OURS.client(peer, hops) == client


async def seen(proxies: Proxies, *headers: tuple[str, str]) -> tuple[str | None, str, str]:
    """What a handler sees of a request from 127.0.0.1."""

    async def handler(request: web.Request) -> web.Response:
        return web.json_response([request.remote, request.scheme, request.host, request.match_info["key"]])

    app = web.Application(middlewares=[believed(proxies)])
    app.router.add_get("/{key}", handler)
    sent = [("Host", "direct:1"), *headers]
    async with (
        TestServer(app) as server,
        ClientSession(server.make_url("/")) as client,
        client.get("/k", headers=sent) as answer,
    ):
        remote, scheme, host, key = await answer.json()
    assert key == "k"
    return remote, scheme, host


FORWARDED = (
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "gate.example"),
)
DIRECT = ("127.0.0.1", "http", "direct:1")


async def test_a_trusted_proxy_is_believed() -> None:
    local = Proxies((ipaddress.ip_network("127.0.0.0/8"),))
    assert await seen(local, *FORWARDED) == ("192.0.2.7", "https", "gate.example")
    assert await seen(local) == DIRECT
    several = (("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "wss"))
    assert await seen(local, *several) == ("192.0.2.7", "https", "direct:1")
    odd = (("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", " , "), ("X-Forwarded-For", ""))
    assert await seen(local, *odd) == DIRECT


async def test_nobody_else_is() -> None:
    assert await seen(Proxies(), *FORWARDED) == DIRECT
    assert await seen(OURS, *FORWARDED) == DIRECT


async def test_the_other_family_of_headers_is_not_read() -> None:
    local = Proxies((ipaddress.ip_network("127.0.0.1"),))
    assert await seen(local, ("Forwarded", "for=192.0.2.7;proto=https;host=evil.example")) == DIRECT


async def test_links_lead_where_the_client_came_from(tmp_path: Path) -> None:
    """And a host that is not ours is refused whoever tells it: a proxy may pass on what a rebound page made up."""

    async def made(gateway: Inside, host: str) -> tuple[int, Any]:
        headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": host}
        return await gateway.call("POST", "/session", json={}, headers=headers)

    settings = {"allowed_origins": "https://gate.example"}
    async with inside(tmp_path / "1", trusted_proxies="127.0.0.1", **settings) as gateway:
        status, session = await made(gateway, "gate.example")
        assert (status, session["connect"].partition("/session/")[0]) == (201, "wss://gate.example")
        assert session["devtools"].startswith("https://gate.example/")
        status, refusal = await made(gateway, "evil.example")
        assert (status, refusal["error"]["code"]) == (403, "host_refused")
    async with inside(tmp_path / "2", **settings) as gateway:
        _, session = await made(gateway, "gate.example")
        assert session["connect"].startswith(f"{gateway.ws}/"), "from anybody else it counts for nothing"
    async with inside(tmp_path / "3", trusted_proxies="127.0.0.1", external_url="https://real.example") as gateway:
        _, session = await made(gateway, "real.example:8443")
        assert session["connect"].startswith("wss://real.example/"), "what is set stands"
