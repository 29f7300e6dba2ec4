"""Connections between nodes: the kernel notices one whose other end has vanished.

No TCP_USER_TIMEOUT: it would stand in place of the number of probes, and end what only waits for a slow reader.
"""

import socket
from typing import Any

IDLE, BETWEEN, PROBES = 10, 5, 3  # s of silence before the first probe, s between two, and how many are unanswered

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


def keep_alive(connected: socket.socket | None) -> None:
    """Let it be probed while nothing is said (tcp(7))."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", BETWEEN), ("TCP_KEEPCNT", PROBES)):
        if (option := getattr(socket, name, None)) is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


def kept_alive(info: AddressInfo) -> socket.socket:
    """A new socket for aiohttp's TCPConnector (`socket_factory`), from what getaddrinfo says."""
    made = socket.socket(int(info[0]), int(info[1]), info[2])
    try:
        made.setblocking(False)
        keep_alive(made)
    except OSError:
        made.close()
        raise
    return made
