"""commands.py: which messages are the gateway's own, and the wording of replies."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.commands import (
    CONCERNS,
    INVALID_PARAMS,
    NOT_FOUND,
    REFUSED,
    Answerable,
    CloseBrowser,
    Info,
    LetGo,
    Own,
    Reconnect,
    Reject,
    Rewrite,
    Snapshot,
    answer,
    recognise,
    refuse,
)
from gateway.relay.overrides import RECORDED, Override


def ask(method: object, params: object = None, **rest: object) -> Own | None:
    """Recognise a command with id 7; `params` None leaves them out."""
    message: dict[str, object] = {"id": 7, "method": method, **rest}
    if params is not None:
        message["params"] = params
    payload = json.dumps(message).encode()
    own = recognise(payload)
    assert own is None or CONCERNS.search(payload), "the prefilter would have passed it on unseen"
    return own


@pytest.mark.parametrize(("domain", "alias"), [("Gateway", False), ("Browserless", True)])
def test_our_domain_under_both_names(domain: str, alias: bool) -> None:
    assert ask(f"{domain}.info") == Info(7, None, alias)
    assert ask(f"{domain}.snapshot", {}, sessionId="S1") == Snapshot(7, "S1", alias)
    assert ask(f"{domain}.reconnect") == Reconnect(7, None, alias, None, None, False)
    params = {"timeout": 60000, "auth": "s3cret", "detach": True}
    assert ask(f"{domain}.reconnect", params, sessionId="S1") == Reconnect(7, "S1", alias, 60000, "s3cret", True)
    assert ask(f"{domain}.liveURL") == Reject(7, None, NOT_FOUND, f"'{domain}.liveURL' wasn't found")
    assert ask(f"{domain}.") == Reject(7, None, NOT_FOUND, f"'{domain}.' wasn't found")


@pytest.mark.parametrize(
    ("timeout", "granted"), [(1, 1), (0.2, 1), (1500.5, 1501), (60000.0, 60000), (10**400, 10**400)]
)
def test_timeouts_are_whole_milliseconds_rounded_up(timeout: float, granted: int) -> None:
    own = ask("Gateway.reconnect", {"timeout": timeout})
    assert isinstance(own, Reconnect)
    assert own.timeout_ms == granted
    assert isinstance(own.timeout_ms, int)


BAD_VALUES: dict[str, list[object]] = {
    "timeout": [0, -1, -0.5, True, False, "60", None, [1], {}],
    "auth": ["", "x" * 257, 5, None, True, ["x"], "a\ud800"],
    "detach": [0, 1, "true", None, {}],
}
WRONG: list[tuple[str, object, str]] = [
    *(("reconnect", {name: value}, name) for name, values in BAD_VALUES.items() for value in values),
    ("reconnect", [], "params"),
    ("reconnect", "x", "params"),
    ("reconnect", False, "params"),
    ("reconnect", {"timeout": 5, "colour": "red"}, "colour"),
    ("info", {"timeout": 5}, "timeout"),
    ("info", [], "params"),
    ("snapshot", {"reason": "x"}, "reason"),
]


@pytest.mark.parametrize(("name", "params", "word"), WRONG)
def test_a_wrong_parameter_is_named(name: str, params: object, word: str) -> None:
    own = ask(f"Gateway.{name}", params, sessionId="S")
    assert isinstance(own, Reject)
    assert (own.id, own.session, own.code) == (7, "S", INVALID_PARAMS)
    assert own.message.startswith(f"Invalid parameters: {word}: ")


def test_numbers_that_json_has_no_room_for() -> None:
    own = recognise(b'{"id":7,"method":"Gateway.reconnect","params":{"timeout":1e999}}')
    assert isinstance(own, Reject)
    assert "timeout" in own.message
    assert recognise(b'{"id":7,"method":"Gateway.reconnect","params":null}') == Reject(
        7, None, INVALID_PARAMS, "Invalid parameters: params: object expected"
    )
    assert recognise(b'{"id":7,"method":"Gateway.reconnect","params":{"timeout":NaN}}') is None


def test_auth_of_256_characters_is_taken_and_never_shown() -> None:
    own = ask("Gateway.reconnect", {"auth": "ü" * 256})
    assert isinstance(own, Reconnect)
    assert own.auth == "ü" * 256
    assert "ü" not in repr(own)


def test_browser_close_is_ours() -> None:
    assert ask("Browser.close") == CloseBrowser(7, None)
    assert ask("Browser.close", {}, sessionId="S") == CloseBrowser(7, "S")
    assert ask("Browser.close", []) is None
    assert ask("Browser.closeTarget") is None


def test_contexts_outlive_the_client_that_made_them() -> None:
    message = {
        "id": 3,
        "method": "Target.createBrowserContext",
        "params": {"proxyServer": "http://ü:1", "disposeOnDetach": True, "nested": {"disposeOnDetach": True}},
        "sessionId": "S",
        "extra": [1, 2.5, None],
    }
    own = recognise(json.dumps(message).encode())
    assert isinstance(own, Rewrite)
    rewritten = json.loads(own.payload)
    params: Any = message["params"]
    assert rewritten == {**message, "params": {**params, "disposeOnDetach": False}}
    assert list(rewritten) == list(message)
    assert list(rewritten["params"]) == list(params)
    assert recognise(own.payload) is None


@pytest.mark.parametrize("params", [None, {}, {"disposeOnDetach": False}, {"disposeOnDetach": 1}, [], "x"])
def test_other_contexts_are_passed_on_as_they_are(params: object) -> None:
    assert ask("Target.createBrowserContext", params) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b'"Gateway.info"',
        b'["Gateway.info"]',
        b'{"id":7,"method":"Gateway.info"',
        b'{"id":7,"method":"Gateway.info\xff"}',
        b'\xef\xbb\xbf{"id":7,"method":"Gateway.info"}',
        b'{"method":"Gateway.info"}',
        b'{"id":"7","method":"Gateway.info"}',
        b'{"id":7.0,"method":"Gateway.info"}',
        b'{"id":true,"method":"Browser.close"}',
        b'{"id":null,"method":"Gateway.info"}',
        b'{"id":7,"method":"Gateway.info","sessionId":5}',
        b'{"id":7,"method":["Gateway.info"]}',
        b'{"id":7,"method":"Runtime.evaluate","params":{"expression":"f(\\"Gateway.info\\", \'Browser.close\')"}}',
        b'{"id":7,"method":"Runtime.evaluate","params":{"method":"Gateway.info"}}',
        b'{"id":7,"method":"gateway.info"}',
        b'{"id":7,"method":"Gateway"}',
        b'{"id":7,"method":"GatewayX.info"}',
        b'{"id":7,"method":"Gateway.info","params":' + b"[" * 60000 + b"]" * 60000 + b"}",
        b'{"id":' + b"9" * 5000 + b',"method":"Gateway.info"}',
    ],
)
def test_what_is_not_ours_or_no_command_is_passed_on(payload: bytes) -> None:
    assert recognise(payload) is None


def test_the_prefilter_lets_ordinary_commands_through_unseen() -> None:
    for method in (
        "Page.navigate",
        "Browser.getVersion",
        "Target.attachToTarget",
        "Target.disposeBrowserContext",
    ):
        assert CONCERNS.search(json.dumps({"id": 1, "method": method}).encode()) is None
    for method in ("Gateway.x", "Browserless.x", "Browser.close", "Target.createBrowserContext"):
        assert CONCERNS.search(json.dumps({"id": 1, "method": method}).encode())


def test_answers() -> None:
    assert answer(Info(1, None, False), {"status": "connected"}) == b'{"id":1,"result":{"status":"connected"}}'
    assert answer(CloseBrowser(2, "S"), {}) == b'{"id":2,"result":{},"sessionId":"S"}'
    result: dict[str, object] = {"version": 3}
    assert json.loads(answer(Snapshot(3, "S", True), result)) == {
        "id": 3,
        "result": {"version": 3, "error": None},
        "sessionId": "S",
    }
    assert result == {"version": 3}


@pytest.mark.parametrize(
    "command",
    [
        Info(4, "S", True),
        Snapshot(4, "S", False),
        Reconnect(4, "S", True, None, None, False),
        CloseBrowser(4, "S"),
    ],
)
def test_refusals(command: Answerable) -> None:
    assert json.loads(refuse(command, REFUSED, "nothing to save")) == {
        "id": 4,
        "error": {"code": -32000, "message": "nothing to save"},
        "sessionId": "S",
    }
    reject = Reject(5, None, NOT_FOUND, "'Gateway.x' wasn't found")
    assert json.loads(refuse(reject, reject.code, reject.message)) == {
        "id": 5,
        "error": {"code": -32601, "message": "'Gateway.x' wasn't found"},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
METHODS = st.sampled_from(["Gateway.reconnect", "Gateway.info", "Browser.close", "Target.createBrowserContext"])
NAMES = st.sampled_from(["timeout", "auth", "detach", "disposeOnDetach"])


@given(method=METHODS | JSON, params=st.dictionaries(NAMES, JSON) | JSON, session=JSON)
def test_any_json_is_recognised_or_passed_on_and_errors_can_be_sent(
    method: object, params: object, session: object
) -> None:
    own = recognise(json.dumps({"id": 1, "method": method, "params": params, "sessionId": session}).encode())
    if isinstance(own, Reject):
        reply = json.loads(refuse(own, own.code, own.message))
        assert reply["id"] == 1
        assert reply.get("sessionId") == session


def test_what_a_driver_sets_is_recognised() -> None:
    """All that is recorded passes the search that is done in every message."""
    for method in RECORDED:
        own = ask(method, {"a": 1}, sessionId="S")
        assert isinstance(own, Override)
        assert (own.session, own.method, own.params) == ("S", method, {"a": 1})
        assert own.size > len(method)
    assert ask("Runtime.runIfWaitingForDebugger", {}, sessionId="S") == LetGo()
    assert ask("Emulation.canEmulate") is None
    assert ask("Network.setCookie", {"name": "a"}) is None
    assert ask("Page.enable", []) is None
