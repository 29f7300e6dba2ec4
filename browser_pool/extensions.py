"""Extensions that a client asks for by name, `--load-extension=NAME[,NAME…]`.

A name is that of a directory in the operator's own directory of extensions; a client never gives a path.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from browser_pool.errors import BrowserFailed
from browser_pool.spec import Mode

FLAG = "--load-extension"
# No slash, no dot at the start, and no comma, which Chromium would take for the next one.
_NAMES = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}(,[A-Za-z0-9_][A-Za-z0-9._-]{0,63})*\Z")


class ExtensionRefused(BrowserFailed):
    """A browser with this extension cannot be had here: the message says which and why."""


def well_formed(value: str) -> bool:
    """Whether that is `NAME` or `NAME,NAME…`, each at most 64 of letters, digits, `.`, `_` and `-`."""
    return _NAMES.match(value) is not None


def asked_for(args: Sequence[str]) -> tuple[str, ...]:
    """The names in a client's flags, each once."""
    values = [value for flag in args for name, _, value in (flag.partition("="),) if name == FLAG]
    return tuple(dict.fromkeys(name for value in values for name in value.split(",")))


def directories(args: Sequence[str], mode: Mode, root: Path | None) -> tuple[Path, ...]:
    """Where the extensions of a client's flags are. Looks at the disk; raises ExtensionRefused.

    `root` is the operator's directory of extensions, None if there is none.
    """
    names = asked_for(args)
    if not names:
        return ()
    if mode is Mode.SHELL:
        raise ExtensionRefused(f"{FLAG}: the headless shell has no extensions; ask for full Chromium")
    if root is None:
        raise ExtensionRefused(f"{FLAG}: this gateway offers no extensions")
    for name in names:
        if not well_formed(name) or not (root / name / "manifest.json").is_file():
            raise ExtensionRefused(f"{FLAG}: there is no extension {name!r} here")
    return tuple((root / name).absolute() for name in names)
