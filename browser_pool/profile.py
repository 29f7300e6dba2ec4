"""A running browser's directory: its profile, its temporary files, what it said.

`DIR/profile` is the user-data-dir, `DIR/tmp` its TMPDIR, `DIR/stderr.log` its output; `DIR/downloads` has what it
loaded down, `DIR/uploads` what pages may be given. Everything here is blocking; callers use a thread.
"""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from browser_pool.users import hand_over

# Chromium makes TMPDIR/org.chromium.Chromium.XXXXXX/SingletonSocket, and a socket's path has at most 107 bytes.
SOCKET_PATH_LIMIT = 107
SOCKET_SUFFIX = len("/org.chromium.Chromium.XXXXXX/SingletonSocket")

PREFERENCES = {
    "profile": {"exit_type": "Normal", "password_manager_enabled": False, "default_content_setting_values": {}},
    "credentials_enable_service": False,
    "session": {"restore_on_startup": 5},  # a new tab page: the gateway itself puts the tabs back
    "bookmark_bar": {"show_on_all_tabs": False},
    "download": {"prompt_for_download": False},
}


@dataclass(frozen=True, slots=True)
class BrowserDirectory:
    """The paths of one browser."""

    path: Path

    @property
    def profile(self) -> Path:
        """Chromium's user-data-dir."""
        return self.path / "profile"

    @property
    def temporary(self) -> Path:
        """TMPDIR and HOME of the browser: removed with it."""
        return self.path / "tmp"

    @property
    def downloads(self) -> Path:
        """Where its downloads go, unless a client says otherwise."""
        return self.path / "downloads"

    @property
    def uploads(self) -> Path:
        """Files for pages' file inputs."""
        return self.path / "uploads"

    @property
    def errors(self) -> Path:
        """Its standard error: a file, no pipe, so that it never blocks."""
        return self.path / "stderr.log"

    @property
    def active_port(self) -> Path:
        """Where Chromium writes port and path of its DevTools endpoint."""
        return self.profile / "DevToolsActivePort"

    def make(self) -> None:
        """Make it, mode 0700."""
        self.path.mkdir(parents=True, mode=0o700)
        for inside in (self.profile, self.downloads, self.uploads):
            inside.mkdir(mode=0o700)
        if len(os.fsencode(self.temporary)) + SOCKET_SUFFIX > SOCKET_PATH_LIMIT:
            self.temporary.symlink_to(tempfile.mkdtemp(prefix="cdpg-"))
        else:
            self.temporary.mkdir(mode=0o700)

    def give(self, user: int) -> None:
        """Make what is in it that user's, but itself: its group may pass it, and nobody else. Raises OSError.

        So what we keep there, its note for one, is none that the browser could write, nor what lies in `uploads`.
        """
        for place in (self.profile, self.downloads, self.temporary.resolve()):
            hand_over(place, user)
        os.chown(self.uploads, -1, user)
        self.uploads.chmod(0o2750)  # what is put there gets its group
        os.chown(self.path, -1, user)
        self.path.chmod(0o710)

    def prepare(self) -> None:
        """Make an unpacked or empty profile fit for a start: no locks, no crash bubble, no tabs of its own."""
        self.active_port.unlink(missing_ok=True)
        for lock in self.profile.glob("Singleton*"):
            lock.unlink()
        default = self.profile / "Default"
        default.mkdir(mode=0o700, exist_ok=True)
        file = default / "Preferences"
        preferences = _read(file)
        _merge(preferences, PREFERENCES)
        _merge(preferences, {"download": {"default_directory": str(self.downloads)}})
        file.write_text(json.dumps(preferences))

    def remove(self) -> None:
        """Remove it and what its `tmp` points to. Repeating it is harmless."""
        if self.temporary.is_symlink():
            shutil.rmtree(self.temporary.readlink(), ignore_errors=True)
        for _ in range(3):  # a child that is just ending may still create a file between listing and removal
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                return
        shutil.rmtree(self.path)

    def last_words(self, limit: int = 1500) -> str:
        """The end of what the browser wrote to its standard error, at most `limit` characters."""
        try:
            with self.errors.open("rb") as file:
                file.seek(max(0, self.errors.stat().st_size - 4 * limit))
                return file.read().decode(errors="replace").strip()[-limit:]
        except OSError:
            return ""


def _read(file: Path) -> dict[str, object]:
    try:
        preferences = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):  # none yet, or a crash left half of one: Chromium starts anew then, too
        return {}
    return preferences if isinstance(preferences, dict) else {}


def _merge(into: dict[str, object], values: dict[str, object]) -> None:
    for key, value in values.items():
        present = into.get(key)
        if isinstance(value, dict) and isinstance(present, dict):
            _merge(present, value)
        else:
            into[key] = value
