"""The engine that says what is blocked: Brave's, by its Python package `adblock`.

One for all browsers of a gateway, there from the moment that the first of them asks for it.
"""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import structlog

from gateway.adblock.lists import PLACES, NoLists, lists
from gateway.errors import Code, GatewayError

START = 60.0  # seconds for the lists to be compiled, which takes one
log = structlog.get_logger()


class Filter(Protocol):
    """What `blocking` asks; a request takes some 10 µs."""

    def blocks(self, url: str, source: str, kind: str) -> bool:
        """Whether a request is for an advertisement or a tracker.

        `source` is the URL of the document that asks, `kind` a resource type by Adblock Plus's names.
        """


class Filters:
    """The filter lists of a gateway: `await filters.engine()`, as often as wanted."""

    def __init__(self, named: Iterable[Path] = (), places: Iterable[Path] = PLACES) -> None:
        self._named, self._places = tuple(named), tuple(places)
        self._turn = asyncio.Lock()
        self._loaded: Filter | None = None

    async def engine(self) -> Filter:
        """The engine, loaded with the first call. Raises UNSUPPORTED where there are no lists, and INTERNAL."""
        async with self._turn:
            if self._loaded is None:
                try:
                    files = await asyncio.to_thread(lists, self._named, self._places)
                except NoLists as error:
                    raise GatewayError(Code.UNSUPPORTED, f"blockAds: {error}") from error
                data = await _compiled(files)
                self._loaded = await asyncio.to_thread(_Loaded, data)
                log.info("filters_loaded", lists=[file.name for file in files], bytes=len(data))
            return self._loaded


class _Loaded:
    def __init__(self, data: bytes) -> None:
        import adblock  # here, since it is a library of 48 MB that many gateways never need

        self._engine = adblock.Engine(adblock.FilterSet())
        self._engine.deserialize(data)

    def blocks(self, url: str, source: str, kind: str) -> bool:
        return self._engine.check_network_urls(url, source, kind).matched


async def _compiled(files: tuple[Path, ...]) -> bytes:
    command = (sys.executable, "-m", "gateway.adblock.compiling", *(str(file) for file in files))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(START):
            data, errors = await process.communicate()
    except TimeoutError:
        raise GatewayError(Code.INTERNAL, f"the filter lists were not read within {START:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise GatewayError(Code.INTERNAL, f"the filter lists cannot be read: {last}")
    return data
