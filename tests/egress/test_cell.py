"""What holds the process of the roads. What it keeps one from that was taken over: tests/attacks/test_egress_worker."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool import seccomp
from browser_pool.confinement import NotConfined, Wish
from browser_pool.procfs import owner
from gateway.egress import cell
from gateway.egress.cell import FIRST_USER, LAST_USER, Hold

ALL = Hold(abi=6, landlock="", seccomp="", user="", root=True)


@pytest.mark.parametrize(
    ("hold", "user", "words"),
    [
        (Hold(root=True), None, []),
        (Hold(root=False), None, []),
        (ALL, 65521, ["user=65521", "landlock=6", "seccomp"]),
        (replace(ALL, user="no capability"), None, ["landlock=6", "seccomp"]),
        (replace(ALL, landlock="old kernel"), 65521, ["user=65521", "seccomp"]),
        (replace(ALL, seccomp="no filter"), 65521, ["user=65521", "landlock=6"]),
    ],
    ids=["off", "off, no root", "all", "no user", "no landlock", "no seccomp"],
)
def test_words_for_the_process(hold: Hold, user: int | None, words: list[str]) -> None:
    usual = ["data=4294967296", "powerless"] if words else []
    assert hold.words(user) == usual + words


@pytest.mark.parametrize(
    ("hold", "why"),
    [
        (ALL, ""),
        (Hold(root=True), "confinement is off"),
        (replace(ALL, landlock="old kernel"), "files: old kernel"),
        (replace(ALL, seccomp="no filter", user="no capability"), "system calls: no filter; user: no capability"),
        (replace(ALL, user="not root", root=False), ""),
    ],
    ids=["all", "off", "no landlock", "two", "no root"],
)
def test_it_is_one_measure(hold: Hold, why: str) -> None:
    assert (hold.measure.name, hold.measure.holds, hold.measure.why) == ("egress_worker", not why, why)


def test_all_of_it_or_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cell.examine(Wish.REQUIRED) == cell.examine(Wish.AUTO)
    assert cell.examine(Wish.OFF) == Hold()
    monkeypatch.setattr(seccomp, "MACHINES", {})
    assert cell.examine(Wish.AUTO).measure.why == f"system calls: no filter for {os.uname().machine}"
    with pytest.raises(NotConfined, match="this machine lacks system calls: no filter"):
        cell.examine(Wish.REQUIRED)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_a_user_that_nothing_runs_as(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cell.unused() in range(FIRST_USER, LAST_USER + 1)
    taken = 60990  # not one of those that others on this machine may be using
    monkeypatch.setattr(cell, "FIRST_USER", taken)
    monkeypatch.setattr(cell, "LAST_USER", taken)
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=taken) as process:
        assert owner(process.pid) == taken
        assert cell.unused() == taken, "better the same as another's than root"
        monkeypatch.setattr(cell, "LAST_USER", taken + 1)
        assert cell.unused() == taken + 1
        process.communicate(b"")


def test_nothing_secret_is_passed_on() -> None:
    ours = {
        "GATEWAY_TOKEN": "s",
        "REDIS_URL": "s",
        "AWS_SECRET_ACCESS_KEY": "s",
        "HOME": "/h",
        "LANG": "C",
        "TZ": "UTC",
    }
    assert cell.environment(ours) == {"LANG": "C", "TZ": "UTC"}


def test_what_it_may_read() -> None:
    paths = [Path(path) for path in cell.readable({"LD_LIBRARY_PATH": "/opt/lib:relative"})]
    assert Path("/opt/lib") in paths
    assert Path(cell.__file__).parent.parent in paths
    for closed in ("/etc/shadow", "/etc/passwd", "/etc/ssl/private/key.pem", "/proc/self/environ", "/root/x", "/tmp/x"):
        assert not any(Path(closed).is_relative_to(path) for path in paths), closed
    beside = Path(cell.__file__).parent.parent.parent / "data" / "token"
    assert not any(beside.is_relative_to(path) for path in paths)


def test_files_that_were_put_in_the_place_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, managed = tmp_path / "resolv.conf", tmp_path / "run"
    monkeypatch.setattr(cell, "RESOLVER", (str(names),))
    monkeypatch.setattr(cell, "RENEWED", (str(managed),))
    assert cell.sources() == {}
    names.write_text("nameserver 192.0.2.1")
    first = cell.sources()
    assert cell.outdated({}, first)
    names.write_text("nameserver 192.0.2.2")
    assert not cell.outdated(first, cell.sources()), "it is the same file, and may be read"
    names.rename(tmp_path / "old")
    assert not cell.outdated(first, cell.sources()), "for a moment there is none"
    names.write_text("nameserver 192.0.2.1")
    assert cell.outdated(first, cell.sources())
    managed.mkdir()
    names.unlink()
    names.symlink_to(managed / "resolv.conf")
    (managed / "resolv.conf").touch()
    assert not cell.outdated(first, cell.sources()), "all in there may be read"


STATUS = (
    "import sys; from gateway.egress import cell; file = open('/proc/self/status'); cell.held(sys.argv[1:])\n"
    "import resource; print(file.read(), resource.getrlimit(resource.RLIMIT_DATA), resource.getrlimit(8))"
)


def status(*words: str) -> str:
    """Of a process that is held so; 8 is RLIMIT_MEMLOCK, which is left alone."""
    return subprocess.run([sys.executable, "-c", STATUS, *words], check=True, capture_output=True, text=True).stdout


def test_what_the_kernel_says() -> None:
    open_, held = status(), status(*cell.examine(Wish.REQUIRED).words(FIRST_USER if os.geteuid() == 0 else None))
    assert "NoNewPrivs:\t0\n" in open_
    for words in ("NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"):
        assert words in held
    assert f"({cell.MEMORY}, {cell.MEMORY})" in held
    if os.geteuid() == 0:
        assert f"Uid:\t{FIRST_USER}\t{FIRST_USER}\t{FIRST_USER}\t{FIRST_USER}\n" in held
        assert "Groups:\t \n" in held
        alone = status("data=1073741824", "powerless")
        assert "Uid:\t0\t0\t0\t0\n" in alone
        assert "CapEff:\t0000000000000000\n" in alone
