"""Attacks where the kernel has no Landlock: bubblewrap holds off those on files and processes, not all on ports.

`confined` is with bubblewrap; without, neither is in use.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from browser_pool.binary import Binaries
from browser_pool.confinement import Confinement, Limits, Wish
from browser_pool.pool import BrowserPool
from browser_pool.road import Roads
from browser_pool.spec import LaunchSpec
from tests.attacks.conftest import Pools, page_of, run_as
from tests.browser_pool.roads import OpenRoads
from tests.browser_pool.wrapped import Look, look  # noqa: F401

SECRET = "the-secret-of-another"
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print('connected')"
DATAGRAM = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM); print('made')"
SIGNAL = "import os, sys; os.kill(int(sys.argv[1]), 0); print('reached')"


@pytest.fixture
def pools(confined: bool, root: Path, binaries: Binaries, look: Look) -> Pools:  # noqa: F811
    @asynccontextmanager
    async def entered(roads: Roads | None = None, limits: Limits | None = None) -> AsyncIterator[BrowserPool]:
        wanted = Confinement(Wish.AUTO if confined else Wish.OFF)
        async with BrowserPool(root, binaries, roads=roads, confinement=wanted, look=look) as pool:
            assert pool.held.wrapped is confined
            yield pool

    return entered


async def test_files_of_others(pools: Pools, confined: bool, spec: LaunchSpec, root: Path) -> None:
    """Of another browser, of the data directory, of whoever runs the gateway."""
    token = root.parent / "token"
    token.write_text(SECRET)
    with NamedTemporaryFile("w", suffix=".txt") as temporary:
        temporary.write(SECRET)
        temporary.flush()
        async with pools() as pool, pool.lease(spec) as mine, pool.lease(spec) as other, page_of(mine) as page:
            login = other.directory.profile / "Default" / "login.txt"
            login.write_text(SECRET)
            for path in (
                login,
                Path(f"/proc/{other.pid}/root{login}"),
                Path(f"/proc/{other.pid}/cwd/profile/Default/login.txt"),
                token,
                Path(temporary.name),
            ):
                seen = await page.open(path.as_uri())
                assert (SECRET in seen) is not confined, seen
                assert seen.startswith("refused") is confined
            await page.open(root.as_uri())
            listed = str(await page.run("document.documentElement.innerHTML"))
            assert (other.directory.path.name in listed) is not confined
            assert ("root:" in await page.open("file:///etc/passwd")) is not confined


async def test_processes_of_others(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """One that stands for the gateway is neither read nor signalled, nor is another browser."""
    gateway = await asyncio.create_subprocess_exec("/bin/cat", env={"TOKEN": SECRET}, stdin=asyncio.subprocess.PIPE)
    try:
        async with pools() as pool, pool.lease(spec) as mine, pool.lease(spec) as other:
            _, said = await run_as(mine, pool, "/bin/sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ")
            assert (SECRET in said) is not confined
            assert (other.directory.path.name in said) is not confined
            assert str(mine.directory.path) in said
            for pid in (gateway.pid, other.pid):
                _, said = await run_as(mine, pool, "/usr/bin/python3", "-c", SIGNAL, str(pid))
                assert ("reached" in said) is not confined
    finally:
        gateway.kill()
        await gateway.wait()


async def test_the_network_is_held_by_less(pools: Pools, confined: bool, spec: LaunchSpec) -> None:
    """No UDP, by seccomp. But a process that was taken over connects to any port, and the measure says so; a page does
    not, while Chromium has its road as proxy.
    """
    roads = OpenRoads()
    async with pools(roads) as pool, pool.lease(spec) as mine, pool.lease(spec) as other:
        _, said = await run_as(mine, pool, "/usr/bin/python3", "-c", DATAGRAM)
        assert ("made" in said) is not confined
        _, said = await run_as(mine, pool, "/usr/bin/python3", "-c", CONNECT, str(other.port))
        assert "connected" in said
        assert "tcp" in [measure.name for measure in pool.held.missing]
        asked = f"127.0.0.1:{other.port}"
        async with page_of(mine) as page:
            await page.open(f"http://{asked}/json/version")
        assert any(asked in road.asked for road in roads.roads), "it went by its road, which may refuse it"
