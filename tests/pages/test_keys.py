"""The names of keys, and what is told of each."""

import pytest

from gateway.pages.keys import (
    ALT,
    CONTROL,
    META,
    NUMPAD,
    SHIFT,
    Key,
    UnknownKey,
    chord,
    key_named,
    strokes,
    under_shift,
)


@pytest.mark.parametrize(
    ("name", "key", "code", "number", "text"),
    [
        ("a", "a", "KeyA", 65, "a"),
        ("A", "A", "KeyA", 65, "A"),
        ("KeyA", "a", "KeyA", 65, "a"),
        ("7", "7", "Digit7", 55, "7"),
        ("&", "&", "Digit7", 55, "&"),
        ("Digit7", "7", "Digit7", 55, "7"),
        ("?", "?", "Slash", 191, "?"),
        ("slash", "/", "Slash", 191, "/"),
        ("Enter", "Enter", "Enter", 13, "\r"),
        ("Return", "Enter", "Enter", 13, "\r"),
        ("KP_Enter", "Enter", "NumpadEnter", 13, "\r"),
        ("Numpad5", "5", "Numpad5", 101, "5"),
        ("KP_Add", "+", "NumpadAdd", 107, "+"),
        ("space", " ", "Space", 32, " "),
        (" ", " ", "Space", 32, " "),
        ("Tab", "Tab", "Tab", 9, ""),
        ("ESC", "Escape", "Escape", 27, ""),
        ("Page_Down", "PageDown", "PageDown", 34, ""),
        ("pgup", "PageUp", "PageUp", 33, ""),
        ("Left", "ArrowLeft", "ArrowLeft", 37, ""),
        ("BackSpace", "Backspace", "Backspace", 8, ""),
        ("f12", "F12", "F12", 123, ""),
        ("F24", "F24", "F24", 135, ""),
        ("ctrl", "Control", "ControlLeft", 17, ""),
        ("Control_R", "Control", "ControlRight", 17, ""),
        ("Super_L", "Meta", "MetaLeft", 91, ""),
        ("MetaRight", "Meta", "MetaRight", 92, ""),
    ],
    ids=str,
)
def test_a_key_by_its_name(name: str, key: str, code: str, number: int, text: str) -> None:
    found = key_named(name)
    assert (found.key, found.code, found.number, found.text) == (key, code, number, text)


@pytest.mark.parametrize("name", ["", "F25", "Hyper", "ISO_Left", "ä", "ab"], ids=ascii)
def test_there_is_no_such_key(name: str) -> None:
    with pytest.raises(UnknownKey, match="there is no key"):
        key_named(name)


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["Control", "a"], ["Control", "a"]),
        (["Control+a"], ["Control", "a"]),
        (["ctrl+shift+Tab"], ["Control", "Shift", "Tab"]),
        (["+"], ["+"]),
        (["Control++"], ["Control", "+"]),
        (["Shift", "shift", "b"], ["Shift", "b"]),
    ],
    ids=str,
)
def test_keys_that_are_pressed_together(names: list[str], keys: list[str]) -> None:
    assert [key.key for key in chord(names)] == keys


def test_modifiers_have_their_bits_and_sides() -> None:
    assert [key_named(name).modifier for name in ("Alt", "Control", "Meta", "Shift")] == [ALT, CONTROL, META, SHIFT]
    assert key_named("ShiftRight").location != key_named("Shift").location
    assert key_named("Numpad0").location == NUMPAD


def test_a_key_under_shift_is_another() -> None:
    assert under_shift(key_named("a")).key == "A"
    assert under_shift(key_named("1")).key == "!"
    assert under_shift(key_named("Tab")) == key_named("Tab")
    assert under_shift(key_named("Numpad1")) == key_named("Numpad1")


def test_text_is_typed_by_keys_where_there_are_any() -> None:
    found = list(strokes("aB\r\n\té👍🏽 c"))
    assert [one.key if isinstance(one, Key) else one for one in found] == [
        "a",
        "B",
        "Enter",
        "Tab",
        "é👍🏽",
        " ",
        "c",
    ]


def test_every_printable_character_of_the_keyboard_has_its_key() -> None:
    printable = "".join(map(chr, range(32, 127)))
    assert "".join(stroke.text for stroke in strokes(printable) if isinstance(stroke, Key)) == printable
