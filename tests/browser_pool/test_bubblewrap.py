"""What bubblewrap is told (pure), and what programs then find. With browsers: test_wrapped_browsers.py."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from browser_pool import confine, landlock, seccomp
from browser_pool.bubblewrap import BIND, NAME, STRENGTH, argv, filter_file, mounts
from browser_pool.examine import no_bubblewrap
from browser_pool.procfs import FIRST_USER
from tests.browser_pool.caged import PREFIX
from tests.browser_pool.seen import alive, children, reaped, tree
from tests.browser_pool.wrapped import PROGRAMS, wrapped
from tests.journeys.running import eventually

USER = FIRST_USER if os.geteuid() == 0 else None
Rules = list[tuple[str, str]]


def told(rules: Rules, links: dict[str, str] | None = None, absent: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The mounts for `rules` where `links` lead elsewhere and `absent` are not there, one tuple each."""
    words = mounts(rules, exists=lambda path: path not in absent, real=lambda path: (links or {}).get(path, path))
    found: list[tuple[str, ...]] = []
    for word in words:
        found = [*found, (word,)] if word.startswith("--") else [*found[:-1], (*found[-1], word)]
    return found


def test_every_kind_has_its_mount() -> None:
    assert STRENGTH.keys() | {"proc"} == landlock.KINDS.keys()
    assert told([("proc", "/proc")]) == [("--proc", "/proc")]
    assert told([("list", "/tmp")]) == [("--dir", "/tmp")]
    for kind, way in {
        "read": "--ro-bind-try",
        "run": "--ro-bind-try",
        "write": "--bind-try",
        "device": "--dev-bind-try",
        "screen": "--dev-bind-try",
    }.items():
        assert told([(kind, "/a")]) == [(way, "/a", "/a")]


def test_what_is_not_there_is_left_out() -> None:
    assert told([("read", "/a"), ("read", "/b")], absent=("/a",)) == [("--ro-bind-try", "/b", "/b")]


def test_what_is_above_comes_first_in_whatever_order_it_is_named() -> None:
    rules = [("write", "/a/b/c"), ("read", "/a"), ("read", "/a-b")]
    expected = [("--ro-bind-try", "/a", "/a"), ("--bind-try", "/a/b/c", "/a/b/c"), ("--ro-bind-try", "/a-b", "/a-b")]
    assert told(rules) == told(rules[::-1]) == expected


@pytest.mark.parametrize(("above", "below"), list(product(("read", "write", "device"), repeat=2)))
def test_what_is_below_is_named_only_where_it_gives_more(above: str, below: str) -> None:
    found = told([(above, "/a"), (below, "/a/b")])
    assert len(found) == (2 if STRENGTH[below] > STRENGTH[above] else 1)
    assert found[0] == (BIND[STRENGTH[above]], "/a", "/a")


@pytest.mark.parametrize("kinds", [("read", "write"), ("write", "read")], ids=["up", "down"])
def test_what_is_named_twice_has_the_more_of_both(kinds: tuple[str, str]) -> None:
    assert told([(kind, "/a") for kind in kinds]) == [("--bind-try", "/a", "/a")]


def test_the_nearest_above_counts() -> None:
    rules = [("write", "/a"), ("read", "/a/b"), ("write", "/a/b/c")]
    # /a/b is written to by way of /a, as with Landlock, whose rules only ever grant.
    assert ("--bind-try", "/a", "/a") in told(rules)
    assert ("--ro-bind-try", "/a/b", "/a/b") not in told(rules)


def test_a_link_is_a_link_again_where_its_target_is_there() -> None:
    links = {"/lib": "/usr/lib", "/d/tmp": "/tmp/x", "/etc/localtime": "/usr/share/zone"}
    rules = [("run", "/usr"), ("run", "/lib"), ("read", "/etc/localtime"), ("write", "/tmp/x"), ("write", "/d/tmp")]
    found = told(rules, links)
    assert {("--symlink", target, link) for link, target in links.items()} < set(found)
    assert len(found) == 5
    # Else what it leads to stands in its place; and one to where less is given would give less.
    assert told([("read", "/lib")], links) == [("--ro-bind-try", "/lib", "/lib")]
    assert ("--bind-try", "/lib", "/lib") in told([("run", "/usr"), ("write", "/lib")], links)


def test_devices_work_whatever_they_were_named_as() -> None:
    assert told([("read", "/dev/zero")]) == [("--dev-bind-try", "/dev/zero", "/dev/zero")]


def test_nothing_of_the_machines_proc_is_mounted() -> None:
    assert told([("proc", "/proc"), ("read", "/proc/cpuinfo"), ("read", "/proc/sys")]) == [("--proc", "/proc")]
    assert told([("read", "/procession")]) == [("--ro-bind-try", "/procession", "/procession")]


def test_the_whole_of_it() -> None:
    rules = [("read", "/usr"), ("proc", "/proc")]

    def words(tied: bool = True, superuser: bool = False, filters: int | None = None) -> list[str]:
        return argv("/b", rules, tied=tied, superuser=superuser, filters=filters, exists=lambda _: True, real=str)

    mounted = ["--proc", "/proc", "--ro-bind-try", "/usr", "/usr"]
    apart = ["/b", "--unshare-pid", "--unshare-user", "--unshare-ipc"]
    assert words() == [*apart, "--die-with-parent", *mounted, "--remount-ro", "/", "--"]
    assert words(tied=False, filters=7) == [*apart, *mounted, "--remount-ro", "/", "--seccomp", "7", "--"]
    root = words(superuser=True)
    assert root[2:4] == ["--cap-drop", "ALL"]
    assert "--unshare-user" not in root
    assert "--ro-bind-try /proc/sys /proc/sys" in " ".join(root)  # root may write there without any capability
    # Our own flag against Chromium's sandbox would be this one.
    assert "--disable-userns" not in [*words(), *root]


