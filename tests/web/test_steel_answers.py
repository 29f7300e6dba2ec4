import time
from dataclasses import replace

import pytest
from steel.types import Session as Theirs

from browser_pool.spec import LaunchSpec
from gateway.records import Kind, SessionRecord, SessionSpec, Status, Thrift, new_session_id
from gateway.session.life import Cause
from gateway.tenancy.access import TENANT, Access
from gateway.web.links import Links
from gateway.web.steel_answers import AMONG, REASONS, dumped, events_of, session_shape, status_of

NOW = time.time()
RECORD = SessionRecord(
    new_session_id(), SessionSpec(TENANT, Kind.API, LaunchSpec(), 300, 300), Status.DETACHED, NOW - 5, NOW + 295
)
LINKS = Links("https://gate.example", Access("the-token", bytes(32)))
UNKNOWN = {"save_failed", "gateway_fault", "gateway_stopped", "node_lost"}  # Steel has no word for them


@pytest.mark.parametrize("cause", Cause, ids=lambda cause: cause.word)
def test_each_end_has_its_reason_in_the_words_of_the_sdk(cause: Cause) -> None:
    record = replace(RECORD, status=cause.status, reason=cause.word, ended_at=NOW)
    shown = dumped(session_shape(record, LINKS, 0, secret=True))
    found = Theirs.model_validate(shown)
    assert found.status == ("failed" if cause.status is Status.FAILED else "released")
    assert found.release_reason == REASONS.get(cause.word)
    assert (found.release_reason is None) == (cause.word in UNKNOWN)


@pytest.mark.parametrize("status", Status)
def test_each_status_is_one_of_steels(status: Status) -> None:
    word, reason = status_of(replace(RECORD, status=status, reason="stopped" if status.ended else None))
    assert status in AMONG[word]
    assert (word == "live") == (reason is None)


def test_a_live_session() -> None:
    record = replace(RECORD, created_at=time.time() - 5)
    shown = dumped(session_shape(record, LINKS, 1234, secret=True))
    assert shown["releaseReason"] is None, "always told"
    assert "userAgent" not in shown
    assert "region" not in shown
    found = Theirs.model_validate(shown)
    assert 5000 <= found.duration < 60_000
    assert (found.timeout, found.proxy_bytes_used, found.credits_used) == (300_000, 1234, 0)
    assert found.websocket_url.startswith("wss://gate.example/?token=")
    assert found.websocket_url.endswith(f"sessionId={RECORD.id}")
    assert found.debug_url == found.session_viewer_url
    assert (found.dimensions.width, found.dimensions.height) == (1920, 1080)
    watched = Theirs.model_validate(dumped(session_shape(RECORD, LINKS, 0, secret=False)))
    assert watched.websocket_url == f"wss://gate.example/?sessionId={RECORD.id}"


def test_the_request_comes_back() -> None:
    spec = replace(RECORD.spec, idle=2.5, thrift=Thrift(frozenset({"image"}), ("a.example",)), profile="p")
    spec = replace(spec, launch=LaunchSpec(stealth=True, viewport=(800, 600)), labels=(("projectId", "x"),))
    found = Theirs.model_validate(dumped(session_shape(replace(RECORD, spec=spec), LINKS, 0, secret=True)))
    assert found.inactivity_timeout == 2500
    assert found.optimize_bandwidth.block_images is True
    assert found.optimize_bandwidth.block_media is False
    assert found.optimize_bandwidth.block_hosts == ["a.example"]
    assert found.dimensions.width == 800
    assert found.profile_id == "p"
    assert found.project_id == "x"
    assert found.stealth_config is not None
    assert found.stealth_config.skip_fingerprint_injection is False


def test_events_are_counted_as_they_are_told() -> None:
    history = ((NOW - 4, "started"), (NOW - 3, "connected"), (NOW - 1, "released"))
    record = replace(RECORD, history=history, status=Status.STOPPED, reason="stopped", ended_at=NOW - 1)
    events = events_of(record)
    assert [event.data.tag for event in events] == [
        "session.created",
        "session.started",
        "session.connected",
        "session.released",
    ]
    assert events[-1].data.payload["reason"] == "stopped"
    assert session_shape(record, LINKS, 0, secret=True).event_count == 4
    put_away = replace(record, history=history[:2], status=Status.EXPIRED, reason="ttl")
    assert events_of(put_away)[-1].data.tag == "session.released", "also of one that ended while it was put away"
