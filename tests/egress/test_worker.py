"""What the process of the roads does with each command."""

import asyncio
import socket
from typing import Any

from gateway.egress.proxy import Services, bound
from gateway.egress.terms import Terms
from gateway.egress.usage import Usage
from gateway.egress.worker import Seen, Worker
from tests.egress.rig import get, origin, told


async def test_commands() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener = bound()
    port = listener.getsockname()[1]
    services = Services()
    worker = Worker(services, theirs)
    with ours, theirs, listener:
        await worker.does(
            {"do": "node", "rules": {"allow": ["127.0.0.1"], "deny": []}, "own": [1], "backstage": [["10.0.0.1", 6379]]}
        )
        socket.send_fds(ours, [b"socket"], [listener.fileno()])
        assert await worker.does({"do": "open", "terms": None, "patient": False}) == {}
        assert services.backstage == {("10.0.0.1", 6379)}
        assert services.own == {1, port}
        assert b"not-assigned" in await told(port, get("http://10.0.0.1/"))
        await worker.does({"do": "assign", "port": port, "terms": Terms().dump()})
        async with origin() as server:
            assert b" 200 " in await told(port, get(server.url))
        usage = Usage.load(await worker.does({"do": "usage", "port": port}))
        assert usage.requests == 1
        assert Usage.load(await worker.does({"do": "close", "port": port})) == usage
        assert Usage.load(await worker.does({"do": "usage", "port": port})) == Usage()


async def test_the_gateway_is_asked_who_listens() -> None:
    asked: list[dict[str, Any]] = []
    seen = Seen(asked.append)
    one, other, third = (asyncio.ensure_future(seen.is_browser(port)) for port in (80, 81, 82))
    await asyncio.sleep(0)
    assert asked == [{"event": "listener", "number": number, "port": 79 + number} for number in (1, 2, 3)]
    third.cancel()
    seen.told(2, True)
    seen.told(2, False)
    seen.told(1, False)
    assert (await one, await other) == (False, True)
    await asyncio.wait([third])
    seen.told(3, True)  # nobody waits for it any more
    seen.told(4, True)
