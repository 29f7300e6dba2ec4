"""What a request says, for every handler."""

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.errors import Code, GatewayError
from gateway.records import new_session_id
from gateway.web.request import check_query, session_id, switch


def refused(path: str, known: frozenset[str]) -> Code:
    with pytest.raises(GatewayError) as error:
        check_query(make_mocked_request("GET", path), known)
    return error.value.code


def test_names_of_a_query() -> None:
    check_query(make_mocked_request("GET", "/x?a=1&token=t&apiKey=t"), frozenset("ab"))
    assert refused("/x?a=1&c=2", frozenset("ab")) is Code.UNKNOWN_PARAMETER


@pytest.mark.parametrize(
    ("query", "on"), [("", False), ("?s=0", False), ("?s=false", False), ("?s", True), ("?s=TRUE", True)]
)
def test_a_switch(query: str, on: bool) -> None:
    assert switch(make_mocked_request("GET", f"/x{query}"), "s") is on


def test_a_switch_that_is_neither() -> None:
    with pytest.raises(GatewayError, match="s: true or false"):
        switch(make_mocked_request("GET", "/x?s=maybe"), "s")


def test_the_session_in_a_path() -> None:
    number = new_session_id()
    assert session_id(number) == session_id(f"{number.upper()}.s1-0-mac") == number
    with pytest.raises(GatewayError) as error:
        session_id("../etc")
    assert error.value.code is Code.SESSION_NOT_FOUND
