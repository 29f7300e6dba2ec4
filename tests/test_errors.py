import pytest

from gateway.errors import CloseCode, Code, GatewayError


def test_every_code_has_its_own_word() -> None:
    words = [code.word for code in Code]
    assert len(set(words)) == len(words)
    assert len(Code.__members__) == len(list(Code)), "two names for one code"
    assert all(word == word.lower() and " " not in word for word in words)


@pytest.mark.parametrize("code", Code)
def test_every_code_is_a_refusal(code: Code) -> None:
    assert 400 <= code.status < 600


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.UNAUTHORIZED, 401),
        (Code.SESSION_NOT_FOUND, 404),
        (Code.DRIVER_CONNECTED, 409),
        (Code.SESSION_ENDED, 410),
        (Code.BODY_TOO_LARGE, 413),
        (Code.SNAPSHOT_UNREADABLE, 422),
        (Code.TOO_MANY_SESSIONS, 429),
        (Code.DRAINING, 503),
    ],
)
def test_what_clients_rely_on(code: Code, status: int) -> None:
    assert code.status == status


def test_close_codes_fit_into_the_ranges_of_the_rfc() -> None:
    # RFC 6455 section 7.4.2: 1004 to 1006 and 1015 are never sent, 4000 and above are private.
    for code in CloseCode:
        assert code in range(1000, 1015) or code in range(4000, 5000)
        assert code not in (1004, 1005, 1006)


def test_an_error_says_its_message() -> None:
    error = GatewayError(Code.DRAINING, "the gateway is stopping", retry_after=5)
    assert str(error) == error.message == "the gateway is stopping"
    assert error.retry_after == 5
    assert GatewayError(Code.DRAINING, "x").retry_after is None
    assert GatewayError(Code.DRAINING, "x").details == {}
    assert GatewayError(Code.DRAINING, "x", details={"action": 2}).details == {"action": 2}
