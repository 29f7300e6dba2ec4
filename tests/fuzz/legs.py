"""The relay over real sockets: what a client sends broken, what Chromium gets of it, and how it ends."""

import asyncio
from contextlib import suppress
from random import Random

from tests.fakes.chromium import FakeChromium, Wire, chromium
from tests.fuzz.frames import forwarded
from tests.fuzz.mutate import FRAMES, Mutator
from tests.relay.rig import Rig, running_rig

GOODBYE = b"\x88\x82\0\0\0\0\x03\xe8"  # the gateway's own, to Chromium
AT_ONCE = 16
LAST = 60.0  # seconds that one visit may take


class Listening:
    """A Chromium that takes what comes until it is told goodbye; `failures` are what it must not get."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.visits = asyncio.Semaphore(0)  # those that are over

    async def __call__(self, wire: Wire) -> None:
        data = b""
        try:
            while not data.endswith(GOODBYE) and (piece := await wire.reader.read(1 << 16)):
                data += piece
            with suppress(ConnectionError):
                await wire.say_close()
        except ConnectionError:
            pass
        finally:
            wire.writer.close()
            try:
                # A frame that was cut off may be filled up with zeros, or be the last.
                forwarded(data.removesuffix(GOODBYE))
            except AssertionError as error:
                self.failures.append(f"{error}: {data!r}")
            self.visits.release()


async def visit(rig: Rig, pieces: list[bytes], rng: Random) -> bytes:
    """Connect, send, leave; what the client was told behind the 101."""
    client = await rig.open()
    try:
        await client.reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            if piece:
                await client.send(piece)
        match rng.randrange(3):
            case 0:
                client.writer.write_eof()
            case 1:
                client.reset()
                return b""
            case _:
                await client.say_close()
                client.writer.write_eof()  # the Close may be taken for the rest of a frame
        return await client.reader.read()
    except ConnectionError:
        return b""  # it was cut off in the middle of what it said
    finally:
        client.drop()


def told(data: bytes) -> None:
    """Fails unless it is frames as a server sends them, of which the last is a Close or not whole."""
    at = 0
    while len(data) - at >= 2:
        assert not data[at + 1] & 0x80, "a masked frame for a client"
        assert data[at] & 0x0F in (1, 8, 9, 10), data[at]
        size, extended = data[at + 1], 0
        if size > 125:
            extended = 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        if data[at] & 0x0F == 8:
            assert at + 2 + size == len(data), "something behind a Close"
        at += 2 + extended + size


async def run(seed: int, count: int) -> None:
    """`count` visits, some at once; fails with what breaks a promise."""
    listening = Listening()
    async with chromium(listening) as fake, running_rig(fake, None) as rig:
        numbers = iter(range(count))

        async def worker(seed: int) -> None:
            mutator = Mutator(FRAMES, seed)
            for _ in numbers:
                pieces = mutator.pieces(mutator.next())
                try:
                    async with asyncio.timeout(LAST):
                        told(await visit(rig, pieces, mutator.rng))
                except (AssertionError, TimeoutError) as error:
                    raise AssertionError(f"seed {seed}: {pieces!r}") from error
                _forget(rig, fake)

        async with asyncio.TaskGroup() as group:
            for number in range(AT_ONCE):
                group.create_task(worker(seed * AT_ONCE + number))
        async with asyncio.timeout(LAST):
            for _ in range(count):
                await listening.visits.acquire()
    assert not listening.failures, listening.failures[0]


def _forget(rig: Rig, fake: FakeChromium) -> None:
    """Let the rig hold nothing of visits that are over."""
    rig._clients[:] = [client for client in rig._clients if not client.writer.is_closing()]
    fake._wires[:] = [wire for wire in fake._wires if not wire.writer.is_closing()]
    fake.requests.clear()
    while not rig.visits.empty():
        visit = rig.visits.get_nowait()
        assert not isinstance(visit.failure, Exception), repr(visit.failure)
