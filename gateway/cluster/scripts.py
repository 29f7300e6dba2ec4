"""What nodes do together, each thing in one step: the Lua scripts of this package, by name (`lua/*.lua`)."""

import json
from collections.abc import Iterable
from typing import Any

from gateway.cluster.fleet import Lease
from gateway.store.connection import PREFIX, Connection, Script, script

_NAMES = (
    "join",
    "beat",
    "place",
    "withdraw",
    "release",
    "adopt",
    "bury",
    "leave",
    "nodes",
    "there",
    "charge",
    "pressure",
)


def _loaded(name: str) -> Script:
    return script("gateway.cluster", "common", name)


SCRIPTS = {name: _loaded(name) for name in _NAMES}


class Scripts:
    """Each call is one command, and atomic. `life` is how many ms a lease lasts that nobody renews.

    Every call may raise GatewayError STORE_UNAVAILABLE; Redis may then have done what was asked, or do it later.
    """

    def __init__(self, connection: Connection, life: int) -> None:
        self.life = life
        self._connection = connection

    async def run(self, name: str, /, *, repeat: bool = True, **asked: Any) -> Any:
        """The reply of the script of that name to `asked`; see there."""
        text = json.dumps({"life": self.life, **asked}, separators=(",", ":"))
        return await self._connection.run(SCRIPTS[name], (), (PREFIX, text), repeat=repeat)

    async def read(self, name: str, /, **asked: Any) -> dict[str, Any]:
        """The same for a script that answers in JSON."""
        found: dict[str, Any] = json.loads(await self.run(name, **asked))
        return found

    async def release(self, leases: Iterable[Lease]) -> None:
        """Give leases back, whoever's they are; those that were lost are left alone."""
        pairs = [(lease.session, lease.token) for lease in leases]
        if pairs:
            await self.run("release", leases=pairs)

    async def nodes(self) -> list[str]:
        """The names of all nodes, those among them that are silent."""
        found: bytes = await self.run("nodes")
        return found.decode().split("|")
