"""Ports for servers of a test's own that must be known before they listen."""

import os
import random
import socket

FROM, TO = 20000, 32000  # below those that the kernel gives to connections (net.ipv4.ip_local_port_range)
SHARES = 8  # of them, so that processes that run tests beside each other do not find the same one free
_share = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or os.getpid()) % SHARES
_chance = random.SystemRandom()  # whatever somebody seeds
_given: set[int] = set()  # some are not bound before long, or not again


def free_port() -> int:
    """One of 127.0.0.1 that nobody has now, nor is given by chance before it is used."""
    while True:
        port = _chance.randrange(FROM + _share, TO, SHARES)
        if port in _given:
            continue
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    return [free_port() for _ in range(count)]
