"""Browsers that outlive the process that leased them, and the next one's way to them. With real processes."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser_pool import procfs
from browser_pool.binary import Binaries
from browser_pool.errors import BrowserFailed
from browser_pool.guard import NOTE
from browser_pool.hold import guards_of
from browser_pool.memory import Memory
from browser_pool.pool import BrowserPool
from browser_pool.spec import LaunchSpec, Mode
from tests.browser_pool.outliving import REPOSITORY, evaluate, outliving
from tests.browser_pool.roads import OpenRoads
from tests.browser_pool.seen import alive, children, dead_children, entries, processes_under, reaped, tree
from tests.journeys.running import eventually
from tests.site.app import serving

LONG = 60.0  # seconds that browsers outlive their process, where the end of that time is not the matter
FULL = Memory(64 << 30, 0)


def changed(directory: Path, **change: Any) -> None:
    """The note there, with something else in it."""
    file = directory / NOTE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
async def test_the_same_page_is_there_again(root: Path, binaries: Binaries, mode: Mode) -> None:
    if mode is Mode.SHELL and binaries.shell is None:
        pytest.skip("no headless shell here")
    dead = dead_children()
    async with outliving(root, LaunchSpec(mode=mode), LONG, "mine", "") as program:
        await program.kill()
        await eventually("who has no owner is gone", lambda: not alive(program.pids[""]))
        await eventually("with the directory", lambda: not program.directories[""].exists())
        assert alive(program.pids["mine"])
        async with BrowserPool(root, binaries, outlive=LONG, weigh=lambda: FULL) as pool:
            assert not alive(program.guard)
            left = pool.left["mine"]
            assert (left.owner, left.mode, left.spec, left.alive) == ("mine", mode, LaunchSpec(mode=mode), True)
            assert left.about == {"for": "mine"}
            assert left.directory.path == program.directories["mine"]
            async with pool.adopted("mine") as browser:
                assert await evaluate(browser, "x") == "mine"
                assert browser.pid == program.pids["mine"]
                assert pool.browsers == {browser}
                assert pool.leases == {"adopted": 1}
                assert pool.left == {}
                first = next(iter(browser.pages))
                made = await browser.devtools.send("Target.createTarget", {"url": "data:text/html,new"})
                assert list(browser.pages) == [first, made["targetId"]]
                assert not browser.gone.is_set()
                whole = set(tree(browser.pid)) | set(processes_under(browser.directory.path))
            assert pool.browsers == set()
            assert entries(root) == []
            assert not [pid for pid in whole if alive(pid)]
    assert dead_children() <= dead


async def test_nobody_comes(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async with outliving(root, spec, 1.0, "mine") as program:
        await program.kill()
        await eventually("the browser is ended, and the guard goes", lambda: not alive(program.guard))
        assert processes_under(root) == []
        async with BrowserPool(root, binaries) as pool:
            assert not pool.left["mine"].alive
            with pytest.raises(BrowserFailed, match="has ended"):
                async with pool.adopted("mine"):
                    pass
            async with pool.salvaged("mine") as directory:
                assert (directory.profile / "Default").is_dir()
            assert pool.left == {}
            assert entries(root) == []


async def test_a_process_that_ends_in_good_order_leaves_nothing(root: Path, spec: LaunchSpec) -> None:
    async with outliving(root, spec, LONG, "mine", "") as program:
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert await program.process.wait() == 0
        assert processes_under(root) == []
        assert entries(root) == []
        assert not alive(program.guard)


async def test_without_outlive_it_dies_with_its_process_and_leaves_its_profile(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    async with outliving(root, spec, 0, "mine", "") as program:
        assert guards_of(root) == []
        await program.kill()
        await eventually("they end with it", lambda: not processes_under(root))
        async with BrowserPool(root, binaries) as pool:
            assert list(pool.left) == ["mine"]
            assert entries(root) == [program.directories["mine"].name]
            await pool.forsake()
            assert (pool.left, entries(root)) == ({}, [])


async def test_its_end_is_seen(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async with outliving(root, spec, LONG, "one", "two") as program:
        await program.kill()
        async with BrowserPool(root, binaries) as pool:
            async with pool.adopted("one") as one, pool.adopted("two") as two:
                os.kill(one.pid, signal.SIGKILL)
                await asyncio.wait_for(one.gone.wait(), 30)
                assert one.reason == "Chromium ended"
                assert not two.gone.is_set()
                await two.kill()
                assert two.gone.is_set()
                assert not await two.close()
                assert one.directory.profile.is_dir(), "what it wrote is still to be saved"
            assert entries(root) == []


def test_on_the_gateways_own_loop(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def adopt() -> None:
        async with outliving(root, spec, LONG, "mine") as program:
            await program.kill()
            async with BrowserPool(root, binaries, outlive=LONG) as pool, pool.adopted("mine") as browser:
                assert await evaluate(browser, "x") == "mine"
                assert await browser.close()
                assert browser.reason == "Chromium ended"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(adopt())
    assert processes_under(root) == []
    assert entries(root) == []


async def test_one_that_was_stopped_goes_on(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async with outliving(root, spec, LONG, "mine") as program:
        await program.kill()
        os.kill(program.guard, signal.SIGKILL)  # whoever killed one was thorough
        for pid in {*tree(program.pids["mine"]), *processes_under(program.directories["mine"])}:
            os.kill(pid, signal.SIGSTOP)
        async with BrowserPool(root, binaries) as pool, pool.adopted("mine") as browser:
            assert await evaluate(browser, "x") == "mine"


async def test_one_that_does_not_answer_is_ended_and_can_be_salvaged(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    async with outliving(root, spec, LONG, "mine") as program:
        await program.kill()
        changed(program.directories["mine"], path="/devtools/browser/another")
        async with BrowserPool(root, binaries) as pool:
            assert pool.left["mine"].alive
            with pytest.raises(BrowserFailed, match="does not answer"):
                async with pool.adopted("mine"):
                    pass
            assert processes_under(root) == []
            assert [left.alive for left in pool.left.values()] == [False]
            assert pool.browsers == set()
            async with pool.salvaged("mine") as directory:
                assert (directory.profile / "Default").is_dir()
            assert entries(root) == []


async def test_one_that_is_alive_is_ended_to_be_salvaged(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async with outliving(root, spec, LONG, "mine") as program:
        await program.kill()
        async with BrowserPool(root, binaries) as pool:
            async with pool.salvaged("mine") as directory:
                assert processes_under(directory.path) == []
            with pytest.raises(KeyError):
                async with pool.salvaged("mine"):
                    pass


async def test_another_process_with_its_pid_is_left_alone(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    other = await asyncio.create_subprocess_exec("/bin/sleep", "1000", start_new_session=True)
    try:
        async with outliving(root, spec, 0, "one", "two") as program:
            await program.kill()
            await eventually("they end with it", lambda: not processes_under(root))
            found = procfs.seen(other.pid)
            assert found is not None
            changed(program.directories["one"], pid=other.pid)
            changed(program.directories["two"], pid=other.pid, start=found.start, boot="another")
            async with BrowserPool(root, binaries) as pool:
                assert [pool.left[owner].alive for owner in ("one", "two")] == [False, False]
                async with pool.salvaged("one"):
                    pass
                await pool.forsake()
        assert alive(other.pid)
    finally:
        other.kill()
        await other.wait()


@pytest.mark.parametrize("winner", ["the one that lives", "else the newest"])
async def test_of_two_with_one_owner_one_is_kept(root: Path, binaries: Binaries, spec: LaunchSpec, winner: str) -> None:
    async with outliving(root, spec, LONG, "one", "two") as program:
        await program.kill()
        if winner == "the one that lives":
            os.killpg(program.pids["two"], signal.SIGKILL)
            await eventually("it has ended", lambda: not alive(program.pids["two"]))
        changed(program.directories["one"], owner="mine")
        changed(program.directories["two"], owner="mine")
        os.utime(program.directories["one"] / NOTE, (1e9, 1e9))
        kept = "one" if winner == "the one that lives" else "two"
        async with BrowserPool(root, binaries) as pool:
            assert entries(root) == [program.directories[kept].name]
            async with pool.adopted("mine") as browser:
                assert await evaluate(browser, "x") == kept


async def test_without_a_note_that_can_be_read_it_is_nobodys(root: Path, binaries: Binaries, spec: LaunchSpec) -> None:
    async with outliving(root, spec, LONG, "one", "two") as program:
        await program.kill()
        (program.directories["one"] / NOTE).write_text("{")
        async with BrowserPool(root, binaries) as pool:
            assert list(pool.left) == ["two"]
            assert not alive(program.pids["one"])
            assert entries(root) == [program.directories["two"].name]
        assert entries(root) == [], "nobody asked for it until the pool's end"
        assert processes_under(root) == []


FAILING = """
import asyncio, sys
from pathlib import Path
from browser_pool.binary import Binaries
from browser_pool.pool import BrowserPool

