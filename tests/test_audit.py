import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from gateway import audit as module
from gateway.audit import OLDER, TEXT, Audit, Event

EVENT = Event("session.create", 201, "192.0.2.1", "agent", "abc", tenant="one", session="s")


def told(path: Path) -> list[str]:
    return [json.loads(line)["request"] for line in path.read_text().splitlines()]


def event(number: int) -> Event:
    return Event("session.create", 201, "192.0.2.1", "agent", str(number))


def test_a_line_has_what_is_known() -> None:
    line = EVENT.line(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "at": "2026-01-02T03:04:05.678Z",
        "action": "session.create",
        "status": 201,
        "address": "192.0.2.1",
        "user_agent": "agent",
        "request": "abc",
        "tenant": "one",
        "session": "s",
    }


def test_what_a_client_says_can_neither_forge_a_line_nor_fill_the_disk_nor_bring_a_secret() -> None:
    agent = 'a\n{"action": "forged"} token=sesame\\" Bearer sesame \u2028' + "x" * 10_000
    line = Event("session.create", 201, "", agent, "").line(datetime.now(UTC))
    assert line.count(b"\n") == 1
    assert b"sesame" not in line
    assert len(json.loads(line)["user_agent"]) <= TEXT


def test_all_that_was_noted_is_written_at_the_end(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.log", 1 << 20)
    with audit.writing():
        for number in range(500):
            audit.note(event(number))
    assert told(tmp_path / "audit.log") == [str(number) for number in range(500)]
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600
    with Audit(tmp_path / "audit.log", 1 << 20).writing():
        pass
    assert len(told(tmp_path / "audit.log")) == 500, "the next gateway goes on with it"


def test_it_is_rotated_by_size_and_the_oldest_goes(tmp_path: Path) -> None:
    size = 10 * len(event(1000).line(datetime.now(UTC)))
    audit = Audit(tmp_path / "audit.log", size)
    with audit.writing():
        for number in range(1000, 1200):
            audit.note(event(number))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.log", *(f"audit.log.{number}" for number in range(1, OLDER + 1))]
    assert all(file.stat().st_size <= size for file in files)
    last = [number for file in reversed(files[1:]) for number in told(file)] + told(files[0])
    assert last == [str(number) for number in range(1200 - len(last), 1200)], "without a gap"


def test_somebody_else_may_move_it_away(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = Audit(path, 1 << 20)
    with audit.writing():
        audit.note(event(1))
        while not (path.exists() and path.stat().st_size):
            pass
        path.rename(tmp_path / "moved")
        audit.note(event(2))
    assert (told(tmp_path / "moved"), told(path)) == (["1"], ["2"])


def test_a_disk_that_is_full_loses_lines_and_says_so_once() -> None:
    audit = Audit(Path("/dev/full"), 1 << 20)
    with structlog.testing.capture_logs() as logs, audit.writing():
        for number in range(10):
            audit.note(event(number))
    assert audit.lost == 10
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("audit_line_lost", "error"),
        ("audit_lines_lost", "warning"),
    ]
    assert logs[0]["why"] == "No space left on device"


def test_a_writer_that_cannot_keep_up_loses_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    audit = Audit(tmp_path / "audit.log", 1 << 20)
    for number in range(8):
        audit.note(event(number))  # nobody writes yet
    with audit.writing():
        pass
    assert (audit.lost, told(tmp_path / "audit.log")) == (3, ["0", "1", "2", "3", "4"])


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")
    audit = Audit(tmp_path / "audit.log", 1 << 20)
    with audit.writing():
        audit.note(EVENT)
    assert audit.lost == 1
    assert not (tmp_path / "elsewhere").exists()


def test_to_stderr(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    audit = Audit(None, 1 << 20)
    with audit.writing():
        audit.note(EVENT)
    assert json.loads(capfdbinary.readouterr().err)["request"] == "abc"
