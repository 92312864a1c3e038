"""Whether there is a screen to open a window on."""

from __future__ import annotations

import ctypes
import os
import sys

from sim.errors import WorldError


def check_display() -> None:
    """Refuse a window where X has no display: Bullet would end the process without a word."""
    if not sys.platform.startswith("linux"):
        return
    advice = "do without --gui (in Python: gui, or the render mode human), or set DISPLAY to a running X server"
    if not os.environ.get("DISPLAY"):
        raise WorldError(f"no display to open a window on: DISPLAY is not set; {advice}")
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise WorldError(f"no window: {error}; {advice}") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if not display:
        raise WorldError(f"no display to open a window on: DISPLAY={os.environ['DISPLAY']!r} does not answer; {advice}")
    x11.XCloseDisplay(ctypes.c_void_p(display))
