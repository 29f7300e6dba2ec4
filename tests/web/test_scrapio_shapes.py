"""Scrapio's shapes: what is taken, what is refused in words, and what becomes of it."""

from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages.extract import Field, Kind
from gateway.pages.fetch import Answer, Asked
from gateway.pages.interact import Action, Direction, Verb
from gateway.pages.outputs import Output
from gateway.web.scrapio_shapes import FetchBody, InteractBody, JobBody, PageTold, asked, told
from gateway.web.shapes import read

URL = "https://shop.example/"


def test_all_of_it() -> None:
    body = read(
        InteractBody,
        {
            "url": URL,
            "session": {"id": "päge / 1"},
            "actions": [
                {"type": "goto"},
                {"type": "goto", "url": f"{URL}a"},
                {"type": "click", "selector": "a"},
                {"type": "type", "selector": "b", "value": ""},
                {"type": "select", "selector": "c", "value": "d"},
                {"type": "press", "key": "Enter"},
                {"type": "scroll", "direction": "up", "amount": 10},
                {"type": "scroll", "selector": "e"},
                {"type": "wait_for", "selector": "f"},
                {"type": "wait_ms", "duration_ms": 250},
            ],
            "output": ["markdown", "markdown", "screenshot"],
            "extract": {"mode": "selectors", "fields": {"x": {"selector": "a", "type": "attr", "attribute": "href"}}},
            "timeout_ms": 1500,
        },
        "body",
    )
    assert asked(body, "t", None) == Asked(
        "t",
        URL,
        outputs=(Output.MARKDOWN, Output.SCREENSHOT, Output.JSON),
        session="päge / 1",
        actions=(
            Action(Verb.GOTO),
            Action(Verb.GOTO, url=f"{URL}a"),
            Action(Verb.CLICK, selector="a"),
            Action(Verb.TYPE, selector="b", value=""),
            Action(Verb.SELECT, selector="c", value="d"),
            Action(Verb.PRESS, key="Enter"),
            Action(Verb.SCROLL, direction=Direction.UP, amount=10),
            Action(Verb.SCROLL, selector="e"),
            Action(Verb.WAIT_FOR, selector="f"),
            Action(Verb.WAIT_MS, seconds=0.25),
        ),
        fields=(("x", Field("a", Kind.ATTR, "href")),),
        timeout=1.5,
    )


def test_what_is_taken_by_itself() -> None:
    assert asked(read(FetchBody, {"url": URL}, "body"), "t", None) == Asked("t", URL)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        pytest.param({"url": "file:///etc/passwd"}, Code.BAD_REQUEST, "url", id="file"),
        pytest.param({"url": "data:text/html,x"}, Code.BAD_REQUEST, "url", id="data"),
        pytest.param({"url": "shop.example"}, Code.BAD_REQUEST, "url", id="relative"),
        pytest.param({}, Code.BAD_REQUEST, "url", id="no-url"),
        pytest.param({"url": URL, "renderJs": True}, Code.UNKNOWN_FIELD, "renderJs", id="unknown"),
        pytest.param({"url": URL, "output": []}, Code.BAD_REQUEST, "output", id="no-output"),
        pytest.param({"url": URL, "output": ["pdf"]}, Code.BAD_REQUEST, "output", id="pdf"),
        pytest.param({"url": URL, "output": ["json"]}, Code.BAD_REQUEST, "json wants extract", id="json"),
        pytest.param({"url": URL, "session": {"id": ""}}, Code.BAD_REQUEST, "session.id", id="no-name"),
        pytest.param({"url": URL, "session": {"id": "x" * 129}}, Code.BAD_REQUEST, "session.id", id="long-name"),
        pytest.param({"url": URL, "session": {"id": "\ud800"}}, Code.BAD_REQUEST, "session.id", id="half-a-surrogate"),
        pytest.param({"url": URL, "session": "x"}, Code.BAD_REQUEST, "session", id="session"),
        pytest.param({"url": URL, "actions": [{"type": "hover"}]}, Code.BAD_REQUEST, "actions.0", id="action"),
        pytest.param({"url": URL, "actions": [{"type": "click"}]}, Code.BAD_REQUEST, "actions.0", id="selector"),
        pytest.param(
            {"url": URL, "actions": [{"type": "goto", "url": "file:///x"}]},
            Code.BAD_REQUEST,
            "actions.0.url",
            id="goto",
        ),
        pytest.param({"url": URL, "timeout_ms": 10**9}, Code.BAD_REQUEST, "timeout_ms", id="timeout"),
        pytest.param(
            {"url": URL, "output": ["json"], "extract": {"mode": "schema", "schema": {"orders": "array"}}},
            Code.UNSUPPORTED,
            "wants a language model",
            id="schema",
        ),
        pytest.param(
            {"url": URL, "extract": {"mode": "instruction", "instruction": "x"}}, Code.UNSUPPORTED, "model", id="words"
        ),
        pytest.param({"url": URL, "extract": {"mode": "selectors"}}, Code.BAD_REQUEST, "fields", id="no-fields"),
        pytest.param(
            {"url": URL, "extract": {"mode": "selectors", "fields": {"x": {"selector": "a", "type": "attr"}}}},
            Code.BAD_REQUEST,
            "extract.fields.x",
            id="no-attribute",
        ),
        pytest.param(
            {"url": URL, "extract": {"mode": "selectors", "fields": {"x": {"selector": "a", "attribute": "b"}}}},
            Code.BAD_REQUEST,
            "extract.fields.x",
            id="attribute-of-text",
        ),
        pytest.param(
            {"url": URL, "extract": {"mode": "selectors", "schema": 1, "fields": {"x": {"selector": "a"}}}},
            Code.BAD_REQUEST,
            "schema",
            id="both",
        ),
    ],
)
def test_what_is_refused(given: dict[str, Any], code: Code, words: str) -> None:
    with pytest.raises(GatewayError) as refused:
        asked(read(FetchBody, given, "body"), "t", None)
    assert refused.value.code is code
    assert words in refused.value.message


def test_interact_wants_something_to_do() -> None:
    for given in ({"url": URL}, {"url": URL, "actions": []}):
        with pytest.raises(GatewayError, match="actions"):
            read(InteractBody, given, "body")
    assert read(JobBody, {"kind": "crawl", "input": {}}, "body").kind == "crawl"


def test_the_reply_is_as_its_model() -> None:
    for session in (None, ("s", True)):
        shown = told(Answer({"json": {"x": None}, "links": []}, session, {"final_url": URL}), "number")
        assert PageTold.model_validate(shown)
        assert shown["session"] == (None if session is None else {"id": "s", "updated": True})
