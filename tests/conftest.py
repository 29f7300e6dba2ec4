"""What all tests share: the test application, gateways as real processes, and checks that nothing is left behind."""

import asyncio
import inspect
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.journeys.running import Gateway, Starter, start
from tests.site.app import Site, serving

LOG_LINES = 80
TEST_SECONDS = 180

pytest.register_assert_rewrite("tests.journeys.driving", "tests.journeys.login")
# The same examples in every run, however long they take: `make fuzz` is for others.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every async test be checked for tasks that it leaves; first in the list is last to be torn down."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "no_task_left")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """No test takes longer than TEST_SECONDS: one that waits for what never comes fails, with its traceback."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError(f"{item.name} took longer than {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(TEST_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def gateways(fixture: object) -> list[Gateway]:
    """The gateways that a fixture's value stands for."""
    if isinstance(fixture, Starter):
        return fixture.started
    return [fixture] if isinstance(fixture, Gateway) else []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the log of each gateway that a failed test used."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for log in {gateway.log for value in item.funcargs.values() for gateway in gateways(value)}:
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            report.sections.append((f"end of {log}", "\n".join(lines)))
    return report


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The command sets the process's own; the next test shall not notice."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Fail when a test leaves an asyncio task of its own behind."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        # A task that was just cancelled or told to end needs a turn or two of the loop.
        _, left = await asyncio.wait(left, timeout=10)
    assert not left, f"tasks left: {left}"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """The test application, in this process."""
    async with serving() as running:
        yield running


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncIterator[Starter]:
    """Gateways of the test's own: each is stopped at the end, and must leave no browser behind."""
    stack = AsyncExitStack()
    with TemporaryDirectory(prefix="gw-") as directory:
        os.chmod(directory, 0o711)  # as root each browser has a user of its own, who must pass it
        starter = Starter(Path(directory), tmp_path, stack)
        yield starter
        try:
            await stack.aclose()
        finally:
            if starter.started:
                assert_nothing_left(starter.started[-1])


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway with the default settings for all tests that need no other."""
    with TemporaryDirectory(prefix="gw-") as directory:
        os.chmod(directory, 0o711)  # as root each browser has a user of its own, who must pass it
        running = start(Path(directory), tmp_path_factory.mktemp("shared"), {})
        yield running
        try:
            running.stop()
        finally:
            assert_nothing_left(running)


@pytest.fixture
async def gateway(shared_gateway: Gateway) -> AsyncIterator[Gateway]:
    """The shared gateway; sessions that the test leaves are ended, and no browser may stay."""
    yield shared_gateway
    listed = (await shared_gateway.request("GET", "/sessions?limit=100")).ok()["sessions"]
    for session in listed:
        if session["status"] not in ("stopped", "expired", "failed"):
            ended = await shared_gateway.request("DELETE", f"/session/{session['id']}?force=true&purge=true")
            assert ended.status in (200, 404), ended.body  # 404: a standard session has ended meanwhile
    await shared_gateway.all_browsers_gone()


def assert_nothing_left(gateway: Gateway) -> None:
    """Fail when a stopped gateway has left a browser or a directory; browsers are ended, to spare the machine."""
    processes, directories, temporary = gateway.processes(), gateway.directories(), list(gateway.temporary.iterdir())
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it was about to end
            process.kill()
    assert not processes, f"left: {processes}"
    assert not directories, f"left: {directories}"
    assert not temporary, f"left: {temporary}"
