"""What a driver has set that Chromium would forget with its connection, written down as it goes by. Pure.

User agent, locale, viewport and the like belong to a CDP session, permissions to the connection. `commands.py`
recognises the commands, `park.py` sets what was recorded again when the driver goes.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Params = Mapping[str, Any]
Key = tuple[str, ...]  # what replaces what: a setting's name and, of browser-wide ones, what it is for

MOST_SESSIONS = 500  # sessions with something set: a driver that opens page after page shall not fill our memory
MOST_BYTES = 8 << 20  # of all that is recorded of one driver; what was set longest ago goes first

ADD_SCRIPT = "Page.addScriptToEvaluateOnNewDocument"
REMOVE_SCRIPT = "Page.removeScriptToEvaluateOnNewDocument"
GRANT = "Browser.grantPermissions"
SET_PERMISSION = "Browser.setPermission"
RESET_PERMISSIONS = "Browser.resetPermissions"
DOWNLOADS = "Browser.setDownloadBehavior"
TELL_DIALOGS = "Page.enable"  # from now on dialogs wait for who has sent it

# Scripts of the clients themselves: each adds its own anew, and without it they are of no use.
_OWN_WORLDS = ("__playwright_utility_world", "__puppeteer_utility_world")
_OWN_SCRIPTS = ("__playwright__binding__", "function addPageBinding(type, name, prefix)")


@dataclass(frozen=True, slots=True)
class Override:
    """A command that sets something, on its way to Chromium; `size` of its message in bytes.

    `payload` is what is sent in place of the client's message, if anything is.
    """

    session: str | None
    method: str
    params: Params
    size: int = 0
    payload: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set for a page.

    It is off when all the parameters of `method` named in `off` are empty or false, or by the command `off_by`.
    `beside`: it may be in force in two sessions at once, and stays when the other one goes. The rest is one for the
    page, and goes with whoever has set it last. `domain` must be enabled for it. `released`: it is to be off in our
    session before another may set it.
    """

    method: str
    off: Params = field(default_factory=dict)
    off_by: str | None = None
    beside: bool = False
    domain: str | None = None
    released: bool = True

    @property
    def in_frames(self) -> bool:
        """Whether it is set for each frame that has a process of its own."""
        return self.beside or self.process_wide

    @property
    def process_wide(self) -> bool:
        """Whether pages that share a process, as one and what it opens, share it: Chromium refuses a second."""
        return self.method in ("Emulation.setLocaleOverride", "Emulation.setTimezoneOverride")

    @property
    def release(self) -> tuple[str, Params] | None:
        """The command that takes it back; None if it is to be left alone, or cannot be."""
        if not self.released:
            return None
        return (self.off_by, {}) if self.off_by is not None else (self.method, self.off)

    def is_off(self, params: Params) -> bool:
        """Whether these parameters of `method` take it back."""
        return self.off_by is None and not any(params.get(name) for name in self.off)


_SETTINGS = (
    Setting("Emulation.setUserAgentOverride", {"userAgent": ""}, beside=True),
    Setting("Emulation.setLocaleOverride", {"locale": ""}),
    Setting("Emulation.setTimezoneOverride", {"timezoneId": ""}),
    Setting("Emulation.setDeviceMetricsOverride", off_by="Emulation.clearDeviceMetricsOverride"),
    Setting("Emulation.setTouchEmulationEnabled", {"enabled": False}),
    Setting("Emulation.setEmulatedMedia", {"media": "", "features": []}, beside=True),
    Setting("Emulation.setGeolocationOverride", off_by="Emulation.clearGeolocationOverride"),
    Setting("Emulation.setIdleOverride", off_by="Emulation.clearIdleOverride"),
    # There is no command for its end.
    Setting("Emulation.setHardwareConcurrencyOverride", off_by="", beside=True, released=False),
    # Taken back for a moment, the page would be told that it lost the focus.
    Setting("Emulation.setFocusEmulationEnabled", {"enabled": False}, released=False),
    Setting("Emulation.setScriptExecutionDisabled", {"value": False}, beside=True),
    Setting("Emulation.setAutomationOverride", {"enabled": False}, beside=True),
    Setting("Network.setExtraHTTPHeaders", {"headers": {}}, beside=True, domain="Network"),
    Setting("Network.setBypassServiceWorker", {"bypass": False}, beside=True, domain="Network"),
    Setting("Network.setCacheDisabled", {"cacheDisabled": False}, beside=True, domain="Network"),
    Setting("Page.setBypassCSP", {"enabled": False}, beside=True),
    Setting("Security.setIgnoreCertificateErrors", {"ignore": False}, beside=True),
)
SETTINGS = {setting.method: setting for setting in _SETTINGS}
_ENDS = {setting.off_by: setting for setting in _SETTINGS if setting.off_by}
_OTHER_NAMES = {
    "Network.setUserAgentOverride": "Emulation.setUserAgentOverride",
    "Page.setDeviceMetricsOverride": "Emulation.setDeviceMetricsOverride",
    "Page.clearDeviceMetricsOverride": "Emulation.clearDeviceMetricsOverride",
    "Page.setGeolocationOverride": "Emulation.setGeolocationOverride",
    "Page.clearGeolocationOverride": "Emulation.clearGeolocationOverride",
}
_BROWSER_WIDE = (GRANT, SET_PERMISSION, RESET_PERMISSIONS, DOWNLOADS)

