"""What the shared storage has of one session, and which of it counts. Pure.

    SESSION/FENCE.VERSION.TOKEN.manifest   a version, as the incarnation FENCE put it there
    SESSION/pack-NAME.TOKEN                a copy of a pack; several of one pack are the same
    SESSION/FENCE.stop                     from now on nobody of a lower fence may say that it has saved
    SESSION/FENCE.claim                    what that incarnation goes on from: the names of the manifests it took over

The TOKEN of a manifest is the beginning of its SHA-256, that of a pack is made at random: nothing is ever overwritten.

A claim counts as soon as it is there, that of the highest fence alone. With it only the manifests that it names count,
and those of its own fence; so whatever else a node puts there that was taken over, and however late, does not count.
Nothing that was saved is lost by that: who saves puts the manifest first and looks for stops after it, who claims puts
the stop first and looks for manifests after it. Either the one sees the stop and says it has not saved, or the other
sees the manifest and takes it over.

Where nobody has claimed (a first incarnation has nobody before it, profiles have no incarnations) the manifests of the
highest fence count. Of two of one version, which profiles may have that two nodes saved at once, one counts.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.snapshot.blobs import Blob
from gateway.snapshot.packs import PREFIX

_COPY = re.compile(r"(\d{1,18})\.(\d{1,18})\.([0-9a-f]{16})\.manifest")
_MARK = re.compile(r"(\d{1,18})\.(stop|claim)")
_PACK = re.compile(rf"({PREFIX}[0-9a-f]+)\.[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """A version in the shared storage; in the order of their versions."""

    version: int
    fence: int
    token: str

    @property
    def name(self) -> str:
        return f"{self.fence}.{self.version}.{self.token}.manifest"

    @classmethod
    def of(cls, version: int, fence: int, manifest: bytes) -> "Copy":
        return cls(version, fence, token(manifest))


def token(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Stored:
    """One session's blobs. `packs`: of each pack the names of its copies; `size` in bytes, of all."""

    copies: tuple[Copy, ...] = ()
    stops: frozenset[int] = frozenset()
    claims: frozenset[int] = frozenset()
    packs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    size: int = 0

    @property
    def highest(self) -> int:
        """The fence of the newest incarnation that left anything; 0 if none did."""
        return max((*self.stops, *self.claims, *(copy.fence for copy in self.copies)), default=0)

    @property
    def owner(self) -> int:
        """The fence whose manifests count; 0 where none has been there."""
        return max(self.claims, default=max((copy.fence for copy in self.copies), default=0))

    @property
    def claimed(self) -> bool:
        """Whether the owner has a claim, which must be read to know what counts."""
        return bool(self.claims)

    def valid(self, taken: Iterable[str] = ()) -> tuple[Copy, ...]:
        """What counts, oldest first, each version once; `taken` is what the owner's claim names."""
        names, found = set(taken), {}
        for copy in sorted(self.copies):  # of one version the last is the owner's own, or that of the greater token
            if copy.fence == self.owner or copy.name in names:
                found[copy.version] = copy
        return tuple(found.values())

    def stale(self, valid: Iterable[Copy]) -> tuple[str, ...]:
        """Manifests that do not count and never will, and what earlier incarnations left beside them, once claimed."""
        if not self.claims:
            return ()
        count = set(valid)
        names = [copy.name for copy in self.copies if copy not in count and copy.fence < self.owner]
        names += [f"{fence}.claim" for fence in sorted(self.claims) if fence < self.owner]
        return (*names, *(f"{fence}.stop" for fence in sorted(self.stops) if fence <= self.owner))


def stored(blobs: Iterable[Blob], session: str) -> Stored:
    """What a listing of SESSION/ says; other names are not ours and are left alone."""
    copies, size = [], 0
    marks: dict[str, set[int]] = {"stop": set(), "claim": set()}
    packs: dict[str, tuple[str, ...]] = {}
    for blob in blobs:
        name = blob.name.removeprefix(f"{session}/")
        size += blob.size
        if match := _COPY.fullmatch(name):
            copies.append(Copy(int(match[2]), int(match[1]), match[3]))
        elif match := _MARK.fullmatch(name):
            marks[match[2]].add(int(match[1]))
        elif match := _PACK.fullmatch(name):
            packs[match[1]] = (*packs.get(match[1], ()), name)
    return Stored(tuple(sorted(copies)), frozenset(marks["stop"]), frozenset(marks["claim"]), packs, size)


def write_claim(taken: Iterable[Copy]) -> bytes:
    return json.dumps([copy.name for copy in taken]).encode()


def read_claim(data: bytes) -> frozenset[str]:
    """Raises ValueError."""
    names = json.loads(data)
    if not isinstance(names, list):
        raise ValueError("not a claim")
    return frozenset(map(str, names))


@dataclass(frozen=True, slots=True)
class Held:
    """A version that a node has on its own disk: whose it is, and as what it was shared (None: it was not yet)."""

    fence: int
    token: str
    shared: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes a node's own directory equal to what counts. `known` are there already; `drop` before `fetch`."""

    fetch: tuple[Copy, ...]
    drop: tuple[int, ...]
    known: tuple[Copy, ...]


def plan(valid: tuple[Copy, ...], owner: int, here: Mapping[int, Held], gone: Iterable[str] = ()) -> Plan:
    """`here` by version. `gone` are names of what this node has removed and not yet removed from the shared storage.

    What is here alone stays if it was never shared and is newer than all that counts, and no later incarnation came.
    """
    count = {copy.name: copy for copy in valid}
    newest = valid[-1].version if valid else 0
    drop, known = [], []
    for version, held in sorted(here.items()):
        same = count.get(held.shared) if held.shared else None
        if same is None:
            same = next((copy for copy in valid if copy.version == version and copy.token == held.token), None)
        if same is not None:
            known.append(same)
        elif held.shared or held.fence < owner or version <= newest:
            drop.append(version)
    without = {copy.name for copy in known} | set(gone)
    return Plan(tuple(copy for copy in valid if copy.name not in without), tuple(drop), tuple(known))


def orphans(there: Stored, names: Mapping[str, frozenset[str]], among: frozenset[str] | None) -> tuple[str, ...]:
    """Copies of packs that no manifest there names; `names`: of manifests which packs they name.

    None where the listing has a manifest of which that is not known. `among`: of these packs only.
    """
    if any(copy.name not in names for copy in there.copies):
        return ()
    needed = {pack for copy in there.copies for pack in names[copy.name]}
    return tuple(
        name
        for pack, copies in there.packs.items()
        if pack not in needed and (among is None or pack in among)
        for name in copies
    )
