"""What makes a browser without a screen look like one that somebody sits at: an identity, and a script. Pure.

Flags do the most of it (`browser_pool/stealth.py`); what they leave is said to every target by `keeper.py`.
"""

import hashlib
import json
import re
from dataclasses import replace
from functools import cache
from importlib.resources import files

from browser_pool.command_line import plain_user_agent
from browser_pool.stealth import FRAME
from gateway.identity.hints import hints, navigator
from gateway.records import Identity

LOCALE = "en-US"
# What WebGL says of a usual machine's graphics: vendor and renderer as Chrome has them, by system.
_GPUS = {
    "Linux": ("Google Inc. (Intel)", "ANGLE (Intel, Mesa Intel(R) UHD Graphics 630 (CFL GT2), OpenGL 4.6)"),
    "Windows": (
        "Google Inc. (Intel)",
        "ANGLE (Intel, Intel(R) UHD Graphics 630 (0x00003E92) Direct3D11 vs_5_0 ps_5_0, D3D11)",
    ),
    "macOS": ("Google Inc. (Apple)", "ANGLE (Apple, ANGLE Metal Renderer: Apple M1, Unspecified Version)"),
    "Chrome OS": ("Google Inc. (Intel)", "ANGLE (Intel, Mesa Intel(R) UHD Graphics (JSL), OpenGL ES 3.2)"),
    "Android": ("Qualcomm", "Adreno (TM) 740"),
}


def disguised(identity: Identity | None, version: str, *, shell: bool) -> Identity:
    """`identity` with what a browser in disguise must say whoever it is; `version` is the running Chromium's."""
    identity = identity or Identity()
    agent = identity.user_agent or plain_user_agent(version)
    # The shell names one language only where Chrome names two.
    locale = identity.locale or (LOCALE if shell else None)
    return replace(identity, user_agent=agent.replace("HeadlessChrome", "Chrome"), locale=locale)


def disguise(user_agent: str, version: str, browser: str, *, shell: bool) -> str:
    """JavaScript that gives navigator.js its `like`; `browser` is an id that no page knows of the browser."""
    found = hints(user_agent, version)
    system = "Linux" if found is None else found.platform
    settings = {
        "key": hashlib.sha256(f"stealth {browser}".encode()).hexdigest(),
        "said": navigator(user_agent),
        "gpu": _GPUS[system],
        "everywhere": system != "Linux",
        "shell": shell,
        "desktop": found is not None and not found.mobile,
        "frame": FRAME,
    }
    return f"({_source()})({json.dumps(settings)})"


@cache
def _source() -> str:
    text = files("gateway.identity").joinpath("stealth.js").read_text("utf-8").rstrip()
    return re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)
