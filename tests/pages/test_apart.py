"""A page read in a process of its own."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages import apart
from gateway.pages.apart import Apart, check, unreadable


async def test_what_is_asked_is_answered() -> None:
    """Python's own json.tool says again what it is told."""
    again = Apart("json.tool")
    for question in ({"a": ["\u00e9", 1]}, "x" * 100_000):
        assert await again.asked(question) == question


@pytest.mark.parametrize(
    ("module", "patience", "words"), [("no_such", 30.0, "too much memory"), ("json.tool", 0.0, "0 s")]
)
async def test_no_answer(monkeypatch: pytest.MonkeyPatch, module: str, patience: float, words: str) -> None:
    monkeypatch.setattr(apart, "PATIENCE", patience)
    with pytest.raises(GatewayError, match=words) as refused:
        await Apart(module).asked({})
    assert refused.value.code is Code.PAGE_UNREADABLE


def test_the_largest_page() -> None:
    check("x" * apart.LARGEST)
    with pytest.raises(GatewayError, match=str(apart.LARGEST)):
        check("x" * (apart.LARGEST + 1))
    assert unreadable("why").message.endswith(": why")
