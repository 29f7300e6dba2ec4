import re

import pytest

from browser_pool.flags import (
    ALWAYS,
    CLIENT_FLAGS,
    DRAWN_IN_SOFTWARE,
    OFF,
    ON,
    ON_A_ROAD,
    WEAKENING,
    WITHOUT_EXTENSIONS,
    WITHOUT_SCREEN,
    Flag,
)

FLAGS = (*ALWAYS, *DRAWN_IN_SOFTWARE, *WITHOUT_SCREEN, *WITHOUT_EXTENSIONS, *ON_A_ROAD)
FEATURES = (*OFF, *ON)


@pytest.mark.parametrize("flag", [*FLAGS, *FEATURES], ids=lambda flag: flag.text)
def test_each_has_its_reason_and_its_risk(flag: Flag) -> None:
    assert len(flag.reason) > 5
    assert len(flag.risk) > 5


def test_none_is_there_twice() -> None:
    names = [flag.text.partition("=")[0] for flag in (*FLAGS, *FEATURES)]
    assert len(names) == len(set(names))


def test_they_are_written_as_chromium_wants_them() -> None:
    assert all(re.fullmatch(r"--[a-z-]+(=[^ ]+)?", flag.text.replace(" ", "_")) for flag in FLAGS)
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", feature.text) for feature in FEATURES)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in CLIENT_FLAGS)


def test_nothing_weakens_the_sandbox_or_the_isolation_of_sites() -> None:
    words = " ".join(flag.text for flag in (*FLAGS, *FEATURES))
    for name in ("no-sandbox", "no-zygote", "single-process", "IsolateOrigins", "site-per-process", "renderer-process"):
        assert name not in words
    assert not WEAKENING.intersection(feature.text for feature in FEATURES)
    assert "--disable-crashpad-for-testing" not in words, "with it the network service of Chromium 156 dies in a loop"
