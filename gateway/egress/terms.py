"""What holds on a browser's road, as nouns, and as JSON for the pipe between two processes."""

from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.records import Egress, Rules, Upstream


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules of the tenant and of the session; the node's hold for every browser."""

    tenant: Rules = field(default_factory=Rules)
    session: Egress = field(default_factory=Egress)

    def dump(self) -> dict[str, Any]:
        """With passwords."""
        return asdict(self)

    @classmethod
    def load(cls, value: dict[str, Any]) -> "Terms":
        """What `dump` has written, also after JSON made lists of the tuples."""
        return cls(rules(value["tenant"]), egress(value["session"]))


def rules(value: dict[str, Any]) -> Rules:
    """From what `asdict` or JSON made of it."""
    return Rules(tuple(value["allow"]), tuple(value["deny"]))


def egress(value: dict[str, Any]) -> Egress:
    """The same."""
    upstream = value["upstream"]
    if upstream is not None:
        upstream = Upstream(**{**upstream, "bypass": tuple(upstream["bypass"])})
    return Egress(**{**value, "allow": tuple(value["allow"]), "deny": tuple(value["deny"]), "upstream": upstream})
