"""The moving picture at the top of the README: a recorded page of the viewer, filmed in a headless browser.

    python scripts/viewer_loop.py ur5e --out data/figures/viewer.webp

The page is written as `ik-mdn view ARM --record` does it, and wound from stop to stop; so it takes as long as the browser
draws, and the film runs at its own pace.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from results import FIGURES, run_script
from viewer_browser import SLOW, missing, open_browser

from ik_mdn.viewer import Session, record_page
from sim.arm import load_arm
from sim.errors import IKError

_SIZE = (960, 600)  # of the page [px]
_SHOWN = {"x": 0, "y": 0, "width": 960, "height": 540}  # of it [px]: without the room for the bar
_PACE = 110  # of the film [ms per picture]
_BARE = (
    "[class*=Paper], .mantine-Notifications-root {visibility: hidden !important}"  # the bar to play it by, a warning
)


def main(arm: str = "ur5e", /, *, out: Path = FIGURES / "viewer.webp", stops: int = 24, quality: int = 60) -> None:
    """Write the film.

    Args:
        arm: A built-in arm.
        out: The file, WebP or GIF.
        stops: Pictures.
        quality: Of a WebP, 0 to 100.

    Raises:
        IKError: No browser can be driven here.
    """
    if missing():
        raise IKError(f"the film needs a browser; {missing()}")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        record_page(page, Session.load(load_arm(arm)), stops=stops)
        with open_browser() as browser:
            first, *others = film(browser, page, stops)
    first.save(out, save_all=True, append_images=others, duration=_PACE, loop=0, quality=quality)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def film(browser: Any, path: Path, stops: int) -> list[Image.Image]:
    """A picture of a recorded page at every stop."""
    page = browser.new_page(viewport={"width": _SIZE[0], "height": _SIZE[1]})
    page.set_default_timeout(SLOW)
    page.goto(path.as_uri())
    page.wait_for_selector("#ik-now table")
    page.wait_for_timeout(3000)
    bar = page.locator(".mantine-Slider-root").first.bounding_box()
    pictures = []
    for stop in range(stops):
        page.mouse.click(bar["x"] + bar["width"] * (stop + 0.5) / stops, bar["y"] + bar["height"] / 2)
        page.wait_for_function(f"ikShown === {stop}")
        page.wait_for_timeout(5000 if stop == 0 else 200)  # winding back to the first builds everything anew
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        style = page.add_style_tag(content=_BARE)
        pictures.append(Image.open(io.BytesIO(page.screenshot(clip=_SHOWN))).convert("RGB"))
        style.evaluate("(each) => each.remove()")
    page.close()
    return pictures


if __name__ == "__main__":
    run_script(main)
