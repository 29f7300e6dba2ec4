"""What it costs to share snapshots: a session's profile saved and brought to another node, by the kind of storage.

The vault alone, without browsers. S3 is SeaweedFS on this machine, where its package is installed; what a network adds
is not in the figures.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from unittest.mock import patch

from bench.figures import Figure
from bench.serving import scratch
from gateway.snapshot.blobs import Blobs, open_blobs, snapshot_store
from gateway.snapshot.document import ContextDocument, Cookie
from gateway.snapshot.seal import Sealer
from gateway.snapshot.shared import SharedVault
from gateway.snapshot.vault import Vault
from tests.s3_server import ENVIRONMENT, PROGRAM, s3_server

SESSION = "bench"
SIZE, FILES = 50, 400  # MB of a profile, in so many files
LOCAL, DIRECTORY, S3 = "not shared", "shared directory", "S3 on this machine"

SAVE = f"save a profile of {SIZE} MB"
AGAIN = "save it again, one file changed"
CHECKPOINT = "save a context alone, as checkpoints do"
CLAIM = "claim a session for a new browser"
RESTORE = "bring it to another node and unpack it"
BACK = "unpack it where it is"

Progress = Callable[[str], None]


async def measure(progress: Progress, *, quick: bool = False) -> list[Figure]:
    """Times in ms; sealed, as with an encryption key. `quick`: fewer rounds."""
    kinds = [LOCAL, DIRECTORY, *([S3] if PROGRAM.exists() else [])]
    found: dict[str, dict[str, list[float]]] = {}
    async with scratch() as directory:
        with storages(directory, kinds) as stores:
            for number in range(3 if quick else 8):
                for kind in kinds:
                    progress(f"shared: {kind}, round {number + 1}")
                    place = directory / f"{number}-{len(kind)}"
                    for what, took in (await one(place, stores[kind])).items():
                        found.setdefault(what, {}).setdefault(kind, []).append(took * 1000)
                    shutil.rmtree(place)
    return [Figure(what, "ms", rounds) for what, rounds in found.items()]


@contextmanager
def storages(directory: Path, kinds: list[str]) -> Iterator[dict[str, Callable[[str], Blobs] | None]]:
    """How each is opened, at a place that has nothing yet."""
    found: dict[str, Callable[[str], Blobs] | None] = {
        LOCAL: None,
        DIRECTORY: lambda name: open_blobs(snapshot_store(f"file:{directory / 'store' / name}")),
    }
    if S3 not in kinds:
        yield found
        return
    with s3_server(directory / "s3") as server, patch.dict(os.environ, ENVIRONMENT):
        found[S3] = lambda name: open_blobs(snapshot_store(server.url(name)))
        yield found


async def one(place: Path, store: Callable[[str], Blobs] | None) -> dict[str, float]:
    """Seconds by what was done, with a profile made at random, half of which can be compressed."""
    profile = place / "profile"
    profile.mkdir(parents=True)
    for number in range(FILES):
        half = SIZE * 1_000_000 // FILES // 2
        (profile / f"{number}").write_bytes(os.urandom(half) + bytes(half))
    document = ContextDocument(cookies=tuple(Cookie(f"c{number}", "v" * 50, "x.test") for number in range(50)))
    took = {}
    blobs = None if store is None else store(place.name)
    async with vault(place / "one", blobs) as here, vault(place / "two", blobs) as there:

        async def timed(what: str, vault: Vault, fence: int, document: ContextDocument, profile: Path | None) -> int:
            begin = time.perf_counter()
            info = await vault.save(
                SESSION, document, profile=profile, kind="k", reason="r", checkpoint=profile is None, fence=fence
            )
            took[what] = time.perf_counter() - begin
            return info.version

        begin = time.perf_counter()
        await here.claim(SESSION, 1)
        await timed(SAVE, here, 1, document, profile)
        (profile / "0").write_bytes(os.urandom(100_000))
        version = await timed(AGAIN, here, 1, document, profile)
        await timed(CHECKPOINT, here, 1, ContextDocument(cookies=document.cookies[1:]), None)
        follower = here if store is None else there
        begin = time.perf_counter()
        await follower.unpack_profile(SESSION, version, place / "out")
        took[RESTORE if store else BACK] = time.perf_counter() - begin
        begin = time.perf_counter()
        await follower.claim(SESSION, 2)
        took[CLAIM] = time.perf_counter() - begin
        if store is not None:
            begin = time.perf_counter()
            await follower.unpack_profile(SESSION, version, place / "again")
            took[BACK] = time.perf_counter() - begin
    return took


@asynccontextmanager
async def vault(directory: Path, blobs: Blobs | None) -> AsyncIterator[Vault]:
    """Of one node."""
    sealer = Sealer((os.urandom(32) if blobs is None else b"k" * 32,))
    if blobs is None:
        yield Vault(directory, sealer)
        return
    shared = SharedVault(directory, sealer, blobs)
    try:
        yield shared
    finally:
        await asyncio.to_thread(shared.close)
