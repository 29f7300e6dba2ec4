"""Threads: one writes, many read, and what is in use is not given up."""

import threading

from gateway.snapshot.desk import Desk


def test_what_is_in_use_is_not_given_up() -> None:
    desk = Desk()
    given: list[str] = []

    def do() -> bool:
        given.append("a")
        return True

    with desk.reading("a"), desk.reading("a"):
        assert not desk.give_up("a", do)
        assert desk.give_up("b", lambda: True)
    assert given == []
    assert "a" in desk.used
    assert desk.give_up("a", do)
    assert "a" not in desk.used
    assert not desk.give_up("a", lambda: False)


def test_one_thread_writes_and_may_come_in_again() -> None:
    desk = Desk()
    inside, out, order = threading.Event(), threading.Event(), []

    def other() -> None:
        with desk.alone("a"), desk.alone("a"):
            order.append("other")

    def holding() -> None:
        with desk.alone("a"):
            inside.set()
            assert out.wait(30)
            order.append("first")

    threads = [threading.Thread(target=holding)]
    threads[0].start()
    assert inside.wait(30)
    assert not desk.give_up("a", lambda: True)
    threads.append(threading.Thread(target=other))
    threads[1].start()
    with desk.alone("b"):
        out.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "other"]
