from pathlib import Path

import pytest

from browser_pool.memory import BROWSER_COST, RESERVE, browsers_that_fit, memory_limit

GIB = 1 << 30


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:        8388608 kB\nMemFree:          1024 kB\n")
    return file


@pytest.mark.parametrize(
    ("limit", "bytes_"),
    [("max\n", 8 * GIB), (f"{2 * GIB}\n", 2 * GIB), (f"{64 * GIB}\n", 8 * GIB), (None, 8 * GIB)],
)
def test_the_lower_of_machine_and_cgroup(meminfo: Path, limit: str | None, bytes_: int) -> None:
    cgroup = meminfo.with_name("memory.max")
    if limit is not None:
        cgroup.write_text(limit)
    assert memory_limit(meminfo, cgroup) == bytes_


def test_a_machine_that_does_not_say_is_small(tmp_path: Path) -> None:
    assert memory_limit(tmp_path / "none", tmp_path / "none") == 2 * GIB


def test_this_machine_has_some() -> None:
    assert memory_limit() > 64 << 20


def test_browsers_fit_beside_the_reserve_and_one_always() -> None:
    assert browsers_that_fit(RESERVE + 3 * BROWSER_COST) == 3
    assert browsers_that_fit(RESERVE + 4 * BROWSER_COST - 1) == 3
    assert browsers_that_fit(0) == 1
