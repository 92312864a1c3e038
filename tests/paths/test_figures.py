"""The figure of a tracked path: no joint hides another, and the way is the tip's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import sim
from ik_mdn.paths.figures import draw_joints
from ik_mdn.paths.path import line_path
from ik_mdn.paths.tracking import track
from ik_mdn.solver.solver import IKSolver
from sim.kinematics import forward_kinematics

Q = np.array([0.3, -0.4, -1.2, 0.5, 0.8, 0.1])


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Draws a path and gives the figure back."""
    kept: list[Figure] = []
    monkeypatch.setattr("ik_mdn.paths.figures.save_figure", lambda figure, out: kept.append(figure))

    def draw(*, turn: bool) -> Figure:
        arm = sim.load_arm("xarm6")
        start = forward_kinematics(arm, Q)
        end = start.copy()
        if turn:
            end[:3, :3] = start[:3, :3] @ sim.pose((0, 0, 0), rpy=(0, 0, 0.4))[:3, :3]
        else:
            end[:3, 3] += [0.05, 0.0, -0.1]
        shares: list[float] = []
        draw_joints(arm, track(IKSolver(arm), line_path(start, end), q_start=Q, on_step=shares.append), tmp_path / "x")
        assert np.all(np.diff(shares) >= 0)
        assert 0 < shares[0] < 1
        assert shares[-1] == 1
        return kept[0]

    return draw


@pytest.mark.parametrize(("turn", "length", "unit"), [(False, np.hypot(0.05, 0.1), "[m]"), (True, 0.4, "[rad]")])
def test_the_way_of_the_tip_is_drawn_in_its_own_unit(drawn: Any, turn: bool, length: float, unit: str) -> None:
    angles, _, places = drawn(turn=turn).axes
    assert unit in places.get_ylabel()
    planned, followed = (line.get_ydata() for line in places.lines)
    assert planned[-1] == pytest.approx(length, rel=1e-6)
    middle = len(planned) // 4
    assert planned[middle] < 0.22 * length  # slow at first: not a share of the time
    np.testing.assert_allclose(followed, planned, atol=1e-9)
    assert places.lines[0].get_linewidth() > places.lines[1].get_linewidth()
    assert "m" not in angles.get_ylabel().split("[")[1]  # no joint slides


def test_no_joint_hides_another(drawn: Any) -> None:
    angles, speeds, _ = drawn(turn=False).axes
    for axes in (angles, speeds):
        lines = axes.lines[: len(Q)]
        widths = [line.get_linewidth() for line in lines]
        assert widths == sorted(widths, reverse=True)
        assert len(set(widths)) == len(lines)
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)
    frame = angles.get_legend().get_window_extent()
    assert frame.x0 >= angles.get_window_extent().x1 - 1  # beside the curves, not over them
