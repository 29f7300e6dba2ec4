import os
import subprocess
import sys
from pathlib import Path

import pytest

from browser_pool.memory import BROWSER_COST, RESERVE, UNKNOWN, Memory, held_by, memory, share_of

GIB = 1 << 30


def machine(root: Path, cgroup: str, **files: str) -> tuple[Path, Path]:
    """A /proc and a /sys/fs/cgroup: 8 GiB, 6 of them available, our cgroups as in /proc/self/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal:  8388608 kB\nMemAvailable: 6291456 kB\nHugePages_Total:   0\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        file = root / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root / "proc", root / "cgroup"


def test_a_machine_without_cgroups(tmp_path: Path) -> None:
    assert memory(*machine(tmp_path, "")) == Memory(8 * GIB, 6 * GIB)


def test_a_machine_that_does_not_say_is_small(tmp_path: Path) -> None:
    assert memory(tmp_path / "none", tmp_path / "none") == Memory(UNKNOWN, UNKNOWN)


STAT = f"anon 1000\ninactive_file {GIB}\nactive_file 77\n"


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        ("max\n", Memory(8 * GIB, 6 * GIB)),
        (f"{4 * GIB}\n", Memory(4 * GIB, 2 * GIB)),  # 3 in use, of which 1 is page cache
        (f"{64 * GIB}\n", Memory(8 * GIB, 6 * GIB)),
    ],
)
def test_version_2(tmp_path: Path, limit: str, found: Memory) -> None:
    files = {"app/memory.max": limit, "app/memory.current": f"{3 * GIB}\n", "app/memory.stat": STAT}
    assert memory(*machine(tmp_path, "0::/app\n", **files)) == found


def test_of_nested_groups_the_tightest_counts(tmp_path: Path) -> None:
    files = {
        "pod/memory.max": f"{2 * GIB}\n",
        "pod/memory.current": f"{GIB}\n",
        "pod/app/memory.max": "max\n",
        "pod/app/memory.current": "77\n",
    }
    assert memory(*machine(tmp_path, "0::/pod/app\n", **files)) == Memory(2 * GIB, GIB)


def test_a_container_that_sees_the_hosts_path_has_its_limit_at_the_root(tmp_path: Path) -> None:
    files = {"memory.max": f"{2 * GIB}\n", "memory.current": f"{GIB}\n"}
    assert memory(*machine(tmp_path, "0::/kubepods/pod77/app\n", **files)) == Memory(2 * GIB, GIB)


def test_version_1(tmp_path: Path) -> None:
    files = {
        "memory/app/memory.limit_in_bytes": f"{4 * GIB}\n",
        "memory/app/memory.usage_in_bytes": f"{3 * GIB}\n",
        "memory/app/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB}\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    cgroup = "5:cpu,cpuacct:/\n4:memory:/app\n1:name=systemd:/\n"
    assert memory(*machine(tmp_path, cgroup, **files)) == Memory(4 * GIB, 2 * GIB)


def test_a_group_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    files = {"app/memory.max": f"{GIB}\n", "app/memory.current": f"{2 * GIB}\n"}
    assert memory(*machine(tmp_path, "0::/app\n", **files)) == Memory(GIB, 0)


def test_this_machine_has_some() -> None:
    found = memory()
    assert 64 << 20 < found.available <= found.limit


def test_browsers_fit_beside_the_reserve_and_one_always() -> None:
    assert Memory(RESERVE + 3 * BROWSER_COST, 0).browsers == 3
    assert Memory(RESERVE + 4 * BROWSER_COST - 1, 0).browsers == 3
    assert Memory(0, 0).browsers == 1


def test_room_is_what_the_reserve_leaves_less_those_on_their_way() -> None:
    available = RESERVE + 3 * BROWSER_COST
    assert Memory(64 * GIB, available).room() == 3
    assert Memory(64 * GIB, available - 1).room() == 2
    assert Memory(64 * GIB, available).room(starting=2) == 1
    assert Memory(64 * GIB, available).room(starting=5) == -2
    assert Memory(64 * GIB, RESERVE - 1).room() == -1


def test_a_small_machine_has_room_for_one() -> None:
    assert Memory(GIB // 2, GIB // 2).room() >= 1


def test_what_a_process_group_holds() -> None:
    code = "import sys; held = b'x' * (40 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 40 << 20 < held_by(process.pid) < 100 << 20
        process.communicate()
    assert held_by(process.pid) == 0


def test_the_share_of_one_process() -> None:
    assert 1 << 20 < share_of(os.getpid(), 0) < 4 << 30
    assert share_of(2**22 + 1, 17) == 17  # no such process
