"""A page on a session of ours, and the commands that put in force there what is held for it. Pure."""

from dataclasses import dataclass, field

from gateway.relay.overrides import ADD_SCRIPT, SETTINGS, Held, Key, Params, Setting

Command = tuple[str, Params]

PAGES = [{"type": "page"}]
FRAMES = [{"type": "iframe"}]
# Its events are of no interest to us, and the bodies of responses shall not be kept.
NETWORK: Params = {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0, "maxPostDataSize": 0}


@dataclass(eq=False, slots=True)
class Page:
    """A page (`kind` "page"), or a frame with a process of its own ("iframe"); `held` is, or is to be, in force there.

    `root` is the target of the page that opened it, or that opened that one, or its own.
    """

    target: str
    session: str
    kind: str
    root: str
    held: Held = field(default_factory=Held)
    framed: bool = False  # we have sessions on its frames, too
    _scripts: int = 0  # the last one of `held` that was added
    _changed: set[Key] = field(default_factory=set)  # of `held`, what is still to be set

    def hold(self, held: Held) -> None:
        """From now on that, too."""
        self.held.add(held)
        self._changed.update(held.values)

    def release(self, setting: Setting) -> Command | None:
        """Hold nothing of that kind any more; the command that takes it back, if there is something to take back."""
        key = (setting.method,)
        self._changed.discard(key)
        return setting.release if self.held.values.pop(key, None) is not None else None

    @property
    def changed(self) -> bool:
        """Something is still to be set."""
        return bool(self._changed) or self._scripts < max(self.held.scripts, default=0)

    def beside(self) -> list[Command]:
        """For what can be set while another session has it set, too, and for scripts that are new."""
        changed = [self.held.values[key] for key in self.held.values if key in self._changed]
        found: list[Command] = [(one.method, one.params) for one in changed if SETTINGS[one.method].beside]
        if any(SETTINGS[one.method].domain == "Network" for one in changed):
            found.insert(0, ("Network.enable", NETWORK))
        scripts = [script for number, script in self.held.scripts.items() if number > self._scripts]
        if scripts:
            self._scripts = max(self.held.scripts)
            found += [("Page.enable", {}), *((ADD_SCRIPT, script.params) for script in scripts)]
        return found

    def behind(self) -> list[Command]:
        """For all that has changed: what was set before may have lost a part since, as `navigator.platform` is."""
        changed = [self.held.values[key] for key in self.held.values if key in self._changed]
        self._changed.clear()
        return [(one.method, one.params) for one in changed]


def attach(kinds: list[dict[str, str]], *, wait: bool) -> Command:
    """Have sessions on what is there of these kinds, and on what comes. `wait`: that does not run before we say so."""
    wanted = {"autoAttach": True, "waitForDebuggerOnStart": wait, "flatten": True, "filter": kinds}
    return "Target.setAutoAttach", wanted
