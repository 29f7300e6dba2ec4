"""A program that has taken over the process of a browser of root's own changes what the kernel does, for all.

Root without capabilities is still the user whom /proc/sys lets write. Where browsers have users of their own none is.
"""

import os
from pathlib import Path

import pytest

from browser_pool.binary import Binaries
from browser_pool.confinement import Confinement, Wish
from browser_pool.examine import examine
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec
from tests.attacks.conftest import page_of, run_as
from tests.browser_pool.wrapped import Look, look  # noqa: F401

# Nothing is written where it succeeds: it could be. Without O_TRUNC, which is a right of its own with Landlock. The
# setting may name a program that the kernel starts as root.
WRITE = "import os; os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY); print('written')"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
@pytest.mark.parametrize("by", ["nothing", "landlock", "bubblewrap"])
async def test_kernel_settings(
    root: Path, binaries: Binaries, spec: LaunchSpec, by: str, request: pytest.FixtureRequest
) -> None:
    root.parent.chmod(0o700)  # so there is no other user for them
    confinement = Confinement(Wish.OFF if by == "nothing" else Wish.AUTO)
    examined: Look = request.getfixturevalue("look") if by == "bubblewrap" else examine
    async with BrowserPool(root, binaries, confinement=confinement, look=examined) as pool, pool.lease(spec) as mine:
        assert not pool.held.own_users
        if by == "landlock" and not pool.held.abi:
            pytest.skip("this kernel has no Landlock")
        async with page_of(mine) as page:
            assert await page.run("1 + 1") == 2
        _, said = await run_as(mine, pool, "/usr/bin/python3", "-c", WRITE)
        assert ("written" in said) is (by == "nothing"), said