async def main():
    async with BrowserPool(Path(sys.argv[1]), Binaries(), outlive=float(sys.argv[2])) as pool:
        assert pool.left["mine"].alive
        async with pool.adopted("two"):
            sys.exit("the address is in use")

asyncio.run(main())
"""


@pytest.mark.parametrize("outlive", [LONG, 0])
async def test_a_start_that_fails_leaves_it_to_the_next(
    root: Path, binaries: Binaries, spec: LaunchSpec, outlive: float
) -> None:
    before = children()  # also of the one that fails
    async with outliving(root, spec, LONG, "mine", "two") as program:
        await program.kill()
        failing = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FAILING, str(root), str(outlive), cwd=REPOSITORY, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await failing.communicate()
        assert b"the address is in use" in errors
        async with BrowserPool(root, binaries) as pool:
            assert [(left.owner, left.alive) for left in pool.left.values()] == [("mine", outlive > 0)]
            if outlive:
                async with pool.adopted("mine") as browser:
                    assert await evaluate(browser, "x") == "mine"
        await reaped(before)


async def test_who_is_cancelled_while_adopting_has_lost_nothing(
    root: Path, binaries: Binaries, spec: LaunchSpec
) -> None:
    async with outliving(root, spec, LONG, "mine") as program:
        await program.kill()
        async with BrowserPool(root, binaries) as pool:
            for turns in range(0, 20, 4):
                adopting = asyncio.ensure_future(AsyncExitStack().enter_async_context(pool.adopted("mine")))
                for _ in range(turns):
                    await asyncio.sleep(0)
                adopting.cancel()
                await asyncio.wait([adopting])
                assert adopting.cancelled()
                assert pool.left["mine"].alive
            async with pool.adopted("mine") as browser:
                assert await evaluate(browser, "x") == "mine"


async def test_what_the_note_says_follows_the_browser(
    root: Path, binaries: Binaries, spec: LaunchSpec, tmp_path: Path
) -> None:
    """Chromium gives the pages of a running browser in any order."""
    async with outliving(root, spec, LONG, "mine") as program:
        await program.kill()
        async with BrowserPool(root, binaries) as pool, pool.adopted("mine") as browser:
            for number in range(5):
                await browser.devtools.send("Target.createTarget", {"url": f"data:text/html,{number}"})
            await browser.annotate({"at": 7})
            assert pool.sweep() == 0
            left = pool.left.pop("mine")
            assert left.note.pages == tuple(browser.pages)
            assert left.about == {"at": 7}
            await browser.devtools.send("Target.closeTarget", {"targetId": left.note.pages[2]})

            def noted() -> tuple[str, ...]:
                pool.sweep()
                return pool.left.pop("mine").note.pages

            await eventually("the note follows", lambda: len(noted()) == 5)
            assert noted() == tuple(browser.pages)
            note = browser.note
            assert note is not None
            assert replace(note, pages=()) == replace(left.note, pages=())


async def test_its_road_is_there_again_where_it_was(
    root: Path, spec: LaunchSpec, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADS", "yes")
    async with outliving(root, spec, LONG, "mine") as program, serving() as site:
        port = json.loads((program.directories["mine"] / NOTE).read_text())["road"]
        await program.kill()
        roads = OpenRoads()
        async with BrowserPool(root, binaries, outlive=LONG, roads=roads) as pool, pool.adopted("mine") as browser:
            assert browser.road is roads.roads[0]
            assert browser.road.port == port
            async with browser.devtools.attached(next(iter(browser.pages))) as session:
                told = await browser.devtools.send("Page.navigate", {"url": site.url}, session=session)
            assert "errorText" not in told
            assert site.url.removeprefix("http://") in roads.roads[0].asked
            note = browser.note
            assert note is not None
            assert note.road == port


@pytest.mark.parametrize("had", [True, False])
async def test_who_has_lost_its_road_or_never_had_one_is_not_adopted(
    root: Path, spec: LaunchSpec, binaries: Binaries, monkeypatch: pytest.MonkeyPatch, had: bool
) -> None:
    if had:
        monkeypatch.setenv("ROADS", "yes")
    async with outliving(root, spec, LONG, "mine") as program:
        await program.kill()
        async with BrowserPool(root, binaries, outlive=LONG, roads=None if had else OpenRoads()) as pool:
            with pytest.raises(BrowserFailed, match="proxy"):
                async with pool.adopted("mine"):
                    pass
            assert not alive(program.pids["mine"])
            async with pool.salvaged("mine") as directory:  # what it wrote is not lost
                assert directory.profile.exists()


async def test_a_road_that_is_taken_is_no_road(
    root: Path, spec: LaunchSpec, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADS", "yes")
    async with outliving(root, spec, LONG, "mine") as program:
        port = json.loads((program.directories["mine"] / NOTE).read_text())["road"]
        await program.kill()
        async with (
            OpenRoads().open(port),
            BrowserPool(root, binaries, outlive=LONG, roads=OpenRoads()) as pool,
        ):
            with pytest.raises(BrowserFailed, match="cannot be had again"):
                async with pool.adopted("mine"):
                    pass