RECORDED = frozenset((*SETTINGS, *_ENDS, *_OTHER_NAMES, ADD_SCRIPT, REMOVE_SCRIPT, TELL_DIALOGS, *_BROWSER_WIDE))


def setting_of(method: str) -> Setting | None:
    """The setting that the command `method` is about; None for scripts and what is browser-wide."""
    method = _OTHER_NAMES.get(method, method)
    return SETTINGS.get(method) or _ENDS.get(method)


@dataclass(eq=False, slots=True)
class Held:
    """What is set in one session, or for one page: the commands, the one sent last is last."""

    values: dict[Key, Override] = field(default_factory=dict)
    scripts: dict[int, Override] = field(default_factory=dict)  # by Chromium's identifier

    def __bool__(self) -> bool:
        return bool(self.values or self.scripts)

    @property
    def size(self) -> int:
        """Bytes of the messages that are kept."""
        return sum(override.size for kept in (self.values, self.scripts) for override in kept.values())

    def note(self, override: Override) -> None:
        """That was sent."""
        method, params = _OTHER_NAMES.get(override.method, override.method), override.params
        override = replace(override, method=method)
        if method in SETTINGS:
            self.values.pop((method,), None)
            if not SETTINGS[method].is_off(params):
                self.values[(method,)] = override
        elif method in _ENDS:
            self.values.pop((_ENDS[method].method,), None)
        elif method == ADD_SCRIPT:
            # As Chromium numbers them: one more than the highest that it has.
            kept = replace(override, params={}, size=0) if _is_clients_own(params) else override
            self.scripts[max(self.scripts, default=0) + 1] = kept
        elif method == REMOVE_SCRIPT:
            identifier = params.get("identifier")
            if isinstance(identifier, str) and identifier.isdigit():
                self.scripts.pop(int(identifier), None)
        elif method == RESET_PERMISSIONS:
            context = _text(params.get("browserContextId"))
            for key in [key for key in self.values if key[0] in (GRANT, SET_PERMISSION) and key[1] == context]:
                del self.values[key]
        elif method in _BROWSER_WIDE:
            key = _key(method, params)
            self.values.pop(key, None)
            self.values[key] = override

    def add(self, newer: "Held") -> None:
        """Take over what was set later, in another session. A script that is there already is not added again."""
        for key, override in newer.values.items():
            self.values.pop(key, None)
            self.values[key] = override
        known = [_identity(script) for script in self.scripts.values()]
        for script in newer.scripts.values():
            if script.params and _identity(script) not in known:
                # What is there has been told already.
                params = {name: value for name, value in script.params.items() if name != "runImmediately"}
                self.scripts[max(self.scripts, default=0) + 1] = replace(script, params=params)

    def browser_wide(self) -> list[tuple[str, Params]]:
        """The commands that set it all again, of what is not a page's. Nobody is to be told of downloads."""
        quiet = {"eventsEnabled": False}
        commands = [(one.method, one.params) for one in self.values.values() if one.method not in SETTINGS]
        return [(method, {**params, **quiet} if method == DOWNLOADS else params) for method, params in commands]

    def for_frame(self) -> "Held":
        """What of it a frame with a process of its own needs to be told; the rest is one for its page."""
        values = {key: one for key, one in self.values.items() if SETTINGS[one.method].in_frames}
        return Held(values, dict(self.scripts))


class Overrides:
    """What one driver has set, by CDP session (None: its connection itself)."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str | None, Held] = OrderedDict()
        self._size = 0
        self.told: OrderedDict[str | None, None] = OrderedDict()  # sessions that are told of dialogs

    def __bool__(self) -> bool:
        return bool(self._sessions)

    @property
    def sessions(self) -> Mapping[str | None, Held]:
        """Those with something set, the one in which something was set last at the end."""
        return self._sessions

    def note(self, override: Override) -> None:
        """That was sent. Whether Chromium took it is not seen; what it refuses, it will refuse again."""
        if override.method == TELL_DIALOGS:
            self.told[override.session] = None
            if len(self.told) > MOST_SESSIONS:
                self.told.popitem(last=False)
            return
        held = self._sessions.setdefault(override.session, Held())
        self._size -= held.size
        held.note(override)
        self._size += held.size
        self._sessions.move_to_end(override.session)
        if not held:
            del self._sessions[override.session]
        while len(self._sessions) > MOST_SESSIONS or self._size > MOST_BYTES:
            self._size -= self._sessions.popitem(last=False)[1].size


def _key(method: str, params: Params) -> Key:
    names = {DOWNLOADS: (), GRANT: ("origin",), SET_PERMISSION: ("origin", "permission")}[method]
    return (method, *(_text(params.get(name)) for name in ("browserContextId", *names)))


def _text(value: object) -> str:
    return "" if value is None else json.dumps(value, sort_keys=True)


def _identity(script: Override) -> tuple[object, object]:
    return script.params.get("source"), script.params.get("worldName")


def _is_clients_own(params: Params) -> bool:
    world, source = params.get("worldName"), params.get("source")
    return str(world or "").startswith(_OWN_WORLDS) or any(mark in str(source) for mark in _OWN_SCRIPTS)
