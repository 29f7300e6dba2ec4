"""The readers of a caller's JSON."""

import pytest

from gateway.errors import Code, GatewayError
from gateway.snapshot import fields


def test_null_counts_as_left_out() -> None:
    assert fields.optional({"a": None}, "a", "x", fields.string) is None
    assert fields.optional({}, "a", "x", fields.string) is None
    assert fields.each({"a": None}, "a", "x", fields.string) == ()
    with pytest.raises(GatewayError, match=r"x\.a is required"):
        fields.required({"a": None}, "a", "x")


def test_true_is_no_number_and_one_is_no_flag() -> None:
    with pytest.raises(GatewayError) as refused:
        fields.number(True, "x.n")
    assert (refused.value.code, refused.value.message) == (Code.BAD_REQUEST, "x.n must be a number")
    with pytest.raises(GatewayError, match=r"x\.f must be true or false"):
        fields.flag(1, "x.f")


def test_list_items_are_numbered() -> None:
    with pytest.raises(GatewayError, match=r"x\.a\[1\] must be a string"):
        fields.each({"a": ["fine", 2]}, "a", "x", fields.string)
