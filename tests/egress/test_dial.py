"""One connection: its name resolved once, and only what was judged is connected to."""

from dataclasses import replace

import pytest

from gateway.egress.dial import Dialer, SystemResolver
from gateway.egress.local import Listeners
from gateway.egress.policy import EgressPolicy
from gateway.egress.refusal import Refused
from gateway.records import Egress, Rules
from tests.egress.rig import LOCAL, Names, origin


def dialer(names: Names, node: Rules = LOCAL, own: set[int] | None = None) -> Dialer:
    return Dialer(EgressPolicy.joined(node, Rules(), Egress()), names, Listeners(), own or set())


async def refused(dialer: Dialer, host: str, port: int) -> str:
    with pytest.raises(Refused) as error:
        (await dialer.reach(host, port)).abort()
    return error.value.rule


async def test_a_name_is_resolved_once() -> None:
    names = Names(a__example=[["127.0.0.1"], ["10.0.0.1"]])
    async with origin() as server:
        channel = await dialer(names).reach("a.example", server.port)
        assert channel.transport.get_extra_info("peername") == ("127.0.0.1", server.port)
        channel.abort()
    assert names.asked == ["a.example"]


async def test_addresses_that_are_refused_are_not_tried() -> None:
    names = Names(both__example=[["169.254.169.254", "127.0.0.1", "10.0.0.1"]], bad__example=[["10.0.0.1", "fd00::1"]])
    async with origin() as server:
        channel = await dialer(names).reach("both.example", server.port)
        assert channel.transport.get_extra_info("peername")[0] == "127.0.0.1"
        channel.abort()
        assert await refused(dialer(names), "bad.example", server.port) == "private-address"


async def test_the_next_address_is_tried() -> None:
    async with origin() as server:
        names = Names(two__example=[["127.0.0.2", "127.0.0.1"]])
        channel = await dialer(names, Rules(("127.0.0.0/8",))).reach("two.example", server.port)
        assert channel.transport.get_extra_info("peername")[0] == "127.0.0.1"
        channel.abort()


async def test_what_goes_wrong() -> None:
    names = Names(a__example=[["127.0.0.1"]], odd__example=[["no address"]])
    assert await refused(dialer(names), "unknown.example", 80) == "not-resolved"
    assert await refused(dialer(names), "odd.example", 80) == "not-resolved"
    assert await refused(dialer(names), "a.example", 1) == "not-reached"


async def test_what_the_gateway_is_built_on() -> None:
    async with origin() as server:
        names = Names(redis__example=[["127.0.0.1"]], mapped__example=[["::ffff:127.0.0.1"]])
        way = replace(dialer(names), backstage={("127.0.0.1", server.port)})
        for host in ("redis.example", "mapped.example"):
            assert await refused(way, host, server.port) == "gateway"
        (await replace(way, backstage={("127.0.0.1", 1)}).reach("redis.example", server.port)).abort()


async def test_ports_of_our_own() -> None:
    async with origin() as server:
        names = Names(a__example=[["127.0.0.1"]])
        assert await refused(dialer(names, own={server.port}), "a.example", server.port) == "gateway"


async def test_what_this_machine_resolves() -> None:
    resolver = SystemResolver()
    assert "127.0.0.1" in await resolver.resolve("localhost")
    resolver.close()
