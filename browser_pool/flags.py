"""The flags that every browser gets, each with its reason and its risk, and those that a client may add.

The reason says what for, the risk what a page, a driver or the operator could notice. Megabytes are
anonymous and shared memory (Pss_Anon and Pss_Shmem of /proc/PID/smaps_rollup) of one Chromium 156 with one
small page, measured alone against the flags before it; what is said of pages is held by
tests/browser_pool/test_lean.py. `docs/browsers.md` has the sums and what was tried and left out.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag, or the name of one feature, and why it is there."""

    text: str
    reason: str
    risk: str


QUIET = "nothing a page sees"

ALWAYS = (
    Flag("--remote-debugging-port=0", "a free port, reported in DevToolsActivePort", "the port changes each start"),
    Flag("--no-first-run", "no welcome page before the first tab", QUIET),
    Flag("--no-default-browser-check", "no question whether it may be the default browser", QUIET),
    Flag("--no-service-autorun", "no service process that outlives it", QUIET),
    Flag("--disable-background-networking", "no calls home: variations, reporting", "Safe Browsing's lists stay empty"),
    Flag("--disable-component-update", "no downloads the tenant did not ask for", "no Widevine, no fresh lists"),
    Flag("--disable-default-apps", "nothing is installed into the profile", QUIET),
    Flag("--disable-sync", "no account to sync with", QUIET),
    Flag("--disable-breakpad", "no crash reports to a third party", "a crash leaves no dump"),
    Flag("--disable-quic", "UDP would go round a proxy", "HTTP/2 where a site offers HTTP/3"),
    Flag("--disable-client-side-phishing-detection", "no model looks at each page", "no warning of phishing"),
    Flag("--disable-hang-monitor", "a busy page is the driver's business, not a dialog's", "a hung page stays hung"),
    Flag("--disable-popup-blocking", "drivers expect window.open to work", "a page opens windows unasked"),
    Flag("--disable-prompt-on-repost", "a reload must not wait for a dialog", "a form may be sent twice"),
    Flag("--disable-search-engine-choice-screen", "no question before the first page", QUIET),
    Flag("--disable-infobars", "a bar takes height from the page", QUIET),
    Flag("--disable-ipc-flooding-protection", "drivers send bursts of history and evaluate calls", "so may a page"),
    Flag("--disable-background-timer-throttling", "a page must not slow down unlooked at", "its timers cost CPU"),
    Flag("--disable-backgrounding-occluded-windows", "likewise for covered windows", "they go on drawing"),
    Flag("--disable-renderer-backgrounding", "likewise for the priority of its process", QUIET),
    Flag(
        "--disable-dev-shm-usage",
        "containers give /dev/shm 64 MB, a full one crashes the page; Chromium 156 uses memfd with or without it",
        "older versions write shared memory to TMPDIR, which may be a disk",
    ),
    Flag("--metrics-recording-only", "what is counted is not sent", QUIET),
    Flag("--password-store=basic", "a cookie file that another machine can read; no keyring's prompt", "a plain key"),
    Flag("--use-mock-keychain", "the same on macOS", "a plain key"),
    Flag("--force-color-profile=srgb", "the same screenshot on every machine", "no wide colours"),
    Flag("--export-tagged-pdf", "a PDF that screen readers can read", "a larger PDF"),
    Flag("--webrtc-ip-handling-policy=disable_non_proxied_udp", "WebRTC must not go round a proxy", "calls need TCP"),
    Flag(
        "--disable-component-extensions-with-background-pages",
        "Google Chrome's own have pages of their own, Debian's Chromium has none; as both drivers do",
        "no casting, no Hangouts",
    ),
    Flag(
        "--disable-gpu-shader-disk-cache",
        "15 files less to make at each start; compiled shaders stay in memory",
        "WebGL shaders are compiled anew after a restart",
    ),
    Flag("--enable-logging=stderr", "the next one counts in the headless shell, too", QUIET),
    Flag(
        "--log-level=2",
        "errors only: the headless shell writes what pages say to their console to stderr as well, and a page could "
        "fill the disk, or forge the line that browser_pool/stderr.py looks for",
        "warnings are missed",
    ),
)

# Only where nothing is drawn by a graphics card: headless, and headed without a screen.
DRAWN_IN_SOFTWARE = (
    Flag(
        "--disable-angle-features=useVmaForImageSuballocation",
        "ANGLE takes 8 MB from SwiftShader for its first image, which zeroes them; now each image takes what it needs",
        "WebGL asks for memory more often; 6,000 textures took no longer. WebGL's strings and limits are the same",
    ),
)

