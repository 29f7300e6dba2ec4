"""Tabs made of what was read."""

from typing import Any

from gateway.snapshot.document import Entry, Tab
from gateway.snapshot.tabs import MAX_ENTRIES, Area, Target, entries_of, opened, tabs_of


def entry(url: str) -> dict[str, Any]:
    return {"id": 1, "url": url, "title": url[-1:]}


def test_a_history_without_what_is_empty_or_ours() -> None:
    urls = ["about:blank", "http://a.test/1", "http://a.test/.well-known/empty", "http://a.test/2", "http://a.test/3"]
    entries = [entry(url) for url in urls]
    assert entries_of(entries, 3) == (
        (Entry("http://a.test/1", "1"), Entry("http://a.test/2", "2"), Entry("http://a.test/3", "3")),
        1,
    )
    assert entries_of(entries[:2], 1) == ((), 0)  # it was nowhere else
    assert entries_of([entry("about:blank"), entry("http://a.test/1")], 0) == (
        (Entry("about:blank", "k"), Entry("http://a.test/1", "1")),
        0,
    )
    assert entries_of([entry("")], 0) == ((), 0)


def test_a_long_history_is_cut_around_where_the_tab_is() -> None:
    entries = [entry(f"http://a.test/{number}") for number in range(200)]
    for current in (0, 30, 100, 199):
        kept, index = entries_of(entries, current)
        assert len(kept) == MAX_ENTRIES
        assert kept[index].url == f"http://a.test/{current}"


def test_tabs_have_the_storage_of_all_their_frames() -> None:
    page = Target("p", "http://a.test/", None, ours=True, frames=["p", "same"], visible=True, scroll=(0, 7))
    page.areas = {"http://a.test": Area({"own": "1"}), "http://empty.test": Area()}
    inner = Target("f", "http://b.test/", "same", ours=True, frames=["f"])
    inner.areas = {"http://b.test": Area({"b": "2"}), "http://a.test": Area({"own": "of another"})}
    inmost = Target("g", "http://c.test/", "f", ours=True, areas={"http://c.test": Area({"c": "3"})})
    other = Target("q", "", None, ours=False, order=1)
    items = {"http://a.test": {"own": "1"}, "http://b.test": {"b": "2"}, "http://c.test": {"c": "3"}}
    assert tabs_of([inmost, other, inner, page]) == (
        Tab("http://a.test/", True, items, scroll=(0, 7)),
        Tab("about:blank", False, {}),
    )


def test_a_history_that_is_older_than_the_url_is_left_out() -> None:
    page = Target("p", "http://a.test/3", None, ours=True, history=(Entry("http://b.test/1"), Entry("http://a.test/2")))
    page.index = 1
    assert tabs_of([page]) == (Tab("http://a.test/3", True, {}),)
    assert set(opened([page])) == {"http://a.test", "http://b.test"}


def test_an_area_takes_what_is_new() -> None:
    area = Area()
    assert area.take({"generation": 0.5, "whole": True, "set": [["a", "1"], ["b", "2"]], "gone": [], "more": True})
    before = area.copy()
    assert not area.take({"generation": 0.6, "whole": False, "set": [["a", "3"]], "gone": ["b"], "more": False})
    assert (area.items, area.generation) == ({"a": "3"}, 0.6)
    assert (before.items, before.generation) == ({"a": "1", "b": "2"}, 0.5)
    area.take(None)
    assert area.items == {}
