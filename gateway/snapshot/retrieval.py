"""What is read of a session's versions: damage is told by name, kept in mind, and got round. Blocking: use a thread."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gateway.errors import Code, GatewayError
from gateway.snapshot.archive import lay_out, parted
from gateway.snapshot.document import ContextDocument
from gateway.snapshot.folder import SessionFolder
from gateway.snapshot.legacy import old_document, old_profile
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.packs import Damaged, reading
from gateway.snapshot.parts import get_document
from gateway.snapshot.seal import Sealer, unreadable

T = TypeVar("T")


class Retrieval:
    """The reading half of a vault (`vault.py`, which says what is raised)."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._damaged: dict[tuple[str, int], GatewayError] = {}  # versions that could not be read, by session
        self._doubtful: set[tuple[str, str]] = set()  # packs of theirs

    def _load(self, folder: SessionFolder, version: int | None, storage: bool) -> ContextDocument:
        def load(number: int) -> ContextDocument:
            if folder.is_old(number):
                return old_document(folder.path, number, self._sealer)
            manifest = folder.manifest(number, self._sealer)
            packs = {piece.pack for part in manifest.document for piece in part.pieces}
            with reading(folder.path, folder.session_id, self._sealer, packs) as reader:
                return get_document(manifest.document, reader, storage=storage)

        return self._read(folder, version, load)

    def _unpack(self, folder: SessionFolder, version: int, into: Path, late: bool | None) -> bool:
        def unpack(number: int) -> bool:
            if folder.is_old(number):  # in one stream
                return True if late else old_profile(folder.path, number, self._sealer, into)
            manifest = folder.manifest(number, self._sealer)
            tree = manifest.profile()
            if tree is None:
                return False
            if late is not None:
                tree = parted(tree)[late]
            packs = {piece.pack for file in tree.files for piece in file.pieces}
            with reading(folder.path, folder.session_id, self._sealer, packs) as reader:
                lay_out(tree, reader, into)
            return True

        return self._read(folder, version, unpack)

    def _read(self, folder: SessionFolder, version: int | None, do: Callable[[int], T]) -> T:
        """Do it with a version; one that is removed at that moment was not there, and the newest is then another."""
        while True:
            number = next(reversed(folder.versions()), None) if version is None else version
            if number is None:
                raise GatewayError(Code.NOTHING_SAVED, f"nothing is saved of session {folder.session_id}")
            if version is not None and not folder.has(number):
                raise GatewayError(Code.NOTHING_SAVED, f"session {folder.session_id} has no snapshot {number}")
            try:
                self._bring(folder, number)
                return do(number)
            except Damaged as error:
                if not self._mended(folder, number) and folder.has(number):
                    raise self._marked(folder, number, unreadable(folder.name(number), str(error))) from error
            except GatewayError as error:
                if error.code is Code.STORE_UNAVAILABLE:  # nothing is wrong with the snapshot
                    raise
                if not self._mended(folder, number):
                    raise self._marked(folder, number, error) from None

    def _bring(self, folder: SessionFolder, version: int) -> None:
        """Before a version is read; for a vault whose versions may be elsewhere. Raises Damaged, GatewayError."""

    def _mended(self, folder: SessionFolder, version: int) -> bool:
        """Whether a version that was found damaged is now worth another try."""
        return False

    def _marked(self, folder: SessionFolder, version: int, error: GatewayError) -> GatewayError:
        """Neither it nor what it is made of is used again by this process."""
        self._damaged[folder.session_id, version] = error
        with suppress(Damaged):  # then nobody can tell what it was made of
            self._doubtful.update((folder.session_id, pack) for pack in folder.header(version).packs)
        return error

    def _usable(self, folder: SessionFolder) -> tuple[SnapshotInfo, tuple[str, ...]]:
        skipped: list[str] = []
        left = folder.versions()
        while left:
            version = left.pop()
            try:
                if (found := self._damaged.get((folder.session_id, version))) is not None:
                    raise found
                return self._read(folder, version, lambda number: self._checked(folder, number)), tuple(skipped)
            except GatewayError as error:
                if error.code is Code.STORE_UNAVAILABLE:
                    raise
                if error.code is Code.NOTHING_SAVED:  # just removed, since there is a newer one: from the start
                    left, skipped = folder.versions(), []
                else:
                    skipped.append(error.message)
        if skipped:
            raise GatewayError(Code.SNAPSHOT_UNREADABLE, "; ".join(skipped))
        raise GatewayError(Code.NOTHING_SAVED, f"nothing is saved of session {folder.session_id}")

    def _checked(self, folder: SessionFolder, version: int) -> SnapshotInfo:
        """Raises Damaged, GatewayError(SNAPSHOT_UNREADABLE)."""
        if folder.is_old(version):
            old_document(folder.path, version, self._sealer)
            return folder.header(version).info
        manifest = folder.manifest(version, self._sealer)
        for piece in manifest.pieces:
            if folder.pack_size(piece.pack) < piece.offset + piece.stored:
                raise Damaged("a part of it is missing")
        # What origins have stored is in the profile, too, which is where it is taken from: reading it all takes long.
        wanted = manifest.document if manifest.rows is None else manifest.document.without_storage
        with reading(folder.path, folder.session_id, self._sealer, manifest.header.packs) as reader:
            for part in wanted:
                reader.get_all(part.pieces)
        return manifest.header.info

    def _doubts(self, session: str) -> frozenset[str]:
        """Packs that a new version must not rely on."""
        return frozenset(pack for other, pack in tuple(self._doubtful) if other == session)

    def _forgive(self, session: str) -> None:
        """What was damaged of it is gone."""
        # Copies: other threads may be adding.
        for damaged in [mark for mark in tuple(self._damaged) if mark[0] == session]:
            self._damaged.pop(damaged, None)
        for doubtful in [mark for mark in tuple(self._doubtful) if mark[0] == session]:
            self._doubtful.discard(doubtful)
