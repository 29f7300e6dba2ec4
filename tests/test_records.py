import uuid
from dataclasses import replace

import pytest

from browser_pool.spec import LaunchSpec
from gateway.records import Identity, Kind, SessionId, SessionRecord, SessionSpec, Status, is_session_id, new_session_id

SPEC = SessionSpec("tenant", Kind.API, LaunchSpec(), ttl=60, keep=10)
RECORD = SessionRecord(
    SessionId("3b1f6c2a-9d84-47e0-8a55-0c6de1f2b793"), SPEC, Status.SUSPENDED, created_at=1000, expires_at=1060
)


def test_ids_are_uuids_that_never_repeat() -> None:
    made = {new_session_id() for _ in range(1000)}
    assert len(made) == 1000
    for text in made:
        assert is_session_id(text)
        assert str(uuid.UUID(text)) == text


@pytest.mark.parametrize("text", ["", "x", f"{RECORD.id}\n", f"{RECORD.id}.mac", f" {RECORD.id}", "F" + RECORD.id[1:]])
def test_what_is_no_id(text: str) -> None:
    assert not is_session_id(text)


@pytest.mark.parametrize("status", Status)
def test_a_status_is_running_ended_or_suspended(status: Status) -> None:
    assert [status.running, status.ended, status is Status.SUSPENDED].count(True) == 1


def test_a_suspended_session_expires_by_itself() -> None:
    assert RECORD.settled(1059.9) == RECORD
    over = RECORD.settled(1060)
    assert (over.status, over.reason, over.ended_at) == (Status.EXPIRED, "ttl", 1060)
    assert over.settled(5000) == over


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SUSPENDED])
def test_others_are_ended_by_whoever_runs_them(status: Status) -> None:
    record = replace(RECORD, status=status)
    assert record.settled(5000) == record


def test_the_secrets_of_an_identity_are_no_part_of_its_text() -> None:
    identity = Identity(user_agent="Agent", extra_headers=(("Authorization", "s3cret"),))
    assert "Agent" in repr(replace(RECORD, spec=replace(SPEC, identity=identity)))
    assert "s3cret" not in repr(replace(RECORD, spec=replace(SPEC, identity=identity)))


def test_a_suspended_session_that_nobody_uses_ends_before_its_time() -> None:
    idle = replace(RECORD, spec=replace(SPEC, idle=20), last_used_at=1030)
    assert idle.settled(1049.9) == idle
    over = idle.settled(1050)
    assert (over.status, over.reason, over.ended_at) == (Status.EXPIRED, "inactivity", 1050)
    assert replace(idle, last_used_at=None).ends_at == 1020, "counted from when it was made"
    used = replace(idle, last_used_at=1055)
    assert used.settled(1060).reason == "ttl", "its ttl stays the hard end"


def test_new_terms() -> None:
    amended = RECORD.amended(1010, ttl=100, keep=None, labels=(("a", "b"),), idle=7)
    assert (amended.expires_at, amended.spec.keep, amended.spec.idle) == (1110, SPEC.keep, 7)
    assert amended.spec.labels == (("a", "b"),)
    assert amended.amended(1020, ttl=None, keep=None, labels=None).spec.idle == 7
