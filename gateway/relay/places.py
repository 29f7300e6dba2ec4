"""Where a session's files are, and commands that name files brought there. Pure.

A client's own paths mean nothing on the machine of the browser, and what is there is not the client's. So downloads go
to the session's own directory whatever a client asks for, and what is to be uploaded is taken from there. This is how
files get to a client and back, no security boundary: that is the confinement of the browser.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Params = Mapping[str, Any]

# What clients call the session's files, wherever they are now: `ROOT/NAME` is what was uploaded,
# `ROOT/downloads/NAME` what was downloaded. Absolute, since Puppeteer makes any other path one of its own machine.
ROOT = "/session/files"
UPLOADS, DOWNLOADS = "uploads", "downloads"

SET_DOWNLOADS = frozenset({"Browser.setDownloadBehavior", "Page.setDownloadBehavior"})
SET_FILES = "DOM.setFileInputFiles"


class Outside(ValueError):
    """A path that is not of a file of the session's; the text says so."""


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of one session's browser, as that sees them: absolute paths."""

    downloads: str
    uploads: str

    def downloading(self, params: Params) -> dict[str, Any] | None:
        """The parameters of a command that allows downloads, to the session's directory; None: it allows none."""
        if params.get("behavior") not in ("allow", "allowAndName"):
            return None
        return {**params, "downloadPath": self.downloads}

    def uploading(self, params: Params) -> dict[str, Any] | None:
        """The parameters of SET_FILES with the paths of files; None: they are Chromium's to refuse. Raises Outside."""
        files = params.get("files")
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            return None
        return {**params, "files": [self.path(file) for file in files]}

    def path(self, name: str) -> str:
        """Where the file is that a client calls `name`; raises Outside."""
        clean = posixpath.normpath(name)
        inside = (self.uploads + "/", self.downloads + "/")
        if clean.startswith(inside) and "\0" not in clean:
            return clean
        if clean.startswith(ROOT + "/"):
            clean = clean.removeprefix(ROOT + "/")
        kind, slash, rest = clean.partition("/")
        if not slash:
            kind, rest = UPLOADS, clean
        if kind not in (UPLOADS, DOWNLOADS) or "/" in rest or rest in ("", ".", "..") or "\0" in rest:
            raise Outside(
                f"{name[:200]!r} is no file of this session: POST it to /session/ID/files and give the path that you "
                "are told"
            )
        return f"{self.uploads if kind == UPLOADS else self.downloads}/{rest}"
