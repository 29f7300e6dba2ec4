"""How many connections there are, and of whom; and the look-out for clients that are too slow.

A websocket leaves aiohttp with its 101; here it is counted on until its socket closes.
"""

import asyncio
import socket
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gateway.errors import Code, GatewayError
from gateway.tenancy.throttle import network
from gateway.web.forwarded import Proxies

if TYPE_CHECKING:
    from gateway.web.connection import Connection

log = structlog.get_logger()
MOST_REFUSED = 64  # connections that are being told so; further ones are dropped without a word
NODES = "node"  # stands for all other nodes where addresses are counted
ACKED = struct.Struct("120xQ")  # struct tcp_info: tcpi_bytes_acked, since Linux 4.1


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may take; times in seconds, sizes in bytes."""

    connections: int  # open at once, websockets too
    per_address: int  # of one IPv4 address or IPv6 /64; a trusted proxy's are not counted so
    head: int = 64 << 10  # request line and headers together
    head_time: float = 10.0  # from the connection, or a head's first byte, to its end
    idle_time: float = 75.0  # between two requests
    stall_time: float = 30.0  # a body or reply that moves more slowly than 1 KiB/s over that time
    socket_stall_time: float = 300.0  # a websocket whose client takes nothing at all

    @property
    def period(self) -> float:
        """How often to look."""
        return min(1.0, min(self.head_time, self.idle_time, self.stall_time, self.socket_stall_time) / 4)


@dataclass(slots=True)
class Flow:
    """How far something had come when it was last seen to move fast enough."""

    amount: int
    since: float


class Connections:
    """All connections of one gateway. `watch` cuts the slow ones off for as long as it runs."""

    def __init__(self, bounds: Bounds, proxies: Proxies) -> None:
        self.bounds = bounds
        self.proxies = proxies
        self.refusals: Counter[str] = Counter()  # how many connections or requests ended here, by why
        self._open: set[Connection] = set()
        self._refused: set[Connection] = set()
        self._sockets: dict[asyncio.Transport, tuple[str, Flow | None]] = {}
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open) + len(self._sockets)

    def full_for(self, address: str) -> bool:
        """Whether `address` has all that it may."""
        return self._addresses[network(address)] >= self.bounds.per_address

    def admit(self, connection: "Connection") -> GatewayError | None:
        """Count a new connection, or say why it is refused."""
        if len(self) >= self.bounds.connections:
            self._drop_closed()
        if len(self) >= self.bounds.connections:
            return self._refuse(Code.OVERLOADED, "too many connections are open (max_connections)")
        if connection.counted and self.full_for(connection.address):
            self._drop_closed()
            if self.full_for(connection.address):
                words = "too many connections from your address (max_connections_per_address)"
                return self._refuse(Code.TOO_MANY_CONNECTIONS, words)
        self._open.add(connection)
        if connection.counted:
            self._addresses[network(connection.address)] += 1
        return None

    def refused(self, connection: "Connection") -> bool:
        """Whether there is room to tell a refused client why."""
        if len(self._refused) >= MOST_REFUSED:
            return False
        self._refused.add(connection)
        return True

    def vouched(self, connection: "Connection") -> None:
        """It is another node's: its address has no number of them."""
        if connection.counted and connection in self._open:
            self._release(network(connection.address))
        connection.counted = False

    def left(self, connection: "Connection", upgraded: bool) -> None:
        """aiohttp has no more to do with it: it is closed, or a websocket now."""
        self._refused.discard(connection)
        if connection not in self._open:
            return
        self._open.discard(connection)
        if connection.counted:
            self._release(network(connection.address))
        if upgraded:
            key = NODES if connection.node else network(connection.client)
            self._sockets[connection.raw] = (key, None)
            self._addresses[key] += 1

    async def watch(self) -> None:
        """Look at all of them from time to time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.bounds.period)
            now = loop.time()
            for connection in (*self._open, *self._refused):
                if (why := connection.look(now, self.bounds)) is not None:
                    self.count(why, connection.client)
            for raw, (key, flow) in tuple(self._sockets.items()):
                if raw.is_closing():
                    self._forget(raw)
                elif raw.get_write_buffer_size() == 0:
                    self._sockets[raw] = (key, None)
                elif (gone := acked(raw)) is None:
                    continue
                elif flow is None or flow.amount != gone:
                    self._sockets[raw] = (key, Flow(gone, now))
                elif now - flow.since > self.bounds.socket_stall_time:
                    self.count("websocket_not_read", key)
                    raw.abort()

    def count(self, why: str, address: str) -> None:
        """Note that a client was cut off."""
        self.refusals[why] += 1
        log.info("client_cut_off", why=why, client=address)

    def _refuse(self, code: Code, words: str) -> GatewayError:
        self.refusals[code.word] += 1
        return GatewayError(code, words, retry_after=5)

    def _drop_closed(self) -> None:
        for raw in [raw for raw in self._sockets if raw.is_closing()]:
            self._forget(raw)

    def _forget(self, raw: asyncio.Transport) -> None:
        key, _ = self._sockets.pop(raw)
        self._release(key)

    def _release(self, key: str) -> None:
        self._addresses[key] -= 1
        if self._addresses[key] <= 0:
            del self._addresses[key]


def acked(raw: asyncio.Transport) -> int | None:
    """Bytes of ours that the other side's kernel has, as Linux counts them; None where it cannot tell."""
    connected = raw.get_extra_info("socket")
    if connected is None or raw.is_closing() or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        return int(ACKED.unpack(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKED.size))[0])
    except (OSError, struct.error):  # no TCP, or an old kernel
        return None
