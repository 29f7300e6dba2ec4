"""Browsers in bubblewrap, with Landlock out of use: driven, ended, killed, stopped and adopted as all others."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from browser_pool import park, procfs
from browser_pool.binary import Binaries
from browser_pool.bubblewrap import NAME
from browser_pool.confinement import Confinement, NotConfined, Wish
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from tests.browser_pool.outliving import evaluate, outliving
from tests.browser_pool.seen import alive, dead_children, entries, processes_under
from tests.browser_pool.wrapped import Look, look  # noqa: F401
from tests.journeys.running import eventually

LONG = 60.0


def command(pid: int) -> str:
    """The name of the program that a process is."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def tree(directory: Path, pid: int) -> list[int]:
    """The living processes of that browser."""
    return [process.pid for process in procfs.members([(str(directory), pid, 0)]) if process.lives]


def chromium(directory: Path, pid: int) -> int:
    """Chromium's main process: what the first process of the namespace started first."""
    first, main, *_ = (process for process in tree(directory, pid) if process != pid)
    assert command(first) == NAME
    assert command(main).startswith("chrom")
    return main


async def test_it_is_started_driven_and_closed(root: Path, binaries: Binaries, look: Look) -> None:  # noqa: F811
    dead = dead_children()
    async with BrowserPool(root, binaries, look=look) as pool:
        async with pool.lease(LaunchSpec(mode=Mode.HEADLESS)) as browser:
            assert command(browser.pid) == NAME
            assert await evaluate(browser, "location.href") == "about:blank"
            main = chromium(browser.directory.path, browser.pid)
            assert os.stat(f"/proc/{main}/ns/mnt").st_ino != os.stat("/proc/self/ns/mnt").st_ino
            if pool.held.own_users or os.geteuid() != 0:  # Chromium's own sandbox within
                users = {os.stat(f"/proc/{pid}/ns/user").st_ino for pid in tree(browser.directory.path, main)}
                assert len(users) > 1
            assert await browser.close()
            assert browser.reason == "Chromium exited with code 0"
            assert (browser.directory.profile / "Default" / "Preferences").exists()
        assert entries(root) == []
    assert dead_children() <= dead


async def test_where_its_temporary_files_are_elsewhere(binaries: Binaries, spec: LaunchSpec, look: Look) -> None:  # noqa: F811
    """A path too long for a socket's: its `tmp` is a link."""
    with TemporaryDirectory(prefix="pool-") as place:
        os.chmod(place, 0o711)
        root = Path(place) / ("long" * 20)
        async with BrowserPool(root, binaries, look=look) as pool, pool.lease(spec) as browser:
            temporary = browser.directory.temporary
            assert temporary.is_symlink()
            assert [entry.name for entry in temporary.iterdir()], "Chromium has made its socket there"
            assert await evaluate(browser, "1 + 1") == 2


async def test_who_kills_bubblewrap_has_killed_the_browser(
    root: Path,
    binaries: Binaries,
    spec: LaunchSpec,
    look: Look,  # noqa: F811
) -> None:
    async with BrowserPool(root, binaries, look=look, outlive=LONG) as pool, pool.lease(spec) as browser:
        main = chromium(browser.directory.path, browser.pid)
        os.kill(browser.pid, signal.SIGKILL)
        await browser.gone.wait()
        assert browser.reason == "Chromium was ended by signal SIGKILL"
        assert not alive(main), "nothing writes on in the profile that is saved now"
    assert entries(root) == []


async def test_who_kills_chromium_has_killed_bubblewrap(
    root: Path,
    binaries: Binaries,
    spec: LaunchSpec,
    look: Look,  # noqa: F811
) -> None:
    async with BrowserPool(root, binaries, look=look) as pool, pool.lease(spec) as browser:
        os.kill(chromium(browser.directory.path, browser.pid), signal.SIGKILL)
        await browser.gone.wait()
        assert browser.reason == f"Chromium exited with code {128 + signal.SIGKILL}"


async def test_all_of_it_stands_still_and_goes_on(root: Path, binaries: Binaries, spec: LaunchSpec, look: Look) -> None:  # noqa: F811
    async with BrowserPool(root, binaries, look=look) as pool, pool.lease(spec) as browser:
        await park.freeze(browser)
        assert park.parked(browser)
        running = map(procfs.seen, tree(browser.directory.path, browser.pid))
        assert {process.state for process in running if process} == {b"T"}
        await park.thaw(browser)
        assert await evaluate(browser, "1 + 1") == 2


async def test_it_outlives_its_gateway_and_is_adopted(
    root: Path,
    binaries: Binaries,
    spec: LaunchSpec,
    look: Look,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WRAPPED", "yes")
    async with outliving(root, spec, LONG, "mine", "other", "") as program:
        await program.kill()
        await eventually("who has no owner is gone", lambda: not alive(program.pids[""]))
        async with BrowserPool(root, binaries, look=look, outlive=LONG) as pool:
            assert {owner: left.alive for owner, left in pool.left.items()} == {"mine": True, "other": True}
            async with pool.adopted("mine") as browser:
                assert (browser.pid, command(browser.pid)) == (program.pids["mine"], NAME)
                assert await evaluate(browser, "x") == "mine"
                main = chromium(browser.directory.path, browser.pid)
                os.kill(browser.pid, signal.SIGKILL)
                await browser.gone.wait()
                assert not alive(main)
            whole = tree(program.directories["other"], program.pids["other"])
        assert not [pid for pid in whole if alive(pid)], "who was not adopted is ended with the pool"
        assert processes_under(root) == []
        assert entries(root) == []


async def test_required_takes_more_than_bubblewrap_has(root: Path, binaries: Binaries, look: Look) -> None:  # noqa: F811
    with pytest.raises(NotConfined, match=r"tcp: .*bubblewrap has no rules for it"):
        async with BrowserPool(root, binaries, look=look, confinement=Confinement(Wish.REQUIRED)):
            pass
