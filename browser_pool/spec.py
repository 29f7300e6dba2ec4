"""What kind of browser is wanted: frozen, comparable, free of anything that belongs to one session."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """How Chromium runs: without a window, with one, or as the smaller headless shell binary."""

    HEADLESS = "headless"
    HEADED = "headed"
    SHELL = "shell"

    @property
    def kind(self) -> str:
        """Which program it is; profiles can be moved between browsers of one kind only."""
        return "headless-shell" if self is Mode.SHELL else "chromium"


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """Two equal specs may be served by the same browser process.

    `args` are a client's own flags, already checked by `command_line.check_flag`; sizes are in CSS pixels;
    `timezone` is an IANA name, `locale` a BCP 47 tag.
    """

    mode: Mode = Mode.HEADLESS
    args: tuple[str, ...] = ()
    user_agent: str | None = None
    locale: str | None = None
    timezone: str | None = None
    viewport: tuple[int, int] | None = None
    device_scale_factor: float | None = None
    proxy_server: str | None = None
    proxy_bypass: str | None = None
    stealth: bool = False
