"""The simulated fleet: what it is judged by, and a very small one."""

import asyncio
from pathlib import Path

import pytest

from bench import fleet
from bench.fleet_delay import delayed
from bench.fleet_journal import Entry, Journal, doubles, lives, read


def began(at: int, node: str, session: str = "s") -> Entry:
    return Entry(at, session, node, True)


def ended(at: int, node: str, session: str = "s") -> Entry:
    return Entry(at, session, node, False)


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ([], 0),
        ([began(1, "a"), ended(2, "a"), began(3, "b"), ended(4, "b")], 0),
        ([began(3, "b"), ended(2, "a"), began(1, "a")], 0),
        ([began(1, "a"), began(2, "b", "other")], 0),
        ([began(1, "a"), began(2, "b"), ended(3, "a"), ended(4, "b")], 2),
        ([began(1, "a"), began(2, "a")], 1),
        ([ended(1, "a")], 1),
    ],
    ids=["none", "one-after-the-other", "in-no-order", "two-sessions", "two-nodes", "twice-here", "never-began"],
)
def test_a_second_browser_is_found(entries: list[Entry], wrong: int) -> None:
    assert len(doubles(entries)) == wrong


def test_what_is_written_is_read(tmp_path: Path) -> None:
    files = [tmp_path / "0.journal", tmp_path / "1.journal"]
    entries = [began(1, "http://a:1"), ended(2, "http://a:1"), began(7, "http://b:1", "t")]
    for number, file in enumerate(files):
        with file.open("w") as opened:
            journal = Journal(opened)
            for entry in entries[number :: len(files)]:
                journal.write(entry)
    assert sorted(read(files)) == entries
    assert lives(entries) == {"s": 1, "t": 1}


async def test_a_way_that_takes_longer() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, delayed(server.sockets[0].getsockname()[1], 0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        clock = asyncio.get_running_loop().time
        start = clock()
        writer.write(b"one ")
        writer.write(b"two")
        assert await reader.readexactly(7) == b"one two"
        assert clock() - start > 0.099
        writer.close()
        await writer.wait_closed()


def test_what_a_session_costs_is_told_from_what_was_seen() -> None:
    size = fleet.Size(nodes=10, steps=(0, 10, 20), look=1, churn=1, rate=1, dead=0)
    looks = [fleet.Look(n, 5.0, 100 + 10 * n, 0.01 + 0.0001 * n, 1e6 + 20_000 * n) for n in size.steps]
    figures = {
        figure.what: figure.median(fleet.SUBJECT) for figure in fleet._figures(looks, size, [1, 1, 2], 7.0, True)
    }
    assert figures[fleet.STRAIGHT] == pytest.approx(1)
    assert figures[fleet.CPU_EACH] == pytest.approx(10)
    assert figures[fleet.MEMORY_EACH] == pytest.approx(2000)
    assert (figures[fleet.ONE_CLAIM], figures[fleet.CONNECT], figures[fleet.FOUND_DEAD]) == (1, 1, 7)
    table = fleet._table(looks, size)
    assert len({len(line) for line in table}) == 1
    assert table[-1][3] == "25,000 sessions"
