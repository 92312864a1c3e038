"""One page that plays without a server or a network: the target goes round, ghosts and panel follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from ik_mdn.viewer.ghosts import other_ghosts, solution_ghosts
from ik_mdn.viewer.html import FLOOR, plot_html, status_html, table_html, workspace
from ik_mdn.viewer.judge import Judge
from ik_mdn.viewer.live import OTHERS
from ik_mdn.viewer.scene import SceneView
from ik_mdn.viewer.serving import close_server, open_server, place_camera
from ik_mdn.viewer.session import MOST, Session
from ik_mdn.viewer.tour import Stop, make_tour, target_path
from ik_mdn.viewer.visuals import load_looks
from sim.files import whole_file
from sim.scenes import Scene

FPS = 12.0  # stops of the target per second
STOPS = 96

_PANEL = """
<style>
#root{{width:calc(100vw - 424px)!important}}
#ik-panel{{position:fixed;top:12px;right:12px;width:400px;max-height:calc(100vh - 80px);overflow:auto;z-index:5;
background:#fff;border-radius:8px;box-shadow:0 1px 14px rgba(0,0,0,.14);padding:8px 2px}}
#ik-panel h1{{font:600 15px system-ui,sans-serif;margin:2px 10px 6px;color:#22252b}}
</style>
<div id="ik-panel"><h1>{title}</h1><div id="ik-now"></div></div>
<script>
const ikStops = {stops};
let ikShown = -1;
setInterval(() => {{
  const slider = document.querySelector('[role="slider"]');
  const time = slider ? parseFloat(slider.getAttribute('aria-valuenow')) || 0 : 0;
  const now = Math.min(ikStops.length - 1, Math.floor(time * {fps}));
  if (now !== ikShown) {{ ikShown = now; document.getElementById('ik-now').innerHTML = ikStops[now]; }}
}}, 60);
</script>
"""


def record_page(
    path: str | Path,
    session: Session,
    scene: Scene | None = None,
    *,
    stops: int = STOPS,
    on_stop: Callable[[], None] | None = None,
) -> None:
    """Write a page on which the target goes round a path and the ghosts and the panel follow.

    Everything is in the one file: it plays from a disk, offline, with a bar to stop and wind it.

    Args:
        path: The page to write.
        session: The arm and its models.
        scene: Obstacles around it.
        stops: Places of the target, `FPS` per second.
        on_stop: Called after each, for progress.
    """
    looks = load_looks(session.arm)
    judge = Judge(session.solver, meshes=not looks.lost)
    judge.set_scene(scene)
    server = open_server("127.0.0.1", 0)
    try:
        place_camera(server, session.arm, scene)
        view = SceneView(server.scene, session.arm, looks, most=MOST, others=OTHERS)
        view.draw_obstacles(scene)
        view.draw_robot(session.q_now)
        targets = target_path(session, stops)
        view.add_frame(targets[0])
        if session.floor is not None:
            view.draw_workspace(workspace(session.floor, targets[0]))
        notes = (looks.missing, judge.note, FLOOR if session.floor else "")
        recording = server.get_scene_serializer()
        panels = []
        for stop in make_tour(session, targets, judge):
            _draw(view, session, stop)
            panels.append(_panel(session, stop, notes))
            recording.insert_sleep(1.0 / FPS)
            if on_stop is not None:
                on_stop()
        page = _with_panel(recording.as_html(), session, panels)
    finally:
        judge.close()
        close_server(server)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _draw(view: SceneView, session: Session, stop: Stop) -> None:
    answer, details = stop.answer, stop.details
    view.solutions.draw(solution_ghosts(answer, stop.solid))
    view.others.draw(other_ghosts(details, mse=True, raw=False, along=None, n=session.arm.n_joints))
    target = answer.T_base_target[:3, 3]
    view.draw_miss("mse", details.mse, target, rotation=session.rotation)
    view.draw_miss("nearest", details.nearest, target, rotation=session.rotation)
    view.mark(answer.T_base_target)
    view.move_target(answer.T_base_target)


def _panel(session: Session, stop: Stop, notes: Sequence[str]) -> str:
    answer, details = stop.answer, stop.details
    text = status_html(answer, details, rotation=session.rotation, notes=notes)
    text += table_html(answer, details, stop.verdict, stop.solid, rotation=session.rotation)
    model = session.solver.model
    if model is not None:
        text += plot_html(model, answer, None if details.mse is None else details.mse.q)
    return text


def _with_panel(page: str, session: Session, panels: list[str]) -> str:
    stops = json.dumps(panels).replace("</", "<\\/")
    panel = _PANEL.format(title=escape(f"IK-MDN · {session.arm.name}"), stops=stops, fps=FPS)
    at = page.rindex("</body>")
    return page[:at] + panel + page[at:]
