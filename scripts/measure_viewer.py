"""How fast the viewer follows the mouse: a real browser drags the target, and the page's own clock is read.

The time runs from the moment the page sends a move of the gizmo to the moment the new poses of the ghosts for that very
target have arrived in the page; the second column adds the wait for the next frame the page draws. Targets that were
overtaken by newer ones before they were solved are counted, not timed. Needs the extra view, Playwright and Chromium:

    python scripts/measure_viewer.py panda ur5e --json data/results/viewer.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from typing import Any

import numpy as np
import torch
from viewer_browser import missing, open_browser, open_page, pixel_of

from ik_mdn.viewer import App, Choice

MOVES = 240
_SIZE = (740, 420)  # of the page [px]: small, because without a graphics card drawing takes all of the time
PERIOD = 1 / 30  # [s] between two moves of the mouse
_WATCH = """
window.ikSent = []; window.ikGot = [];
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (data, ...rest) {
  if (!this.ikWatched) {
    this.ikWatched = true;
    this.addEventListener('message', (event) => {
      if (!event.data || event.data.type !== 'message_batch') return;
      for (const message of event.data.messages)
        if (message.type === 'SetPositionMessage' && message.name === '/answered') {
          const entry = [performance.now(), null, [...message.position]];
          window.ikGot.push(entry);
          requestAnimationFrame(() => { entry[1] = performance.now(); });
        }
    });
  }
  if (data && data.type === 'send' && data.message.type === 'TransformControlsUpdateMessage'
      && data.message.name === '/target')
    window.ikSent.push([performance.now(), [...data.message.position]]);
  return post.call(this, data, ...rest);
};
"""


def measure(name: str, browser: Any, *, moves: int, port: int) -> dict[str, Any]:
    """Latencies of one arm [ms]: median, 95th percentile, and how many moves were sent and answered."""
    app = App(Choice(name), port=port)
    context = browser.new_context()
    context.add_init_script(_WATCH)
    try:
        page = open_page(context, app.address, [], size=_SIZE)
        while app.live.latest is None or not app.live.settled:
            time.sleep(0.1)
        page.wait_for_timeout(3000)
        _drag(app, page, moves)
        page.wait_for_timeout(1500)
        sent, got = page.evaluate("[window.ikSent, window.ikGot]")
    finally:
        context.close()
        app.close()
    return {"arm": name, **_summarise(sent, got)}


def _drag(app: App, page: Any, moves: int) -> None:
    T = app.live.latest.T_base_target
    (client, *_) = app.clients()
    canvas = page.locator("canvas").first.bounding_box()
    arrow = 0.8 * 0.22 * app.live.session.arm.reach
    grip = T[:3, 3] + T[:3, 0] * arrow
    page.mouse.move(*pixel_of(client.camera, grip, canvas))
    page.wait_for_timeout(1500)
    page.mouse.down()
    for number in range(moves):
        begin = time.monotonic()
        shift = 0.1 * app.live.session.arm.reach * np.sin(0.1 * (number + 1))
        page.mouse.move(*pixel_of(client.camera, grip + T[:3, 0] * shift, canvas))
        time.sleep(max(0.0, PERIOD - (time.monotonic() - begin)))
    page.mouse.up()


def _summarise(sent: list[Any], got: list[Any]) -> dict[str, Any]:
    arrival, frame = [], []
    for at, drawn_at, position in got:
        same = [when for when, where in sent if when <= at and np.allclose(where, position, atol=1e-7)]
        if same:
            arrival.append(at - max(same))
            frame.append((drawn_at or np.nan) - max(same))
    if not arrival:
        return {"sent": len(sent), "answered": 0}
    return {
        "sent": len(sent),
        "answered": len(arrival),
        "arrived_ms": {"median": float(np.median(arrival)), "p95": float(np.percentile(arrival, 95))},
        "drawn_ms": {"median": float(np.nanmedian(frame)), "p95": float(np.nanpercentile(frame, 95))},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="*", default=["panda", "ur5e", "planar2"])
    parser.add_argument("--moves", type=int, default=MOVES)
    parser.add_argument("--port", type=int, default=8290)
    parser.add_argument("--json")
    options = parser.parse_args()
    if missing():
        sys.exit(f"nothing can be measured: {missing()}")
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    rows = []
    with open_browser() as browser:
        for number, name in enumerate(options.arms):
            rows.append(measure(name, browser, moves=options.moves, port=options.port + number))
            print(json.dumps(rows[-1]), flush=True)
    print(f"load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores")
    if options.json:
        machine = {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()[0]}
        values = {"machine": {**machine, "python": platform.python_version()}, "rows": rows}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2)


if __name__ == "__main__":
    main()
