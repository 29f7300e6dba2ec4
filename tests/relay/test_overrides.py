"""overrides.py: what is kept of what a driver sets."""

from typing import Any

from gateway.relay import overrides
from gateway.relay.overrides import (
    ADD_SCRIPT,
    DOWNLOADS,
    GRANT,
    RECORDED,
    REMOVE_SCRIPT,
    RESET_PERMISSIONS,
    SET_PERMISSION,
    SETTINGS,
    TELL_DIALOGS,
    Held,
    Override,
    Overrides,
    setting_of,
)

AGENT = "Emulation.setUserAgentOverride"
ZONE = "Emulation.setTimezoneOverride"


def held(*commands: tuple[str, dict[str, Any]]) -> Held:
    found = Held()
    for method, params in commands:
        found.note(Override(None, method, params))
    return found


def kept(found: Held) -> list[tuple[str, Any]]:
    return [(one.method, one.params) for one in found.values.values()]


def sources(found: Held) -> dict[int, Any]:
    return {number: script.params.get("source") for number, script in found.scripts.items()}


def test_the_last_value_counts() -> None:
    found = held((AGENT, {"userAgent": "A"}), (ZONE, {"timezoneId": "Asia/Tokyo"}), (AGENT, {"userAgent": "B"}))
    assert kept(found) == [(ZONE, {"timezoneId": "Asia/Tokyo"}), (AGENT, {"userAgent": "B"})]


def test_what_is_taken_back_is_not_kept() -> None:
    for setting in SETTINGS.values():
        on: dict[str, Any] = dict.fromkeys(setting.off, True) or {"some": 1}
        assert held((setting.method, on))
        if setting.off_by is None:
            assert not held((setting.method, on), (setting.method, dict(setting.off)))
            assert not held((setting.method, on), (setting.method, {}))
        elif setting.off_by:
            assert not held((setting.method, on), (setting.off_by, {}))
            assert setting_of(setting.off_by) is setting
        assert setting_of(setting.method) is setting


def test_other_names_of_the_same() -> None:
    found = held((AGENT, {"userAgent": "A"}), ("Network.setUserAgentOverride", {"userAgent": "B"}))
    assert kept(found) == [(AGENT, {"userAgent": "B"})]
    assert not held(("Page.setDeviceMetricsOverride", {"width": 1}), ("Emulation.clearDeviceMetricsOverride", {}))
    assert setting_of("Network.setUserAgentOverride") is SETTINGS[AGENT]
    assert setting_of(ADD_SCRIPT) is None


def test_scripts_have_chromiums_numbers() -> None:
    """One more than the highest that is there: checked against Chromium in test_park.py."""
    add = [(ADD_SCRIPT, {"source": name}) for name in "abcde"]
    found = held(*add[:3], (REMOVE_SCRIPT, {"identifier": "3"}), add[3], (REMOVE_SCRIPT, {"identifier": "2"}), add[4])
    assert sources(found) == {1: "a", 3: "d", 4: "e"}
    for identifier in ("77", "x", None, 3):
        found.note(Override(None, REMOVE_SCRIPT, {"identifier": identifier}))
    assert sources(found) == {1: "a", 3: "d", 4: "e"}


def test_the_clients_own_scripts_count_but_are_not_taken_over() -> None:
    own = [
        {"source": "", "worldName": "__playwright_utility_world_page@0"},
        {"source": "//# sourceURL=pptr:internal", "worldName": "__puppeteer_utility_world__24"},
        {"source": "globalThis['__playwright__binding__']"},
        {"source": "(function addPageBinding(type, name, prefix) {})()"},
    ]
    driver = held(*((ADD_SCRIPT, params) for params in own), (ADD_SCRIPT, {"source": "mine", "runImmediately": True}))
    assert max(driver.scripts) == 5
    page = Held()
    page.add(driver)
    assert [dict(script.params) for script in page.scripts.values()] == [{"source": "mine"}]


