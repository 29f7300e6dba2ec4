"""From a LaunchSpec to Chromium's argv, and which flags a client may add.

Pure, but for one look at the disk where a client asks for extensions.
"""

import re
from pathlib import Path

from browser_pool import extensions as extension
from browser_pool.flags import (
    CLIENT_FLAGS,
    DEFAULT_FLAGS,
    DISABLED_FEATURES,
    DRAWN_IN_SOFTWARE,
    ENABLED_FEATURES,
    ON_A_ROAD,
    WEAKENING,
    WITHOUT_EXTENSIONS,
    WITHOUT_SCREEN,
)
from browser_pool.spec import LaunchSpec, Mode
from browser_pool.stealth import blink_settings, screen_flags

__all__ = [
    "CLIENT_FLAGS",
    "DEFAULT_FLAGS",
    "DISABLED_FEATURES",
    "ENABLED_FEATURES",
    "FlagRefused",
    "accept_language",
    "check_flag",
    "command_line",
    "plain_user_agent",
]

_VALUE_ENDS = re.compile(r"[,<:]")  # between features, before a feature's trial and its parameters
SWITCHES = ("enable-features", "disable-features", "enable-blink-features", "disable-blink-features")
_FLAG = re.compile(r"--([a-z0-9][a-z0-9-]*)(?:=(.*))?\Z", re.DOTALL)


class FlagRefused(ValueError):
    """A client's flag that is not on the list; `flag` is its name without dashes and value."""

    def __init__(self, flag: str, why: str) -> None:
        super().__init__(f"flag --{flag} is refused: {why}")
        self.flag = flag


def check_flag(text: str) -> str:
    """One client's flag in the form `--name` or `--name=value`; raises FlagRefused."""
    match = _FLAG.match(text)
    if match is None or "\0" in text:
        raise FlagRefused(text.lstrip("-").partition("=")[0][:80], "write it as --name or --name=value")
    name = match[1]
    if name not in CLIENT_FLAGS:
        raise FlagRefused(name, "it is not among the flags that a client may set")
    for word in _VALUE_ENDS.split(match[2] or "") if name in SWITCHES else ():
        if word.lstrip("*") in WEAKENING:
            raise FlagRefused(name, f"{word} weakens what holds the browser")
    if name == "load-extension" and not extension.well_formed(match[2] or ""):
        raise FlagRefused(name, "give names of this gateway's extensions, as NAME or NAME,NAME")
    return text


def command_line(
    spec: LaunchSpec,
    binary: Path,
    profile: Path,
    *,
    sandbox: bool,
    display: bool,
    user_agent: str | None,
    extensions: Path | None = None,
    road: int | None = None,
) -> list[str]:
    """The whole argv of a browser.

    `sandbox` False adds --no-sandbox (Chromium refuses to run as root without it); `display` says whether
    a screen exists, without one a headed browser draws on Ozone's headless platform; `user_agent` is used
    where the spec has none; `extensions` is the operator's directory of them. With `road`, a port, the forward
    proxy there is all that it talks to: the spec's own proxy is then that one's business. Raises ExtensionRefused.
    """
    loaded = extension.directories(spec.args, spec.mode, extensions)
    on, off, rest = _features(spec.args)
    blink = ["AutomationControlled"] if spec.stealth else []  # what sets navigator.webdriver
    blink += _values(spec.args, "--disable-blink-features")
    argv = [str(binary), f"--user-data-dir={profile}", *DEFAULT_FLAGS]
    if spec.mode is not Mode.HEADED or not display:
        argv += [flag.text for flag in DRAWN_IN_SOFTWARE]
    if loaded:
        off.append("DisableLoadExtensionCommandLineSwitch")  # on in Google Chrome 137 and later
        argv.append(f"{extension.FLAG}={','.join(str(path) for path in loaded)}")
        rest = [flag for flag in rest if flag != "--disable-extensions"]  # naming one is the plainer wish
    else:
        argv += [flag.text for flag in WITHOUT_EXTENSIONS]
    argv += [f"--disable-features={','.join(off)}", f"--enable-features={','.join(on)}"]
    if spec.mode is not Mode.HEADED:
        argv += ["--headless", *([] if spec.stealth else ["--hide-scrollbars"]), "--mute-audio"]
    elif not display:
        argv += [flag.text for flag in WITHOUT_SCREEN]
    if not sandbox:
        argv.append("--no-sandbox")
    if blink:
        argv.append(f"--disable-blink-features={','.join(dict.fromkeys(blink))}")
    if agent := spec.user_agent or user_agent:
        argv.append(f"--user-agent={agent}")
    if spec.locale:
        argv += [f"--lang={spec.locale}", f"--accept-lang={accept_language(spec.locale)}"]
    elif spec.stealth and spec.mode is Mode.SHELL:
        argv.append("--accept-lang=en-US,en;q=0.9")  # sent as it is; by itself it would name one
    if settings := [*blink_settings(spec), *_values(spec.args, "--blink-settings")]:
        argv.append(f"--blink-settings={','.join(settings)}")
    if spec.stealth:
        argv += screen_flags(spec)
    elif spec.viewport:
        argv.append(f"--window-size={spec.viewport[0]},{spec.viewport[1]}")
    if spec.device_scale_factor:
        argv.append(f"--force-device-scale-factor={spec.device_scale_factor:g}")
    if road is not None:
        rest = [flag for flag in rest if flag.partition("=")[0] not in PROXY]
        argv += [f"--proxy-server=http://127.0.0.1:{road}", *(flag.text for flag in ON_A_ROAD)]
        return [*argv, *rest, "about:blank"]
    if spec.proxy_server:
        argv.append(f"--proxy-server={spec.proxy_server}")
    if spec.proxy_bypass:
        argv.append(f"--proxy-bypass-list={spec.proxy_bypass}")
    return [*argv, *rest, "about:blank"]


PROXY = ("--proxy-server", "--proxy-bypass-list")
# Chromium heeds only the last of several lists, so a client's are merged with ours.
LISTS = ("--enable-features", "--disable-features", "--disable-blink-features", "--blink-settings", extension.FLAG)


def _features(args: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    """Features to turn on, features to turn off, and the client's flags that are no lists."""
    wanted, unwanted = _values(args, "--enable-features"), _values(args, "--disable-features")
    # Where a feature stands in both lists Chromium turns it off: the client's wish goes before our thrift.
    off = [*(name for name in DISABLED_FEATURES if name not in wanted), *unwanted]
    on = [*(name for name in ENABLED_FEATURES if name not in unwanted), *wanted]
    return list(dict.fromkeys(on)), list(dict.fromkeys(off)), [f for f in args if f.partition("=")[0] not in LISTS]


def _values(args: tuple[str, ...], name: str) -> list[str]:
    """What all the client's lists of that name have; an empty word in one is none."""
    return [word for flag in args if flag.startswith(f"{name}=") for word in flag.split("=", 1)[1].split(",") if word]


def accept_language(locale: str) -> str:
    """`de-DE` to `de-DE,de`: what a browser of that locale asks for."""
    language = locale.partition("-")[0]
    return locale if language == locale else f"{locale},{language}"


def plain_user_agent(version: str) -> str:
    """The user agent of a Chromium with a window, for a full version like 156.0.8078.79 (reduced as Chromium does)."""
    major = version.partition(".")[0]
    return f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"
