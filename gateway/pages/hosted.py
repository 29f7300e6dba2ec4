"""Files that are handed out by URL: whoever has it may fetch the file, until it expires.

A file's name is ID.SECRET.ENDING; in a fleet its ID begins with the tag of the node that has it. On disk there is no
secret: a file is found by the digest of its name, and it is sealed where the gateway has a key. A tenant has so many
bytes; for a new file its oldest ones give way.
"""

import asyncio
import os
import re
import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import structlog

from browser_pool.tasks import to_the_end
from gateway.cluster.fleet import Elsewhere
from gateway.errors import Code, GatewayError
from gateway.snapshot.seal import Sealer

LIFE = 3600.0  # seconds
PERIOD = 60.0  # seconds between looks at what has expired
MOST = 256 << 20  # bytes a tenant
LARGEST = 64 << 20  # bytes a file
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "application/pdf": "pdf"}
MEDIA = {ending: media for media, ending in ENDINGS.items()}
# The log hides what stands behind an id and a dot.
_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[A-Za-z0-9_-]{43}\.(?P<ending>[a-z]{3})")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and its Content-Type."""

    data: bytes
    media: str


class Hosted:
    """The files of all tenants below `directory`, each for `life` seconds, `most` bytes of a tenant.

    `tag` is this node's in a fleet, and `node` says who has another one.
    """

    def __init__(
        self,
        directory: Path,
        sealer: Sealer,
        *,
        life: float = LIFE,
        most: int = MOST,
        tag: str = "",
        node: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._sealer = sealer
        self._life = life
        self._most = most
        self._tag = tag
        self._node = node
        self._turn = asyncio.Lock()

    async def keep(self, tenant: str, data: bytes, media: str) -> str:
        """The name under which it can be fetched. Raises GatewayError: PAGE_FAILED (too large), SAVE_FAILED."""
        if len(data) > min(LARGEST, self._most):
            raise GatewayError(Code.PAGE_FAILED, f"the file has {len(data)} bytes; at most {LARGEST} are handed out")
        number = self._tag + str(uuid.uuid4())[len(self._tag) :]
        name = f"{number}.{secrets.token_urlsafe(32)}.{ENDINGS[media]}"
        async with self._turn:
            try:
                await to_the_end(asyncio.to_thread(self._keep, tenant, name, data))
            except OSError as error:
                raise GatewayError(Code.SAVE_FAILED, f"the file could not be kept: {error.strerror}") from error
        return name

    async def fetch(self, name: str) -> Found:
        """Raises NOT_FOUND (404) for what is not there, or not any more; Elsewhere for what another node has."""
        if (match := _NAME.fullmatch(name)) is None or (media := MEDIA.get(match["ending"])) is None:
            raise _missing()
        tag = name[: len(self._tag)]
        if tag != self._tag and (node := self._node(tag)) is not None:
            raise Elsewhere(node)
        return Found(await asyncio.to_thread(self._fetch, name), media)

    async def watch(self) -> None:
        """Remove what has expired, at the start and from then on."""
        while True:
            try:
                if count := await to_the_end(asyncio.to_thread(self.sweep, time.time())):
                    log.info("hosted_files_removed", count=count)
            except OSError as error:
                log.warning("hosted_files_not_removed", error=str(error))
            await asyncio.sleep(PERIOD)

    def sweep(self, now: float) -> int:
        """Remove what has expired at `now`, and what a killed process left half written; how many. Blocking."""
        gone = 0
        for path in self._directory.glob("*/*"):
            with suppress(FileNotFoundError):
                if path.suffix == ".new" or path.stat().st_mtime + self._life <= now:
                    path.unlink()
                    gone += 1
        for path in self._directory.glob("*"):
            with suppress(OSError):  # not empty
                path.rmdir()
        return gone

    def _keep(self, tenant: str, name: str, data: bytes) -> None:
        place = self._directory / _digest(tenant)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = sorted(((entry.stat(), entry) for entry in place.iterdir()), key=lambda item: item[0].st_mtime_ns)
        over = sum(status.st_size for status, _ in files) + len(data) - self._most
        for status, path in files:
            if over <= 0:
                break
            path.unlink(missing_ok=True)
            over -= status.st_size
        path = place / _digest(name)
        half = path.with_suffix(".new")
        try:
            descriptor = os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as target, self._sealer.writing(target, path.name) as stream:
                stream.write(data)
            half.rename(path)
        finally:
            half.unlink(missing_ok=True)

    def _fetch(self, name: str) -> bytes:
        digest = _digest(name)
        for path in self._directory.glob(f"*/{digest}"):
            with suppress(FileNotFoundError), path.open("rb") as source:
                if os.fstat(source.fileno()).st_mtime + self._life > time.time():
                    with self._sealer.reading(source, digest) as stream:
                        return stream.read()
        raise _missing()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _missing() -> GatewayError:
    return GatewayError(Code.NOT_FOUND, "there is no such file, or not any more")
