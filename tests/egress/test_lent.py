"""Roads that are kept from one fetch to the next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from browser_pool.tasks import crew
from gateway.egress import lent
from gateway.egress.lent import Lent
from gateway.egress.process import EgressProcess
from gateway.egress.terms import Terms
from gateway.egress.usage import Usage
from gateway.records import Rules
from tests.egress.rig import LOCAL, get, origin, told

OTHER = Terms(Rules(deny=("x.example",)))


async def test_what_is_counted_goes_on() -> None:
    async with origin() as server, EgressProcess(LOCAL) as egress:
        ports = []
        for count in (1, 2):
            async with egress.lent.road("one", Terms()) as loan:
                ports.append(loan.ready.result())
                assert b" 200 " in await told(ports[-1], get(server.url))
                assert (await egress.usage(ports[-1])).requests == count
                spent = await egress.lent.spent(loan)
                assert (spent.requests, spent.domains[0].requests) == (1, 1)
                assert await egress.lent.spent(loan) == Usage()
        assert ports[0] == ports[1]
        async with egress.lent.road("another", Terms()) as loan, egress.lent.road("one", OTHER) as third:
            assert len({ports[0], loan.ready.result(), third.ready.result()}) == 3
        port = ports[0]
    with pytest.raises(ConnectionRefusedError):
        await told(port, b"")


class Opened:
    """Roads that count how often they were opened and closed; a port is the number of the road."""

    def __init__(self) -> None:
        self.opened: list[Terms] = []
        self.closed: list[int] = []
        self.shut = asyncio.Event()

    @asynccontextmanager
    async def led(self, terms: Terms) -> AsyncIterator[int]:
        """See Lent."""
        if terms == OTHER:
            raise OSError("no port is left")
        self.opened.append(terms)
        port = len(self.opened)
        try:
            yield port
        finally:
            self.closed.append(port)
            self.shut.set()

    async def usage(self, port: int) -> Usage:
        """See Lent."""
        return Usage(requests=port)


@asynccontextmanager
async def lending() -> AsyncIterator[tuple[Opened, Lent]]:
    opened = Opened()
    async with crew(patience=0.0) as start:
        yield opened, Lent(opened.led, opened.usage, start)


async def test_several_at_once_have_the_same() -> None:
    async with lending() as (opened, roads):
        async with roads.road("one", Terms()) as first, roads.road("one", Terms()) as second:
            assert first is second
        assert len(opened.opened) == 1
        assert opened.closed == []
    assert opened.closed == [1]


async def test_one_that_nobody_uses_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent, "KEPT", 0.05)
    async with lending() as (opened, roads):
        async with roads.road("one", Terms()):
            async with roads.road("one", Terms()):
                pass
            assert opened.closed == []
        await opened.shut.wait()
        async with roads.road("one", Terms()) as loan:
            assert loan.ready.result() == 2


async def test_of_many_the_one_that_was_used_longest_ago_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent, "MOST", 2)
    async with lending() as (opened, roads):
        async with roads.road("used", Terms()):
            for name in ("a", "b", "a", "c"):
                async with roads.road(name, Terms()):
                    pass
            async with roads.road("used", Terms()) as loan:
                assert loan.ready.result() == 1
        await opened.shut.wait()
        assert len(opened.opened) == 5
        assert 1 not in opened.closed


async def test_one_that_cannot_be_opened_is_tried_anew() -> None:
    async with lending() as (opened, roads):
        for _ in range(2):
            with pytest.raises(OSError, match="no port is left"):
                async with roads.road("one", OTHER):
                    pass
        waiting = asyncio.ensure_future(roads.road("one", OTHER).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        async with roads.road("one", Terms()):
            assert opened.opened == [Terms()]
