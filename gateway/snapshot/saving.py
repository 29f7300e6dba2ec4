"""A new version in a session's directory, and which older ones it takes the place of. Blocking; with the lock held.

What a version has in common with older ones it names where it is; the rest goes into one new pack. The pack is on the
disk before the manifest is, and the manifest before anything older is removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.errors import GatewayError
from gateway.snapshot.archive import File, store
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import SessionFolder, instant
from gateway.snapshot.manifest import Header, Manifest, SnapshotInfo, pieces_of, write_manifest
from gateway.snapshot.packs import Damaged, PackWriter, Piece, reusable
from gateway.snapshot.parts import put_document
from gateway.snapshot.seal import Sealer


def write_version(
    folder: SessionFolder,
    draft: SnapshotInfo,
    document: ContextDocument,
    profile: Path | None,
    sealer: Sealer,
    doubtful: frozenset[str],
    beside: int | None = None,
) -> SnapshotInfo:
    """The version after the newest, as `draft` describes it; packs that are `doubtful` are not relied on.

    Its profile is a new one, or the one of the version `beside`, if that has one that can be read.

    A checkpoint that would say the same as the newest version is not written. Raises OSError; then nothing has changed.
    """
    versions = folder.versions()
    before = _readable(folder, versions, sealer)
    labels = {pack: label for manifest in before.values() for pack, label in manifest.header.packs.items()}
    writer = PackWriter(
        folder.path, folder.session_id, sealer, _known(folder, before.values(), labels, sealer, doubtful)
    )
    saved = False
    try:
        parts = put_document(document, writer)
        newest = before.get(versions[-1]) if versions else None
        if draft.checkpoint and newest is not None and newest.document == parts:
            return newest.header.info
        tree = None if profile is None else store(profile, writer, _files(before.values()))
        if beside is not None and beside in before:
            with suppress(Damaged):  # then there is none to go along
                tree = before[beside].profile()
        writer.finish()
        used = set(pieces_of(parts, tree))
        info = replace(
            draft,
            version=versions[-1] + 1 if versions else 1,
            bytes=sum(piece.stored for piece in used),
            added=writer.added,
            has_profile=tree is not None,
        )
        labels[writer.pack] = sealer.label
        packs = {pack: labels[pack] for pack in sorted({piece.pack for piece in used})}
        manifest = write_manifest(Header(info, packs), parts, tree, sealer, folder.name(info.version))
        folder.add(info.version, manifest)
        saved = True
        return info
    finally:
        if not saved:
            writer.discard()


def _readable(folder: SessionFolder, versions: Iterable[int], sealer: Sealer) -> dict[int, Manifest]:
    found = {}
    for version in versions:
        if not folder.is_old(version):
            try:
                found[version] = folder.manifest(version, sealer)
            except (Damaged, GatewayError):
                continue  # what cannot be read has nothing to share; whoever wants to read it is told
    return found


def _known(
    folder: SessionFolder,
    manifests: Iterable[Manifest],
    labels: Mapping[str, str],
    sealer: Sealer,
    doubtful: frozenset[str],
) -> dict[bytes, Piece]:
    sizes = {pack: folder.pack_size(pack) for pack in labels if pack not in doubtful}
    pieces = (piece for manifest in manifests for piece in manifest.pieces)
    return reusable(pieces, sizes, labels, sealer.label)


def _files(manifests: Iterable[Manifest]) -> dict[str, File]:
    """By path, as the newest has them."""
    found = {}
    for manifest in manifests:
        with suppress(Damaged):  # then it has nothing to share
            tree = manifest.profile()
            found.update({file.path: file for file in tree.files} if tree else {})
    return found


@dataclass(frozen=True, slots=True)
class Retention:
    """How many versions stay, and for how many seconds; the newest stays in any case."""

    keep: int
    max_age: float | None = None

    def superseded(self, infos: Sequence[SnapshotInfo], now: float) -> list[int]:
        """Which of these versions, oldest first, go. Pure; `now` in seconds since 1970.

        Of the checkpoints only the newest stays, and only until something is saved after it.
        """
        since = "" if self.max_age is None else instant(now - self.max_age)
        newest = infos[-1:]
        stay = [info for info in infos if not info.checkpoint][-self.keep :]
        return [info.version for info in infos if info not in newest and (info not in stay or info.created_at < since)]

    def apply(self, folder: SessionFolder, now: float) -> None:
        """Remove them, and what only they needed. Raises OSError."""
        for version in self.superseded(folder.infos(), now):
            folder.drop(version)
        folder.tidy()
