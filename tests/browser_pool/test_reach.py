from pathlib import Path

from browser_pool import landlock, reach
from browser_pool.profile import BrowserDirectory

ROOT = Path("/data/browsers")
HERE = BrowserDirectory(ROOT / "a")
BINARY = Path("/opt/chromium/chrome")


def words(
    binary: Path = BINARY,
    root: Path | None = ROOT,
    extensions: Path | None = None,
    environment: dict[str, str] | None = None,
    resolver: bool = False,
    sandbox: bool = True,
) -> list[str]:
    return reach.words(binary, HERE, root, extensions, environment or {}, resolver=resolver, sandbox=sandbox)


def reached(kinds: tuple[str, ...], found: list[str]) -> set[Path]:
    return {Path(path) for kind, _, path in (word.partition("=") for word in found) if kind in kinds}


def test_every_kind_is_one_that_landlock_knows() -> None:
    assert {word.partition("=")[0] for word in words(environment={"DISPLAY": ":0"})} <= set(landlock.KINDS)


def test_it_writes_in_its_own_directory_alone() -> None:
    assert reached(("write",), words()) == {HERE.profile, HERE.temporary, HERE.downloads}
    assert HERE.uploads in reached(("read",), words())


def test_nothing_that_is_reached_holds_what_is_others() -> None:
    found = reached(tuple(landlock.KINDS), words()) - {Path("/proc")}
    secrets = "/data/token /data/browsers/b/profile /root /home/a /tmp/x /etc/shadow /etc/passwd /run /var /dev/shm"
    for secret in secrets.split():
        assert not any(Path(secret).is_relative_to(path) for path in found), secret
    assert not any(path.is_relative_to("/proc/self") for path in found)  # its number would be another's some day
    assert reached(("proc",), words()) == {Path("/proc")}
    assert not landlock.KINDS["proc"] & (landlock.READ_FILE | landlock.EXECUTE)


def test_who_has_no_sandbox_of_its_own_writes_nothing_in_proc() -> None:
    found = words(sandbox=False)
    assert "list=/proc" in found
    assert "proc=/proc" not in found


def test_the_program_is_reached_wherever_it_is() -> None:
    assert BINARY.parent in reached(("run",), words())
    # But not what stands beside it, where that has the browsers in it.
    found = reached(("run",), words(binary=Path("/data/chrome")))
    assert Path("/data/chrome") in found
    assert Path("/data") not in found


def test_a_link_is_followed(tmp_path: Path) -> None:
    program = tmp_path / "there" / "chrome"
    program.parent.mkdir()
    program.touch()
    link = tmp_path / "bin" / "chromium"
    link.parent.mkdir()
    link.symlink_to(program)
    assert {link.parent, program.parent} <= reached(("run",), words(binary=link))


def test_a_link_is_named_with_what_it_leads_to(tmp_path: Path) -> None:
    link, fonts = tmp_path / "fonts.conf", tmp_path / "there.conf"
    fonts.touch()
    link.symlink_to(fonts)
    assert {link, fonts} <= reached(("read",), words(environment={"FONTCONFIG_FILE": str(link)}))
    assert Path("a.conf") not in reached(("read",), words(environment={"FONTCONFIG_FILE": "a.conf"}))


def test_names_are_looked_up_only_by_who_has_no_road() -> None:
    resolver = Path("/etc/resolv.conf").resolve()
    assert resolver in reached(("read",), words(resolver=True))
    assert resolver not in reached(("read",), words(resolver=False))


def test_what_the_operator_gives_is_reached(tmp_path: Path) -> None:
    environment = {"LD_LIBRARY_PATH": "/opt/lib::relative", "FONTCONFIG_FILE": "/srv/fonts.conf", "DISPLAY": ":0"}
    found = words(extensions=tmp_path, environment=environment)
    assert {tmp_path, Path("/srv/fonts.conf")} <= reached(("read",), found)
    assert Path("/opt/lib") in reached(("run",), found)
    assert Path("relative") not in reached(("run",), found)
    assert Path("/dev/dri") in reached(("screen",), found)
    assert not reached(("screen",), words())
