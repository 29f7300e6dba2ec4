"""The process that all roads run in: it ends with the gateway, and its own end costs no browser its road."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from browser_pool.confinement import Wish
from gateway.egress import cell
from gateway.egress.pattern import BadPattern
from gateway.egress.process import EgressProcess
from gateway.egress.terms import Terms
from gateway.records import Egress, Rules, Upstream
from tests.egress.rig import LOCAL, get, origin, told
from tests.inside import until


async def test_a_road() -> None:
    async with origin() as server, EgressProcess(LOCAL) as egress:
        async with egress.open() as road:
            assert b"not-assigned" in await told(road.port, get(server.url))
            await egress.assign(road.port, Terms())
            assert b" 200 " in await told(road.port, get(server.url))
            assert (await egress.usage(road.port)).requests == 1
            await egress.reserve({server.port})
            place = f"127.0.0.1:{server.port}"
            assert b"X-Egress-Rule: gateway" in await told(road.port, get(place, method="CONNECT"))
            with pytest.raises(BadPattern):
                await egress.assign(road.port, Terms(Rules(("not a pattern",))))
            pid = egress.pid
        total, kinds = await egress.total()
        assert (total.requests, kinds) == (2, {"gateway": 1}), "those of closed roads count, too"
        with pytest.raises(ConnectionRefusedError):
            await told(road.port, b"")
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_worker_that_dies() -> None:
    async with origin() as server, EgressProcess(LOCAL) as egress, egress.open() as road, egress.open() as other:
        await egress.assign(road.port, Terms())
        await told(road.port, get(server.url))
        assert (await egress.usage(road.port)).requests == 1
        first = egress.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: egress.pid != first)
        # What is asked meanwhile waits for the next one, which has the same terms.
        assert b" 200 " in await told(road.port, get(server.url))
        assert b"not-assigned" in await told(other.port, get(server.url))
        usage = await egress.usage(road.port)
        assert (usage.requests, len(usage.domains)) == (2, 1)


async def test_many_roads_at_once() -> None:
    async with origin() as server, EgressProcess(LOCAL) as egress:

        async def one() -> bytes:
            async with egress.open() as road:
                await egress.assign(road.port, Terms())
                return await told(road.port, get(server.url))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(20)]
        assert all(b" 200 " in task.result() for task in tasks)
        assert (await egress.total())[0].requests == 20


async def test_who_gives_up_waiting_for_an_answer() -> None:
    """The answer to another's command must not be taken for one's own."""
    async with EgressProcess(LOCAL) as egress, egress.open() as road:
        await egress.assign(road.port, Terms())
        for _ in range(5):
            asking = asyncio.ensure_future(egress.usage(road.port))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
        assert (await egress.usage(road.port)).requests == 0


async def test_secrets_are_on_no_command_line() -> None:
    terms = Terms(session=Egress(upstream=Upstream("http", "proxy.example", 1, "user", "hunter2")))
    async with EgressProcess(LOCAL) as egress, egress.open() as road:
        await egress.assign(road.port, terms)
        worker = psutil.Process(egress.pid)
        assert "gateway.egress.worker" in worker.cmdline()
        assert "hunter2" not in " ".join(worker.cmdline()) + str(worker.environ())


async def test_another_worker_once_names_are_resolved_by_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a network's service writes /etc/resolv.conf anew: the rules that hold the worker are for the old one."""
    file = tmp_path / "resolv.conf"
    file.touch()
    monkeypatch.setattr(cell, "RESOLVER", (str(file),))
    async with origin() as server, EgressProcess(LOCAL) as egress, egress.open() as road:
        await egress.assign(road.port, Terms())
        first = egress.pid
        egress.renew()
        file.rename(tmp_path / "old")
        egress.renew()
        assert b" 200 " in await told(road.port, get(server.url))
        assert egress.pid == first
        file.touch()
        egress.renew()
        await until(lambda: egress.pid not in (first, None))
        assert b" 200 " in await told(road.port, get(server.url))
        second = egress.pid
        egress.renew()
        assert b" 200 " in await told(road.port, get(server.url))
        assert egress.pid == second


async def test_it_says_whether_it_is_held_and_leaves_nothing_half_made() -> None:
    async with EgressProcess(LOCAL) as egress:
        assert egress.measure == cell.examine(Wish.AUTO).measure


async def test_it_ends_with_the_gateway() -> None:
    code = (
        "import asyncio\nfrom gateway.egress.process import EgressProcess\nfrom gateway.egress.terms import Terms\n"
        "async def main():\n async with EgressProcess() as egress, egress.open() as road:\n"
        "  await egress.assign(road.port, Terms())\n  print(egress.pid, flush=True)\n  await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as gateway:  # noqa: ASYNC220
        assert gateway.stdout is not None
        worker = psutil.Process(int(gateway.stdout.readline()))
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        assert worker.is_running(), "both are for the gateway, which has sessions to save first"
        gateway.kill()
        await until(lambda: has_ended(worker))


def has_ended(process: psutil.Process) -> bool:
    """Also where nobody has asked how it ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two looks
        return True
