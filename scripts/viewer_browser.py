"""A headless Chromium for tests and measurements of the viewer, and where things are in its picture."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from sim.arrays import FloatArray

FLAGS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW = 120_000  # [ms] that software rendering on a busy machine may take
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str:
    """Why no browser can be driven here; empty where one can."""
    lacking = [package for package in ("viser", "playwright") if find_spec(package) is None]
    if not any(map(shutil.which, _PROGRAMS)):
        lacking.append("chromium")
    return f"not installed: {', '.join(lacking)}" if lacking else ""


@contextmanager
def open_browser() -> Iterator[Any]:
    """The system's Chromium, rendering in software."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, _PROGRAMS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS, headless=True)
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Any, address: str, complaints: list[str], *, size: tuple[int, int] = (900, 640)) -> Any:
    """A page of the viewer once its picture is there; errors of its console are added to `complaints`."""
    page = browser.new_page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.set_default_timeout(SLOW)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#status")
    page.wait_for_selector("canvas")
    return page


def pixel_of(camera: Any, point: FloatArray, canvas: dict[str, float]) -> tuple[float, float]:
    """Where a point of the scene is on the page, by viser's camera of the client and the canvas' box."""
    w, x, y, z = camera.wxyz
    R = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    right, down, forward = R.T @ (np.asarray(point) - np.asarray(camera.position))
    scale = canvas["height"] / 2 / np.tan(camera.fov / 2) / forward
    return canvas["x"] + canvas["width"] / 2 + scale * right, canvas["y"] + canvas["height"] / 2 + scale * down
