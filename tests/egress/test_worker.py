"""What the process of the roads does with each command."""

import socket

from gateway.egress.proxy import Services, bound
from gateway.egress.terms import Terms
from gateway.egress.usage import Usage
from gateway.egress.worker import Worker
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