def test_a_screen_has_its_socket_and_the_memory_that_it_shares() -> None:
    words = argv("/b", [("screen", "/dev/dri")], tied=True, superuser=False, exists=lambda _: True, real=str)
    assert "--unshare-ipc" not in words
    assert "--ro-bind-try /tmp/.X11-unix /tmp/.X11-unix" in " ".join(words)


def test_the_filter_is_read_from_its_beginning() -> None:
    filters = seccomp.program("x86_64", road=True)
    descriptor = filter_file(filters)
    try:
        assert os.get_inheritable(descriptor)
        assert os.read(descriptor, len(filters) + 1) == filters
    finally:
        os.close(descriptor)


# And what becomes of it.


@pytest.fixture
def bwrap() -> None:
    """Skips where there is none that works."""
    if why := no_bubblewrap(shutil.which(NAME), -1 if USER is None else USER, sandbox=True):
        pytest.skip(why)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that others may pass, as tmp_path is not."""
    with TemporaryDirectory(prefix="open-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


AS = pytest.mark.parametrize(
    "user",
    [
        pytest.param(USER, id="ordinary"),
        pytest.param(None, id="root", marks=pytest.mark.skipif(os.geteuid() != 0, reason="takes root")),
    ],
)


@AS
def test_a_program_finds_what_is_named_and_nothing_else(bwrap: None, user: int | None) -> None:
    done = wrapped("/bin/ls", "-A", "/", user=user)
    assert (
        {"dev", "etc", "proc", "usr"} <= {*done.stdout.split()} <= {"bin", "dev", "etc", "lib", "lib64", "proc", "usr"}
    )
    assert wrapped("/bin/ls", "-A", "/etc", "/dev", user=user).stdout == "/dev:\nnull\n\n/etc:\nld.so.cache\n"


@AS
def test_it_writes_only_where_it_may(bwrap: None, user: int | None, open_place: Path) -> None:
    own, other = open_place / "own", open_place / "other"
    for place in (own, other):
        place.mkdir()
        place.chmod(0o777)
    words = (f"write={own}", f"read={other}")
    script = 'for place in "$@"; do touch "$place/x" 2>/dev/null && echo "$place"; done'
    places = (str(own), str(other), str(open_place), "/", "/usr", "/dev", "/proc/sys/kernel")
    done = wrapped("/bin/sh", "-c", script, "sh", *places, words=words, user=user)
    assert done.stdout.split() == [str(own)]
    assert (own / "x").exists()


@AS
def test_it_has_no_capabilities_and_the_filter(bwrap: None, user: int | None) -> None:
    done = wrapped("/bin/cat", "/proc/self/status", words=("seccomp=road",), user=user)
    assert "CapEff:\t0000000000000000\n" in done.stdout
    assert "NoNewPrivs:\t1\n" in done.stdout
    assert "Seccomp:\t2\n" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_root_changes_no_setting_of_the_kernel(bwrap: None) -> None:
    setting = Path("/proc/sys/kernel/hostname")  # written as it stands: what would fail changes nothing
    done = wrapped("/bin/sh", "-c", f"cat {setting} >{setting}")
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr


def test_it_sees_and_signals_no_process_but_its_own(bwrap: None) -> None:
    script = f"echo /proc/[0-9]*; kill -0 {os.getpid()} || echo none"
    done = wrapped("/bin/sh", "-c", script, user=USER)
    listed, none = done.stdout.splitlines()
    assert none == "none"
    assert len(listed.split()) <= 3


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)], ids=["0", "7", "9"])
def test_it_ends_as_the_program_did(bwrap: None, script: str, code: int) -> None:
    assert wrapped("/bin/sh", "-c", script, user=USER).returncode == code


def test_a_program_that_is_not_there_is_named(bwrap: None) -> None:
    done = wrapped("/no/such/chromium", user=USER)
    assert done.returncode == 1
    assert "/no/such/chromium: No such file or directory" in done.stderr


@pytest.mark.parametrize("words", [(), (confine.OUTLIVE,)], ids=["tied", "outlive"])
async def test_only_one_that_is_tied_ends_when_its_parent_is_killed(bwrap: None, words: tuple[str, ...]) -> None:
    given = [*([] if USER is None else [f"user={USER}"]), f"bubblewrap={shutil.which(NAME)}", *PROGRAMS, *words]
    code = (
        "import os, subprocess, sys\n"
        f"words = [*sys.argv[1:], str(os.getpid()), *{given!r}, '--', '/bin/sh', '-c', 'echo; exec sleep 1000']\n"
        "child = subprocess.Popen(words, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    before = children()
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *PREFIX, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    whole = tree(child)
    assert len(whole) == 3  # bubblewrap outside and within, and the program
    parent.kill()
    await parent.wait()
    if words:
        await eventually("it is an orphan", lambda: psutil.Process(child).ppid() != parent.pid)
        assert all(alive(pid) for pid in whole)
        for pid in whole:
            os.kill(pid, signal.SIGKILL)
    await eventually("all of it has ended", lambda: not any(alive(pid) for pid in whole))
    await reaped(before)
