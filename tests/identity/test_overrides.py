from gateway.identity.overrides import Overrides, Running, overrides, script
from gateway.records import Identity

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)
FULL = Running("156.0.8078.79", "Machine Chrome/156.0.0.0", shell=False, intl="en-US")
SHELL = Running("156.0.8078.79", "Machine HeadlessChrome/156.0.8078.79", shell=True, intl="en-US")


def methods(commands: tuple[tuple[str, object], ...]) -> list[str]:
    return [method.partition(".")[2] for method, _ in commands]


def test_what_flags_have_done_is_not_done_again() -> None:
    for identity in (Identity(timezone="Asia/Tokyo", viewport=(1, 2)), Identity(locale="en-US")):
        found = overrides(identity, FULL)
        assert not found.attaches
        assert found.patterns == []
    spoken = Running("156.0.8078.79", "Machine Chrome/156.0.0.0", shell=False, intl="de-DE")
    assert not overrides(Identity(locale="de-DE"), spoken).attaches


def test_a_locale_that_the_browser_does_not_speak() -> None:
    found = overrides(Identity(locale="de-DE"), FULL)
    assert methods(found.page) == methods(found.frame) == ["enable", "addScriptToEvaluateOnNewDocument"]
    assert methods(found.worker) == ["evaluate"]
    assert found.worker[0][1]["expression"].endswith('({}, true, "de-DE")')
    assert found.patterns == [{"urlPattern": "*", "resourceType": "Document"}]


def test_the_shell_keeps_its_own_user_agent_beside_other_languages() -> None:
    found = overrides(Identity(locale="de-DE"), SHELL)
    method, said = found.worker[0]
    assert method == "Emulation.setUserAgentOverride"
    assert said["userAgent"] == SHELL.user_agent
    assert said["acceptLanguage"] == "de-DE,de"
    assert [brand["brand"] for brand in said["userAgentMetadata"]["brands"]][1:] == ["Chromium", "HeadlessChrome"]


def test_a_place_is_for_pages_alone() -> None:
    found = overrides(Identity(geolocation=(1.0, 2.0, 3.0)), FULL)
    assert found.page == (("Emulation.setGeolocationOverride", {"latitude": 1.0, "longitude": 2.0, "accuracy": 3.0}),)
    assert (found.frame, found.worker, found.permission, found.patterns) == ((), (), True, [])


def test_a_phone_is_touched() -> None:
    phone = CHROME.replace("Windows NT 10.0; Win64; x64", "Linux; Android 10; K").replace("Safari", "Mobile Safari")
    assert "setTouchEmulationEnabled" in methods(overrides(Identity(user_agent=phone), FULL).page)
    assert "setTouchEmulationEnabled" not in methods(overrides(Identity(user_agent=CHROME), FULL).page)


def test_extra_headers_alone_need_no_session() -> None:
    found = overrides(Identity(extra_headers=(("X-A", "b"),)), FULL)
    assert not found.attaches
    assert found.patterns == [{"urlPattern": "*"}]
    assert found.dressed({"X-B": "c"}, "XHR") == {"X-B": "c", "X-A": "b"}
    assert found.dressed({"x-a": "mine"}, "XHR") is None


def test_hints_that_were_sent_too_early_are_put_right() -> None:
    found = overrides(Identity(user_agent=CHROME), FULL)
    sent = {"User-Agent": CHROME, "sec-ch-ua-platform": '"Linux"', "Sec-CH-UA-Mobile": "?0", "sec-ch-unknown": "1"}
    assert found.dressed(sent, "Document") == {**sent, "sec-ch-ua-platform": '"Windows"'}
    assert found.dressed({"User-Agent": CHROME, "sec-ch-ua-platform": '"Windows"'}, "Document") is None
    # A driver that has set a user agent of its own has set them too.
    assert found.dressed({**sent, "User-Agent": "Mine"}, "Document") is None


def test_a_browser_without_hints_sends_none() -> None:
    found = overrides(Identity(user_agent="Firefox/140.0"), FULL)
    assert "userAgentMetadata" not in found.frame[0][1]
    assert found.dressed({"User-Agent": "Firefox/140.0", "sec-ch-ua": "x", "Accept": "*"}, "Document") == {
        "User-Agent": "Firefox/140.0",
        "Accept": "*",
    }


def test_languages_go_where_no_override_reaches() -> None:
    found = overrides(Identity(user_agent=CHROME, locale="de-DE"), FULL)
    assert [pattern["resourceType"] for pattern in found.patterns] == ["Document", "Other"]
    assert found.dressed({}, "Other") == {"Accept-Language": "de-DE,de;q=0.9"}
    assert found.dressed({"Accept-Language": "fr"}, "Document") is None
    assert found.dressed({}, "XHR") is None


def test_nothing() -> None:
    assert not Overrides().attaches
    assert Overrides().dressed({"A": "b"}, "Document") is None


def test_what_goes_into_a_script_stays_data() -> None:
    assert script({"platform": '");alert(1)//'}, True, "de").endswith('({"platform": "\\");alert(1)//"}, true, "de")')
