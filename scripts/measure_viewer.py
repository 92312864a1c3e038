"""How fast the viewer follows the mouse: a real browser drags the target, and the page's own clock is read.

The time runs from the moment the page sends a move of the gizmo to the moment the new poses of the ghosts for that very
target have arrived in the page; `drawn_ms` adds the wait for the next frame that the page draws. `server_ms` is the part
between the server's hearing of the target and its poses being handed to the connection, `solving_ms` the solver's part of
that, `cpu_ms` the CPU time of solving and drawing, and `alone_ms` the server's time when no browser draws on the same cores.
Targets that were overtaken by newer ones before they were solved are counted, not timed.

Every arm is dragged twice: once as the page is, and once with WebGL's draw calls doing nothing, so that what server and
browser take is told apart from what drawing takes, which without a graphics card is most. Needs the extra view, Playwright
and Chromium:

    python scripts/measure_viewer.py --json data/results/viewer.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
from viewer_browser import missing, open_browser, open_page, pixel_of

from ik_mdn.viewer import App, Choice, answer_quickly
from sim.arrays import FloatArray

MOVES = 240
PERIOD = 1 / 30  # [s] between two moves of the mouse
_SIZE = (740, 420)  # of the page [px]: small, because without a graphics card drawing takes all of the time
_ARROW = 0.8 * 0.22  # where an arrow of the gizmo is taken hold of [arm's reaches from the target]
_PATIENCE = 300.0  # [s] for one arm's page to settle
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

_UNDRAWN = """
for (const call of ['drawElements', 'drawArrays', 'drawRangeElements', 'drawElementsInstanced', 'drawArraysInstanced'])
  WebGL2RenderingContext.prototype[call] = function () {};
"""


class NothingMeasured(RuntimeError):
    """The page was dragged and no poses came, so that there is nothing to report."""


class Watch:
    """When the server heard of each target, began on it, solved it and had it drawn [s], by the target's position."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[float, float], FloatArray]] = []

    def __call__(self, what: str, T_base_target: FloatArray) -> None:
        self.seen.append((what, (time.perf_counter(), time.thread_time()), T_base_target[:3, 3].copy()))

    def between(self, first: str, last: str, *, cpu: bool = False) -> list[float]:
        """Times from `first` to the next `last` of the same target [ms], or the thread's own CPU time if both are on one."""
        spans = []
        for number, (what, at, place) in enumerate(self.seen):
            if what == last:
                before = (t for w, t, p in reversed(self.seen[:number]) if w == first and np.array_equal(p, place))
                begun = next(before, None)
                spans += [] if begun is None else [1e3 * (at[cpu] - begun[cpu])]
        return spans


def measure(name: str, browser: Any, *, moves: int, port: int, drawing: bool = True) -> dict[str, Any]:
    """Latencies of one arm [ms], and how many moves were sent and answered.

    Args:
        name: A built-in arm.
        browser: Playwright's.
        moves: Of the mouse.
        port: To serve on.
        drawing: Whether the page draws; without it only the draw calls of WebGL are left out.

    Raises:
        NothingMeasured: No move was sent, or none was answered.
    """
    app = App(Choice(name), port=port)
    answer_quickly()
    context = browser.new_context()
    context.add_init_script(_WATCH if drawing else _WATCH + _UNDRAWN)
    try:
        _settle(app)
        alone = _alone(app, moves)
        page = open_page(context, app.address, [], size=_SIZE)
        page.wait_for_timeout(5000)
        at = _grasp(app, page)
        page.evaluate("window.ikSent.length = window.ikGot.length = 0")
        app.live.watch = watch = Watch()
        load = os.getloadavg()[0]
        _drag(page, *at, moves)
        page.wait_for_timeout(1500)
        sent, got = page.evaluate("[window.ikSent, window.ikGot]")
    finally:
        context.close()
        app.close()
    return {
        "arm": name,
        "drawing": drawing,
        **summarise(sent, got),
        "server_ms": quantiles(watch.between("received", "drawn")),
        "solving_ms": quantiles(watch.between("begun", "solved")),
        "cpu_ms": quantiles(watch.between("begun", "drawn", cpu=True)),
        "alone_ms": quantiles(alone),
        "load": load,
    }


