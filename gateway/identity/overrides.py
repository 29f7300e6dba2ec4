"""What has to be said over CDP to make a browser's pages, frames and workers say an identity. Pure.

The counterpart of `launch.py`: what flags do is not repeated here. `keeper.py` carries it out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from browser_pool.command_line import accept_language
from gateway.identity.hints import hints, navigator
from gateway.identity.launch import weighted
from gateway.identity.stealth import disguise
from gateway.records import Identity

Command = tuple[str, dict[str, Any]]  # a CDP method and its parameters


@dataclass(frozen=True, slots=True)
class Running:
    """What the browser itself says: its full version, the user agent with its flags, whether it is the shell.

    `intl` is the locale of its Intl: without language packs it stays en-US, whatever the flags say. `key` is an id of
    it that no page can know.
    """

    version: str
    user_agent: str
    shell: bool
    intl: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Overrides:
    """`page`, `frame` (one of another process) and `worker` are for each such target's session, in their order."""

    page: tuple[Command, ...] = ()
    frame: tuple[Command, ...] = ()
    worker: tuple[Command, ...] = ()
    permission: bool = False
    user_agent: str | None = None
    hint_headers: Mapping[str, str] | None = None
    languages: str | None = None  # Accept-Language
    extra_headers: tuple[tuple[str, str], ...] = ()

    @property
    def attaches(self) -> bool:
        """Whether every target needs a session of ours."""
        return bool(self.page or self.frame or self.worker)

    @property
    def patterns(self) -> list[dict[str, str]]:
        """Which requests have to be held (CDP's Fetch.RequestPattern).

        Documents: a new window asks for its first one before anything could be said to it, and shows it before
        its overrides are in force if their answers are late. With languages also the scripts of workers (Other):
        no session's override is for them, and contexts that a client made know nothing of the flag.
        """
        if self.extra_headers:
            return [{"urlPattern": "*"}]
        kinds = (["Document"] if self.frame else []) + (["Other"] if self.languages else [])
        return [{"urlPattern": "*", "resourceType": kind} for kind in kinds]

    def dressed(self, sent: Mapping[str, str], kind: str) -> dict[str, str] | None:
        """The headers that a held request shall have; None if those it has are right. `kind` is its resource type.

        Who sets one of the extra headers itself, be it the page or its driver, keeps its own.
        """
        names = {name.lower() for name in sent}
        wanted = dict(sent)
        # Another user agent is a driver's, and so are the hints beside it.
        if self.user_agent is not None and sent.get("User-Agent", self.user_agent) == self.user_agent:
            for name in sent:
                if not name.lower().startswith("sec-ch-ua"):
                    continue
                if self.hint_headers is None:
                    del wanted[name]
                else:
                    wanted[name] = self.hint_headers.get(name.lower(), wanted[name])
        if self.languages is not None and kind in ("Document", "Other") and "accept-language" not in names:
            wanted["Accept-Language"] = self.languages
        wanted |= {name: value for name, value in self.extra_headers if name.lower() not in names}
        return None if wanted == sent else wanted


def overrides(identity: Identity, running: Running, *, stealth: bool = False) -> Overrides:
    """All that flags did not do; nothing, if they did. With `stealth` the identity is one that is `disguised`."""
    agent, locale = identity.user_agent, identity.locale
    found = hints(agent or running.user_agent, running.version)
    frames: list[Command] = []
    languages: str | None = None
    # The shell's flag for languages does not reach shared workers and service workers.
    if agent is not None or (locale is not None and running.shell):
        said: dict[str, Any] = {"userAgent": agent or running.user_agent}
        if locale is not None:
            said["acceptLanguage"] = accept_language(locale)
            languages = weighted(accept_language(locale))
        if found is not None:
            said["userAgentMetadata"] = found.metadata()
        frames.append(("Emulation.setUserAgentOverride", said))
    workers = list(frames)
    intl = None if locale is None or locale == running.intl else locale
    if agent is not None or intl is not None:
        like = None
        if stealth and agent is not None:
            like = disguise(agent, running.version, running.key, shell=running.shell)
        text = script(navigator(agent) if agent is not None else {}, found is not None, intl, like)
        # Scripts for new documents run only where the Page domain is enabled.
        frames += [
            ("Page.enable", {}),
            ("Page.addScriptToEvaluateOnNewDocument", {"source": text, "runImmediately": True}),
        ]
        workers.append(("Runtime.evaluate", {"expression": text}))
    pages = list(frames)
    if stealth:
        pages.append(("Emulation.setFocusEmulationEnabled", {"enabled": True}))
    if agent is not None and found is not None and found.mobile:
        pages.append(("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5}))
    if identity.geolocation is not None:
        place = dict(zip(("latitude", "longitude", "accuracy"), identity.geolocation, strict=True))
        pages.append(("Emulation.setGeolocationOverride", place))
    return Overrides(
        page=tuple(pages),
        frame=tuple(frames),
        worker=tuple(workers),
        permission=identity.geolocation is not None,
        user_agent=agent,
        hint_headers=found.headers() if found is not None else None,
        languages=languages,
        extra_headers=identity.extra_headers,
    )


def script(said: Mapping[str, str], hinted: bool, locale: str | None, like: str | None = None) -> str:
    """JavaScript that makes `navigator` say `said`; `like` is that of `disguise`. See navigator.js."""
    more = "" if like is None else f", {like}"
    return f"({_source()})({json.dumps(said)}, {json.dumps(hinted)}, {json.dumps(locale)}{more})"


@cache
def _source() -> str:
    return files("gateway.identity").joinpath("navigator.js").read_text("utf-8").rstrip()
