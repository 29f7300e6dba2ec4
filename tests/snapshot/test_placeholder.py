"""What stands in for the pages of a tab's history."""

from dataclasses import replace

from gateway.snapshot.document import Entry, Tab
from gateway.snapshot.placeholder import AFTER, BEFORE, can_open, frames, resting, stops, trail

A, B, C = (Entry(f"https://{name}.test/", name) for name in "abc")
A2 = Entry("https://a.test/2")


def tab(*entries: Entry, index: int) -> Tab:
    return Tab(entries[index].url, history=entries, index=index)


def test_a_tab_without_a_history_has_its_own_page() -> None:
    assert trail(Tab(A.url)) == ((Entry(A.url),), 0)


def test_pages_before_and_after_are_kept_in_order() -> None:
    assert trail(tab(A, B, C, index=1)) == ((A, B, C), 1)


def test_what_cannot_be_opened_and_what_chromium_takes_for_a_reload_is_left_out() -> None:
    blank, inner = Entry("about:blank"), Entry("chrome://version")
    again = Entry(B.url, "again")
    assert trail(tab(blank, inner, A, again, B, again, C, C, inner, index=4)) == ((A, B, C), 1)
    assert trail(tab(A, B, A, index=2)) == ((A, B, A), 2)


def test_an_empty_page_with_nothing_before_it_needs_no_history() -> None:
    blank = Entry("about:blank")
    assert trail(tab(blank, A, index=0)) == ((blank,), 0)
    assert trail(tab(A, blank, index=1)) == ((A, blank), 1)


def test_a_long_history_is_cut_around_the_page() -> None:
    entries = tuple(Entry(f"https://a.test/{number}") for number in range(50))
    kept, own = trail(tab(*entries, index=30))
    assert kept == entries[30 - BEFORE : 31 + AFTER]
    assert kept[own] == entries[30]


def test_what_a_document_says_is_no_markup() -> None:
    evil = "</script></title><script>alert(1)</script>\ud800"
    items = {"https://a.test": {evil: evil}, "https://b.test": {"k": evil}}
    there = Tab(A.url, True, items, (Entry(B.url, evil), Entry(A.url, evil)), 1, (1, 2.4))
    for text in (*(stop.document for stop in stops(there, wakes=True)[0]), *frames(there).values()):
        assert "<script>alert" not in text
        assert text.count("<script>") == text.count("</script>")


def test_only_a_tab_that_waits_wakes_by_itself() -> None:
    assert "reload" in resting(Tab(A.url), A, wakes=True)
    assert "reload" not in resting(Tab(A.url), A, wakes=False)


def test_a_tab_rests_at_its_page_if_something_is_to_be_put_there() -> None:
    for there in (
        Tab(A.url),
        replace(tab(B, A, C, index=1)),
        replace(tab(B, A, index=1), scroll=(0, 5)),
        replace(tab(B, A, index=1), session_storage={"https://a.test": {"k": "v"}}),
        replace(tab(A, A2, index=1), session_storage={"https://a.test": {"k": "v"}, "https://b.test": {"k": "v"}}),
    ):
        way, rest = stops(there, wakes=False)
        assert rest is not None
        assert way[rest].url == there.url
        assert [stop.stores for stop in way] == [number == rest for number in range(len(way))]
    assert stops(tab(A, B, index=1), wakes=True)[1] == 1


def test_the_last_page_of_a_history_is_loaded_as_one_more_where_nothing_is_to_be_put() -> None:
    """A document less to show. The session storage goes to an earlier page of the origin, if there is one."""
    way, rest = stops(tab(B, C, A, index=2), wakes=False)
    assert rest is None
    assert [(stop.url, stop.stores) for stop in way] == [(B.url, False), (C.url, False)]
    stored = {"https://a.test": {"k": "v"}}
    way, rest = stops(replace(tab(A, B, A2, index=2), session_storage=stored), wakes=False)
    assert rest is None
    assert [(stop.url, stop.stores) for stop in way] == [(A.url, True), (B.url, False)]
    assert "sessionStorage" in way[0].document


def test_a_fragment_leaves_the_document_as_it_is() -> None:
    """What is put is put into the document that is there."""
    one, two = Entry(f"{A.url}#1"), Entry(f"{A.url}#2")
    way, rest = stops(tab(B, A, one, two, C, index=3), wakes=False)
    assert rest == 3
    assert [stop.stores for stop in way] == [False, True, False, False, False]
    way, rest = stops(tab(A, one, index=1), wakes=False)
    assert rest == 1, "not loaded as one more: nothing would be loaded"
    stored = {"https://a.test": {"k": "v"}}
    way, rest = stops(replace(tab(A, one, C, A2, index=3), session_storage=stored), wakes=False)
    assert rest is None
    assert [stop.stores for stop in way] == [True, False, False]


def test_web_pages_can_be_opened() -> None:
    assert all(can_open(url) for url in ("https://a.test/", "http://a.test", "about:blank", "data:text/html,x"))
    assert not any(
        can_open(url) for url in ("chrome://version", "file:///etc/passwd", "blob:https://a.test/1", "http://")
    )
