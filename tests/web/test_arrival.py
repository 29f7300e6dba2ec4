"""Requests of other nodes: whose they are taken to be, and what a header that is none of ours does."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from gateway.cluster.hop import HEADER, Asked, Hop, Hops
from gateway.errors import Code, GatewayError
from gateway.web.arrival import HOP, arriving, check

KEY, HERE, THERE = b"the fleet's own key", "http://10.0.0.1:3000", "http://10.0.0.2:3000"
TOLD = Hop(THERE, "203.0.113.7", "https", "gate.example", "0123")


async def handler(request: web.Request) -> web.Response:
    try:
        hop = check(request)
    except GatewayError as error:
        return web.Response(status=error.code.status, text=error.message, headers={"X-Code": error.code.word})
    assert hop is request.get(HOP)
    said = {"remote": request.remote, "scheme": request.scheme, "host": request.host, "node": hop.node if hop else None}
    return web.json_response(said)


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    app = web.Application(middlewares=[arriving(Hops(KEY, HERE))])
    app.router.add_get("/x", handler)
    async with TestServer(app) as server, ClientSession(server.make_url("/")) as client:
        yield client


def signed(path: str = "/x", key: bytes = KEY) -> str:
    return Hops(key, THERE).signed(TOLD, HERE, Asked("GET", path))


async def test_a_clients_own_request(client: ClientSession) -> None:
    async with client.get("/x", headers={"Host": "localhost"}) as answer:
        said = await answer.json()
    assert said == {"remote": "127.0.0.1", "scheme": "http", "host": "localhost", "node": None}


async def test_another_nodes_request_is_its_clients(client: ClientSession) -> None:
    async with client.get("/x?a=1", headers={HEADER: signed("/x?a=1")}) as answer:
        said = await answer.json()
    assert said == {"remote": "203.0.113.7", "scheme": "https", "host": "gate.example", "node": THERE}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        pytest.param([""], "not signed", id="empty"),
        pytest.param(["x.y"], "not signed", id="forged"),
        pytest.param([signed(key=b"a stranger's")], "not signed", id="of a stranger"),
        pytest.param([signed("/y")], "not signed", id="for another path"),
        pytest.param([signed(), signed()], "twice", id="two"),
    ],
)
async def test_a_header_that_is_none_of_ours(client: ClientSession, headers: list[str], why: str) -> None:
    async with client.get("/x", headers=[(HEADER, header) for header in headers]) as answer:
        text = await answer.text()
    assert (answer.status, answer.headers["X-Code"]) == (403, Code.HOP_REFUSED.word)
    assert why in text
    assert not any(header and header in text for header in headers)
