"""Which arms are drawn and what the panel says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ik_mdn.solver import Status
from ik_mdn.viewer.answer import Answer, Details, Placed
from ik_mdn.viewer.density import BINS, Marginals
from ik_mdn.viewer.ghosts import MSE, branch_colour, other_ghosts, solid_row, solution_ghosts
from ik_mdn.viewer.html import marginals_svg, short_names, status_html, table_html
from ik_mdn.viewer.judge import Verdict
from sim.arm import load_arm
from sim.rotations import pose, quat_wxyz_of, rpy_of

ANSWER = Answer(
    np.eye(4),
    Status.SOLVED,
    q=np.array([[0.0, 1.0], [1.0, -1.0]]),
    branch=np.array([3, 1]),
    weight=np.array([0.8, 0.2]),
    redundant=False,
    found=2,
)
MISS = Placed(np.array([0.5, 0.0]), np.array([0.1, 0.0, 0.0]), 0.1, 0.0)
DETAILS = Details(np.zeros(2), np.zeros(2), np.array([1.0, np.inf]), np.array([0.4, 0.3]), mse=MISS)


def test_colour_stays_with_the_branch_and_opacity_follows_probability() -> None:
    ghosts = solution_ghosts(ANSWER, None)
    assert ghosts.colour.tolist() == [list(branch_colour(3)), list(branch_colour(1))]
    assert ghosts.opacity[0] > ghosts.opacity[1] > 0
    assert solution_ghosts(ANSWER, 1).opacity[1] == 1.0


def test_a_persons_choice_goes_before_the_controllers_and_that_before_probability() -> None:
    assert solid_row(ANSWER, selected=1, chosen=3) == 1
    assert solid_row(ANSWER, selected=None, chosen=1) == 1
    assert solid_row(ANSWER, selected=7, chosen=None) == 0
    assert ANSWER.row_of(None) is None


def test_the_regressor_is_red_and_can_be_hidden() -> None:
    shown = other_ghosts(DETAILS, mse=True, raw=True, along=None, n=2)
    assert shown.colour.tolist() == [list(MSE)]
    assert len(other_ghosts(DETAILS, mse=False, raw=True, along=None, n=2)) == 0


def test_raw_means_of_next_to_no_weight_are_not_drawn() -> None:
    details = replace(DETAILS, raw=np.zeros((3, 2)), raw_weight=np.array([0.7, 0.299, 0.001]))
    assert len(other_ghosts(details, mse=False, raw=True, along=None, n=2)) == 2


def test_the_table_has_a_row_per_solution_with_the_reason_escaped() -> None:
    verdict = Verdict(1, ("hits <board>", "cheapest"), ("✖", "✔"), "The controller would take 2.")
    text = table_html(ANSWER, DETAILS, verdict, 1, rotation=False)
    assert text.count('class="solution"') == 2
    assert "hits &lt;board&gt;" in text
    assert "✔ cheapest" in text
    assert "✖" in text
    assert "0.800" in text
    assert "–" in text  # no limit


def test_the_status_says_what_the_regressor_misses_by() -> None:
    text = status_html(ANSWER, DETAILS, rotation=False, notes=("meshes are missing",))
    assert "2 solutions" in text
    assert "100 mm" in text
    assert "meshes are missing" in text


def test_the_plot_ticks_every_solution_in_its_colour() -> None:
    arm = load_arm("planar2")
    edges = np.linspace(arm.sample_min, arm.sample_max, BINS + 1, axis=-1)
    text = marginals_svg(arm, Marginals(edges, np.full((2, BINS), 1 / BINS)), ANSWER)
    assert text.count(f"rgb{branch_colour(3)}") == 2  # one per joint
    assert text.count(f"rgb{branch_colour(1)}") == 2


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["panda_joint1", "panda_joint2"], ["joint1", "joint2"]),
        (["shoulder_pan_joint", "elbow_joint"], ["shoulder_pan", "elbow"]),
        (["joint1"], ["joint1"]),
        (["a_joint_with_a_very_long_name", "b"], ["…ery_long_name", "b"]),
    ],
)
def test_joint_names_lose_what_they_share(names: list[str], short: list[str]) -> None:
    assert short_names(names) == short


def test_poses_survive_the_way_to_the_browser_and_the_fields() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        T = pose(rng.normal(size=3).tolist(), rng.uniform(-3, 3, 3).tolist())
        sent = (1.001 * quat_wxyz_of(T[:3, :3])).tolist()
        np.testing.assert_allclose(pose(T[:3, 3].tolist(), quat_wxyz=sent), T, atol=1e-12)
        typed = pose(T[:3, 3].tolist(), rpy_of(T[:3, :3]).tolist())
        np.testing.assert_allclose(typed, T, atol=1e-12)
