"""Patterns of callers: those of JavaScript, and none that takes for ever."""

import time

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.patterns import LONGEST, pattern


def test_it_is_found_anywhere() -> None:
    found = pattern(r"\.(css|png)(\?|$)", "x")
    assert found.found_in("https://example.com/a.png?b")
    assert not found.found_in("https://example.com/a.pngx")
    assert found == pattern(r"\.(css|png)(\?|$)", "y")


def test_none_takes_for_ever() -> None:
    began = time.monotonic()
    assert not pattern(r"^(a+)+$", "x").found_in("a" * 5000 + "b")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", ["(", "(?=a)b", "a" * (LONGEST + 1)], ids=["open", "look-around", "long"])
def test_what_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(GatewayError, match=r"rejectRequestPattern\.3") as refused:
        pattern(text, "rejectRequestPattern.3")
    assert refused.value.code is Code.BAD_REQUEST
