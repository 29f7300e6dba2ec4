"""Client hints as browsers of the wild send them, and as the Chromium here does."""

from pathlib import Path
from typing import Any

import pytest

from browser_pool.spec import Mode
from gateway.identity.hints import Hints, hints, navigator
from tests.identity.places import browser, evaluate, first_session, goto, places

CHROMIUM = "156.0.8078.79"
SYSTEMS = {
    "windows": "Windows NT 10.0; Win64; x64",
    "mac": "Macintosh; Intel Mac OS X 10_15_7",
    "linux": "X11; Linux x86_64",
    "chromebook": "X11; CrOS x86_64 14541.0.0",
    "phone": "Linux; Android 10; K",
    "old phone": "Linux; Android 13; SM-G991B Build/TP1A.220624.014",
}


def agent(system: str = "windows", chrome: str = "156.0.0.0", more: str = "") -> str:
    engine = "AppleWebKit/537.36 (KHTML, like Gecko)"
    mobile = "Mobile " if "phone" in system else ""
    return f"Mozilla/5.0 ({SYSTEMS[system]}) {engine} Chrome/{chrome} {mobile}Safari/537.36{more}"


def made(user_agent: str) -> Hints:
    found = hints(user_agent, CHROMIUM)
    assert found is not None
    return found


# As seen in the wild.
@pytest.mark.parametrize(
    ("user_agent", "header"),
    [
        (agent(chrome="120.0.0.0"), '"Not_A Brand";v="8", "Chromium";v="120", "Google Chrome";v="120"'),
        (agent(chrome="124.0.0.0"), '"Chromium";v="124", "Google Chrome";v="124", "Not-A.Brand";v="99"'),
        (agent(chrome="131.0.0.0"), '"Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"'),
        (
            agent(chrome="120.0.0.0", more=" Edg/120.0.0.0"),
            '"Not_A Brand";v="8", "Chromium";v="120", "Microsoft Edge";v="120"',
        ),
        (
            agent(chrome="124.0.0.0", more=" OPR/110.0.0.0"),
            '"Chromium";v="124", "Opera";v="110", "Not-A.Brand";v="99"',
        ),
    ],
)
def test_brands(user_agent: str, header: str) -> None:
    assert made(user_agent).headers()["sec-ch-ua"] == header


async def test_they_are_those_of_the_browser_here(tmp_path: Path) -> None:
    """The shell has three brands, as browsers with a name have, and tells all of its hints."""
    async with places() as site, browser(tmp_path, mode=Mode.SHELL) as running:
        session = await first_session(running.devtools)
        await goto(running.devtools, session, site.url + "/")
        whole: dict[str, Any] = await evaluate(
            running.devtools, session, "await navigator.userAgentData.getHighEntropyValues([...HIGH, 'wow64'])"
        )
        version = running.version["product"].partition("/")[2]
        found = hints(running.version["userAgent"], version)
        assert found is not None
        whole["fullVersion"] = whole["uaFullVersion"]  # its name in CDP
        assert {name: whole[name] for name in found.metadata()} == found.metadata()
        await evaluate(running.devtools, session, "void await fetch('/asked/again')")
        sent = {name: value for name, value in site.requests["/asked/again"].items() if name.startswith("sec-ch-ua")}
        assert len(sent) > 5
        assert {name: found.headers()[name] for name in sent} == sent
        assert navigator(running.version["userAgent"]) == {
            "platform": await evaluate(running.devtools, session, "navigator.platform")
        }


@pytest.mark.parametrize(
    ("system", "platform", "version", "architecture", "bitness", "said"),
    [
        ("windows", "Windows", "19.0.0", "x86", "64", "Win32"),
        ("mac", "macOS", "15.6.1", "arm", "64", "MacIntel"),
        ("linux", "Linux", "", "x86", "64", "Linux x86_64"),
        ("chromebook", "Chrome OS", "14541.0.0", "x86", "64", "Linux x86_64"),
        ("phone", "Android", "15.0.0", "", "", "Linux armv81"),
        ("old phone", "Android", "13.0.0", "", "", "Linux armv81"),
    ],
)
def test_systems(system: str, platform: str, version: str, architecture: str, bitness: str, said: str) -> None:
    found = made(agent(system))
    assert (found.platform, found.platform_version) == (platform, version)
    assert (found.architecture, found.bitness) == (architecture, bitness)
    assert navigator(agent(system)) == {"platform": said}


def test_phones_and_tablets() -> None:
    phone, old, tablet = made(agent("phone")), made(agent("old phone")), made(agent("phone").replace("Mobile ", ""))
    assert (phone.mobile, phone.model, phone.form_factor) == (True, "Pixel 8", "Mobile")
    assert (old.mobile, old.model) == (True, "SM-G991B")
    assert (tablet.mobile, tablet.form_factor) == (False, "Tablet")
    assert phone.headers()["sec-ch-ua-mobile"] == "?1"


def test_windows_of_32_bits() -> None:
    both = made(agent().replace("Win64; x64", "WOW64"))
    assert (both.wow64, both.bitness, both.headers()["sec-ch-ua-wow64"]) == (True, "64", "?1")
    assert made(agent().replace("; Win64; x64", "")).bitness == "32"


def test_full_versions() -> None:
    def full(user_agent: str) -> dict[str, str]:
        return {name: version for name, version in made(user_agent).brands if not name.startswith("Not")}

    assert full(agent()) == {"Chromium": CHROMIUM, "Google Chrome": CHROMIUM}
    assert full(agent(chrome="155.0.0.0"))["Chromium"] == "155.0.0.0"
    assert full(agent(chrome="120.0.6099.71"))["Google Chrome"] == "120.0.6099.71"
    assert full(agent(more=" SamsungBrowser/29.0"))["Samsung Internet"] == "29.0.0.0"
    assert made(agent()).headers()["sec-ch-ua-full-version"] == f'"{CHROMIUM}"'


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            {"platform": "Linux x86_64", "vendor": "", "productSub": "20100101"},
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15",
            {"platform": "MacIntel", "vendor": "Apple Computer, Inc."},
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 CriOS/137 Mobile Safari/604",
            {"platform": "iPhone", "vendor": "Apple Computer, Inc."},
        ),
        ("curl/8.0", {"platform": "Linux x86_64"}),
    ],
    ids=["Firefox", "Safari", "Chrome on iOS", "none"],
)
def test_what_is_not_chromium_has_none(user_agent: str, said: dict[str, str]) -> None:
    assert hints(user_agent, CHROMIUM) is None
    assert navigator(user_agent) == said
