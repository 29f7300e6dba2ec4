"""Where a record is found beside its id: the sorted sets of Redis that it is a member of. Pure."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from gateway.records import Kind, SessionRecord, Status
from gateway.store.base import Query
from gateway.store.profiles import Profile

RUNNING = "running"
DUE = "due"
UNUSED = "profiles:used"
LEAST, MOST = 1, 4_000_000_000_000_000  # numbers that a double of Lua's holds exactly

# A set and the score there; None for the record's number, which is higher the newer it is.
Places = tuple[tuple[str, float | None], ...]


def places(record: SessionRecord) -> Places:
    """Of a session. Those under `of:TENANT` have what is listed: standard sessions only while they run."""
    spec, found = record.spec, []
    tenant = part(spec.tenant)
    if spec.kind is Kind.API or record.status.running:
        found += [(listed(tenant), None), (with_status(tenant, record.status), None)]
        if spec.name is not None:
            found.append((with_name(tenant, spec.name), None))
        found += [(with_label(tenant, key, value), None) for key, value in dict.fromkeys(spec.labels)]
    if record.status.running:
        found.append((RUNNING, None))
        if record.node is not None:
            found.append((running(record.node), None))
    at = [] if record.status is not Status.SUSPENDED else [(DUE, record.ends_at)]
    if record.ended_at is not None:
        at.append((ended(spec.kind), record.ended_at))
    if spec.name is not None and record.snapshot is not None:
        at.append((saved(tenant, spec.name), _seconds(record.snapshot_at)))
    return (*found, *at)


def profile_places(profile: Profile) -> Places:
    """Of a profile."""
    return ((profiles(profile.tenant), None), (UNUSED, profile.used_at))


def wanted(query: Query) -> tuple[list[str], list[str]]:
    """Sets that have all records of a page, and such that one of them has each; the latter may be none."""
    tenant = part(query.tenant)
    every = [with_label(tenant, key, value) for key, value in dict.fromkeys(query.labels)]
    if query.status is not None:
        every.append(with_status(tenant, query.status))
    if query.name is not None:
        every.append(with_name(tenant, query.name))
    some = [with_status(tenant, status) for status in dict.fromkeys(query.among)]
    return (every if every or some else [listed(tenant)]), some


def line(tenant: str, found: Places) -> str:
    """What a record's first line says of its places: see `lua/filed.lua`."""
    flat = [part(tenant)]
    for where, score in found:
        flat += [where, "" if score is None else repr(float(score))]
    return json.dumps(flat, separators=(",", ":"))


def numbered(created_at: float) -> int:
    """The number that a record of that instant has at least: microseconds, which tell the order by themselves."""
    return min(max(int(created_at * 1e6), LEAST), MOST)


def part(text: str) -> str:
    """As a part of a key, between colons."""
    return quote(text, safe="")


def listed(tenant: str) -> str:
    """All that are listed. `tenant` is a part of a key already, here and below."""
    return f"of:{tenant}"


def with_status(tenant: str, status: Status) -> str:
    """Those of them with a status."""
    return f"of:{tenant}:status:{status.value}"


def with_name(tenant: str, name: str) -> str:
    """Those of them with a name."""
    return f"of:{tenant}:name:{part(name)}"


def with_label(tenant: str, key: str, value: str) -> str:
    """Those of them with a label."""
    return f"of:{tenant}:label:{part(key)}={part(value)}"


def saved(tenant: str, name: str) -> str:
    """Those of a name, listed or not, that have a snapshot, by its instant."""
    return f"of:{tenant}:saved:{part(name)}"


def running(node: str | None) -> str:
    """Those with a browser, on one node or all."""
    return RUNNING if node is None else f"{RUNNING}:{node}"


def ended(kind: Kind) -> str:
    """Those of a kind that have ended, by when."""
    return f"ended:{kind.value}"


def profiles(tenant: str) -> str:
    """A tenant's profiles."""
    return f"profiles:of:{part(tenant)}"


def sets(every: Sequence[str], some: Sequence[str]) -> str:
    """Both as `lua/page.lua` takes them."""
    return json.dumps({"all": every, "any": some})


def _seconds(instant: str | None) -> float:
    """An ISO 8601 instant; what is none is older than all that are."""
    try:
        found = datetime.fromisoformat(instant or "")
    except ValueError:
        return 0.0
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
