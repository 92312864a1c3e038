"""One arm being looked at in browsers: workers that answer the newest target, a picture and a panel that follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ik_mdn.solver import Status
from ik_mdn.viewer.answer import Answer, Details
from ik_mdn.viewer.curves import Curve, trace_curves
from ik_mdn.viewer.density import tip_spread
from ik_mdn.viewer.ghosts import RAW_MOST, other_ghosts, solid_row, solution_ghosts
from ik_mdn.viewer.html import FLOOR, curve_html, plot_html, workspace
from ik_mdn.viewer.judge import FPS, Judge, Verdict
from ik_mdn.viewer.newest import Newest
from ik_mdn.viewer.panel import CURVES, Offers, Panel
from ik_mdn.viewer.scene import SPREADS, SceneView
from ik_mdn.viewer.session import MOST, Session
from ik_mdn.viewer.visuals import Looks
from sim.arrays import FloatArray
from sim.errors import IKError
from sim.jacobians import moves_on_curves
from sim.kinematics import forward_kinematics
from sim.rotations import pose, rpy_of
from sim.scenes import Scene

OTHERS = RAW_MOST + 3  # arms drawn besides solutions: raw means, the regressor's, the nearest approach, one on a curve
_DETAILS = (
    0.25  # [s] between two times that numbers, words and plots are written: arms that follow the mouse wait for it
)
_QUIET = 0.25  # [s] that a target must rest before the controller is asked and curves are traced


class Live:
    """The picture and the panel of one arm, and what moves them. What several browsers do goes to the same one.

    Args:
        server: viser's, with an empty scene and panel.
        session: The arm and its models.
        looks: The arm's shapes.
        scene: Obstacles, or None.
        offers: What else can be looked at.
        look_at: Called with what a person chose instead (arm, model, task or scene).
    """

    def __init__(
        self,
        server: Any,
        session: Session,
        looks: Looks,
        scene: Scene | None,
        offers: Offers,
        look_at: Callable[..., None],
    ) -> None:
        self._server, self.session, self._looks, self._obstacles = server, session, looks, scene
        self.look_at = look_at
        self.watch: Callable[[str, FloatArray], None] = lambda _what, _T: (
            None
        )  # of a target: received, begun, solved, drawn
        self._lock = threading.RLock()
        self._answer: Answer | None = None
        self._detailed: tuple[Answer, Details] | None = None  # the last answer that was measured
        self._judged: tuple[Answer, Verdict] | None = None  # the last one that the controller was asked of
        self._selected: int | None = None  # branch
        self.curves: list[Curve] = []
        self.along: FloatArray | None = None
        self._judge = Judge(session.solver, meshes=not looks.lost)
        self._judge.set_scene(scene)
        arm, task = session.arm, session.task
        self._view = SceneView(server.scene, arm, looks, most=MOST, others=OTHERS)
        self._has_curves = moves_on_curves(arm, task)
        self.panel = Panel(
            server.gui,
            arm,
            self,
            offers,
            rotation=session.rotation,
            has_mse=session.mse is not None,
            has_model=session.solver.model is not None,
            has_curves=self._has_curves,
            has_obstacles=scene is not None,
            q_now=session.q_now,
        )
        self._fast: Newest[FloatArray] = Newest(self._follow)
        self._rest: Newest[Answer] = Newest(self._detail, every=_DETAILS)
        self._slow: Newest[Answer] = Newest(self._settle, quiet=_QUIET)
        self._mover: Newest[FloatArray] = Newest(self._execute)
        T = session.start_target()
        self._view.add_target(T, rotation=session.rotation, on_drag=self._dragged)
        self._view.on_click(self.point_at)
        self._view.draw_robot(session.q_now)
        self.show_obstacles()
        self._draw_workspace(T)
        self._fast.put(T)

    def close(self) -> None:
        """End the workers and the physics world."""
        for worker in (self._fast, self._rest, self._slow, self._mover):
            worker.close()
        self._judge.close()

    @property
    def latest(self) -> Answer | None:
        """The answer that is drawn."""
        return self._answer

    @property
    def settled(self) -> bool:
        """Whether the controller has judged it."""
        return self._judged is not None and self._judged[0] is self._answer

    @property
    def verdict(self) -> Verdict | None:
        """The controller's verdict on the answer that is drawn, or one a little before on the same branches."""
        return None if self._answer is None else self._verdict_on(self._answer)

    @property
    def solid(self) -> int | None:
        """The row that is drawn solid: selected by a person, else the controller's, else the most probable."""
        return None if self._answer is None else self._solid_of(self._answer)

    def _verdict_on(self, answer: Answer) -> Verdict | None:
        return None if self._judged is None else self._judged[1].carried(self._judged[0], answer)

    def _solid_of(self, answer: Answer) -> int | None:
        verdict = self._verdict_on(answer)
        chosen = None if verdict is None or verdict.chosen is None else int(answer.branch[verdict.chosen])
        return solid_row(answer, self._selected, chosen)

    # --- what a person does -----------------------------------------------------------------------------------

    async def _dragged(self, event: Any) -> None:
        T = pose(event.target.position, quat_wxyz=event.target.wxyz)
        self.watch("received", T)
        self._fast.put(T)

    def type_target(self, position: Sequence[float], degrees: Sequence[float]) -> None:
        """A target from its fields."""
        self.aim(pose(position, np.radians(degrees).tolist()))

    def target_at_tip(self) -> None:
        """The target at the tip of the arm where it stands."""
        self.aim(forward_kinematics(self.session.arm, self.session.q_now))

    def select(self, row: int) -> None:
        """Select the solution in a row."""
        if self._answer is not None and row < len(self._answer):
            self._selected, self.along = int(self._answer.branch[row]), None
            self.redraw()

    def point_at(self, origin: FloatArray, direction: FloatArray) -> None:
        """Select the solution whose arm a ray meets first, origin and direction of shape (3,); nothing where it meets none."""
        if self._answer is not None:
            row = self._view.solutions.struck(self._answer.q, origin, direction)
            if row is not None:
                self.select(row)

    def next_branch(self) -> None:
        """Select the solution in the next row."""
        if self._answer is not None and len(self._answer):
            solid = self.solid
            self.select((0 if solid is None else solid + 1) % len(self._answer))

    def go(self) -> None:
        """Execute the selected solution, or the configuration picked on a self-motion."""
        solid = self.solid
        if self.along is not None:
            self._mover.put(self.along)
        elif self._answer is not None and solid is not None:
            self._mover.put(self._answer.q[solid])

    def move_joints(self, q: FloatArray) -> None:
        """Put the arm somewhere else."""
        self.session.q_now = q
        self._view.draw_robot(q)
        self._again()

    def slide(self, curve: int, share: float) -> None:
        """Pick a configuration on a self-motion."""
        if curve < len(self.curves):
            self.along = self.curves[curve].at(share)
            self.redraw()

    def limit_jump(self, degrees: float) -> None:
        """Only solutions no joint of which is further than so many degrees from where the arm stands; 0: all."""
        self.session.max_jump = float(np.radians(degrees)) if degrees > 0 else None
        self._again()

    def show_obstacles(self) -> None:
        """Draw the obstacles and let the controller know of them, as the panel's switches say."""
        panel, scene = self.panel, self._obstacles if self.panel.obstacles.value else None
        self._view.draw_obstacles(scene, on_move=self.move_obstacle if panel.handles.value else None)
        self._again()

    def move_obstacle(self, number: int, node: Any) -> None:
        """Put an obstacle where its handle is."""
        if self._obstacles is None:
            return
        obstacles = list(self._obstacles.obstacles)
        obstacles[number] = replace(obstacles[number], T_world_obstacle=pose(node.position, quat_wxyz=node.wxyz))
        self._obstacles = replace(self._obstacles, obstacles=tuple(obstacles))
        self._again()

    def aim(self, T_base_target: FloatArray) -> None:
        """Put the target somewhere else."""
        self._view.move_target(T_base_target)
        self._fast.put(T_base_target)

    def _again(self) -> None:
        if self._answer is not None:
            self._fast.put(self._answer.T_base_target)

    # --- what follows from it ---------------------------------------------------------------------------------

    def _follow(self, T: FloatArray) -> None:
        """Solve a target and draw its solutions at once; the rest may come a little later."""
        self.watch("begun", T)
        answer = self.session.answer(T)
        self.watch("solved", T)
        with self._drawing():
            self._answer, self.along = answer, None
            self._draw_solutions()
        self.watch("drawn", T)
        self._rest.put(answer)
        self._slow.put(answer)

    def _detail(self, answer: Answer) -> None:
        """What a person reads and cannot read faster: numbers, words, plots, what misses the target."""
        details, T = self.session.details(answer, raw=self.panel.raw.value), answer.T_base_target
        plot = self._plot(answer, details)
        with self._drawing():
            self._detailed = (answer, details)
            self._draw_rest()
            self.panel.show_target(T[:3, 3].tolist(), np.degrees(rpy_of(T[:3, :3])).tolist())
            if plot:
                self.panel.plot.content = plot

    def _settle(self, answer: Answer) -> None:
        """What takes longer, once the target rests: the controller's verdict, the self-motions."""
        self._judge.set_scene(self._obstacles if self.panel.obstacles.value else None)
        verdict = self._ask(answer)
        with self._lock:
            self._judged = (answer, verdict)
            self.redraw()
        if self._has_curves:
            curves = trace_curves(self.session.solver, answer.T_base_target, CURVES)
            with self._drawing():
                self.curves = curves
                self.panel.show_curves([_bar(i, curve) for i, curve in enumerate(curves)])

    def _ask(self, answer: Answer) -> Verdict:
        try:
            return self._judge.decide(answer, self.session.q_now)
        except IKError as error:
            nothing = ("",) * len(answer)
            return Verdict(None, nothing, nothing, f"The controller cannot judge: {error}")

    def _execute(self, q: FloatArray) -> None:
        """Move there in PyBullet, then play it back at its own pace."""
        answer, session = self._answer, self.session
        if answer is None:
            return
        self.panel.say("moving in PyBullet …")
        try:
            motion = self._judge.go(q, answer.T_base_target, session.q_now)
        except IKError as error:
            self.panel.say(str(error))
            return
        begin = time.monotonic()
        for number, row in enumerate(motion.q):
            time.sleep(max(0.0, begin + number / FPS - time.monotonic()))
            self._view.draw_robot(row)
            self._server.flush()
        session.q_now = np.clip(motion.q[-1], session.arm.q_min, session.arm.q_max)
        self.panel.say(motion.sentence)
        self.panel.show_joints(session.q_now)
        self._again()

    # --- how it is drawn --------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw what is known again, after a switch or a selection."""
        with self._drawing():
            self._view.show_robot(self.panel.robot.value)
            self._draw_solutions()
            self._draw_rest()
        if self.panel.raw.value and self._detailed is not None and self._detailed[1].raw is None:
            self._rest.put(self._detailed[0])

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """One worker at a time draws; browsers get all of it at once, when it is done."""
        with self._lock:
            with self._server.atomic():
                yield
            self._server.flush()

    def _draw_solutions(self) -> None:
        if self._answer is not None:
            self._view.solutions.draw(solution_ghosts(self._answer, None if self.along is not None else self.solid))
            self._view.mark(self._answer.T_base_target)

    def _draw_rest(self) -> None:
        if self._detailed is None:
            return
        (answer, details), panel, rotation = self._detailed, self.panel, self.session.rotation
        target, n = answer.T_base_target[:3, 3], self.session.arm.n_joints
        self._view.others.draw(other_ghosts(details, mse=panel.mse.value, raw=panel.raw.value, along=self.along, n=n))
        self._view.draw_miss("mse", details.mse if panel.mse.value else None, target, rotation=rotation)
        missed = None if answer.status is Status.TOO_FAR else details.nearest
        self._view.draw_miss("nearest", missed, target, rotation=rotation)
        self._draw_spread(answer, panel.spread.value)
        notes = (self._looks.missing, self._judge.note, FLOOR if self.session.floor else "")
        panel.show_answer(answer, details, self._verdict_on(answer), self._solid_of(answer), notes)

    def _draw_spread(self, answer: Answer, wanted: bool) -> None:
        model = self.session.solver.model
        if wanted and model is not None:
            self._view.draw_spread(*tip_spread(model, answer.T_base_target, SPREADS))
        else:
            self._view.draw_spread(np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, 3)))

    def _plot(self, answer: Answer, details: Details) -> str:
        """The mixture's density as HTML; empty without a model."""
        model = self.session.solver.model
        return "" if model is None else plot_html(model, answer, None if details.mse is None else details.mse.q)

    def _draw_workspace(self, T_base_target: FloatArray) -> None:
        if self.session.floor is not None:
            self._view.draw_workspace(workspace(self.session.floor, T_base_target))


def _bar(number: int, curve: Curve) -> str:
    kind = "closed" if curve.closed else "from limit to limit"
    return curve_html(curve.share, f"self-motion {number + 1}: {curve.length:.2f} rad, {kind}; dark: probable")
