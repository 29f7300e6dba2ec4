"""A browser's profile as one stream (tar in zstd) and back. The browser must have exited. Blocking: use a thread.

Kept is what a site or its user would miss; left out is what Chromium makes again, what belongs to one machine or one
run, and its own records of open tabs, which the context document has. Both the full browser and the headless shell
keep the profile proper in `Default` below the user-data-dir.
"""

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, cast

import zstandard

LEVEL = 3
MAX_BYTES = 8 << 30  # of a profile, unpacked
MAX_FILES = 200_000

# Names in the user-data-dir and in the profile below it. `Service Worker/ScriptCache` is none of them: it holds the
# registered scripts themselves, and a service worker without them is lost.
LEFT_OUT = frozenset(
    (
        "Cache", "Code Cache", "GPUCache", "GPUPersistentCache", "ShaderCache", "GrShaderCache",
        "GraphiteDawnCache", "DawnCache", "DawnGraphiteCache", "DawnWebGPUCache", "Media Cache",
        "Shared Dictionary", "VideoDecodeStats", "Sessions", "Sessions_Encrypted", "Current Session",
        "Current Tabs", "Last Session", "Last Tabs", "Crashpad", "Crash Reports", "BrowserMetrics",
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
        "Site Characteristics Database",
    )
)  # fmt: skip


class DamagedArchive(ValueError):
    """Not an archive of ours, or one that would do harm."""


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


def pack(profile: Path, target: Writable) -> int:
    """Write the user-data-dir `profile` to `target`; returns the bytes written. Raises OSError."""
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    # zstandard asks for no more of its target than `write`.
    with (
        compressor.stream_writer(cast(IO[bytes], target), closefd=False) as compressed,
        tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _kept(profile, profile):
            # Bytes only: owners, and whatever else a file system keeps, mean nothing elsewhere.
            member = tarfile.TarInfo(path.relative_to(profile).as_posix())
            status = path.lstat()
            member.mtime = int(status.st_mtime)
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o700
                tar.addfile(member)
            else:
                member.size, member.mode = status.st_size, 0o600
                with path.open("rb") as file:
                    tar.addfile(member, file)
    return compressed.tell()


def _kept(folder: Path, profile: Path) -> Iterator[Path]:
    """Directories before what is in them; neither links nor sockets."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        # Deeper down a name belongs to a site or an extension.
        if folder in (profile, profile / "Default") and entry.name in LEFT_OUT:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield path
            yield from _kept(path, profile)
        elif entry.is_file(follow_symlinks=False):
            yield path


def unpack(source: IO[bytes], profile: Path, *, limit: int = MAX_BYTES) -> None:
    """Read what `pack` wrote into the directory `profile`, made if it is not there; `limit` in bytes, unpacked.

    Raises DamagedArchive; then a part may have been written. OSError as the file system does.
    """
    profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    left, files = limit, MAX_FILES
    try:
        with (
            zstandard.ZstdDecompressor().stream_reader(source, closefd=False) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            for member in tar:
                left, files = left - member.size, files - 1
                if left < 0 or files < 0:
                    raise DamagedArchive("the profile is larger than allowed")
                if not (member.isfile() or member.isdir()):
                    raise DamagedArchive("the profile has something that is neither file nor directory")
                _extract(tar, member, profile)
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise DamagedArchive(f"the profile cannot be unpacked: {error}") from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, profile: Path) -> None:
    """One file or directory below `profile`. By hand: tarfile's own filters are not in every Python 3.11."""
    parts = member.name.split("/")
    if member.name.startswith("/") or "\0" in member.name or not {"", ".", ".."}.isdisjoint(parts):
        raise DamagedArchive("the profile has a file that would lie outside of it")
    place = profile.joinpath(*parts)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if member.isdir():
        place.mkdir(mode=0o700, exist_ok=True)
        return
    content = tar.extractfile(member)
    assert content is not None  # a regular file always has one
    with open(place, "wb", opener=_private) as file:
        shutil.copyfileobj(content, file)
    os.utime(place, (member.mtime, member.mtime))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
