"""A note in a browser's directory: whose it is, and how a later process finds it again.

`DIR/note.json`, mode 0600, always whole: written beside and renamed. No secrets are in it. Blocking; callers use a
thread.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from browser_pool import procfs
from browser_pool.guard import NOTE
from browser_pool.profile import BrowserDirectory
from browser_pool.spec import LaunchSpec, Mode

_CREDENTIALS = re.compile(r"[^/]*@")  # of a proxy: in none of Chromium's flags do they have an effect


@dataclass(frozen=True, slots=True)
class Note:
    """`start` is the start time of process `pid` (procfs.Process), `boot` the run of the machine that it belongs to.

    `port` and `path` are those of DevTools; `about` is its owner's own, JSON; `pages` are target ids, oldest first,
    which Chromium itself would give in any order; `visited` as of Browser; `road` the port of its forward proxy.
    """

    owner: str
    pid: int
    start: int
    boot: str
    port: int
    path: str
    spec: LaunchSpec
    about: Mapping[str, Any]
    pages: tuple[str, ...] = ()
    visited: tuple[str, ...] = ()
    road: int | None = None

    @classmethod
    def read(cls, directory: BrowserDirectory) -> Self | None:
        """The note in that directory; None if there is none that can be read."""
        try:
            found = json.loads((directory.path / NOTE).read_bytes())
            note = cls(
                owner=_text(found["owner"]),
                pid=int(found["pid"]),
                start=int(found["start"]),
                boot=_text(found["boot"]),
                port=int(found["port"]),
                path=_text(found["path"]),
                spec=_spec(found["spec"]),
                about=dict(found["about"]),
                pages=tuple(map(_text, found["pages"])),
                visited=tuple(map(_text, found["visited"])),
                road=None if (road := found.get("road")) is None else int(road),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return note if note.owner and note.pid > 0 else None

    def write(self, directory: BrowserDirectory) -> None:
        """Put it there in place of the one before. Raises OSError."""
        spec = self.spec
        if spec.proxy_server is not None:
            spec = replace(spec, proxy_server=_CREDENTIALS.sub("", spec.proxy_server))
        text = json.dumps({field.name: getattr(self, field.name) for field in fields(self)} | {"spec": asdict(spec)})
        beside = directory.path / f"{NOTE}.new"
        with os.fdopen(os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        beside.rename(directory.path / NOTE)

    def tree(self, directory: BrowserDirectory) -> procfs.Tree:
        """Where its processes are found; after a restart of the machine the pid means another."""
        known = self.boot == procfs.boot_id()
        return (str(directory.path), self.pid, self.start) if known else (str(directory.path), 0, 0)

    def runs(self, directory: BrowserDirectory) -> bool:
        """Whether that very browser is still running, in this directory and as ours."""
        return self.boot == procfs.boot_id() and procfs.runs(self.tree(directory))


def erase(directory: BrowserDirectory) -> None:
    """From now on it is nobody's. Repeating it is harmless."""
    (directory.path / NOTE).unlink(missing_ok=True)


def _spec(found: Any) -> LaunchSpec:
    """Of an older or a newer version, too: what is missing is the default, what is unknown is left out."""
    if not isinstance(found, dict):
        raise TypeError(f"{found!r} is no spec")
    known = {field.name for field in fields(LaunchSpec)}
    values: dict[str, Any] = {name: value for name, value in found.items() if name in known}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return LaunchSpec(**values | {"mode": Mode(found["mode"])})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
