"""The relay's tests run on both event loops: they differ in what a closed or stalled transport does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from gateway.relay import client_leg, park, relay
from tests.fakes.chromium import FakeChromium, chromium
from tests.relay.rig import Rig, certificate, running_rig


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each async test once per loop; with a real browser only on the one that the gateway prefers."""
    if isinstance(item, pytest.Function) and {"stage", "one"} & set(item.fixturenames):
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off because the machine is busy; a test of a time sets its own."""
    for module, names in (
        (client_leg, ("BOUNDARY_TIMEOUT", "CLOSE_TIMEOUT")),
        (relay, ("DELIVERY", "VERDICT")),
        (park, ("LEAVING", "SETTLING", "COMING", "RELEASE")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, 60.0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeChromium]:
    """A Chromium that waits for the test to speak for it."""
    async with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the server's and for the client's side."""
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(params=["plain", "tls"])
async def rig(
    request: pytest.FixtureRequest, fake: FakeChromium, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> AsyncIterator[Rig]:
    """A server that relays to `fake`."""
    async with running_rig(fake, contexts if request.param == "tls" else None) as running:
        yield running


@pytest.fixture
async def plain(fake: FakeChromium) -> AsyncIterator[Rig]:
    """The same without TLS, where that makes no difference."""
    async with running_rig(fake, None) as running:
        yield running
