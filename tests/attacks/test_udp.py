"""UDP goes round every proxy: WebRTC asks a STUN server, and the packet tells who is behind the browser."""

import asyncio

import pytest

from browser_pool import command_line
from browser_pool.spec import LaunchSpec
from tests.attacks.conftest import Pools, page_of
from tests.browser_pool.roads import OpenRoads

CALL = """(async () => {
    const call = new RTCPeerConnection({iceServers: [{urls: 'stun:127.0.0.1:PORT'}]});
    call.createDataChannel('x');
    await call.setLocalDescription(await call.createOffer());
    return await new Promise(done => setTimeout(() => done('over'), 1000));
})()"""  # Chromium asks at once; where it has no socket it goes on looking for one, and nothing tells.


class Stun(asyncio.DatagramProtocol):
    """It answers nothing; who has asked is enough."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """A packet."""
        self.asked.set()


async def test_webrtc(pools: Pools, confined: bool, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a browser that heeds no flags: those that tell it to leave UDP alone are no boundary."""
    left = [flag for flag in command_line.DEFAULT_FLAGS if "webrtc" not in flag and "quic" not in flag]
    assert len(left) == len(command_line.DEFAULT_FLAGS) - 2
    monkeypatch.setattr(command_line, "DEFAULT_FLAGS", left)
    stun = Stun()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: stun, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        async with pools(OpenRoads()) as pool, pool.lease(spec) as mine, page_of(mine) as page:
            if confined:
                assert await page.run(CALL.replace("PORT", str(port))) == "over"
            else:
                asking = asyncio.ensure_future(page.run(CALL.replace("PORT", str(port))))
                await asyncio.wait_for(stun.asked.wait(), 60)
                asking.cancel()
        assert stun.asked.is_set() is not confined
    finally:
        transport.close()
