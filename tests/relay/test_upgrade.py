import socket

import pytest

from gateway.relay import upgrade
from tests.relay.rig import Rig


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no TCP_USER_TIMEOUT")
async def test_a_vanished_client_is_given_up_by_the_kernel(rig: Rig) -> None:
    _, _, visit = await rig.connect()
    raw = visit.transport.get_extra_info("socket")
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == upgrade.DEAD_AFTER
    visit.transport.abort()
    visit.browser.abort()
    await visit.ended()
