"""What of the files Chromium needs: words for confine.py, `KIND=PATH` with the kinds of landlock.py.

Found by looking what Chromium 156 opens. What is not named here it cannot even list: home directories, /tmp, /run,
/var, the data directory, other browsers. Of /proc it reads what concerns all of the machine, and nothing of any
process, its own included (its own sandbox takes that away from most of them anyway); it lists all of it, and that
sandbox writes the files that make its user namespaces.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from browser_pool.profile import BrowserDirectory

PROGRAMS = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store")
READ = (
    *(
        f"/etc/{name}"
        for name in (
            "alternatives",
            "ca-certificates",
            "chromium",
            "chromium-browser",
            "drirc",
            "egl",
            "fonts",
            "glvnd",
            "host.conf",
            "hosts",
            "ld.so.cache",
            "ld.so.conf",
            "ld.so.conf.d",
            "localtime",
            "mime.types",
            "nsswitch.conf",
            "opt/chrome",
            "pki",
            "ssl",
            "static",
            "timezone",
            "vulkan",
        )
    ),
    "/var/cache/fontconfig",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    *(f"/proc/{name}" for name in ("cpuinfo", "filesystems", "meminfo", "stat", "version", "vmstat", "loadavg")),
    "/proc/sys",
    "/sys/devices/system/cpu",
)
RESOLVER = ("/etc/resolv.conf", "/etc/gai.conf", "/etc/services", "/run/systemd/resolve", "/run/resolvconf")


def words(
    binary: Path,
    directory: BrowserDirectory,
    root: Path | None,
    extensions: Path | None,
    environment: Mapping[str, str],
    *,
    resolver: bool,
    sandbox: bool,
) -> list[str]:
    """For a browser in `directory`, one of those in `root`. With `resolver` it looks names up by itself.

    `sandbox` is Chromium's own. Nothing else writes in /proc; where root has none it could write the kernel's settings.

    Looks at the disk: what is a link is named with what it leads to.
    """
    found = [f"run={path}" for path in PROGRAMS]
    real = Path(os.path.realpath(binary))
    found += [f"run={place}" for place in {_home_of(binary, root), _home_of(real, root)}]
    found += [f"run={path}" for path in environment.get("LD_LIBRARY_PATH", "").split(":") if path.startswith("/")]
    reads = [*READ, *(RESOLVER if resolver else ())]
    reads += [environment[name] for name in ("FONTCONFIG_FILE", "FONTCONFIG_PATH", "XAUTHORITY") if name in environment]
    reads += [str(extensions)] if extensions is not None else []
    # Landlock compares what a path leads to, which may be out of what is allowed; in a mount namespace the link itself
    # must be there, too.
    found += [f"read={place}" for path in reads for place in {os.path.realpath(path): 0, path: 0} if place[:1] == "/"]
    found += ["device=/dev/null", "proc=/proc" if sandbox else "list=/proc"]
    if "DISPLAY" in environment:
        found.append("screen=/dev/dri")
    temporary = dict.fromkeys((directory.temporary.resolve(), directory.temporary))
    found += [f"write={path}" for path in (directory.profile, *temporary, directory.downloads)]
    found.append(f"read={directory.uploads}")
    return found


def _home_of(binary: Path, root: Path | None) -> Path:
    """The directory that the binary came with, unless browsers are in there, too: then it alone."""
    home = binary.parent
    return binary if home == Path("/") or (root is not None and root.is_relative_to(home)) else home
