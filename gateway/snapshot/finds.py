"""What is saved of sessions and profiles, as whoever looks for lost records finds it. Nothing is changed.

Blocking: use a thread.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from gateway.errors import GatewayError
from gateway.snapshot.blobs import Blobs
from gateway.snapshot.cards import Record, card_here, newest_shared, read_card
from gateway.snapshot.fetching import Fetching
from gateway.snapshot.folder import SessionFolder, is_session
from gateway.snapshot.manifest import SnapshotInfo
from gateway.snapshot.packs import Damaged
from gateway.snapshot.seal import Sealer

NO_CARD = "nothing says whose it is: an earlier version of the gateway saved it"


@dataclass(frozen=True, slots=True)
class Find:
    """What there is of one. `info` is the newest version that is whole, None if none is.

    `fence` is the greatest incarnation that left anything, `record` what the card says, None where `why` it does not.
    """

    session: str
    versions: int
    info: SnapshotInfo | None
    fence: int
    record: Record | None
    why: str = ""


class Finds(Protocol):
    """All that is saved somewhere."""

    def sessions(self) -> Iterator[str]:
        """What something is saved of, in the order of ids. Raises BlobsAway, OSError."""

    def look(self, session: str) -> Find:
        """Raises BlobsAway, OSError."""


class LocalFinds:
    """What a gateway alone has below a directory."""

    def __init__(self, directory: Path, sealer: Sealer) -> None:
        self._directory = directory
        self._sealer = sealer

    def sessions(self) -> Iterator[str]:
        """See Finds."""
        if self._directory.is_dir():
            names = sorted(path.name for path in self._directory.iterdir() if path.is_dir())
            yield from filter(is_session, names)

    def look(self, session: str) -> Find:
        """See Finds."""
        folder = SessionFolder(self._directory / session)

        def said() -> Record | None:
            data = card_here(folder)
            return None if data is None else read_card(data, session, self._sealer)

        return _found(folder, lambda version: _whole(folder, version), folder.fence() or 0, said)


class SharedFinds:
    """What nodes share. `aside` is an empty directory."""

    def __init__(self, blobs: Blobs, sealer: Sealer, aside: Path) -> None:
        self._blobs = blobs
        self._sealer = sealer
        self._aside = aside

    def sessions(self) -> Iterator[str]:
        """See Finds."""
        names = (blob.name.partition("/")[0] for blob in self._blobs.list("") if "/" in blob.name)
        yield from (session for session, _ in groupby(names) if is_session(session))

    def look(self, session: str) -> Find:
        """See Finds."""
        with TemporaryDirectory(dir=self._aside) as place:
            folder = SessionFolder(Path(place) / session)
            copy = Fetching(folder, self._blobs, Path(place))
            there, _ = copy.refresh(claimed=False)
            return _found(
                folder,
                lambda version: copy.whole(version, there),
                there.highest,
                lambda: newest_shared(self._blobs, session, self._sealer),
            )


def _found(folder: SessionFolder, whole: Callable[[int], bool], fence: int, said: Callable[[], Record | None]) -> Find:
    infos = folder.infos()
    info = next((info for info in reversed(infos) if whole(info.version)), None)
    fence = max((fence, *(info.fence or 0 for info in infos)))
    try:
        record, why = said(), NO_CARD
    except Damaged as error:
        record, why = None, str(error)
    except GatewayError as error:
        record, why = None, error.message
    return Find(folder.session_id, len(infos), info, fence, record, "" if record else why)


def _whole(folder: SessionFolder, version: int) -> bool:
    """Whether all that a version needs is there; what is in it, whoever reads it is told."""
    try:
        return all(folder.pack_size(pack) for pack in folder.header(version).packs)
    except Damaged:
        return False
