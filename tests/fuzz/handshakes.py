"""Requests and handshakes that are broken, against the gateway itself over its port."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from structlog.typing import EventDict, WrappedLogger

from tests.fuzz.mutate import HANDSHAKES, Mutator
from tests.inside import TOKEN, inside

AT_ONCE = 32
ANSWER = 0.05  # seconds for one; what is not whole gets none
WHOLE = 60.0  # seconds for one that is good
# Pieces of the corpus may by chance make a request that is good: then there is a browser, one.
SETTINGS = {
    "max_sessions": "1",
    "queue_length": "0",
    "auth_failures": "0",
    "audit_log": "none",
    "max_connections": "1000",
    "max_connections_per_address": "1000",
}
CORPUS = tuple(text.replace(b"TOKEN", TOKEN.encode()) for text in HANDSHAKES)


class Faults(logging.Handler):
    """What is logged as an error: nobody from outside may bring that about."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if method in ("error", "exception", "critical"):
            self.found.append(repr(event))
        raise structlog.DropEvent


@contextmanager
def watched() -> Iterator[Faults]:
    """Both logs while the block lasts; nothing is printed."""
    faults, before = Faults(), structlog.get_config()
    logging.getLogger().addHandler(faults)
    structlog.configure(processors=[faults])
    try:
        yield faults
    finally:
        structlog.configure(**before)
        logging.getLogger().removeHandler(faults)


async def asked(port: int, pieces: list[bytes], patience: float = ANSWER) -> bytes:
    """What comes for them within `patience` seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(patience):
                return await reader.read(1 << 16)
        return b""
    finally:
        writer.transport.abort()


async def run(seed: int, count: int, directory: Path) -> Counter[int]:
    """Send the corpus as it is, then `count` that are broken; the statuses that came.

    Fails on a 5xx, on an answer that is none, and on an error in the log.
    """
    statuses: Counter[int] = Counter()
    with watched() as faults:
        async with inside(directory, **SETTINGS) as gateway:
            port = int(gateway.base.rpartition(":")[2])
            numbers = iter(range(count))

            def judge(seed: int, pieces: list[bytes], answer: bytes) -> None:
                status = int(answer[9:12]) if answer.startswith(b"HTTP/") else 0
                statuses[status] += 1
                assert (status == 0) == (not answer), (seed, pieces, answer)
                assert status < 500, (seed, pieces, answer)

            async def worker(seed: int) -> None:
                mutator = Mutator(CORPUS, seed)
                for _ in numbers:
                    pieces = mutator.pieces(mutator.next() + b"\r\n\r\n")
                    judge(seed, pieces, await asked(port, pieces))

            for whole in CORPUS:  # whatever the machine has to do, these are answered
                judge(seed, [whole], await asked(port, [whole], WHOLE))

            async with asyncio.TaskGroup() as group:
                for number in range(AT_ONCE):
                    group.create_task(worker(seed * AT_ONCE + number))
            async with gateway.http.get("/healthz") as response:
                assert response.status == 200
    assert not faults.found, faults.found[:3]
    return statuses
