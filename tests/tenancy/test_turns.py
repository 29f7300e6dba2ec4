"""Who is next: rules that hold after whatever sequence of events."""

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.records import Tenant
from gateway.tenancy.turns import Turns, Verdict

TENANTS = ("a", "b", "c")


class Queue(RuleBasedStateMachine):
    """Tenants come, give up, get and give back, and their limits change."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = {name: Tenant(name) for name in TENANTS}
        self.turns = Turns(3, 6, lambda name: self.limits[name])
        self.tickets = 0
        self.waiting: dict[int, tuple[str, bool]] = {}
        self.running = Counter[str]()
        self.passed: Counter[int] = Counter()  # turns of other tenants since somebody waits

    def give_out(self) -> None:
        """As `Slots.settle` does."""
        while (ticket := self.turns.next()) is not None:
            tenant, again = self.waiting.pop(ticket)
            self.running[tenant] += 1
            for other, (whose, early) in self.waiting.items():
                if whose == tenant:
                    assert again >= early, "what was new came before what comes back"
                    assert again != early or ticket < other, "a later one of the same tenant came first"
            self.served(tenant)

    def served(self, tenant: str) -> None:
        for other, (whose, _) in self.waiting.items():
            self.passed[other] += whose != tenant

    @rule(tenant=st.sampled_from(TENANTS), again=st.booleans())
    def come(self, tenant: str, again: bool) -> None:
        self.tickets += 1
        most, length = self.turns.most(tenant), self.turns.most_waiting(tenant)
        mine = sum(whose == tenant for whose, _ in self.waiting.values())
        verdict, displaced = self.turns.ask(tenant, self.tickets, again=again)
        match verdict:
            case Verdict.GRANTED:
                assert self.running[tenant] < most
                assert not any(whose == tenant for whose, _ in self.waiting.values()), "it overtook its own"
                self.running[tenant] += 1
                self.served(tenant)
            case Verdict.QUEUED:
                assert mine < length
                self.waiting[self.tickets] = (tenant, again)
            case Verdict.TENANT_FULL:
                assert mine >= length or most == 0
            case Verdict.NODE_FULL:
                assert len(self.waiting) >= 6
                others = Counter(whose for whose, _ in self.waiting.values())
                assert max(others.values()) < mine + 2
        if displaced is not None:
            loser, _ = self.waiting.pop(displaced)
            left = Counter(whose for whose, _ in self.waiting.values())
            assert left[loser] >= left[tenant], "who had more has not less now"

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        tenant = data.draw(st.sampled_from(sorted(self.running)))
        self.turns.give(tenant)
        self.running -= Counter([tenant])
        self.give_out()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        tenant, _ = self.waiting.pop(ticket)
        self.turns.leave(tenant, ticket)
        self.turns.leave(tenant, ticket)
        self.give_out()

    @rule(tenant=st.sampled_from(TENANTS), most=st.sampled_from([None, 0, 1, 2]), length=st.sampled_from([None, 0, 2]))
    def limit(self, tenant: str, most: int | None, length: int | None) -> None:
        self.limits[tenant] = Tenant(tenant, max_sessions=most, queue_length=length)
        self.give_out()

    @rule(tenant=st.sampled_from(TENANTS))
    def adopt(self, tenant: str) -> None:
        if self.turns.used < 5:
            self.turns.keep(tenant)
            self.running[tenant] += 1

    @invariant()
    def counts(self) -> None:
        assert self.turns.running == self.running
        assert self.turns.waiting() == len(self.waiting)
        assert set(self.turns.tenants()) == {*self.running, *(whose for whose, _ in self.waiting.values())}

    @invariant()
    def nobody_waits_who_need_not(self) -> None:
        if self.turns.used < self.turns.limit:
            assert not any(self.running[whose] < self.turns.most(whose) for whose, _ in self.waiting.values())

    @invariant()
    def positions_are_of_those_who_wait(self) -> None:
        told = sorted(place for name in TENANTS for place in self.turns.positions(name))
        assert told == list(range(1, len(self.waiting) + 1))
        for name in TENANTS:
            assert len(self.turns.positions(name)) == self.turns.waiting(name)


Queue.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None, derandomize=True)
test_whatever_happens = Queue.TestCase


@pytest.mark.parametrize("before", [0, 1, 5])
def test_one_of_another_tenant_is_served_next(before: int) -> None:
    turns = Turns(1, 1000)
    for number in range(before):  # it had its turns, longer ago
        assert turns.ask("b", number)[0] is Verdict.GRANTED
        turns.give("b")
    for number in range(100, 200):
        turns.ask("a", number)
    turns.ask("b", 300)
    turns.give("a")
    assert turns.next() == 300
    turns.give("b")
    assert turns.next() == 101


def test_between_many_tenants_each_gets_its_turn() -> None:
    turns = Turns(1, 1000)
    turns.ask("z", 0)
    number = 0
    for tenant in "abcd":
        for _ in range(ord("e") - ord(tenant)):
            number += 1
            turns.ask(tenant, number)
    told = {place: tenant for tenant in "abcd" for place in turns.positions(tenant)}
    served = []
    holder = "z"
    while turns.waiting():
        turns.give(holder)
        ahead = {tenant: turns.waiting(tenant) for tenant in "abcd"}
        assert turns.next() is not None
        holder = next(tenant for tenant in "abcd" if turns.waiting(tenant) < ahead[tenant])
        served.append(holder)
    assert "".join(served) == "abcdabcaba"
    assert served == [told[place] for place in sorted(told)], "as it was told"


def test_who_never_asked_has_nothing() -> None:
    turns = Turns(2, 2)
    assert (turns.waiting("x"), turns.positions("x"), turns.tenants()) == (0, (), ())
    turns.leave("x", 1)
    assert turns.next() is None
