"""What became of the work that was asked for."""

from gateway.web.tally import Tally


def test_what_is_counted() -> None:
    tally = Tally()
    for status in (200, 101, 201, 400, 401, 404, 408, 429, 429, 499, 502):
        tally.note(status)
    shown = tally.shown(running=3, queued=1)
    names = ("successful", "unauthorized", "timedout", "rejected", "error", "running", "queued", "maxConcurrent")
    assert [shown[name] for name in names] == [3, 1, 1, 2, 1, 3, 1, 3]
    assert (shown["sessionTimes"], shown["meanTime"], shown["units"]) == ([], 0, 0)
    assert tally.recently_rejected == 2
