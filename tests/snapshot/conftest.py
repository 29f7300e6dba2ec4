"""A browser and a site for each test that asks for them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from gateway.snapshot import blank, capture, checkpoint, reopen
from gateway.snapshot.blobs import Blobs, open_blobs, snapshot_store
from tests.s3_server import ENVIRONMENT, S3Server, s3_server
from tests.snapshot.live import Browser, Place, binary, running_browser, running_place


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no page that hangs; tests of those have limits of their own."""
    for module, limits in (
        (blank, ("CLOSE_LIMIT",)),
        (reopen, ("TAB_LIMIT", "BUILD_LIMIT")),
        (capture, ("DATABASES_LIMIT",)),
        (checkpoint, ("LIMIT", "LOOK_LIMIT", "DATABASES_LIMIT", "HIDDEN_LIMIT", "LEAVE_LIMIT")),
    ):
        for limit in limits:
            monkeypatch.setattr(module, limit, 60.0)
    usual = capture.capture.__kwdefaults__
    assert usual is not None
    for limit in ("target_limit", "limit"):
        monkeypatch.setitem(usual, limit, 60.0)


@pytest.fixture(params=["chromium", "headless-shell"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of browser that is installed."""
    if binary(request.param) is None:
        pytest.skip(f"no {request.param} here")
    return str(request.param)


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    """The lightest browser there is, on an empty profile."""
    kind = "headless-shell" if binary("headless-shell") else "chromium"
    async with running_browser(tmp_path / "browser", kind) as running:
        yield running


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with running_place() as running:
        yield running


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests; each takes a prefix of its own."""
    with pytest.MonkeyPatch.context() as patch, s3_server(tmp_path_factory.mktemp("s3") / "server") as server:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["directory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    """An empty storage of either kind."""
    if request.param == "directory":
        found = open_blobs(snapshot_store(f"file:{tmp_path / 'blobs'}"))
    else:
        found = open_blobs(snapshot_store(request.getfixturevalue("s3").url(f"{tmp_path.name}-{token_hex(4)}")))
    yield found
    found.close()
