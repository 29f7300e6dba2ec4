import asyncio
from pathlib import Path

import pytest

from browser_pool import watchdog
from browser_pool.binary import Binaries
from browser_pool.confinement import Confinement, Limits
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec
from browser_pool.watchdog import STRIKES, Member, Use, condemned, taken

LIMITS = Limits(memory=1000, processes=4, disk=100)
PAGES = [Member(10, 1, 300), Member(11, 2, 500), Member(12, 3, 200), Member(13, 4, 100)]


def test_which_limit_is_passed() -> None:
    assert Use(4, 1000, 100).over(LIMITS) == ""
    assert Use(5, 1001, 101).over(LIMITS) == "memory"
    assert Use(5, 1, 101).over(LIMITS) == "processes"
    assert Use(1, 1, 101).over(LIMITS) == "disk"
    assert Use(1, 1, 51).over(LIMITS, 0.5) == "disk"


def test_the_greediest_page_goes_first() -> None:
    assert condemned("memory", 0, LIMITS, PAGES) == [PAGES[1]]


def test_the_last_pages_go_for_too_many_processes_and_then_all() -> None:
    assert condemned("processes", 0, LIMITS, PAGES) == [PAGES[3], PAGES[2]]
    assert condemned("processes", 1, LIMITS, PAGES) == PAGES[::-1]


@pytest.mark.parametrize("limit", ["memory", "processes"])
def test_where_that_does_not_help_the_browser_goes(limit: str) -> None:
    assert condemned(limit, STRIKES - 1, LIMITS, PAGES) is not None
    assert condemned(limit, STRIKES, LIMITS, PAGES) is None
    assert condemned(limit, 0, LIMITS, []) is None


def test_no_page_is_to_blame_for_a_full_disk() -> None:
    assert condemned("disk", 0, LIMITS, PAGES) is None


def test_what_a_directory_takes(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x" * 100_000)
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep" / "file").write_bytes(b"x" * 50_000)
    (inside / "link").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    assert 50_000 <= taken(inside) < 70_000
    # A browser's `tmp` may be elsewhere, and is its own all the same.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"x" * 50_000)
    (inside / "tmp").symlink_to(tmp_path / "elsewhere")
    assert 100_000 <= taken(inside) < 130_000
    assert taken(tmp_path / "none") == 0


async def test_a_browser_that_fills_the_disk_is_ended_and_says_why(
    root: Path, binaries: Binaries, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "DISK_PERIOD", 0.0)
    confinement = Confinement(limits=Limits(disk=64 << 20))
    async with BrowserPool(root, binaries, confinement=confinement) as pool, pool.lease(spec) as browser:
        (browser.directory.profile / "large").write_bytes(b"x" * (65 << 20))
        await asyncio.wait_for(browser.gone.wait(), 60)
        assert browser.reason == "Chromium was ended: it took more disk than browser_disk allows"
