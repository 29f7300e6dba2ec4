"""pages.py: which commands put in force what is held, and when."""

from typing import Any

from gateway.relay.overrides import ADD_SCRIPT, SETTINGS, Held, Override
from gateway.relay.pages import FRAMES, NETWORK, Page, attach

AGENT = ("Emulation.setUserAgentOverride", {"userAgent": "A"})
ZONE = ("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
HEADERS = ("Network.setExtraHTTPHeaders", {"headers": {"a": "b"}})
SCRIPT = (ADD_SCRIPT, {"source": "a"})


def held(*commands: tuple[str, dict[str, Any]]) -> Held:
    found = Held()
    for method, params in commands:
        found.note(Override(None, method, params))
    return found


def page() -> Page:
    return Page("T", "S", "page", "T")


def test_what_can_be_in_force_twice_is_set_before_and_everything_behind() -> None:
    one = page()
    one.hold(held(ZONE, AGENT, HEADERS, SCRIPT))
    assert one.beside() == [("Network.enable", NETWORK), AGENT, HEADERS, ("Page.enable", {}), SCRIPT]
    assert one.behind() == [ZONE, AGENT, HEADERS]
    assert one.beside() == one.behind() == []
    assert not one.changed


def test_only_what_is_new_is_set() -> None:
    one = page()
    one.hold(held(ZONE, SCRIPT))
    assert len(one.beside() + one.behind()) == 3
    one.hold(held(AGENT, SCRIPT, (ADD_SCRIPT, {"source": "b"})))
    assert one.beside() == [AGENT, ("Page.enable", {}), (ADD_SCRIPT, {"source": "b"})]
    assert one.behind() == [AGENT]
    assert [override.method for override in one.held.values.values()] == [ZONE[0], AGENT[0]]


def test_released() -> None:
    one = page()
    one.hold(held(ZONE, AGENT, ("Emulation.setFocusEmulationEnabled", {"enabled": True})))
    assert one.release(SETTINGS[ZONE[0]]) == (ZONE[0], {"timezoneId": ""})
    assert one.release(SETTINGS[ZONE[0]]) is None
    assert one.release(SETTINGS["Emulation.setDeviceMetricsOverride"]) is None
    assert one.release(SETTINGS["Emulation.setFocusEmulationEnabled"]) is None  # the page would notice
    assert one.behind() == [AGENT]


def test_attaching() -> None:
    method, params = attach(FRAMES, wait=True)
    assert method == "Target.setAutoAttach"
    assert params["waitForDebuggerOnStart"] is True
    assert params["filter"] == [{"type": "iframe"}]
