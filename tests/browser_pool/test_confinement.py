from dataclasses import replace
from pathlib import Path

from browser_pool.confinement import UNCONFINED, Cell, Held, Limits
from browser_pool.profile import BrowserDirectory

ALL = Held(abi=7, landlock="", seccomp="", users="", sandbox="", cgroup="", watchdog="", root=True)
HERE = BrowserDirectory(Path("/data/browsers/a"))
BINARY = Path("/opt/chromium/chrome")


def words(cell: Cell) -> list[str]:
    return [word for word in cell.words(BINARY, HERE, None, {}) if "=/" not in word]


def holding(held: Held) -> set[str]:
    return {measure.name for measure in held.measures if measure.holds}


def test_everything_that_can_hold_a_browser() -> None:
    names = ["files", "tcp", "signals", "sockets", "own_user", "chromium_sandbox", "watchdog", "cgroup"]
    assert [measure.name for measure in ALL.measures] == names
    assert holding(ALL) == set(names)
    assert ALL.missing == ()


def test_older_kernels_hold_less_and_say_so() -> None:
    assert holding(ALL) - holding(replace(ALL, abi=3)) == {"tcp"}  # signals are refused between users anyway
    old = replace(ALL, abi=5, users="not root", root=False)
    assert [measure.name for measure in old.missing] == ["signals"]
    assert "ABI 5" in old.missing[0].why
    none = replace(ALL, landlock="none", users="x")
    assert {"files", "tcp", "signals", "own_user"} == holding(ALL) - holding(none)


WRAPPED = replace(ALL, abi=0, landlock="no Landlock", bubblewrap="", bwrap="/usr/bin/bwrap")


def test_bubblewrap_stands_in_for_landlock_but_for_tcp() -> None:
    assert WRAPPED.wrapped
    assert holding(ALL) - holding(replace(WRAPPED, users="not root", root=False)) == {"tcp", "own_user"}
    assert [(measure.name, measure.why) for measure in WRAPPED.missing] == [
        ("tcp", "no Landlock; bubblewrap has no rules for it")
    ]
    assert not replace(ALL, bubblewrap="").wrapped, "never where there is Landlock"


def test_without_either_both_are_named() -> None:
    neither = replace(WRAPPED, bubblewrap="no bubblewrap", users="not root", root=False)
    assert not neither.wrapped
    assert {measure.name: measure.why for measure in neither.missing} == dict.fromkeys(
        ("files", "tcp", "signals"), "no Landlock; no bubblewrap"
    )


def test_what_is_not_needed_is_not_missed() -> None:
    assert replace(ALL, cgroup="none here").missing == ()
    assert replace(ALL, users="not root", root=False).missing == ()
    assert [measure.name for measure in replace(ALL, users="no capability").missing] == ["own_user"]


def test_nothing_holds_where_it_is_off() -> None:
    assert holding(replace(Held(), sandbox="x")) == set()
    assert UNCONFINED.words(BINARY, HERE, None, {}) == []


def test_chromiums_sandbox_is_on_but_for_root() -> None:
    assert Cell(replace(ALL, root=False)).sandbox
    assert not Cell(ALL).sandbox
    assert Cell(ALL, user=61184).sandbox
    assert not Cell(replace(ALL, sandbox="no namespaces"), user=61184).sandbox


def test_the_words_for_the_child() -> None:
    limits = Limits(memory=1 << 30, processes=10, disk=1 << 20)
    cell = Cell(ALL, limits, user=61184, port=9, cgroup=Path("/g/cgroup.procs"))
    limited = ["data=1073741824", "size=1048576", "files=8192"]
    expected = ["user=61184", "tasks=200", *limited, "landlock=7", "connect=9", "seccomp=road"]
    assert words(cell) == expected
    assert cell.words(BINARY, HERE, None, {})[0] == "cgroup=/g/cgroup.procs"
    # Without a road it must find its way by itself.
    assert words(replace(cell, port=None))[-2:] == ["landlock=7", "seccomp=open"]
    # Root that cannot be another has no capabilities at least.
    assert words(Cell(replace(ALL, users="x"), limits)) == ["powerless", *limited, "landlock=7", "seccomp=open"]
    assert words(Cell(replace(ALL, landlock="x", users="x"), limits)) == [*limited, "seccomp=open"]


def test_the_words_where_bubblewrap_stands_in() -> None:
    held = words(Cell(WRAPPED, Limits(memory=1 << 30, disk=1 << 20), user=61184, port=9))
    limited = ["data=1073741824", "size=1048576", "files=8192"]
    assert held == ["user=61184", "tasks=4000", *limited, "seccomp=road"]
    whole = Cell(WRAPPED, user=61184).words(BINARY, HERE, None, {})
    assert "bubblewrap=/usr/bin/bwrap" in whole
    assert f"write={HERE.profile}" in whole
    # Root itself loses its capabilities within, once all is mounted.
    assert "powerless" not in Cell(replace(WRAPPED, users="x")).words(BINARY, HERE, None, {})


def test_only_who_has_chromiums_sandbox_writes_in_proc() -> None:
    for held in (ALL, WRAPPED):
        assert "proc=/proc" in Cell(held, user=61184).words(BINARY, HERE, None, {})
        assert "list=/proc" in Cell(replace(held, users="x")).words(BINARY, HERE, None, {})
