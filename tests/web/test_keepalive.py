"""The kernel's probes on connections between nodes."""

import socket

import pytest

from gateway.web.keepalive import BETWEEN, IDLE, PROBES, keep_alive, kept_alive


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_connection_is_probed(family: socket.AddressFamily) -> None:
    with kept_alive((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("", 0))) as made:
        assert not made.getblocking()
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        found = [
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
        assert found == [IDLE, BETWEEN, PROBES]
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0, "a slow reader is not a dead one"


def test_what_is_no_tcp_is_left_alone() -> None:
    keep_alive(None)
    with socket.socket(socket.AF_UNIX) as other:
        keep_alive(other)
        assert other.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
