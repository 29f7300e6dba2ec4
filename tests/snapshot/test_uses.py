"""Threads: one writes, many read, and what is in use is not given up."""

import threading

from gateway.snapshot.uses import Uses


def test_what_is_in_use_is_not_given_up() -> None:
    uses = Uses()
    given: list[str] = []

    def do() -> bool:
        given.append("a")
        return True

    with uses.reading("a"), uses.reading("a"):
        assert not uses.give_up("a", do)
        assert uses.give_up("b", lambda: True)
    assert given == []
    assert "a" in uses.used
    assert uses.give_up("a", do)
    assert "a" not in uses.used
    assert not uses.give_up("a", lambda: False)


def test_one_thread_writes_and_may_come_in_again() -> None:
    uses = Uses()
    inside, out, order = threading.Event(), threading.Event(), []

    def other() -> None:
        with uses.alone("a"), uses.alone("a"):
            order.append("other")

    def holding() -> None:
        with uses.alone("a"):
            inside.set()
            assert out.wait(30)
            order.append("first")

    threads = [threading.Thread(target=holding)]
    threads[0].start()
    assert inside.wait(30)
    assert not uses.give_up("a", lambda: True)
    threads.append(threading.Thread(target=other))
    threads[1].start()
    with uses.alone("b"):
        out.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "other"]
