"""This machine as a destination."""

import socket
import subprocess
import sys
from ipaddress import ip_address

from gateway.egress.local import Listeners, is_local, listening


def test_addresses_of_this_machine() -> None:
    assert is_local(ip_address("127.0.0.1"))
    assert is_local(ip_address("127.9.9.9"))
    assert is_local(ip_address("::1"))
    assert is_local(ip_address("0.0.0.0"))
    assert not is_local(ip_address("93.184.216.34"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return  # no network, no address of ours
        assert is_local(ip_address(sock.getsockname()[0]))


def test_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert len(listening(port)) == 1
    assert not listening(port)


async def test_ports_of_browsers() -> None:
    """Told by who holds the socket: a process that looks like Chromium with DevTools, and one that does not."""
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    listeners = Listeners()
    for words, expected in (
        (["--remote-debugging-port=0"], True),
        ([], False),
        (["--remote-debugging-port=0", "--type=x"], False),
    ):
        with subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert await listeners.is_browser(port) is expected
            assert await listeners.is_browser(port) is expected
            process.communicate("\n")
