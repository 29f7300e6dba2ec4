"""From a user agent to what a browser of that kind says beside it: client hints, navigator's fields. Pure.

The brands, their order and the one that means nothing (GREASE) are made as Chromium makes them
(components/embedder_support/user_agent_utils.cc); a test compares them with a real browser's.
"""

import re
from dataclasses import dataclass
from itertools import permutations

_CHROMIUM = re.compile(r"\b(?:Headless)?Chrome/(\d+)((?:\.\d+)*)")
# A user agent has at most one of these beside Chrome/…; their versions are their own.
_BRANDS = (
    (re.compile(r"\bEdgA?/([\d.]+)"), "Microsoft Edge"),
    (re.compile(r"\bOPR/([\d.]+)"), "Opera"),
    (re.compile(r"\bSamsungBrowser/([\d.]+)"), "Samsung Internet"),
    (re.compile(r"\bHeadlessChrome/([\d.]+)"), "HeadlessChrome"),
)
_ANDROID = re.compile(r"Android (\d+)(?:\.[\d.]+)?(?:; ([^;)]+?)(?: Build/[^;)]*)?)?[;)]")
_GREASE_CHARACTERS = " (:-./);=?_"
_GREASE_VERSIONS = ("8", "99", "24")
# What Chromium writes into every user agent of these systems, whatever the system's real version is.
_REDUCED_ANDROID = ("10", "K")


@dataclass(frozen=True, slots=True)
class Hints:
    """Client hints as `Emulation.setUserAgentOverride` takes them. Brands are (name, full version), in their order."""

    brands: tuple[tuple[str, str], ...]
    platform: str
    platform_version: str
    architecture: str
    bitness: str
    model: str = ""
    mobile: bool = False
    wow64: bool = False
    form_factor: str = "Desktop"

    def metadata(self) -> dict[str, object]:
        """CDP's Emulation.UserAgentMetadata."""
        return {
            "fullVersion": self._own,
            "brands": [{"brand": brand, "version": _major(version)} for brand, version in self.brands],
            "fullVersionList": [{"brand": brand, "version": version} for brand, version in self.brands],
            "platform": self.platform,
            "platformVersion": self.platform_version,
            "architecture": self.architecture,
            "bitness": self.bitness,
            "model": self.model,
            "mobile": self.mobile,
            "wow64": self.wow64,
            "formFactors": [self.form_factor],
        }

    @property
    def _own(self) -> str:
        return [version for brand, version in self.brands if not _is_grease(brand)][-1]

    def headers(self) -> dict[str, str]:
        """Every Sec-CH-UA header as it would be sent, by its name in lower case; a request has some of them."""
        brands = {
            "sec-ch-ua": [(brand, _major(version)) for brand, version in self.brands],
            "sec-ch-ua-full-version-list": self.brands,
        }
        return {
            **{name: ", ".join(f'"{brand}";v="{version}"' for brand, version in of) for name, of in brands.items()},
            "sec-ch-ua-mobile": f"?{self.mobile:d}",
            "sec-ch-ua-platform": f'"{self.platform}"',
            "sec-ch-ua-platform-version": f'"{self.platform_version}"',
            "sec-ch-ua-arch": f'"{self.architecture}"',
            "sec-ch-ua-bitness": f'"{self.bitness}"',
            "sec-ch-ua-model": f'"{self.model}"',
            "sec-ch-ua-wow64": f"?{self.wow64:d}",
            "sec-ch-ua-full-version": f'"{self._own}"',
            "sec-ch-ua-form-factors": f'"{self.form_factor}"',
        }


def hints(user_agent: str, version: str) -> Hints | None:
    """The hints of a browser with that user agent; None for one that sends none (Firefox, Safari, any on iOS).

    `version` is the running Chromium's full version: the user agent's own, if it is cut to `156.0.0.0`, is
    filled up from it where the major version is the same.
    """
    match = _CHROMIUM.search(user_agent)
    if match is None:
        return None
    major, full = int(match[1]), f"{match[1]}{match[2]}"
    if full == f"{major}.0.0.0" and _major(version) == match[1]:
        full = version
    name, own = "Google Chrome", full
    for pattern, brand in _BRANDS:
        if found := pattern.search(user_agent):
            name, own = brand, full if brand == "HeadlessChrome" else _four(found[1])
            break
    return _of_system(user_agent, _brands(major, full, name, own))


def _of_system(agent: str, brands: tuple[tuple[str, str], ...]) -> Hints:
    """What the system part of a user agent leaves open is that of a usual machine of its kind."""
    if android := _ANDROID.search(agent):
        reduced = android.groups() == _REDUCED_ANDROID
        return Hints(
            brands,
            platform="Android",
            platform_version="15.0.0" if reduced else f"{android[1]}.0.0",
            architecture="",
            bitness="",
            model="Pixel 8" if reduced else android[2] or "",
            mobile="Mobile" in agent,
            form_factor="Mobile" if "Mobile" in agent else "Tablet",
        )
    if "Windows NT" in agent:
        wide = "Win64" in agent or "WOW64" in agent
        return Hints(brands, "Windows", "19.0.0", "x86", "64" if wide else "32", wow64="WOW64" in agent)
    if "Macintosh" in agent:
        return Hints(brands, "macOS", "15.6.1", "arm", "64")
    arm = "aarch64" in agent or "armv" in agent
    if found := re.search(r"CrOS \w+ ([\d.]+)", agent):
        return Hints(brands, "Chrome OS", found[1], "arm" if arm else "x86", "64")
    return Hints(brands, "Linux", "", "arm" if arm else "x86", "64")


def _brands(major: int, full: str, name: str, own: str) -> tuple[tuple[str, str], ...]:
    characters, versions = _GREASE_CHARACTERS, _GREASE_VERSIONS
    first, second = characters[major % len(characters)], characters[(major + 1) % len(characters)]
    grease = (f"Not{first}A{second}Brand", f"{versions[major % len(versions)]}.0.0.0")
    orders = list(permutations(range(3)))  # in the order of Chromium's own table
    placed = dict(zip(orders[major % len(orders)], (grease, ("Chromium", full), (name, own)), strict=True))
    return tuple(placed[place] for place in range(3))


def _is_grease(brand: str) -> bool:
    return brand.startswith("Not") and brand.endswith("Brand")


def _major(version: str) -> str:
    return version.partition(".")[0]


def _four(version: str) -> str:
    """`29.0` as `29.0.0.0`, which a full version is."""
    return ".".join([*version.split("."), "0", "0", "0"][:4])


def navigator(user_agent: str) -> dict[str, str]:
    """What `navigator` of such a browser has beside its user agent, as far as it differs from a Chromium on Linux."""
    said: dict[str, str] = {"platform": _platform(user_agent)}
    if "Firefox/" in user_agent:
        said |= {"vendor": "", "productSub": "20100101"}
    elif _CHROMIUM.search(user_agent) is None and "Safari/" in user_agent:
        said["vendor"] = "Apple Computer, Inc."
    return said


def _platform(agent: str) -> str:
    if "Windows" in agent:
        return "Win32"  # on 64 bits too
    if device := re.search(r"\((iPhone|iPad|iPod)", agent):
        return device[1]
    if "Macintosh" in agent:
        return "MacIntel"
    if "Android" in agent:
        return "Linux armv81"
    if machine := re.search(r"Linux (aarch64|armv\w+|i\d86)", agent):
        return f"Linux {machine[1]}"
    return "Linux x86_64"