# Headed without a screen: the window needs one to be on, and WebGL the renderer that headless chooses by itself.
WITHOUT_SCREEN = (
    Flag("--ozone-platform=headless", "a headed browser without an X server", "nobody sees its window"),
    Flag("--ozone-override-screen-size=1920,1080", "else the window is 0x0, and a screenshot never comes", QUIET),
    Flag("--use-angle=swiftshader-webgl", "else a headed browser has no WebGL where there is no card", "slow WebGL"),
    Flag("--disable-gpu-compositing", "pages are drawn by the CPU, as headless does", QUIET),
)

# Not when a client asks for an extension.
WITHOUT_EXTENSIONS = (
    Flag("--disable-extensions", "none is installed, nor does a policy add one; as both drivers do", QUIET),
)

OFF = (
    Flag("WebUIOmniboxPopup", "a page in a renderer of its own, and a target that drivers stumble over: 24 MB", QUIET),
    Flag("WebUIOmniboxAimPopup", "another such page", QUIET),
    Flag(
        "SpareRendererForSitePerProcess",
        "a process and 7 MB kept for the next page, and 20 ms of CPU to make it anew after each",
        "a page's first navigation to another site starts its process then: some 10 ms of 60 more",
    ),
    Flag(
        "BackForwardCache",
        "each site left behind keeps its renderer for ten minutes (10 MB if empty), and Playwright's interception "
        "misses a page that comes back from there",
        "going back loads the page anew: pageshow.persisted is false, as it always may be, and in the shell always is",
    ),
    Flag(
        "AudioServiceOutOfProcess",
        "a page that plays or records: one process and 16 MB less",
        "its faults end the browser",
    ),
    Flag("ProcessPerSiteUpToMainFrameThreshold", "a paused page must not stop its neighbour; as Puppeteer does", QUIET),
    Flag("OptimizationHints", "no downloads of hints and models", QUIET),
    Flag("MediaRouter", "it opens sockets to look for screens", "no casting"),
    Flag("DialMediaRouteProvider", "the same", "no casting"),
    Flag("Translate", "no bar that offers it", QUIET),
    Flag("AcceptCHFrame", "it stalls interception (crbug.com/1348106)", "client hints come with the second request"),
    Flag("NetworkTimeServiceQuerying", "a call home at the start", QUIET),
    Flag("AimEnabled", "a call home at the start", QUIET),
    Flag("PreconnectToSearch", "a connection to the search engine at the start", QUIET),
)

ON = (
    Flag(
        "NetworkServiceInProcess2",
        "the network service becomes a thread of the browser: one process and 16 MB less; on Linux it has no sandbox "
        "in its own process either",
        "a fault in it ends this browser instead of being restarted; with --in-process-gpu, too, one browser in ten "
        "crashed when it was closed, so drawing keeps its own process",
    ),
)

# Where a browser has a road (browser_pool/road.py), beside the --proxy-server that it is.
ON_A_ROAD = (
    Flag("--proxy-bypass-list=<-loopback>", "else it goes to loopback addresses past its proxy", QUIET),
    Flag(
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "names are resolved by the proxy, which looks where they lead; none by the browser itself",
        "a name that is asked for past the proxy, by WebRTC for one, is not found",
    ),
)

DEFAULT_FLAGS = tuple(flag.text for flag in ALWAYS)
DISABLED_FEATURES = tuple(feature.text for feature in OFF)
ENABLED_FEATURES = tuple(feature.text for feature in ON)

# Features that no client may switch, on or off, in any list: some give pages the browser's own interfaces, or sockets,
# others are sandboxes.
WEAKENING = frozenset(
    """
    AudioServiceSandbox DirectSockets DirectSocketsInServiceWorkers DirectSocketsInSharedWorkers IsolatedWebApps
    MojoJS MojoJSTest NetworkServiceSandbox
    """.split()
)

# Flags that a client may add: none of them reads or writes files, opens ports or weakens the sandbox.
# `load-extension` takes names in the operator's directory, no paths (browser_pool/extensions.py).
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
    load-extension media-cache-size metrics-recording-only mute-audio no-default-browser-check no-first-run
    no-pings password-store proxy-bypass-list proxy-server start-fullscreen start-maximized touch-events
    use-fake-device-for-media-stream use-fake-ui-for-media-stream use-mock-keychain user-agent
    window-position window-size
    """.split()
)
