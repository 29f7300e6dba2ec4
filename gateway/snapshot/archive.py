"""A browser's profile to pieces (`packs.py`) and back. The browser must have exited. Blocking: use a thread.

Kept is what a site or its user would miss; left out is what Chromium makes again, and what belongs to one machine or
one run. Both the full browser and the headless shell keep the profile proper in `Default` below the user-data-dir.
Names and times of modification are kept, for Chromium trusts the index of a cache by them.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.snapshot.packs import SPLIT, Damaged, PackReader, PackWriter, Piece

MAX_BYTES = 8 << 30  # of a profile, unpacked
MAX_FILES = 200_000
WORKERS = min(4, os.cpu_count() or 1)
BATCH_FILES = 32  # for one worker at a time
BATCH_PIECES = 4  # likewise, of files larger than a piece

# Names in the user-data-dir and in the profile below it: caches, and what is the business of Chromium's own windows,
# of an account or of passwords, which are all off here. Each is files to be made at every restore, and that is what a
# restore takes its time for. `Service Worker/ScriptCache` is none of them: it holds the registered scripts themselves,
# and a service worker without them is lost. `Sessions` are the tabs as Chromium remembers them: the context knows more.
LEFT_OUT = frozenset(
    (
        "Cache", "Code Cache", "GPUCache", "GPUPersistentCache", "ShaderCache", "GrShaderCache",
        "GraphiteDawnCache", "DawnCache", "DawnGraphiteCache", "DawnWebGPUCache", "Media Cache",
        "Shared Dictionary", "VideoDecodeStats", "Crashpad", "Crash Reports", "BrowserMetrics",
        "BrowserMetrics-spare.pma", "DeferredBrowserMetrics", "chrome_debug.log", "SingletonLock",
        "SingletonCookie", "SingletonSocket", "DevToolsActivePort", "lockfile", "RunningChromeVersion",
        "Safe Browsing", "component_crx_cache", "extensions_crx_cache", "hyphen-data", "Variations",
        "Subresource Filter", "CertificateRevocation", "SSLErrorAssistant", "FileTypePolicies",
        "OriginTrials", "PKIMetadata", "ZxcvbnData", "MEIPreload", "TrustTokenKeyCommitments",
        "FirstPartySetsPreloaded", "Crowd Deny", "SafetyTips", "RecoveryImproved", "WidevineCdm",
        "OnDeviceHeadSuggestModel", "OptimizationHints", "optimization_guide_model_store",
        "optimization_guide_hint_cache_store", "Segmentation Platform", "segmentation_platform",
        "Feature Engagement Tracker", "Download Service", "AutofillStates",
        "AmountExtractionHeuristicRegexes", "ActorSafetyLists", "CookieReadinessList",
        "PrivacySandboxAttestationsPreloaded", "ProbabilisticRevealTokenRegistry",
        "Site Characteristics Database", "Sessions", "Sessions_Encrypted", "Account Web Data",
        "Affiliation Database", "Login Data", "Login Data For Account", "Top Sites", "Favicons", "Sync Data",
        "ServerCertificate", "ClientCertificates", "Reporting and NEL", "declarative_performance_observer.db",
        "BookmarkMergedSurfaceOrdering", "SCT Auditing Pending Reports", "PersistentOriginTrials",
        "chrome_cart_db", "commerce_subscription_db", "discount_infos_db", "discounts_db", "parcel_tracking_db",
        "shared_proto_db", "NativeMessagingHosts", "OptimizationGuideModelsManifest",
    )
)  # fmt: skip
JOURNAL = "-journal"  # of an SQLite database; an empty one says that there is nothing to be taken back
LEVELDB = "CURRENT"  # is in every such database
LEVELDB_MAKES = frozenset(("LOCK", "LOG", "LOG.old"))  # by itself, each time that one is opened

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory below the profile; `modified` in ns since 1970."""

    path: str
    modified: int


