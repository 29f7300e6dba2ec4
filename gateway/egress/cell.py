"""What holds the process of the roads, which takes in what pages and servers of all the world send.

It holds itself, without privileges, once its program is read and before the first byte of anybody's comes in: from then
on it needs no file but what names are resolved by and proxies are verified with, nor ever to become another program.
"""

import ctypes
import os
import resource
import secrets
import ssl
import struct
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from browser_pool import landlock, procfs, seccomp, users
from browser_pool.confinement import Measure, NotConfined, Wish

# systemd leaves these to nobody (UIDS-GIDS.md); those below, to 61184, are browsers' (browser_pool/users.py).
FIRST_USER, LAST_USER = 65520, 65533
MEMORY = 4 << 30  # bytes; more than thousands of busy connections take
TASKS = 256  # threads: names are resolved in 32 of them
POWERLESS = "powerless"
SECCOMP = "seccomp"
# What Python, the resolver and TLS are told by. All else in the gateway's environment may be secret.
PASSED = (
    *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ", "NO_COLOR", "FORCE_COLOR"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS"),
    *("HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "SSL_CERT_DIR", "SSL_CERT_FILE"),
)
RESOLVER = tuple(f"/etc/{name}" for name in ("resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf"))
# Where services that manage the network put new ones in place of the old: a rule for a file would hold for the old.
RENEWED = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager")
READ = (
    *RESOLVER,
    *RENEWED,
    *("/etc/services", "/etc/protocols", "/etc/localtime", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust"),
    *("/usr/share/ca-certificates", "/usr/local/share/ca-certificates"),
    *("/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store"),
)
_OFF = "confinement is off"
_CAPABILITY_VERSION_3 = 0x20080522  # capset(2)


@dataclass(frozen=True, slots=True)
class Hold:
    """What this machine gives; each text says why there is none, and is empty where there is.

    `abi` is Landlock's. `user`: it runs as an unprivileged user, which takes root.
    """

    abi: int = 0
    landlock: str = _OFF
    seccomp: str = _OFF
    user: str = _OFF
    root: bool = field(default_factory=lambda: os.geteuid() == 0)

    @property
    def measure(self) -> Measure:
        """All of it as one, with words for people."""
        found = {"files": self.landlock, "system calls": self.seccomp, "user": self.user if self.root else ""}
        return Measure("egress_worker", not any(found.values()), _said(found))

    def words(self, user: int | None) -> list[str]:
        """For `held`."""
        if self == Hold(root=self.root):
            return []
        words = [f"data={MEMORY}", POWERLESS]
        words += [] if user is None else [f"user={user}"]
        words += [] if self.landlock else [f"landlock={self.abi}"]
        return words if self.seccomp else [*words, SECCOMP]


def examine(wish: Wish) -> Hold:
    """What this machine gives. Blocking, but short. Raises NotConfined where all of it is wanted and there is not."""
    if wish is Wish.OFF:
        return Hold()
    abi, machine = landlock.abi(), os.uname().machine
    found = Hold(
        abi=abi,
        landlock="" if abi else "this kernel has no Landlock (5.13), or it is switched off",
        seccomp="" if seccomp.supported(machine) else f"no filter for {machine}",
        user=users.lacking(FIRST_USER, LAST_USER),
    )
    if wish is Wish.REQUIRED and not found.measure.holds:
        raise NotConfined(f"confinement is required, and this machine lacks {found.measure.why}")
    return found


def _said(found: Mapping[str, str]) -> str:
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{name}: {why}" for name, why in found.items() if why)


def unused() -> int:
    """A user that nothing on this machine runs as, if there is one: two gateways' may be the same. Looks at /proc."""
    taken = {procfs.owner(pid) for pid in procfs.pids()}
    every = range(FIRST_USER, LAST_USER + 1)
    return secrets.choice([user for user in every if user not in taken] or every)


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What of our environment it gets: nothing that may be secret."""
    return {name: ours[name] for name in PASSED if name in ours}


def held(words: list[str]) -> None:
    """Hold this process as `words` say, before it has any thread but this. Raises OSError.

    - `data=BYTES`: so much memory;
    - `user=N`: become that user and group, and no other group's member;
    - `powerless`: without capabilities, also as root;
    - `landlock=ABI`: no files but those of `readable`, to read; no program to become; no signal to others;
    - `seccomp`: no other process, program, signal, nor what else it has no need of.
    """
    if not words:
        return
    values = {name: value for name, _, value in (word.partition("=") for word in words)}
    reads = readable(os.environ)
    _lower(resource.RLIMIT_DATA, int(values["data"]))
    if "user" in values:
        user = int(values["user"])
        _lower(resource.RLIMIT_NPROC, TASKS)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    if POWERLESS in values:
        _without_capabilities()
    landlock.forgo_privileges()
    os.chdir("/")
    if "landlock" in values:
        landlock.restrict(int(values["landlock"]), [("read", path) for path in reads], None)
    if SECCOMP in values:
        seccomp.install(seccomp.program(os.uname().machine, road=False, alone=True))


def readable(environment: Mapping[str, str]) -> list[str]:
    """Files and directories that it may read. Looks at the disk: what is a link is named with what it leads to."""
    paths = sysconfig.get_paths()
    found = [*READ, *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))]
    found += [str(Path(__file__).parent.parent), str(Path(landlock.__file__).parent)]  # its own program
    found += [path for path in environment.get("LD_LIBRARY_PATH", "").split(":") if path.startswith("/")]
    tls = ssl.get_default_verify_paths()
    found += [path for path in (tls.cafile, tls.capath, environment.get("HOSTALIASES")) if path]
    return sorted({os.path.realpath(path) for path in found})


def sources() -> dict[str, tuple[str, int, int]]:
    """The files that names are resolved by, as they are now: those that a new one in their place would be closed to."""
    found = {}
    for name in RESOLVER:
        path = os.path.realpath(name)
        if any(Path(path).is_relative_to(place) for place in RENEWED):
            continue
        try:
            status = os.stat(path)
        except OSError:  # it has none, or there is none for a moment
            continue
        found[name] = (path, status.st_dev, status.st_ino)
    return found


def outdated(before: Mapping[str, object], now: Mapping[str, object]) -> bool:
    """Whether one of `sources` is another file than it was; one that is gone tells nothing."""
    return any(before.get(name) != file for name, file in now.items())


def _lower(limit: int, most: int) -> None:
    hard = resource.getrlimit(limit)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (most, most))


def _without_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    head = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    if libc.capset(head, ctypes.create_string_buffer(24)) != 0:
        raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")
