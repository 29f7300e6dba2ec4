import pytest

from gateway.errors import Code, GatewayError
from gateway.web.dialects import Dialect, dialect_of, refusal_body


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/", Dialect.NATIVE),
        ("/session/x/fork", Dialect.NATIVE),
        ("/nothing/v1/fetch", Dialect.NATIVE),
        ("/v1/sessions", Dialect.STEEL),
        ("/v1/sessions/x/release", Dialect.STEEL),
        ("/v1/screenshot", Dialect.STEEL),
        ("/hosted/x", Dialect.STEEL),
        ("/v1/never-heard-of", Dialect.STEEL),
        ("/v1", Dialect.STEEL),
        ("/v1/fetch", Dialect.SCRAPIO),
        ("/v1/fetch/", Dialect.SCRAPIO),
        ("/v1/interact", Dialect.SCRAPIO),
        ("/v1/jobs/7/result", Dialect.SCRAPIO),
        ("/v1/fetchable", Dialect.STEEL),
        ("/screenshot", Dialect.BROWSERLESS),
        ("/kill/x", Dialect.BROWSERLESS),
    ],
)
def test_a_path_tells_whose_clients_ask(path: str, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect


FULL = GatewayError(Code.TOO_MANY_SESSIONS, "full", retry_after=5)
AT_TWO = GatewayError(Code.UNSUPPORTED, "no", details={"action": 2, "diagnostics": {"done": 1}, "code": "mine"})


def test_native_refusals() -> None:
    for dialect in (Dialect.NATIVE, Dialect.BROWSERLESS):
        assert refusal_body(dialect, FULL, "n1") == {
            "error": {"code": "too_many_sessions", "message": "full"},
            "requestId": "n1",
        }
    assert refusal_body(Dialect.NATIVE, AT_TWO, "n1")["error"]["details"]["action"] == 2


def test_steel_is_told_the_message_where_its_sdks_look_for_it() -> None:
    assert refusal_body(Dialect.STEEL, FULL, "n1") == {
        "message": "full",
        "error": {"code": "too_many_sessions", "message": "full"},
        "requestId": "n1",
    }


def test_scrapio_has_details_in_the_error_and_diagnostics_beside_it() -> None:
    assert refusal_body(Dialect.SCRAPIO, FULL, "n1") == {
        "request_id": "n1",
        "error": {"code": "too_many_sessions", "message": "full"},
        "diagnostics": {},
    }
    assert refusal_body(Dialect.SCRAPIO, AT_TWO, "n1") == {
        "request_id": "n1",
        "error": {"action": 2, "code": "unsupported", "message": "no"},
        "diagnostics": {"done": 1},
    }
