"""From a LaunchSpec to Chromium's argv, and which flags a client may add. Pure."""

import re
from pathlib import Path

from browser_pool.spec import LaunchSpec, Mode

# Each with what it is for. The risk is the same for all: a page that needs the feature does not get it.
DEFAULT_FLAGS = (
    "--remote-debugging-port=0",  # a free port, reported in DevToolsActivePort
    "--no-first-run",  # no welcome page before the first tab
    "--no-default-browser-check",
    "--no-service-autorun",
    "--disable-background-networking",  # no calls home: variations, reporting
    "--disable-component-update",  # no downloads that the tenant did not ask for
    "--disable-default-apps",
    "--disable-sync",
    "--disable-breakpad",  # no crash reports to a third party
    "--disable-quic",  # UDP would go round a proxy
    "--disable-client-side-phishing-detection",
    "--disable-hang-monitor",  # a busy page is the driver's business, not a dialog
    "--disable-popup-blocking",  # drivers expect window.open to work
    "--disable-prompt-on-repost",
    "--disable-search-engine-choice-screen",
    "--disable-infobars",
    "--disable-ipc-flooding-protection",  # drivers send bursts of history and evaluate calls
    "--disable-background-timer-throttling",  # a page must not slow down because nobody looks at it
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-dev-shm-usage",  # containers give /dev/shm 64 MB; a full one crashes the page
    "--metrics-recording-only",
    "--password-store=basic",  # a cookie file that another machine can read; no keyring prompt
    "--use-mock-keychain",
    "--force-color-profile=srgb",  # the same screenshot on every machine
    "--export-tagged-pdf",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
)

# The omnibox pages cost a renderer each (47 MB together); the others open windows or sockets of their own.
DISABLED_FEATURES = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "OptimizationHints",
    "MediaRouter",
    "Translate",
    "AcceptCHFrame",
    "DialMediaRouteProvider",
    "InterestFeedContentSuggestions",
    "CertificateTransparencyComponentUpdater",
)

# Flags that a client may add: none of them reads or writes files, opens ports or weakens the sandbox.
CLIENT_FLAGS = frozenset(
    """
    accept-lang allow-insecure-localhost allow-running-insecure-content autoplay-policy blink-settings
    disable-accelerated-2d-canvas disable-accelerated-video-decode disable-background-networking
    disable-background-timer-throttling disable-backgrounding-occluded-windows disable-blink-features
    disable-breakpad disable-canvas-aa disable-client-side-phishing-detection
    disable-component-extensions-with-background-pages disable-component-update disable-default-apps
    disable-dev-shm-usage disable-extensions disable-features disable-gpu disable-hang-monitor
    disable-image-loading disable-infobars disable-ipc-flooding-protection disable-javascript
    disable-lcd-text disable-notifications disable-popup-blocking disable-prompt-on-repost
    disable-reading-from-canvas disable-remote-fonts disable-renderer-backgrounding
    disable-search-engine-choice-screen disable-site-isolation-trials disable-smooth-scrolling
    disable-software-rasterizer disable-speech-api disable-sync disable-threaded-animation
    disable-threaded-scrolling disable-web-security disable-webgl disable-webgl2 disk-cache-size
    enable-automation enable-blink-features enable-features enable-unsafe-swiftshader enable-webgl
    export-tagged-pdf font-render-hinting force-color-profile force-dark-mode force-device-scale-factor
    force-prefers-reduced-motion hide-scrollbars ignore-certificate-errors incognito kiosk lang
    media-cache-size metrics-recording-only mute-audio no-default-browser-check no-first-run no-pings
    password-store proxy-bypass-list proxy-server start-fullscreen start-maximized touch-events
    use-fake-device-for-media-stream use-fake-ui-for-media-stream use-mock-keychain user-agent
    window-position window-size
    """.split()
)

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
    return text


def command_line(
    spec: LaunchSpec, binary: Path, profile: Path, *, sandbox: bool, display: bool, user_agent: str | None
) -> list[str]:
    """The whole argv of a browser.

    `sandbox` False adds --no-sandbox (Chromium refuses to run as root without it); `display` says whether
    a screen exists, without one a headed browser draws on Ozone's headless platform; `user_agent` is used
    where the spec has none.
    """
    enabled, disabled, rest = [], list(DISABLED_FEATURES), []
    blink = ["AutomationControlled"] if spec.stealth else []  # what sets navigator.webdriver
    for flag in spec.args:
        name, _, value = flag.partition("=")
        # Chromium heeds only the last of several feature lists, so the client's are merged with ours.
        if name == "--enable-features":
            enabled += value.split(",")
        elif name == "--disable-features":
            disabled += value.split(",")
        elif name == "--disable-blink-features":
            blink += value.split(",")
        else:
            rest.append(flag)
    argv = [str(binary), f"--user-data-dir={profile}", *DEFAULT_FLAGS]
    # Where a feature stands in both lists Chromium turns it off: the client's wish goes before our thrift.
    disabled = [feature for feature in dict.fromkeys(disabled) if feature not in enabled]
    argv.append(f"--disable-features={','.join(disabled)}")
    if enabled:
        argv.append(f"--enable-features={','.join(dict.fromkeys(enabled))}")
    if spec.mode is not Mode.HEADED:
        argv += ["--headless", "--hide-scrollbars", "--mute-audio"]
    elif not display:
        argv.append("--ozone-platform=headless")
    if not sandbox:
        argv.append("--no-sandbox")
    if blink:
        argv.append(f"--disable-blink-features={','.join(dict.fromkeys(blink))}")
    if agent := spec.user_agent or user_agent:
        argv.append(f"--user-agent={agent}")
    if spec.locale:
        argv += [f"--lang={spec.locale}", f"--accept-lang={accept_language(spec.locale)}"]
    if spec.viewport:
        argv.append(f"--window-size={spec.viewport[0]},{spec.viewport[1]}")
    if spec.device_scale_factor:
        argv.append(f"--force-device-scale-factor={spec.device_scale_factor:g}")
    if spec.proxy_server:
        argv.append(f"--proxy-server={spec.proxy_server}")
    if spec.proxy_bypass:
        argv.append(f"--proxy-bypass-list={spec.proxy_bypass}")
    return [*argv, *rest, "about:blank"]


def accept_language(locale: str) -> str:
    """`de-DE` to `de-DE,de`: what a browser of that locale asks for."""
    language = locale.partition("-")[0]
    return locale if language == locale else f"{locale},{language}"


def plain_user_agent(version: str) -> str:
    """The user agent of a Chromium with a window, for a full version like 156.0.8078.79 (reduced as Chromium does)."""
    major = version.partition(".")[0]
    return f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"
