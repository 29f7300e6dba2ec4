"""How full it is. What `/pressure` says of one node, `test_health.py` has; of a fleet, `tests/fleet/`."""

from gateway.cluster.placement import NodeLoad, Pressure, TenantLoad
from gateway.records import Tenant
from gateway.tenancy.queue import Share, Slots
from gateway.web.occupancy import of_fleet, of_node

LIMITED = Tenant("a", max_sessions=2, queue_length=1)


async def test_of_a_node() -> None:
    slots = Slots(2, 5, 1.0, lambda name: LIMITED if name == "a" else Tenant(name))
    with slots.kept("a"):
        now = of_node(slots, 1)
        assert (now.running, now.most, now.queued, now.most_queued, now.warm, now.full) == (1, 2, 0, 5, 1, False)
        assert now.shares == {"a": Share(1, 0, (), 2, 1)}
        assert now.share("b") == Share(0, 0, (), 2, 5)
        with slots.kept("b"):
            assert of_node(slots, 0).full


def test_of_a_fleet() -> None:
    nodes = (
        NodeLoad("http://a", 4, 3, 1, True),
        NodeLoad("http://b", 4, 2, 0, False),  # it drains: what it runs counts, what it could run does not
        NodeLoad("http://c", 2, 3, 0, True),  # adopted more than it may have
    )
    pressure = Pressure(nodes, {"a": TenantLoad(2, 1, (1,)), "b": TenantLoad(6, 0, ())})
    now = of_fleet(pressure, 5, lambda name: LIMITED if name == "a" else Tenant(name))
    assert (now.running, now.most, now.queued, now.most_queued, now.warm, now.full) == (8, 9, 1, 5, 1, False)
    assert now.shares == {"a": Share(2, 1, (1,), 2, 1), "b": Share(6, 0, (), 9, 5)}
    assert now.share("c") == Share(0, 0, (), 9, 5)
