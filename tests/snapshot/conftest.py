"""A browser and a site for each test that asks for them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.snapshot.live import Browser, Place, binary, running_browser, running_place


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
