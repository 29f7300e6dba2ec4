"""A request for what another node has: who answers, what that node is told, and what happens when it is wrong."""

import asyncio
import ipaddress
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession
from yarl import URL

from gateway.cluster.fleet import Lease
from gateway.cluster.hop import HEADER, OWNER, Asked, Hop, Hops
from gateway.records import new_session_id
from gateway.tenancy.capability import Scope, tag
from gateway.web.connections import Bounds
from gateway.web.forwarded import Proxies
from tests.inside import until
from tests.web.nodes import ACCESS, AUTH, KEY, Node, World, node, nodes


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Node, Node]]:
    async with nodes(2) as (first, second):
        yield first, second


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(headers=AUTH) as client:
        yield client


async def ask(http: ClientSession, at: Node, path: str, method: str = "GET", **more: Any) -> tuple[int, Any, Any]:
    async with http.request(method, URL(at.name + path, encoded=True), **more) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else text, answer.headers


async def test_the_other_node_answers_as_if_it_had_been_asked(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    session = first.world.at["s"] = second.name
    with structlog.testing.capture_logs() as logs:
        status, said, headers = await ask(
            http, first, "/session/s?a=%2F&b=c%20d", headers={"Host": "localhost:9", "X-Own": "1", "TE": "x"}
        )
    assert (status, said["node"]) == (200, session)
    assert (said["path"], said["method"]) == ("/session/s?a=%2F&b=c%20d", "GET")
    assert (said["remote"], said["scheme"], said["host"]) == ("127.0.0.1", "http", "localhost:9")
    assert said["headers"]["x-own"] == "1"
    assert "te" not in said["headers"]
    assert headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert headers["X-Request-Id"] == said["number"]
    told = [line for line in logs if line["event"] == "request"]
    assert [line.get("hop", line.get("node")) for line in told] == [first.name, second.name], "on both, joined by id"
    assert first.forwards.counted.by_kind == {"http": 1}
    assert (first.asked, second.asked) == (1, 1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method(pair: tuple[Node, Node], http: ClientSession, method: str) -> None:
    first, second = pair
    first.world.at["s"] = second.name
    status, said, headers = await ask(http, first, "/session/s", method)
    assert status == 200
    assert (said == "") if method == "HEAD" else (said["method"], said["body"]) == (method, "")
    assert int(headers["Content-Length"]) > 100


async def test_what_a_handler_has_read_is_sent_again(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    first.world.at["s"] = second.name
    for options in ({"data": b"the body"}, {"data": b"the body", "compress": "gzip"}):
        status, said, _ = await ask(http, first, "/session/s", "POST", **options)
        assert (status, said["node"], said["body"]) == (200, second.name, "the body")
    assert second.world.asked == 4


async def test_the_first_node_says_whose_request_it_is(http: ClientSession) -> None:
    world = World()
    proxies = Proxies((ipaddress.ip_network("127.0.0.0/8"),))
    async with node(world, proxies=proxies) as first, node(world, proxies=proxies) as second:
        world.at["s"] = second.name
        told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost:7"}
        _, said, _ = await ask(http, first, "/session/s", headers=told)
        seen = (said["node"], said["remote"], said["scheme"], said["host"])
        assert seen == (second.name, "203.0.113.9", "https", "localhost:7")


async def test_refusals_of_the_other_node_pass(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    first.world.at["s"] = second.name
    secret = ACCESS.capabilities.capability(new_session_id(), Scope.RECONNECT, hint=tag(second.name))
    status, said, headers = await ask(http, first, f"/session/x?token={secret}", headers={"Authorization": ""})
    assert (status, said["error"]["code"]) == (403, "forbidden")
    assert headers["X-Request-Id"] == said["requestId"]
    assert (first.asked, second.asked) == (0, 0)
    status, said, _ = await ask(http, first, "/session/s/files", "GET")
    assert (status, said["error"]["code"]) == (500, "internal")  # a handler's own defect
    status, said, _ = await ask(http, first, "/session/s", headers={"Authorization": "Bearer wrong"})
    assert (status, second.asked) == (401, 1), "who may not is not forwarded"


async def test_a_hint_is_followed_without_asking_anybody(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    session = new_session_id()
    first.world.at[session] = second.name
    secret = ACCESS.capabilities.capability(session, hint=tag(second.name))
    for path, headers in (
        (f"/session/{secret}", {"Authorization": ""}),
        (f"/session/{session}?token={secret}", {"Authorization": ""}),
        (f"/session/{session}", {"Authorization": f"Bearer {secret}"}),
    ):
        status, said, _ = await ask(http, first, path, headers=headers)
        assert (status, said["node"]) == (200, second.name)
    assert first.asked == 0


@pytest.mark.parametrize("kind", ["another's", "none", "forged", "old", "of nobody", "its own"])
async def test_a_hint_that_does_not_count(pair: tuple[Node, Node], http: ClientSession, kind: str) -> None:
    first, second = pair
    session = new_session_id()
    first.world.at[session] = first.name if kind == "its own" else second.name
    good = ACCESS.capabilities.capability(session, hint=tag(second.name))
    text = {
        "another's": ACCESS.capabilities.capability(session, hint=tag(first.name)),
        "none": ACCESS.capabilities.capability(session),
        "forged": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "old": ACCESS.capabilities.capability(session, hint=tag(second.name), expires=1.0),
        "of nobody": ACCESS.capabilities.capability(session, hint=tag("http://10.9.9.9:3000")),
        "its own": good,
    }[kind]
    status, said, _ = await ask(http, first, f"/session/{text}", headers={"Authorization": ""})
    if kind in ("forged", "old"):
        assert (status, first.asked, second.asked) == (401, 0, 0)
    else:
        assert (status, said["node"], first.asked) == (200, first.world.at[session], 1)


async def test_a_hint_to_where_it_was(http: ClientSession) -> None:
    async with nodes(3) as (first, second, third):
        session = new_session_id()
        secret = ACCESS.capabilities.capability(session, hint=tag(second.name))
        for owner in (third, first):
            first.world.at[session] = owner.name
            status, said, _ = await ask(http, first, f"/session/{secret}", headers={"Authorization": ""})
            assert (status, said["node"]) == (200, owner.name)


async def test_a_session_that_moved_meanwhile_is_found(http: ClientSession) -> None:
    """The first node decides anew when the other one says that it is not the one."""
    async with nodes(3) as (first, second, third):
        session = new_session_id()
        first.world.at[session] = third.name
        first.world.grants[session] = Lease(session, second.name, "n")  # sends the first try to the second node
        status, said, _ = await ask(http, first, f"/session/{session}", "POST", data=b"kept")
        assert (status, said["node"], said["body"]) == (200, third.name, "kept")
        assert (first.asked, second.asked, third.asked) == (2, 1, 1)
        assert [lease.node for lease in first.world.released] == [second.name]


async def test_who_moves_for_ever_is_given_up(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    first.world.at["s"] = "http://127.0.0.1:1"
    hop = Hops(KEY, first.name).signed(
        Hop(first.name, "192.0.2.1", "http", "localhost"), second.name, Asked("GET", "/session/s")
    )
    status, said, headers = await ask(http, second, "/session/s", headers={HEADER: hop})
    assert (status, said["error"]["code"], headers[OWNER]) == (421, "not_here", "http://127.0.0.1:1")

    first.world.toss = 100
    status, said, headers = await ask(http, first, "/session/s")
    assert (status, said["error"]["code"], headers["Retry-After"]) == (503, "store_unavailable", "1")
    assert (first.asked, first.forwards.counted.failed) == (3, 0)


async def test_a_node_that_is_not_there(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, _ = pair
    first.world.at["s"] = "http://127.0.0.1:1"
    status, said, headers = await ask(http, first, "/session/s", "POST", data=b"x")
    assert (status, said["error"]["code"], headers["Retry-After"]) == (503, "node_unreachable", "2")
    assert "127.0.0.1" not in said["error"]["message"], "its address is nobody's business"
    lease = Lease(new_session_id(), "http://127.0.0.1:1", "n")
    first.world.grants[lease.session] = lease
    status, _, _ = await ask(http, first, f"/session/{lease.session}", "POST", data=b"x")
    assert (status, first.world.released) == (503, [lease]), "the place that it never heard of goes back"
    assert first.forwards.counted.failed == 2


async def test_a_granted_place_is_used_or_goes_back(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    used, unused = (Lease(new_session_id(), second.name, "a-nonce") for _ in range(2))
    first.world.grants |= {lease.session: lease for lease in (used, unused)}
    first.world.at[used.session] = second.name
    assert (await ask(http, first, f"/session/{used.session}", "POST"))[1]["node"] == second.name
    assert (second.took, first.world.released) == ([used], [])
    assert (await ask(http, first, f"/session/{unused.session}", "POST"))[0] == 200
    assert (second.took, first.world.released) == ([used], [unused])


async def test_a_client_that_goes_ends_what_the_other_node_does(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    first.world.at["s"] = second.name
    asking = asyncio.create_task(ask(http, first, "/session/s/live"))
    await second.begun.wait()
    asking.cancel()
    async with asyncio.timeout(20):
        await second.cancelled.wait()
    await asyncio.wait([asking])


async def test_what_a_dead_node_was_asked_is_not_done_twice(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    first.world.at["s"] = second.name
    asking = asyncio.create_task(ask(http, first, "/session/s/files?wait", "POST", data=b"x"))
    await second.begun.wait()
    first.forwards.died("http://127.0.0.1:1")
    first.forwards.died(second.name)
    status, said, headers = await asking
    assert (status, said["error"]["code"], headers["Retry-After"]) == (503, "node_unreachable", "2")
    assert "whether it was done" in said["error"]["message"]
    assert first.asked == 1
    assert first.forwards.under_way == 0


async def test_what_a_dead_node_was_only_to_tell_another_tells(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    session = new_session_id()
    first.world.at[session] = second.name
    secret = ACCESS.capabilities.capability(session, hint=tag(second.name))
    for headers in (AUTH, {"Authorization": f"Bearer {secret}"}):  # by what Redis says, and by a hint
        first.world.at[session] = second.name
        second.begun.clear()
        asking = asyncio.create_task(ask(http, first, f"/session/{session}/live", headers=headers))
        await second.begun.wait()
        first.world.at[session] = first.name
        first.go_on.set()
        first.forwards.died(second.name)
        status, said, _ = await asking
        assert (status, said) == (200, "done")
    assert (first.asked, second.asked) == (3, 2)


async def test_a_hint_leads_only_to_what_runs_there(pair: tuple[Node, Node], http: ClientSession) -> None:
    """What is put away any node can wake: it is not for a hint to say which."""
    first, second = pair
    session = new_session_id()
    secret = ACCESS.capabilities.capability(session, hint=tag(second.name))
    status, said, _ = await ask(http, first, f"/session/{secret}", headers={"Authorization": ""})
    assert (status, said["node"]) == (200, first.name)
    assert (first.asked, second.asked) == (1, 0)


def signed(to: Node, path: str = "/session/s", *, key: bytes = KEY, age: float = 0, method: str = "GET") -> str:
    hops = Hops(key, "http://127.0.0.1:2", lambda: time.time() - age)
    return hops.signed(Hop("http://127.0.0.1:2", "203.0.113.1", "https", "localhost"), to.name, Asked(method, path))


async def test_only_nodes_may_say_who_asks(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, second = pair
    for header in (
        "",
        "x",
        signed(first, key=b"a stranger's"),
        signed(first, "/session/other"),
        signed(first, method="POST"),
        signed(second),
        signed(first, age=3600),
    ):
        with structlog.testing.capture_logs() as logs:
            status, said, _ = await ask(http, first, "/session/s", headers={HEADER: header})
        assert (status, said["error"]["code"]) == (403, "hop_refused")
        assert "hop_refused" in [line["event"] for line in logs]
        assert not header or header not in repr(logs)
    good = signed(first)
    status, said, _ = await ask(http, first, "/session/s", headers={HEADER: good})
    assert (status, said["remote"], said["scheme"]) == (200, "203.0.113.1", "https")
    status, said, _ = await ask(http, first, "/session/s", headers={HEADER: good})
    assert (status, said["error"]["code"]) == (403, "hop_refused"), "once"
    twice = [(HEADER, signed(first)), (HEADER, signed(first))]
    assert (await ask(http, first, "/session/s", headers=twice))[0] == 403
    assert first.asked == 1


async def test_nodes_that_do_not_know_each_other(http: ClientSession) -> None:
    """Another key, or another name than the others know it by: the client is told that it is not its fault."""
    world = World()
    async with node(world) as first, node(world, key=b"another") as second, node(world, alias="http://other") as third:
        for there in (second, third):
            session = new_session_id()
            world.at[session] = there.name
            lease = world.grants[session] = Lease(session, there.name, "n")
            with structlog.testing.capture_logs() as logs:
                status, said, headers = await ask(http, first, f"/session/{session}", "POST", data=b"x")
            assert (status, said["error"]["code"], headers["Retry-After"]) == (503, "node_unreachable", "2")
            assert HEADER not in headers
            assert "cluster_key" in next(line["why"] for line in logs if line["event"] == "node_unreachable")
            assert world.released.pop() == lease
            assert there.asked == 0


async def test_a_hop_is_no_credential(pair: tuple[Node, Node], http: ClientSession) -> None:
    first, _ = pair
    for given in ("", "Bearer wrong"):
        headers = {HEADER: signed(first), "Authorization": given}
        assert (await ask(http, first, "/session/s", headers=headers))[0] == 401


async def test_other_nodes_have_no_number_of_connections(http: ClientSession) -> None:
    world = World()
    few = Bounds(connections=1000, per_address=2)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(node(world))
        second = await stack.enter_async_context(node(world, bounds=few))
        world.at["s"] = second.name
        asking = [asyncio.create_task(ask(http, first, "/session/s/live"))]
        for count in (1, 2, 3, 4):
            await until(lambda count=count: second.asked == count)  # type: ignore[misc]
            asking.append(asyncio.create_task(ask(http, first, "/session/s/live")))
        await until(lambda: second.asked == 5)
        second.go_on.set()
        assert [status for status, _, _ in await asyncio.gather(*asking)] == [200] * 5
        assert second.connections._addresses == {}
