"""What simulated browsers did, as they wrote it down, and whether one session ever had two. Pure but for reading."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """At the instant `at`, in ns of the machine's clock that never goes back, a browser began or ended."""

    at: int
    session: str
    node: str
    began: bool


class Journal:
    """One process's, in a file of its own."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, entry: Entry) -> None:
        """Before anybody can learn of it."""
        self._file.write(f"{entry.at} {entry.session} {entry.node} {int(entry.began)}\n")


def read(files: Iterable[Path]) -> Iterator[Entry]:
    """All entries of these files, in no order."""
    for file in files:
        for line in file.read_text().splitlines():
            at, session, node, began = line.split(" ")
            yield Entry(int(at), session, node, began == "1")


def doubles(entries: Iterable[Entry]) -> list[str]:
    """Moments at which a session had a second browser, or one ended that had not begun; empty is as it should be."""
    running: dict[str, str] = {}
    found: list[str] = []
    for entry in sorted(entries):
        has = running.get(entry.session)
        if entry.began:
            if has is not None:
                found.append(f"{entry.session}: began on {entry.node} while it ran on {has}")
            running[entry.session] = entry.node
        elif has != entry.node:
            found.append(f"{entry.session}: ended on {entry.node} while it ran on {has}")
        else:
            del running[entry.session]
    return found


def lives(entries: Iterable[Entry]) -> dict[str, int]:
    """How many browsers each session had."""
    counts: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        counts[entry.session] += entry.began
    return dict(counts)
