"""Real browsers for the tests of the pool, and a check that each test ends all of them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from browser_pool.binary import Binaries
from browser_pool.hold import guards_of
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from tests.browser_pool.seen import children, dead_children, processes_under


@pytest.fixture
def binaries() -> Binaries:
    """The browsers of this machine."""
    found = Binaries()
    if found.full is None:
        pytest.skip("no Chromium here")
    return found


@pytest.fixture
def spec(binaries: Binaries) -> LaunchSpec:
    """The lightest kind of browser that there is."""
    return LaunchSpec(mode=Mode.HEADLESS if binaries.shell is None else Mode.SHELL)


@pytest.fixture
def root() -> Iterator[Path]:
    """Where a test's browsers live: at its end no process, no directory and no zombie of theirs is left.

    Not in `tmp_path`, which no other user may pass: as root each browser has a user of its own.
    """
    before = children()  # also what other tests have left to us, and may end at any time
    with TemporaryDirectory(prefix="pool-") as place:
        Path(place).chmod(0o711)
        root = Path(place) / "browsers"
        root.mkdir()
        yield root
        assert processes_under(root) == []
        assert guards_of(root) == []
        assert list(root.iterdir()) == []
    assert dead_children() <= before


@pytest.fixture
async def pool(root: Path, binaries: Binaries) -> AsyncIterator[BrowserPool]:
    async with BrowserPool(root, binaries) as pool:
        yield pool
