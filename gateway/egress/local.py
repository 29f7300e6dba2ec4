"""This machine as a destination: which addresses are its own, and who listens behind a port.

A road leads out of this process, which nothing confines to one port. So a browser whose rules open 127.0.0.1 must not
come this way to where another's DevTools listen, or to the gateway.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from gateway.egress.address import Address, is_loopback

PROC = Path("/proc")
LISTEN = "0A"  # include/net/tcp_states.h


def is_local(address: Address) -> bool:
    """Whether packets to `address` stay on this machine: only of its own addresses can a socket be bound to."""
    if is_loopback(address) or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((str(address), 0))
    except OSError:
        return False
    return True


class Endpoints(Protocol):
    """Who knows which ports lead to browsers."""

    async def is_browser(self, port: int) -> bool:
        """Whether a Chromium that can be debugged listens on this TCP port, on any address."""
        ...


class Listeners:
    """Remembers of each listening socket, by its inode, whether it is a browser's."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    async def is_browser(self, port: int) -> bool:
        """See Endpoints. Reads /proc."""
        sockets = await asyncio.to_thread(listening, port)
        new = {inode for inode, _ in sockets if inode not in self._known}
        if new:
            if len(self._known) > 10_000:
                self._known.clear()
            theirs = await asyncio.to_thread(_of_browsers, {one for one in sockets if one[0] in new})
            self._known.update({inode: inode in theirs for inode in new})
        return any(self._known[inode] for inode, _ in sockets)


def listening(port: int) -> set[tuple[int, int]]:
    """Inode and user id of each socket that listens on `port` (proc_net_tcp in the kernel's documentation)."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            words = line.split()
            if words[3] == LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                found.add((int(words[9]), int(words[7])))
    return found


def _of_browsers(sockets: set[tuple[int, int]]) -> set[int]:
    """Which of these sockets a Chromium with DevTools holds, or may hold: where it cannot be seen it counts as such."""
    wanted = {f"socket:[{inode}]": inode for inode, _ in sockets}
    found: set[int] = set()
    for place in _browsers():
        try:
            descriptors = list((place / "fd").iterdir())
        except PermissionError:
            user = place.stat().st_uid
            found |= {inode for inode, owner in sockets if owner == user}
            continue
        except FileNotFoundError:  # it has just ended
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(descriptor)
            except OSError:  # closed meanwhile
                continue
            if target in wanted:
                found.add(wanted[target])
    return found


def _browsers() -> Iterator[Path]:
    for place in PROC.iterdir():
        if place.name.isdigit():
            try:
                line = (place / "cmdline").read_bytes()
            except OSError:  # it has just ended
                continue
            if b"--remote-debugging-" in line and b"--type=" not in line:
                yield place
