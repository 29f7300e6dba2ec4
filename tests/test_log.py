import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from gateway.log import HIDDEN, Redactor
from gateway.records import new_session_id
from gateway.tenancy.access import Access

SECRET = "a-secret-of-the-process"


@pytest.fixture
def redact() -> Redactor:
    return Redactor((SECRET, ""))


def test_what_the_process_knows_is_hidden_wherever_it_stands(redact: Redactor) -> None:
    event = {"event": f"x {SECRET} y", "deep": {"list": [f"<{SECRET}>", (SECRET,)]}, SECRET[:3]: 1}
    assert SECRET not in repr(redact(None, "info", event))
    assert redact.text("plain words, no secret") == "plain words, no secret"


@pytest.mark.parametrize("key", ["token", "apiKey", "Authorization", "cookies", "auth", "context"])
def test_keys_that_name_a_secret_lose_their_value(redact: Redactor, key: str) -> None:
    assert redact(None, "info", {key: "anything"}) == {key: HIDDEN}
    assert redact(None, "info", {"deep": {key: ["anything"]}}) == {"deep": {key: HIDDEN}}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET /?token=abc&x=1", f"GET /?token={HIDDEN}&x=1"),
        ("ws://h/?x=1&apiKey=abc", f"ws://h/?x=1&apiKey={HIDDEN}"),
        ("authorization: bearer abc.def", f"authorization: bearer {HIDDEN}"),
        ("reconnect?auth=abc", f"reconnect?auth={HIDDEN}"),
    ],
)
def test_credentials_in_urls_and_headers(redact: Redactor, text: str, left: str) -> None:
    assert redact.text(text) == left


def test_a_capability_keeps_the_id_of_its_session(redact: Redactor) -> None:
    session = new_session_id()
    capability = Access("token", bytes(32)).capabilities.capability(session)
    assert redact.text(f"GET /session/{capability}/json") == f"GET /session/{session}.{HIDDEN}/json"
    assert redact.text(f"session {session}.") == f"session {session}."


def test_values_that_are_no_text(redact: Redactor) -> None:
    event: dict[str, Any] = {
        "count": 3,
        "ratio": 0.5,
        "on": True,
        "none": None,
        "error": ValueError(f"?token={SECRET}"),
    }
    clean = redact(None, "info", event)
    assert {name: clean[name] for name in ("count", "ratio", "on", "none")} == {
        "count": 3,
        "ratio": 0.5,
        "on": True,
        "none": None,
    }
    assert SECRET not in repr(clean)
    assert SECRET not in repr(redact(None, "info", {"raw": SECRET.encode()}))


SPEAKING = f"""
import logging, sys
import structlog
from gateway import log

log.configure(sys.argv[1], sys.argv[2] or None, ({SECRET!r},))
structlog.get_logger().debug("of-debug")
structlog.get_logger().info("of-ours", url="/?token=abc", number=7)
logging.getLogger("aiohttp.server").error("of-aiohttp %s", {SECRET!r})
logging.getLogger("aiohttp.access").info("of-access")
for speak in (structlog.get_logger().exception, logging.getLogger("asyncio").exception):
    try:
        raise ValueError("with {SECRET} in it")
    except ValueError:
        speak("of-failure")
"""


def spoken(level: str, form: str) -> str:
    words = [sys.executable, "-c", SPEAKING, level, form]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("form", ["json", ""])
def test_json_lines_where_nobody_looks(form: str) -> None:
    written = spoken("info", form)
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["event"] for line in lines] == ["of-ours", f"of-aiohttp {HIDDEN}", "of-failure", "of-failure"]
    assert [line["level"] for line in lines] == ["info", "error", "error", "error"]
    assert lines[0]["number"] == 7
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert all("ValueError" in line["exception"] for line in lines[2:])
    assert SECRET not in written
    assert "abc" not in written


def test_words_for_a_person() -> None:
    written = spoken("debug", "human")
    for word in ("of-debug", "of-ours", "of-aiohttp", "ValueError"):
        assert word in written
    assert "of-access" not in written
    assert not written.startswith("{")
    assert SECRET not in written
    assert "abc" not in written


def test_only_what_matters_enough() -> None:
    assert "of-ours" not in spoken("error", "json")


def test_a_terminal_is_a_person() -> None:
    leader, follower = pty.openpty()
    try:
        words = [sys.executable, "-c", SPEAKING, "info", ""]
        subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower, check=True, timeout=60
        )
        written = os.read(leader, 1 << 16).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert "of-ours" in written
    assert not written.startswith("{")
    assert SECRET not in written
