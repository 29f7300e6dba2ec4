"""Flags for a browser without a screen that is to look like one with: a screen, a window on it, a mouse. Pure."""

from browser_pool.spec import LaunchSpec, Mode

SCREEN = (1920, 1080)  # pixels; the usual one
BAR = 40  # pixels of it that windows leave to the desktop
FRAME = 87  # pixels of a window above its page: Chrome's tabs and address
LEAST = 200  # pixels of a window's height of which a frame is taken off
# Blink's names: a mouse that can hover. A browser without a screen finds no pointer at all.
MOUSE = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"


def screen_flags(spec: LaunchSpec) -> list[str]:
    """Flags in place of a real screen; none for a browser that has one.

    The shell's window is its page: the frame that pages are told of is taken off. What a client says itself comes
    later in the command line, and so stands.
    """
    if spec.mode is Mode.HEADED:
        return []
    scale = spec.device_scale_factor or 1
    width, height = spec.viewport or (SCREEN[0], SCREEN[1] - BAR)
    screen = max(SCREEN[0], width), max(SCREEN[1], height + BAR)
    pixels = "x".join(str(round(side * scale)) for side in screen)
    inner = height - FRAME if spec.mode is Mode.SHELL and height > LEAST else height
    return [
        f"--screen-info={{{pixels} devicePixelRatio={scale:g} workAreaBottom={round(BAR * scale)}}}",
        f"--window-size={width},{inner}",
        "--window-position=0,0",
    ]


def fits(spec: LaunchSpec) -> bool:
    """Whether the window that is wanted fits on the usual screen."""
    width, height = spec.viewport or (0, 0)
    return width <= SCREEN[0] and height <= SCREEN[1] - BAR


def blink_settings(spec: LaunchSpec) -> list[str]:
    """What is to stand in --blink-settings beside a client's own."""
    agent = spec.user_agent or ""
    if not spec.stealth or spec.mode is Mode.HEADED or "Mobile" in agent or "Android" in agent:
        return []
    return [MOUSE]
