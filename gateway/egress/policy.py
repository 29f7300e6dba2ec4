"""What a browser may reach: the rules of the node, of its tenant and of its session, joined. Pure.

Three owners, each with two lists. What one of them denies stays denied, whatever the others allow. Then:

- An address that is not public (`address.special`) is refused, unless the node's or the tenant's `allow` opens it:
  by address or network, or by a name (whoever writes `intranet.example` there trusts what it resolves to).
  `*` opens nothing: it is every public destination. The session's `allow` opens too if an admin made it, who could
  have set the node's; anybody else chooses only among what is open.
- A session's `allow`, where it has one, is all that the session may reach. The node's and the tenant's do not close
  what is public by being there; with `*` in `deny` the same owner's `allow` is all there is.

Every refusal is the name of a rule: `private-address`, `denied: *.ads.example`, `not allowed`.
"""

from dataclasses import dataclass

from gateway.egress.address import Address, Host, is_loopback, special
from gateway.egress.pattern import Pattern, pattern
from gateway.records import Egress, Rules

NOT_ALLOWED = "not allowed"


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner's lists. `opens`: its `allow` opens addresses that are not public; `only`: it is all there is."""

    allow: tuple[Pattern, ...]
    deny: tuple[Pattern, ...]
    opens: bool
    only: bool

    @classmethod
    def of(cls, rules: Rules, *, opens: bool = True, only: bool = False) -> "Owner":
        """Raises BadPattern."""
        allow = tuple(pattern(text) for text in rules.allow)
        deny = tuple(pattern(text) for text in rules.deny)
        everything = any(one.everything for one in deny)
        return cls(allow, tuple(one for one in deny if not one.everything), opens, only or everything)

    def names(self, host: Host, port: int, address: Address) -> list[Pattern]:
        """Which of `allow` match."""
        return [one for one in self.allow if one.names(host, port) or one.holds(address, port)]


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which destinations are refused, and by which rule."""

    owners: tuple[Owner, ...]

    @classmethod
    def joined(cls, node: Rules, tenant: Rules, session: Egress) -> "EgressPolicy":
        """Raises BadPattern."""
        own = Rules(session.allow, session.deny)
        return cls(
            (Owner.of(node), Owner.of(tenant), Owner.of(own, opens=session.opens, only=bool(session.allow))),
        )

    def of_name(self, host: Host, port: int) -> str | None:
        """What can be said before the name is resolved: the rule that refuses it whatever it resolves to."""
        for owner in self.owners:
            for one in owner.deny:
                if one.names(host, port):
                    return f"denied: {one.text}"
            by_name = owner.only and isinstance(host, str) and not any(one.network for one in owner.allow)
            if by_name and not any(one.names(host, port) for one in owner.allow):
                return NOT_ALLOWED
        return None

    def of_address(self, host: Host, port: int, address: Address) -> str | None:
        """The rule that refuses to connect to `address` for a request to `host`; None if it may be."""
        if (rule := self.of_name(host, port)) is not None:
            return rule
        for owner in self.owners:
            for one in owner.deny:
                if one.holds(address, port):
                    return f"denied: {one.text}"
            if owner.only and not owner.names(host, port, address):
                return NOT_ALLOWED
        return None if self.opens(host, port, address) else special(address)

    def opens(self, host: Host, port: int, address: Address) -> bool:
        """Whether somebody who may has opened this address, if it should not be public."""
        return any(
            one.name or one.network for owner in self.owners if owner.opens for one in owner.names(host, port, address)
        )

    def of_upstream_name(self, host: str, port: int) -> str | None:
        """For a name that an upstream proxy will resolve: nothing is known of its address.

        A list that is all there is must have the name itself then. Names of this machine never go there.
        """
        if (rule := self.of_name(host, port)) is not None:
            return rule
        for owner in self.owners:
            if owner.only and not any(one.names(host, port) for one in owner.allow):
                return NOT_ALLOWED
        return "loopback-address" if is_loopback(host) else None

    def for_proxy(self, place: str) -> "EgressPolicy":
        """What holds for the way to an upstream proxy itself: a session's lists are about destinations.

        But one that may open addresses opens that of its proxy, at `place`, by naming it.
        """
        *others, session = self.owners
        return EgressPolicy((*others, Owner((pattern(place),), (), session.opens, False)))
