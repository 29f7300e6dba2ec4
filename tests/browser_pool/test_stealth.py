"""The screen, the window on it and the mouse of a browser that has none of them."""

from dataclasses import replace

import pytest

from browser_pool.spec import LaunchSpec, Mode
from browser_pool.stealth import FRAME, MOUSE, blink_settings, fits, screen_flags
from browser_pool.warm import base_of

SPEC = LaunchSpec(stealth=True)
PHONE = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36"
)


@pytest.mark.parametrize(
    ("spec", "screen", "window"),
    [
        (SPEC, "1920x1080 devicePixelRatio=1 workAreaBottom=40", "1920,1040"),
        (replace(SPEC, mode=Mode.SHELL), "1920x1080 devicePixelRatio=1 workAreaBottom=40", f"1920,{1040 - FRAME}"),
        (replace(SPEC, viewport=(800, 600)), "1920x1080 devicePixelRatio=1 workAreaBottom=40", "800,600"),
        (
            replace(SPEC, mode=Mode.SHELL, viewport=(300, 100)),
            "1920x1080 devicePixelRatio=1 workAreaBottom=40",
            "300,100",
        ),
        (replace(SPEC, viewport=(3000, 2000)), "3000x2040 devicePixelRatio=1 workAreaBottom=40", "3000,2000"),
        (replace(SPEC, device_scale_factor=1.5), "2880x1620 devicePixelRatio=1.5 workAreaBottom=60", "1920,1040"),
    ],
    ids=["usual", "shell", "viewport", "small", "large", "dense"],
)
def test_a_window_on_a_screen(spec: LaunchSpec, screen: str, window: str) -> None:
    assert screen_flags(spec) == [f"--screen-info={{{screen}}}", f"--window-size={window}", "--window-position=0,0"]


def test_a_real_screen_is_left_alone() -> None:
    headed = replace(SPEC, mode=Mode.HEADED)
    assert screen_flags(headed) == blink_settings(headed) == []


def test_who_has_a_mouse() -> None:
    assert blink_settings(SPEC) == [MOUSE]
    assert blink_settings(replace(SPEC, user_agent=PHONE)) == []
    assert blink_settings(LaunchSpec()) == []


def test_a_ready_browsers_screen_must_be_large_enough() -> None:
    small, large = replace(SPEC, viewport=(1280, 800)), replace(SPEC, viewport=(1280, 1100))
    assert (fits(SPEC), fits(small), fits(large)) == (True, True, False)
    assert base_of(small) == SPEC
    assert base_of(large) == large
