"""Figures: medians of rounds, ratios within rounds, and what is kept of them; tables of them."""

from pathlib import Path

import pytest

from bench.figures import Figure, load, save
from bench.report import YES_NO, aligned, reference, tables
from bench.subjects import DIRECT, GATEWAY, HTTP_PROXY, NGINX

FIGURE = Figure("round trip", "µs", {DIRECT: [100, 200, 400], GATEWAY: [130, 250, 560], HTTP_PROXY: [140, 300, 480]})


def test_a_figure_is_the_median_of_its_rounds() -> None:
    assert FIGURE.median(GATEWAY) == 250
    with pytest.raises(KeyError):
        FIGURE.median(NGINX)


def test_a_ratio_is_taken_within_rounds_not_between_medians() -> None:
    # The rounds' own ratios are 1.3, 1.25 and 1.4; the medians' would be 1.25.
    assert FIGURE.ratio(GATEWAY, DIRECT) == pytest.approx(1.3)
    assert FIGURE.ratio(DIRECT, DIRECT) == 1


def test_a_ratio_wants_the_same_rounds_of_both() -> None:
    with pytest.raises(ValueError, match="longer"):
        Figure("x", "ms", {DIRECT: [1.0, 2.0], GATEWAY: [1.0]}).ratio(GATEWAY, DIRECT)


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "new" / "latest.json"
    save([FIGURE], "a machine", file)
    assert load(file) == ("a machine", [FIGURE])


def test_the_reference_is_the_best_known_of_those_measured() -> None:
    assert reference(FIGURE) == DIRECT
    assert reference(Figure("x", "KB", {GATEWAY: [1.0], HTTP_PROXY: [2.0]})) == HTTP_PROXY
    assert reference(Figure("x", "KB", {HTTP_PROXY: [2.0]})) is None


def test_tables_have_ratios_first_and_a_heading_for_each_set_of_subjects() -> None:
    alone = Figure("CPU while idle", "%", {GATEWAY: [0.71]})
    assert list(tables([FIGURE, alone])) == [
        "",
        "as a multiple of direct       direct      gateway   http-proxy",
        "round trip, µs            1.00 (200)   1.30 (250)   1.40 (300)",
        "",
        "                    gateway",
        "CPU while idle, %      0.71",
    ]


def test_answers_are_words() -> None:
    kill = Figure("kill -9", YES_NO, {"cookies": [1.0], "scroll": [0.0]})
    assert list(tables([kill])) == [
        "",
        "          cookies   scroll",
        "kill -9       yes       no",
    ]


def test_columns_stand_under_each_other() -> None:
    assert list(aligned([("a", "b"), ("long", "1,000")])) == ["a          b", "long   1,000"]