def summarise(sent: list[Any], got: list[Any]) -> dict[str, Any]:
    """What the page saw: moves sent [at, position], poses got [at, frame drawn at, position].

    Raises:
        NothingMeasured: No move was sent, or none was answered.
    """
    arrival, frame = [], []
    for at, drawn_at, position in got:
        same = [when for when, where in sent if when <= at and np.allclose(where, position, atol=1e-7)]
        if same:
            arrival.append(at - max(same))
            frame += [] if drawn_at is None else [drawn_at - max(same)]
    if not arrival:
        raise NothingMeasured(f"{len(sent)} moves of the gizmo were sent and no new poses came back")
    return {"sent": len(sent), "answered": len(arrival), "arrived_ms": quantiles(arrival), "drawn_ms": quantiles(frame)}


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Median and 95th percentile.

    Raises:
        NothingMeasured: There are no values.
    """
    numbers = np.array(list(values))
    if not len(numbers):
        raise NothingMeasured("no times were taken")
    return {"median": float(np.median(numbers)), "p95": float(np.percentile(numbers, 95))}


def _settle(app: App) -> None:
    end = time.monotonic() + _PATIENCE
    while app.live.latest is None or not app.live.settled:
        if time.monotonic() > end:
            raise NothingMeasured("the viewer did not answer its first target")
        time.sleep(0.1)


def _alone(app: App, moves: int) -> list[float]:
    """The server's times with no browser connected [ms], for targets typed at the mouse's pace."""
    T = _target(app).copy()
    app.live.watch = watch = Watch()
    for number in range(moves):
        position = T[:3, 3] + T[:3, 0] * _swing(app, number)
        app.live.aim(np.block([[T[:3, :3], position[:, None]], [T[3:]]]))
        time.sleep(PERIOD)
    app.live.aim(T)
    _settle(app)
    return watch.between("begun", "drawn")


def _grasp(app: App, page: Any) -> tuple[FloatArray, FloatArray]:
    """Take hold of one of the gizmo's arrows with the mouse; where it is on the page, and where one swing would lead.

    Raises:
        NothingMeasured: No arrow moves the target.
    """
    T, reach = _target(app), app.live.session.arm.reach
    (client, *_) = app.clients()
    canvas = page.locator("canvas").first.bounding_box()
    start = np.array(pixel_of(client.camera, T[:3, 3], canvas))
    ends = [np.array(pixel_of(client.camera, T[:3, 3] + T[:3, axis] * _ARROW * reach, canvas)) for axis in range(3)]
    for axis in sorted(range(3), key=lambda axis: -float(np.linalg.norm(ends[axis] - start))):
        grip = T[:3, 3] + T[:3, axis] * _ARROW * reach
        swung = np.array(pixel_of(client.camera, grip + T[:3, axis] * 0.1 * reach, canvas))
        page.mouse.move(*ends[axis])
        page.wait_for_timeout(1500)
        page.mouse.down()
        page.mouse.move(*(0.7 * ends[axis] + 0.3 * swung), steps=3)
        page.wait_for_timeout(2000)
        moved = _target(app)[:3, 3] - T[:3, 3]
        if abs(float(moved @ T[:3, axis])) > 0.005 * reach:
            return ends[axis], swung
        page.mouse.up()
    raise NothingMeasured("no arrow of the gizmo could be taken hold of")


def _drag(page: Any, grip: FloatArray, swung: FloatArray, moves: int) -> None:
    for number in range(moves):
        begin = time.monotonic()
        page.mouse.move(*(grip + np.sin(0.1 * (number + 1)) * (swung - grip)))
        time.sleep(max(0.0, PERIOD - (time.monotonic() - begin)))
    page.mouse.up()


def _target(app: App) -> FloatArray:
    assert app.live.latest is not None
    return app.live.latest.T_base_target


def _swing(app: App, number: int) -> float:
    return 0.1 * app.live.session.arm.reach * float(np.sin(0.1 * (number + 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="*", default=["planar2", "ur5e", "xarm6", "panda"])
    parser.add_argument("--moves", type=int, default=MOVES)
    parser.add_argument("--port", type=int, default=8290)
    parser.add_argument("--drawing", choices=("both", "on", "off"), default="both")
    parser.add_argument("--json")
    options = parser.parse_args()
    if missing():
        sys.exit(f"nothing can be measured: {missing()}")
    arms = options.arms or parser.get_default("arms")
    ways = {"both": (False, True), "on": (True,), "off": (False,)}[options.drawing]
    rows = []
    with open_browser() as browser:
        for number, (name, drawing) in enumerate(product(arms, ways)):
            try:
                port = options.port + number
                rows.append(measure(name, browser, moves=options.moves, port=port, drawing=drawing))
            except NothingMeasured as error:
                sys.exit(f"{name}: {error}")
            print(json.dumps(rows[-1]), flush=True)
    if options.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "webgl": "software (SwiftShader)"}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine, "moves": options.moves, "period_ms": 1e3 * PERIOD, "rows": rows}, file, indent=2
            )


if __name__ == "__main__":
    main()
