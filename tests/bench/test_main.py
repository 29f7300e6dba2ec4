"""The bench's command line: its parts, and an earlier run shown again."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from bench import fork, sessions
from bench.__main__ import PARTS, main
from bench.figures import Figure, save
from bench.report import YES_NO

FORKS = Figure(fork.MADE, "ms", {fork.ONE: [100.0, 120.0], sessions.WARM: [900.0, 1300.0]})
KILL = Figure("kill -9", YES_NO, {"cookies": [1.0], "scroll": [0.0]})


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    return main()


def test_every_part_can_be_measured() -> None:
    for part in PARTS:
        assert callable(import_module(f"bench.{part}").measure), part


def test_an_unknown_part_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "realy")
    assert ended.value.code == 2
    assert "realy: one of relay, sessions," in capsys.readouterr().err


def test_what_was_kept_is_shown_and_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "kept.json"
    save([FORKS, KILL], "a machine", file)
    words = ("--show", str(file), "--output", str(tmp_path / "out"))
    assert run(monkeypatch, *words) == 0
    shown = capsys.readouterr().out
    assert "9.92 (1,100)" in shown, "forks as a multiple of one create"
    assert "a machine" in shown
    assert "*** 1 of " in shown
    assert not (tmp_path / "out").exists(), "there is nothing to draw"
    assert run(monkeypatch, *words, "--check") == 1


def test_goals_of_other_parts_are_not_spoken_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "kept.json"
    save([FORKS], "a machine", file)
    run(monkeypatch, "fork", "--show", str(file))
    assert "not measured" not in capsys.readouterr().out
