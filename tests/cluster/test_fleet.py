"""A fleet of one."""

from gateway.cluster.fleet import Alone
from gateway.records import is_session_id


async def test_alone_there_is_a_place_for_everything_here() -> None:
    fleet = Alone()
    session = fleet.new_id()
    assert is_session_id(session)
    assert session != fleet.new_id()
    lease = await fleet.place(session, "a", name="shop")
    assert lease.session == session
    assert await fleet.place(session, "b") == lease
    await fleet.release(lease)
    await fleet.release(lease)
