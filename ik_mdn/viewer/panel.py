"""The panel beside the picture, in viser: what can be set and pressed, and where the words go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Protocol

import numpy as np

from ik_mdn.viewer.answer import Answer, Details
from ik_mdn.viewer.html import status_html, table_html
from ik_mdn.viewer.judge import Verdict
from sim.arm import Arm
from sim.arrays import FloatArray

CURVES = 3  # self-motions that get a slider, the longest first
_ASIDE = "<style>.mantine-ScrollArea-content:not(:has(.mantine-ScrollArea-content)){padding-right:9px}</style>"  # of the scroll bar


class Actions(Protocol):
    """What the panel asks for."""

    def type_target(self, position: Sequence[float], degrees: Sequence[float]) -> None: ...
    def select(self, row: int) -> None: ...
    def next_branch(self) -> None: ...
    def go(self) -> None: ...
    def move_joints(self, q: FloatArray) -> None: ...
    def target_at_tip(self) -> None: ...
    def slide(self, curve: int, share: float) -> None: ...
    def limit_jump(self, degrees: float) -> None: ...
    def redraw(self) -> None: ...
    def show_obstacles(self) -> None: ...
    def look_at(self, **changes: str) -> None: ...


@dataclass
class Offers:
    """What can be chosen to be looked at.

    Args:
        arms, models, tasks, scenes: The names, and the one that is in use of each.
    """

    arms: tuple[Sequence[str], str]
    models: tuple[Sequence[str], str]
    tasks: tuple[Sequence[str], str]
    scenes: tuple[Sequence[str], str]


class Panel:
    """The controls of one arm.

    Args:
        gui: viser's, empty.
        arm: The arm.
        actions: What to call.
        offers: What can be chosen.
        rotation: Whether the task counts rotation.
        has_mse, has_model, has_curves, has_obstacles: What there is to show.
        q_now: Where the arm stands, shape (n,).
    """

    def __init__(
        self,
        gui: Any,
        arm: Arm,
        actions: Actions,
        offers: Offers,
        *,
        rotation: bool,
        has_mse: bool,
        has_model: bool,
        has_curves: bool,
        has_obstacles: bool,
        q_now: FloatArray,
    ) -> None:
        self._gui, self._arm, self._actions, self._rotation = gui, arm, actions, rotation
        gui.add_html(_ASIDE)
        self.status = gui.add_html(_line("status", "Solving …"))
        self._add_target()
        tabs = gui.add_tab_group()
        with tabs.add_tab("Solutions"):
            self._add_solutions()
            self._add_switches(has_mse, has_model)
        with tabs.add_tab("Density"):
            self.plot = gui.add_html("" if has_model else "<i>There is no mixture: random restarts serve.</i>")
        with tabs.add_tab("Joints"):
            self._add_joints(q_now)
        self._curves: list[tuple[Any, Any]] = []
        if has_curves:
            with tabs.add_tab("Self-motion"):
                self._add_curves()
        with tabs.add_tab("Setup"):
            self._add_setup(offers, has_obstacles)
        gui.add_command("Next branch", description="Select the next solution", hotkey="N").on_trigger(
            lambda _: actions.next_branch()
        )
        gui.add_command("Go there", description="Execute the selected solution", hotkey="G").on_trigger(
            lambda _: actions.go()
        )

    def show_target(self, position: Sequence[float], degrees: Sequence[float]) -> None:
        """Write the target into its fields."""
        self._position.value = tuple(round(float(x), 4) for x in position[: self._axes])
        if self._turn is not None:
            self._turn.value = tuple(round(float(x), 2) for x in degrees)

    def show_answer(
        self, answer: Answer, details: Details, verdict: Verdict | None, solid: int | None, notes: Sequence[str]
    ) -> None:
        """Write what became of the target, and the table."""
        self.status.content = status_html(answer, details, rotation=self._rotation, notes=notes)
        self.table.content = table_html(answer, details, verdict, solid, rotation=self._rotation)
        rows = tuple(str(i + 1) for i in range(len(answer))) or ("–",)
        if rows != tuple(self._pick.options):
            self._pick.options = rows
        self._next.disabled = self._go.disabled = not len(answer)

    def say(self, text: str) -> None:
        """One line about a motion."""
        self._said.content = _line("said", text)

    def show_joints(self, q: FloatArray) -> None:
        """Put the joint sliders where the arm stands."""
        for slider, value, factor in zip(self._joints, q, self._factors, strict=True):
            slider.value = float(np.clip(round(float(value * factor), 3 if factor == 1 else 1), slider.min, slider.max))

    def show_curves(self, bars: Sequence[str]) -> None:
        """Colour the bars above the self-motion sliders; one per curve, HTML."""
        self._tracing.content = "" if bars else _line("tracing", "No self-motion at this target.")
        for i, (bar, slider) in enumerate(self._curves):
            bar.visible = slider.visible = i < len(bars)
            if i < len(bars):
                bar.content = bars[i]

    def _add_target(self) -> None:
        gui, limit = self._gui, 3 * self._arm.reach
        self._axes = 2 if self._arm.is_planar else 3
        add, axes = (gui.add_vector2, "x, y") if self._arm.is_planar else (gui.add_vector3, "x, y, z")
        nowhere, most = (0.0,) * self._axes, (limit,) * self._axes
        least = tuple(-x for x in most)
        hint = f"{axes} in the base frame"
        self._position = add("target [m]", nowhere, step=0.005, min=least, max=most, hint=hint)
        self._turn = (
            gui.add_vector3("turn [°]", (0.0, 0.0, 0.0), step=1.0, hint="roll, pitch, yaw about the base's x, y, z")
            if self._rotation
            else None
        )
        for field in (self._position, self._turn):
            if field is not None:
                field.on_update(_from_person(lambda _: self._typed()))

    def _typed(self) -> None:
        position = (*self._position.value, 0.0)[:3]
        self._actions.type_target(position, self._turn.value if self._turn is not None else (0.0, 0.0, 0.0))

    def _add_solutions(self) -> None:
        gui, actions = self._gui, self._actions
        self.table = gui.add_html("")
        self._pick = gui.add_button_group("select", ("–",))
        self._pick.on_click(lambda event: self._picked(event.target.value))
        self._next = gui.add_button("Next branch (N)")
        self._next.on_click(lambda _: actions.next_branch())
        self._go = gui.add_button("Go there (G)", hint="Execute the selected solution in PyBullet and play it back")
        self._go.on_click(lambda _: actions.go())
        self._said = gui.add_html("")

    def _picked(self, number: str) -> None:
        if number.isdigit():
            self._actions.select(int(number) - 1)

    def _add_switches(self, has_mse: bool, has_model: bool) -> None:
        gui, redraw = self._gui, self._actions.redraw
        self.robot = gui.add_checkbox("robot", True, hint="the arm where it stands")
        self.mse = gui.add_checkbox(
            "MSE arm", has_mse, disabled=not has_mse, hint="what a regressor trained with squared error says"
        )
        self.raw = gui.add_checkbox(
            "raw means", False, disabled=not has_model, hint="what the network says before refinement"
        )
        self.spread = gui.add_checkbox(
            "tip's 1σ", False, disabled=not has_model, hint="how far the tip spreads in each component"
        )
        for box in (self.robot, self.mse, self.raw, self.spread):
            box.on_update(_from_person(lambda _: redraw()))

    def _add_joints(self, q_now: FloatArray) -> None:
        gui, arm = self._gui, self._arm
        self._factors = np.where(arm.is_prismatic, 1.0, 180 / np.pi)
        self._joints = []
        for i, name in enumerate(arm.joint_names):
            unit, step = ("m", 0.001) if arm.is_prismatic[i] else ("°", 0.1)
            low = round(float(np.ceil(arm.sample_min[i] * self._factors[i] / step) * step), 3)
            high = round(float(np.floor(arm.sample_max[i] * self._factors[i] / step) * step), 3)
            start = float(np.clip(round(float(q_now[i] * self._factors[i]), 3 if unit == "m" else 1), low, high))
            slider = gui.add_slider(f"{name} [{unit}]", low, high, step, start)
            slider.on_update(_from_person(lambda _: self._actions.move_joints(self._read_joints())))
            self._joints.append(slider)
        gui.add_button("Target at the tip").on_click(lambda _: self._actions.target_at_tip())
        jump = gui.add_slider("largest jump [°]", 0.0, 180.0, 1.0, 0.0, hint="of any joint from here; 0: any")
        jump.on_update(_from_person(lambda event: self._actions.limit_jump(event.target.value)))

    def _read_joints(self) -> FloatArray:
        q = np.array([slider.value for slider in self._joints]) / self._factors
        return np.asarray(np.clip(q, self._arm.q_min, self._arm.q_max))

    def _add_curves(self) -> None:
        self._tracing = self._gui.add_html(_line("tracing", "Self-motions are traced once the target rests …"))
        for i in range(CURVES):
            bar = self._gui.add_html("", visible=False)
            slider = self._gui.add_slider("along [%]", 0.0, 100.0, 0.5, 0.0, visible=False)
            slider.on_update(_from_person(partial(self._slid, i)))
            self._curves.append((bar, slider))

    def _slid(self, curve: int, event: Any) -> None:
        self._actions.slide(curve, event.target.value / 100)

    def _add_setup(self, offers: Offers, has_obstacles: bool) -> None:
        gui, actions = self._gui, self._actions
        for key, (names, now) in vars(offers).items():
            what = key.removesuffix("s")
            dropdown = gui.add_dropdown(what, tuple(names), initial_value=now)
            dropdown.on_update(_from_person(partial(self._looked, what)))
        self.obstacles = gui.add_checkbox("obstacles", True, disabled=not has_obstacles)
        self.handles = gui.add_checkbox("drag obstacles", False, disabled=not has_obstacles)
        for box in (self.obstacles, self.handles):
            box.on_update(_from_person(lambda _: actions.show_obstacles()))

    def _looked(self, what: str, event: Any) -> None:
        self._actions.look_at(**{what: event.target.value})


def _line(name: str, text: str) -> str:
    return f'<div id="{name}" style="padding:0 10px;font:12px system-ui,sans-serif;color:#22252b">{escape(text)}</div>'


def _from_person(call: Callable[[Any], object]) -> Callable[[Any], None]:
    """Leave out what the program itself wrote into a field."""

    def handle(event: Any) -> None:
        if event.client is not None:
            call(event)

    return handle