@dataclass(frozen=True, slots=True)
class File:
    """A file below the profile and where its content is; `modified` in ns since 1970, `size` in bytes."""

    path: str
    modified: int
    size: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A profile: directories before what is in them."""

    folders: tuple[Folder, ...]
    files: tuple[File, ...]


# What no browser looks at before a page does: large as it is, it can be laid out while Chromium starts.
LATE = ("Default/IndexedDB", "Default/Service Worker/CacheStorage", "Default/File System")


def parted(tree: Tree) -> tuple[Tree, Tree]:
    """What a browser needs to start, and what only its pages do."""

    def part(*, late: bool) -> Tree:
        def its(path: str) -> bool:
            return late is any(path == folder or path.startswith(f"{folder}/") for folder in LATE)

        folders = tuple(folder for folder in tree.folders if its(folder.path))
        return Tree(folders, tuple(file for file in tree.files if its(file.path)))

    return part(late=False), part(late=True)


def store(profile: Path, writer: PackWriter, before: Mapping[str, File]) -> Tree:
    """Put the user-data-dir `profile` into `writer`. Raises OSError.

    A file that is as large and as old as in `before` is not read again, if its pieces are among those known to
    `writer`: nothing sets a profile's times of modification back but `lay_out`, which sets them to these.
    """
    folders, files = [], []
    for path, status in _kept(profile, ""):
        if status is None:
            folders.append(Folder(path, os.stat(profile / path).st_mtime_ns))
        else:
            files.append(File(path, status.st_mtime_ns, status.st_size, ()))

    def same(file: File) -> tuple[Piece, ...] | None:
        last = before.get(file.path)
        if last is None or (last.size, last.modified) != (file.size, file.modified):
            return None
        return last.pieces if all(writer.known.get(piece.digest) == piece for piece in last.pieces) else None

    found = {file.path: same(file) for file in files}
    jobs = [(file, start, end) for file in files if found[file.path] is None for start, end in _spans(file.size)]

    def read(job: tuple[File, int, int]) -> tuple[Piece, ...]:
        file, start, end = job
        with open(profile / file.path, "rb", buffering=0, opener=_no_link) as source:
            source.seek(start)
            pieces = []
            while start < end and (content := source.read(min(SPLIT, end - start))):
                pieces.append(writer.put(content))
                start += len(content)
            return tuple(pieces)

    for (file, _, _), pieces in zip(jobs, _each(read, jobs, lambda job: job[2] - job[1]), strict=True):
        found[file.path] = (found[file.path] or ()) + pieces
    whole = []
    for file in files:
        pieces = found[file.path] or ()
        whole.append(File(file.path, file.modified, sum(piece.size for piece in pieces), pieces))
    return Tree(tuple(folders), tuple(whole))


def _kept(folder: Path, below: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Paths below `folder`, directories (without a status) before what is in them; neither links nor sockets."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    top = below in ("", "Default/")  # deeper down a name belongs to a site or an extension
    makes = LEVELDB_MAKES if top or any(entry.name == LEVELDB for entry in found) else frozenset[str]()
    for entry in found:
        if top and entry.name.removesuffix(JOURNAL) in LEFT_OUT:
            continue
        path = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield path, None
            yield from _kept(folder / entry.name, f"{path}/")
        elif entry.is_file(follow_symlinks=False) and entry.name not in makes:
            status = entry.stat(follow_symlinks=False)
            if status.st_size or not entry.name.endswith(JOURNAL):
                yield path, status


def _spans(size: int) -> Iterator[tuple[int, int]]:
    """Parts of a file of `size` bytes for one worker each; at least one."""
    step = SPLIT * BATCH_PIECES
    for start in range(0, max(size, 1), step):
        yield start, min(size, start + step)


def _each(do: Callable[[T], R], jobs: Sequence[T], size: Callable[[T], int]) -> list[R]:
    """`do` for all jobs, by several threads; small ones are handed out in batches. Raises what the first one raised."""
    batches: list[list[T]] = []
    left = 0
    for job in jobs:
        if left <= 0 or len(batches[-1]) >= BATCH_FILES:
            batches.append([])
            left = SPLIT
        batches[-1].append(job)
        left -= size(job)
    if len(batches) < 2:
        return [do(job) for job in jobs]
    pool = ThreadPoolExecutor(min(WORKERS, len(batches)), "profile")
    try:
        return [done for batch in pool.map(lambda batch: [do(job) for job in batch], batches) for done in batch]
    finally:
        pool.shutdown(cancel_futures=True)


def lay_out(tree: Tree, reader: PackReader, profile: Path, *, limit: int = MAX_BYTES) -> None:
    """Write what `store` read into the directory `profile`, made if it is not there; `limit` in bytes.

    Raises Damaged; then a part may have been written. OSError as the file system does.
    """
    if (
        sum(piece.size for file in tree.files for piece in file.pieces) > limit
        or len(tree.files) + len(tree.folders) > MAX_FILES
    ):
        raise Damaged("the profile is larger than allowed")
    for path in (*(folder.path for folder in tree.folders), *(file.path for file in tree.files)):
        check_path(path)
    profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = os.fspath(profile)
    for folder in tree.folders:
        os.makedirs(f"{base}/{folder.path}", mode=0o700, exist_ok=True)
    jobs = []
    for file in tree.files:
        if len(file.pieces) > BATCH_PIECES:  # several workers write into it
            os.close(os.open(f"{base}/{file.path}", FRESH, 0o600))
        jobs += [(file, first) for first in range(0, max(len(file.pieces), 1), BATCH_PIECES)]

    def write(job: tuple[File, int]) -> None:
        file, first = job
        whole = len(file.pieces) <= BATCH_PIECES
        place = os.open(f"{base}/{file.path}", FRESH if whole else AGAIN, 0o600)
        try:
            os.lseek(place, sum(piece.size for piece in file.pieces[:first]), os.SEEK_SET)
            for piece in file.pieces[first : first + BATCH_PIECES]:
                content = memoryview(reader.get(piece))
                while content:
                    content = content[os.write(place, content) :]
            if whole:
                os.utime(place, ns=(file.modified, file.modified))
        finally:
            os.close(place)

    _each(write, jobs, lambda job: min(job[0].size, SPLIT * BATCH_PIECES))
    late: list[File | Folder] = [file for file in tree.files if len(file.pieces) > BATCH_PIECES]
    for done in (*late, *tree.folders):
        os.utime(f"{base}/{done.path}", ns=(done.modified, done.modified))


FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
AGAIN = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_path(path: str) -> None:
    """Raises Damaged for one that would lie outside of the profile."""
    if "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise Damaged("the profile has a file that would lie outside of it")


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
