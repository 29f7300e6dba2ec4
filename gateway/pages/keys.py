"""The keys of a US keyboard: names that callers use, and what Chromium has to be told of each. Pure.

Names are those of KeyboardEvent.key and .code ("a", "KeyA", "Enter"), as Puppeteer and Playwright take them, and what
X calls keys ("Return", "Page_Down", "ctrl"). Letters' case matters in a key's own character, not in a name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

ALT, CONTROL, META, SHIFT = 1, 2, 4, 8  # bits of CDP's `modifiers`
LEFT, RIGHT, NUMPAD = 1, 2, 3  # KeyboardEvent.location


@dataclass(frozen=True, slots=True)
class Key:
    """`key` and `code` as in a KeyboardEvent; `number` is Windows' virtual key code; `text` what it writes.

    `shifted`: it needs Shift to be this one.
    """

    key: str
    code: str
    number: int
    text: str = ""
    location: int = 0
    modifier: int = 0
    shifted: bool = False


class UnknownKey(ValueError):
    """There is no key of that name."""


_ROWS = (  # code prefix or code, virtual key code, plain and shifted character
    ("Backquote", 192, "`~"),
    ("Minus", 189, "-_"),
    ("Equal", 187, "=+"),
    ("BracketLeft", 219, "[{"),
    ("BracketRight", 221, "]}"),
    ("Backslash", 220, "\\|"),
    ("Semicolon", 186, ";:"),
    ("Quote", 222, "'\""),
    ("Comma", 188, ",<"),
    ("Period", 190, ".>"),
    ("Slash", 191, "/?"),
    ("Space", 32, "  "),
)
_NUMPAD = {  # virtual key code, character
    "Multiply": (106, "*"),
    "Add": (107, "+"),
    "Subtract": (109, "-"),
    "Decimal": (110, "."),
    "Divide": (111, "/"),
}
_MODIFIERS = (("Shift", 16, SHIFT), ("Control", 17, CONTROL), ("Alt", 18, ALT), ("Meta", 91, META))
_SILENT = {  # write nothing
    "Backspace": 8,
    "Tab": 9,
    "Pause": 19,
    "CapsLock": 20,
    "Escape": 27,
    "PageUp": 33,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "PrintScreen": 44,
    "Insert": 45,
    "Delete": 46,
    "ContextMenu": 93,
    "NumLock": 144,
    "ScrollLock": 145,
    **{f"F{number}": 111 + number for number in range(1, 25)},
}
# What X, and people, call them; all in lower case, without underscores.
_ALIASES = {
    "return": "enter",
    "kpenter": "numpadenter",
    "esc": "escape",
    "ctrl": "control",
    "controll": "controlleft",
    "controlr": "controlright",
    "shiftl": "shiftleft",
    "shiftr": "shiftright",
    "altl": "altleft",
    "altr": "altright",
    "altgr": "altright",
    "option": "alt",
    "controlormeta": "control",
    "metal": "metaleft",
    "metar": "metaright",
    "super": "meta",
    "superl": "metaleft",
    "superr": "metaright",
    "win": "meta",
    "windows": "meta",
    "cmd": "meta",
    "command": "meta",
    "up": "arrowup",
    "down": "arrowdown",
    "left": "arrowleft",
    "right": "arrowright",
    "prior": "pageup",
    "next": "pagedown",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "pgdown": "pagedown",
    "del": "delete",
    "ins": "insert",
    "bksp": "backspace",
    "spacebar": "space",
    "print": "printscreen",
    "sysrq": "printscreen",
    "menu": "contextmenu",
    "plus": "+",
    "minus": "-",
    "equal": "=",
    "comma": ",",
    "period": ".",
    "slash": "/",
    "backslash": "\\",
    "semicolon": ";",
    "apostrophe": "'",
    "quote": "'",
    "grave": "`",
    "bracketleft": "[",
    "bracketright": "]",
    "numpadinsert": "numpad0",
}


def _characters() -> Iterator[Key]:
    for letter in "abcdefghijklmnopqrstuvwxyz":
        upper = letter.upper()
        yield Key(letter, f"Key{upper}", ord(upper), letter)
        yield Key(upper, f"Key{upper}", ord(upper), upper, shifted=True)
    for digit, above in zip("0123456789", ")!@#$%^&*(", strict=True):
        yield Key(digit, f"Digit{digit}", ord(digit), digit)
        yield Key(above, f"Digit{digit}", ord(digit), above, shifted=True)
    for code, number, pair in _ROWS:
        plain, above = pair[0], pair[1]
        yield Key(plain, code, number, plain)
        if above != plain:
            yield Key(above, code, number, above, shifted=True)


def _named() -> Iterator[tuple[str, Key]]:
    enter = Key("Enter", "Enter", 13, "\r")
    yield "enter", enter
    yield "numpadenter", replace(enter, code="NumpadEnter", location=NUMPAD)
    for name, number in _SILENT.items():
        yield name.lower(), Key(name, name, number)
    for name, number, bit in _MODIFIERS:
        left = Key(name, f"{name}Left", number, location=LEFT, modifier=bit)
        yield name.lower(), left
        yield f"{name}Left".lower(), left
        second = 92 if name == "Meta" else number
        yield f"{name}Right".lower(), replace(left, code=f"{name}Right", number=second, location=RIGHT)
    for digit in "0123456789":
        yield f"numpad{digit}", Key(digit, f"Numpad{digit}", 96 + int(digit), digit, NUMPAD)
        yield f"kp{digit}", Key(digit, f"Numpad{digit}", 96 + int(digit), digit, NUMPAD)
    for name, (number, text) in _NUMPAD.items():
        yield f"numpad{name}".lower(), Key(text, f"Numpad{name}", number, text, NUMPAD)
        yield f"kp{name}".lower(), Key(text, f"Numpad{name}", number, text, NUMPAD)


BY_CHARACTER = {key.text: key for key in _characters()} | {
    "\n": Key("Enter", "Enter", 13, "\r"),
    "\t": Key("Tab", "Tab", 9),
}
_BY_NAME = dict(_named()) | {key.code.lower(): key for key in BY_CHARACTER.values() if not key.shifted}
_ABOVE = {(key.code, key.location): key for key in BY_CHARACTER.values() if key.shifted}


def key_named(name: str) -> Key:
    """The key of that name. Raises UnknownKey."""
    if name in BY_CHARACTER:
        return BY_CHARACTER[name]
    plain = name.strip().lower().replace("_", "").replace("-", "").replace(" ", "")
    plain = _ALIASES.get(plain, plain)
    found = BY_CHARACTER.get(plain) if len(plain) == 1 else _BY_NAME.get(plain)
    if found is None:
        raise UnknownKey(f"there is no key {name[:40]!r}")
    return found


def chord(names: Iterable[str]) -> tuple[Key, ...]:
    """The keys that are pressed together: "Control+a" is two of them, "+" and "Control++" have that key itself.

    Raises UnknownKey.
    """
    found: list[Key] = []
    for name in names:
        for part in _parts(name):
            key = key_named(part)
            if key not in found:
                found.append(key)
    return tuple(found)


def _parts(name: str) -> Iterator[str]:
    while "+" in name[1:-1] or (name.endswith("++") and len(name) > 2):
        head, _, name = name.partition("+") if name[0] != "+" else ("+", "", name[2:])
        yield head
    yield name


def under_shift(key: Key) -> Key:
    """What that key is while Shift is held."""
    return key if key.shifted else _ABOVE.get((key.code, key.location), key)


def strokes(text: str) -> Iterator[Key | str]:
    """What has to be done to type `text`: a key, or a run of characters that no key of this keyboard writes."""
    for typed, run in groupby(text.replace("\r\n", "\n").replace("\r", "\n"), key=BY_CHARACTER.__contains__):
        if typed:
            yield from (BY_CHARACTER[character] for character in run)
        else:
            yield "".join(run)
