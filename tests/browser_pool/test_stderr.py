"""stderr.py: the one line that matters is found once, wherever it comes, and no log grows for ever."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser_pool import stderr
from browser_pool.stderr import StderrWatch

SIZES = b"size=269484146, max_buffer_size=268435456\n"
DROPPED = b"[9171:9211:1121/034930.123911:ERROR:net/server/http_connection.cc:119] Too large write data is pending: "
LINE = DROPPED + SIZES
NOISE = b"[9171:9187:1121/034920.959662:ERROR:dbus/bus.cc:405] Failed to connect to the bus\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stderr, "PERIOD", 0.01)


class Log:
    """A log as Chromium writes it, and what was told of it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.told: asyncio.Queue[float] = asyncio.Queue()
        self._output = file.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        self._output.write(data)

    async def heard(self) -> float:
        async with asyncio.timeout(30):
            return await self.told.get()

    def close(self) -> None:
        self._output.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "stderr.log")
    yield made
    made.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Log]:
    """A second log, told of after the first: what the first was to be told by then it has been told."""
    made = Log(tmp_path / "other.log")
    yield made
    made.close()


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        b"[1121/034944.866600:ERROR:net/server/http_connection.cc:119] Too large write data is pending: " + SIZES,
        b"[1:2:0101/000000.000000:ERROR:http_connection.cc(121)] Too large write data is pending: " + SIZES,
    ],
)
async def test_the_line_in_every_form_is_told_once(log: Log, other: Log, line: bytes) -> None:
    watch = StderrWatch()
    with watch.watching(log.file, log.told.put_nowait), watch.watching(other.file, other.told.put_nowait):
        for _ in range(2):
            log.write(NOISE + line + NOISE)
            assert 0 <= await log.heard() < 60
        for _ in range(3):
            other.write(LINE)
            await other.heard()
        assert log.told.empty()


@pytest.mark.parametrize(
    "line",
    [
        NOISE,
        b'[1:1:1121/034944.866600:INFO:CONSOLE:1] "' + LINE,
        b"Too large write data is pending: " + SIZES,
        b"[1:1:ERROR:net/server/http_connection.cc:44] Too large read data is pending: capacity=1\n",
    ],
)
async def test_other_lines_are_not_it(log: Log, other: Log, line: bytes) -> None:
    watch = StderrWatch()
    with watch.watching(log.file, log.told.put_nowait), watch.watching(other.file, other.told.put_nowait):
        log.write(line)
        for _ in range(3):
            other.write(LINE)
            await other.heard()
    assert log.told.empty()


async def test_a_line_that_is_half_written(log: Log, other: Log) -> None:
    watch = StderrWatch()
    with watch.watching(log.file, log.told.put_nowait), watch.watching(other.file, other.told.put_nowait):
        log.write(NOISE + LINE[:60])
        for _ in range(2):
            other.write(LINE)
            await other.heard()
        assert log.told.empty()
        log.write(LINE[60:])
        await log.heard()


async def test_how_long_ago_it_was(log: Log) -> None:
    log.write(LINE)
    os.utime(log.file, (time.time() - 100, time.time() - 100))
    with StderrWatch().watching(log.file, log.told.put_nowait):
        assert 99.9 <= await log.heard() < 160


async def test_a_log_above_the_limit_starts_anew_and_loses_nothing_that_matters(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stderr, "LIMIT", 10_000)
    with StderrWatch().watching(log.file, log.told.put_nowait):
        for _ in range(3):
            log.write(NOISE * 1000 + LINE)  # more at once than is searched: its end is
            await log.heard()
            assert log.file.read_bytes() == b""
        log.write(LINE)
        await log.heard()
        assert log.file.read_bytes() == LINE, "it goes on at the beginning, without a hole"


async def test_a_flood_without_any_end_of_line(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stderr, "LIMIT", 10_000)
    with StderrWatch().watching(log.file, log.told.put_nowait):
        log.write(b"x" * 50_000)
        log.write(b"\n" + LINE)
        await log.heard()


async def test_a_log_that_is_removed_does_not_disturb_the_others(log: Log, other: Log) -> None:
    watch = StderrWatch()
    with watch.watching(log.file, log.told.put_nowait), watch.watching(other.file, other.told.put_nowait):
        log.file.unlink()
        for _ in range(2):
            other.write(LINE)
            await other.heard()


async def test_nothing_is_looked_at_when_nobody_is_left(log: Log, other: Log) -> None:
    watch = StderrWatch()
    for _ in range(2):  # and it begins again
        with watch.watching(log.file, log.told.put_nowait):
            with watch.watching(other.file, other.told.put_nowait):
                pass
            log.write(LINE)
            await log.heard()
        log.write(LINE)
        with StderrWatch().watching(other.file, other.told.put_nowait):
            other.write(LINE)
            await other.heard()
        assert log.told.empty()
