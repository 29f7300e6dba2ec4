"""Where filter lists are. They come with a package of the system, or are named by the operator; none is downloaded."""

from collections.abc import Iterable
from pathlib import Path

NAMES = ("easylist.txt", "easyprivacy.txt")
# Debian's and Ubuntu's webext-ublock-origin-chromium, and the same for Firefox.
PLACES = (
    Path("/usr/share/chromium/extensions/ublock-origin/assets/thirdparties/easylist"),
    Path("/usr/share/webext/ublock-origin/assets/thirdparties/easylist"),
    Path("/usr/share/webext/ublock-origin-firefox/assets/thirdparties/easylist"),
)
PACKAGE = "webext-ublock-origin-chromium"


class NoLists(LookupError):
    """There is nothing to filter by; its text says what to do."""


def lists(named: Iterable[Path] = (), places: Iterable[Path] = PLACES) -> tuple[Path, ...]:
    """The files to filter by: those `named`, or EasyList and EasyPrivacy of the first place that has them.

    Raises NoLists.
    """
    named = tuple(named)
    if missing := [str(path) for path in named if not path.is_file()]:
        raise NoLists(f"there is no filter list {missing[0]}: see the setting filter_lists")
    if named:
        return named
    for place in places:
        found = tuple(place / name for name in NAMES)
        if all(path.is_file() for path in found):
            return found
    raise NoLists(f"this machine has no filter lists: install {PACKAGE}, or name files with the setting filter_lists")
