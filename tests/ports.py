"""Ports for servers of a test's own that must be known before they listen."""

import random
import socket

FROM, TO = 20000, 32000  # below those that the kernel gives to connections (net.ipv4.ip_local_port_range)


def free_port() -> int:
    """One of 127.0.0.1 that nobody has now, nor is given by chance before it is used."""
    while True:
        port = random.randrange(FROM, TO)
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)
