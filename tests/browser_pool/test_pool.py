import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from browser_pool import warm
from browser_pool.binary import Binaries
from browser_pool.errors import BrowserFailed, NoRoom
from browser_pool.memory import BROWSER_COST, RESERVE, Memory
from browser_pool.note import Note
from browser_pool.pool import BrowserPool
from browser_pool.process import processes_of
from browser_pool.spec import LaunchSpec
from tests.browser_pool.roads import OpenRoad, OpenRoads
from tests.browser_pool.seen import alive, children, dead_children, entries, processes_under, program, reaped
from tests.journeys.running import eventually
from tests.site.app import serving

# Leases a browser of the kind argv[2] below argv[1], says its pid, and waits for its end.
LEASING = """
import asyncio, sys
from pathlib import Path
from browser_pool.binary import Binaries
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode

async def main():
    async with BrowserPool(Path(sys.argv[1]), Binaries()) as pool:
        async with pool.lease(LaunchSpec(mode=Mode(sys.argv[2]))) as browser:
            print(browser.pid, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_browsers_are_apart_and_counted(pool: BrowserPool, spec: LaunchSpec) -> None:
    async with pool.lease(spec) as one, pool.lease(spec) as other:
        assert one.pid != other.pid
        assert one.port != other.port
        assert one.directory.path != other.directory.path
        assert {one.directory.path.parent, other.directory.path.parent} == {pool.root}
        assert pool.browsers == {one, other}
        assert entries(pool.root) == sorted(browser.directory.path.name for browser in (one, other))
    assert pool.browsers == set()
    assert entries(pool.root) == []


async def closed_gently(pool: BrowserPool, spec: LaunchSpec) -> None:
    async with pool.lease(spec) as browser:
        assert await browser.close()


async def killed(pool: BrowserPool, spec: LaunchSpec) -> None:
    async with pool.lease(spec) as browser:
        os.kill(browser.pid, signal.SIGKILL)
        await browser.gone.wait()


async def left(pool: BrowserPool, spec: LaunchSpec) -> None:
    async with pool.lease(spec):
        pass


async def stays(pool: BrowserPool, spec: LaunchSpec) -> None:
    """So that who looks late still meets it."""
    async with pool.lease(spec):
        await asyncio.Event().wait()


async def failed(pool: BrowserPool, spec: LaunchSpec) -> None:
    async with pool.lease(spec):
        raise LookupError


@pytest.mark.parametrize("way", [closed_gently, killed, left, failed])
async def test_whatever_the_end_nothing_is_left(
    pool: BrowserPool, spec: LaunchSpec, way: Callable[..., object]
) -> None:
    before = children()
    await asyncio.gather(*(way(pool, spec) for _ in range(2)), return_exceptions=True)  # type: ignore[call-overload]
    assert processes_under(pool.root) == []
    assert entries(pool.root) == []
    assert dead_children() <= before
    assert pool.browsers == set()


STAGES: dict[str, Callable[[Path], object]] = {
    "its directory is there": entries,
    "its process is there": processes_of,
    "its endpoint is there": lambda root: list(root.glob("*/profile/DevToolsActivePort")),
}


@pytest.mark.parametrize("stage", STAGES)
async def test_a_cancelled_launch_leaves_nothing(pool: BrowserPool, spec: LaunchSpec, stage: str) -> None:
    launching = asyncio.ensure_future(stays(pool, spec))
    await eventually(stage, lambda: STAGES[stage](pool.root))
    launching.cancel()
    await asyncio.wait([launching])
    assert processes_under(pool.root) == []
    assert entries(pool.root) == []
    assert pool.browsers == set()


@pytest.mark.parametrize("turns", range(4))
async def test_a_launch_cancelled_at_its_very_beginning_leaves_nothing(
    pool: BrowserPool, spec: LaunchSpec, turns: int
) -> None:
    launching = asyncio.ensure_future(left(pool, spec))
    for _ in range(turns):
        await asyncio.sleep(0)
    launching.cancel()
    await asyncio.wait([launching])
    await asyncio.to_thread(lambda: None)  # threads that it began come to their end
    assert entries(pool.root) == []


async def test_who_is_cancelled_again_still_ends_the_browser_first(pool: BrowserPool, spec: LaunchSpec) -> None:
    launching = asyncio.ensure_future(stays(pool, spec))
    await eventually("its process is there", lambda: processes_of(pool.root))
    while not launching.done():
        launching.cancel()
        await asyncio.sleep(0)
    assert launching.cancelled()
    assert processes_under(pool.root) == []
    assert entries(pool.root) == []


def test_on_the_gateways_own_loop_nothing_is_left_either(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def all_ways() -> None:
        async with BrowserPool(root, binaries) as pool:
            for way in (closed_gently, killed, left):
                await way(pool, spec)
                assert processes_under(root) == []
            for stage, reached in STAGES.items():
                launching = asyncio.ensure_future(stays(pool, spec))
                await eventually(stage, lambda reached=reached: reached(root))  # type: ignore[misc]
                launching.cancel()
                await asyncio.wait([launching])
                assert processes_under(root) == []
                assert entries(root) == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert "uvloop" in type(runner.get_loop()).__module__
        runner.run(all_ways())


async def test_a_pool_with_leased_browsers_cannot_be_left(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    pool = BrowserPool(root, binaries)
    await pool.__aenter__()
    async with pool.lease(spec):
        with pytest.raises(RuntimeError, match="1 browsers are still leased"):
            await pool.__aexit__(None, None, None)
    await pool.__aexit__(None, None, None)


async def test_launches_are_paced(root: Path, tmp_path: Path) -> None:
    at_once = 2 * (os.cpu_count() or 1)
    hanging = program(tmp_path / "hanging", "sleep 1000")
    async with BrowserPool(root, Binaries(hanging)) as pool:
        launches = [asyncio.ensure_future(left(pool, LaunchSpec())) for _ in range(at_once + 3)]
        await eventually("as many as allowed have begun", lambda: len(entries(root)) == at_once)
        await asyncio.sleep(0)
        assert len(entries(root)) == at_once
        for launch in launches:
            launch.cancel()
        await asyncio.wait(launches)


async def test_no_browser_is_started_that_the_memory_would_not_bear(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    available = RESERVE + 2 * BROWSER_COST
    async with BrowserPool(root, binaries, weigh=lambda: Memory(64 << 30, available)) as pool:
        before = pool.short_of_memory
        async with AsyncExitStack() as stack:
            # Those on their way count as if they held their share already.
            leases = [stack.enter_async_context(pool.lease(spec)) for _ in range(4)]
            found = await asyncio.gather(*leases, return_exceptions=True)
            refused = [error for error in found if isinstance(error, NoRoom)]
            assert (len(refused), len(pool.browsers)) == (2, 2)
            assert f"{available >> 20} MiB available" in str(refused[0])
            available = RESERVE - 1
            assert (before, pool.short_of_memory) == (False, True)
            with pytest.raises(NoRoom):
                await stack.enter_async_context(pool.lease(spec))
            assert len(entries(root)) == 2
        available = RESERVE + BROWSER_COST
        async with pool.lease(spec):
            pass


async def test_a_killed_process_takes_its_browser_along_and_the_next_one_sweeps(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    before = children()
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEASING, str(root), spec.mode.value, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    main = int(await owner.stdout.readline())
    assert alive(main)
    owner.kill()
    await owner.wait()
    await eventually("no process of the browser is left", lambda: not processes_under(root))
    assert len(entries(root)) == 1
    async with BrowserPool(root, binaries):
        assert entries(root) == []
    await reaped(before)


async def test_a_sweep_ends_browsers_that_outlived_their_owner(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    """As with an owner that could not tie its browsers to itself: they run on, writing into their profiles."""
    before = children()
    profile = root / "left" / "profile"
    profile.mkdir(parents=True)
    argv = [str(binaries.path(spec.mode)), "--headless", "--no-sandbox", "--remote-debugging-port=0"]
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=2, start_new_session=True).pid)"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, *argv, f"--user-data-dir={profile}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    main = int(done.stdout)
    await eventually("it runs", (profile / "DevToolsActivePort").exists)
    assert main in processes_under(root)
    assert BrowserPool(root, binaries).sweep() == 1
    assert entries(root) == []
    await eventually("no process of the browser is left", lambda: not processes_under(root))
    await reaped(before)


async def test_one_with_an_owner_has_a_note_as_long_as_it_is_leased(
    root: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "PROBE_TIMEOUT", 30.0)  # a busy machine is not what is looked at here
    async with BrowserPool(root, binaries, warm=1, outlive=60) as pool:
        await eventually("one is ready", lambda: pool.warm.ready)
        (ready,) = pool.warm.ready
        assert Note.read(ready.directory) is None
        async with pool.lease(LaunchSpec(), owner="s-1", about={"for": 1}) as browser:
            assert browser is ready
            note = Note.read(browser.directory)
            assert note is not None
            assert (note.owner, note.pid, note.port, note.path) == ("s-1", browser.pid, browser.port, browser.path)
            assert (note.about, note.pages) == ({"for": 1}, tuple(browser.pages))
            assert note.runs(browser.directory)
            await browser.annotate({"for": 2})
            changed = Note.read(browser.directory)
            assert changed is not None
            assert changed.about == {"for": 2}
            # A full disk, as far as a note is concerned: the one before stays.
            (browser.directory.path / "note.json.new").mkdir()
            with pytest.raises(OSError, match=r"note\.json\.new"):
                await browser.annotate({"for": 3})
            assert Note.read(browser.directory) == changed == browser.note
            directory = browser.directory
        assert not directory.path.exists()


async def test_one_whose_note_cannot_be_written_is_not_handed_out(pool: BrowserPool, spec: LaunchSpec) -> None:
    async def hinder(profile: Path) -> None:
        (profile.parent / "note.json.new").mkdir()

    async def lease() -> None:
        async with pool.lease(spec, fill=hinder, owner="s-1"):
            pass

    with pytest.raises(BrowserFailed, match="note"):
        await lease()
    assert entries(pool.root) == []
    assert pool.browsers == set()


async def test_one_without_an_owner_has_no_note(pool: BrowserPool, spec: LaunchSpec) -> None:
    async with pool.lease(spec) as browser:
        await browser.annotate({"for": "nobody"})
        assert Note.read(browser.directory) is None


async def test_a_sweep_of_nothing_makes_the_root_for_its_owner_alone(tmp_path: Path, binaries: Binaries) -> None:
    pool = BrowserPool(tmp_path / "not" / "there", binaries)
    assert pool.sweep() == 0
    assert pool.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("warm", [0, 1])
async def test_a_road_is_its_browsers_alone_and_the_only_way(
    root: Path, spec: LaunchSpec, binaries: Binaries, warm: int
) -> None:
    """Both the ready ones and those that are launched for somebody."""
    roads = OpenRoads()
    async with serving() as site, BrowserPool(root, binaries, warm=warm, roads=roads) as pool:
        async with pool.lease(spec) as one, pool.lease(spec) as other:
            assert one.road is not other.road
            assert {one.road, other.road} <= set(roads.roads)
            host = site.url.removeprefix("http://")
            for browser in (one, other):
                road = next(road for road in roads.roads if road is browser.road)
                async with browser.devtools.attached(next(iter(browser.pages))) as session:
                    for url in (site.url, site.url.replace("127.0.0.1", "localhost")):
                        told = await browser.devtools.send("Page.navigate", {"url": url}, session=session)
                        assert "errorText" not in told
                    online = await browser.devtools.send(
                        "Runtime.evaluate", {"expression": "navigator.onLine"}, session=session
                    )
                    assert online["result"]["value"] is True  # though it sees no network
                assert road.asked.count(host) >= 1
                assert road.asked.count(host.replace("127.0.0.1", "localhost")) >= 1
            port = one.road.port if one.road else 0
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)


async def test_without_a_road_there_is_no_browser(root: Path, spec: LaunchSpec, binaries: Binaries) -> None:
    async with OpenRoads().open() as taken:

        class Taken(OpenRoads):
            def open(self, port: int | None = None) -> AbstractAsyncContextManager[OpenRoad]:
                return super().open(taken.port)

        async with BrowserPool(root, binaries, roads=Taken()) as pool:
            with pytest.raises(BrowserFailed, match="no proxy can be had"):
                async with pool.lease(spec):
                    pass