def test_what_comes_later_is_added() -> None:
    page = held((AGENT, {"userAgent": "A"}), (ZONE, {"timezoneId": "Asia/Tokyo"}), (ADD_SCRIPT, {"source": "a"}))
    page.add(held((AGENT, {"userAgent": "B"}), (ADD_SCRIPT, {"source": "a"}), (ADD_SCRIPT, {"source": "b"})))
    assert kept(page) == [(ZONE, {"timezoneId": "Asia/Tokyo"}), (AGENT, {"userAgent": "B"})]
    assert sources(page) == {1: "a", 2: "b"}
    page.add(held((ADD_SCRIPT, {"source": "a", "worldName": "another"})))
    assert sources(page) == {1: "a", 2: "b", 3: "a"}


def test_permissions_and_downloads_by_context() -> None:
    here, there = {"browserContextId": "1"}, {"browserContextId": "2"}
    found = held(
        (GRANT, {"permissions": ["geolocation"]}),
        (GRANT, {"permissions": ["midi"], "origin": "https://a"}),
        (GRANT, {"permissions": ["geolocation"], **here}),
        (SET_PERMISSION, {"permission": {"name": "push"}, "setting": "denied", **there}),
        (GRANT, {"permissions": []}),
        (DOWNLOADS, {"behavior": "deny"}),
        (DOWNLOADS, {"behavior": "allow", "eventsEnabled": True}),
        (RESET_PERMISSIONS, dict(here)),
    )
    assert found.browser_wide() == [
        (GRANT, {"permissions": ["midi"], "origin": "https://a"}),
        (SET_PERMISSION, {"permission": {"name": "push"}, "setting": "denied", **there}),
        (GRANT, {"permissions": []}),
        (DOWNLOADS, {"behavior": "allow", "eventsEnabled": False}),
    ]


def test_what_frames_are_told() -> None:
    page = held((AGENT, {"userAgent": "A"}), (ZONE, {"timezoneId": "Asia/Tokyo"}), (ADD_SCRIPT, {"source": "a"}))
    size = held(("Emulation.setDeviceMetricsOverride", {"width": 1}))
    page.add(size)
    frame = page.for_frame()
    assert [method for method, _ in kept(frame)] == [AGENT, ZONE]
    assert sources(frame) == {1: "a"}


def test_sessions_are_kept_apart() -> None:
    found = Overrides()
    assert not found
    found.note(Override("S1", AGENT, {"userAgent": "A"}))
    found.note(Override("S2", AGENT, {"userAgent": "B"}))
    found.note(Override("S1", ZONE, {"timezoneId": "UTC"}))
    assert list(found.sessions) == ["S2", "S1"]
    found.note(Override("S2", AGENT, {"userAgent": ""}))
    assert list(found.sessions) == ["S1"]
    found.note(Override("S3", TELL_DIALOGS, {}))
    assert (list(found.sessions), list(found.told)) == (["S1"], ["S3"])


def test_a_driver_that_never_ends_does_not_fill_our_memory(monkeypatch: Any) -> None:
    monkeypatch.setattr(overrides, "MOST_SESSIONS", 3)
    found = Overrides()
    for number in range(10):
        found.note(Override(f"S{number}", AGENT, {"userAgent": "A"}))
        found.note(Override(f"S{number}", TELL_DIALOGS, {}))
    assert list(found.sessions) == list(found.told) == ["S7", "S8", "S9"]
    monkeypatch.setattr(overrides, "MOST_BYTES", 1000)
    for _ in range(10):
        found.note(Override("S9", AGENT, {"userAgent": "A"}, 400))  # in place of the one before
    assert len(found.sessions) == 3
    for _ in range(2):
        found.note(Override("S9", ADD_SCRIPT, {"source": "1"}, 400))
    assert not found


def test_all_of_it_is_recognised() -> None:
    assert {AGENT, "Network.setUserAgentOverride", ADD_SCRIPT, GRANT, DOWNLOADS, TELL_DIALOGS} < RECORDED
