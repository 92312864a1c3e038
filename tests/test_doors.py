"""Every public function that takes numbers takes them by one door: odd kinds are refused by name, never cast or bare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import ik_mdn
import sim
from ik_mdn.paths import CartesianPath, circle_path, line_path, track
from sim.errors import IKError, PoseError

Q6 = np.array([0.3, -0.4, -1.2, 0.5, 0.8, 0.1])
Q3 = np.array([0.2, 0.3, 0.1])

Calls = dict[str, tuple[Callable[[Any], Any], np.ndarray]]


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    """Each entrance, and what it takes gladly."""
    solver, free = (
        ik_mdn.IKSolver(sim.load_arm("ur5e")),
        ik_mdn.IKSolver(sim.load_arm("planar3"), task="planar_position"),
    )
    T, up = sim.forward_kinematics(solver.arm, Q6), np.zeros((4, 4))
    up[2, 3] = 0.01
    with sim.World() as world, sim.World() as other:
        body = world.add_arm(solver.arm, meshes=False)
        yield {
            "solve": (solver.solve, T),
            "q_seed": (lambda x: solver.solve(T, q_seed=x), Q6),
            "forward_kinematics": (lambda x: sim.forward_kinematics(solver.arm, x), Q6),
            "jacobian": (lambda x: sim.jacobian(solver.arm, x), Q6),
            "slide": (lambda x: ik_mdn.slide(free, x, 0.1), Q3),
            "distance": (lambda x: ik_mdn.slide(free, Q3, x), np.array(0.1)),
            "decide": (ik_mdn.Controller(body, solver).decide, T),
            "set_q": (body.set_q, Q6),
            "tip_pose": (body.tip_pose, Q6),
            "collides": (body.collides, Q6),
            "holding_torques": (body.holding_torques, Q6),
            "drive": (body.drive, Q6),
            "q_start": (lambda x: track(solver, line_path(T, T + up), q_start=x), Q6),
            "CartesianPath": (CartesianPath, np.stack([T, T])),
            "line_path": (lambda x: line_path(T, x), T + up),
            "centre": (lambda x: circle_path(x, (0, 0, 1), 0.1, T[:3, :3]), T[:3, 3]),
            "add_arm": (lambda x: other.add_arm(solver.arm, x, meshes=False), np.eye(4)),
            "planar_arm": (sim.planar_arm, np.array([0.4, 0.3])),
            "gravity": (lambda x: sim.World(gravity=x).close(), np.array([0.0, 0.0, -1.0])),
        }


NAMES = (
    *("solve", "q_seed", "forward_kinematics", "jacobian", "slide", "distance", "decide", "set_q", "tip_pose"),
    *("collides", "holding_torques", "drive", "q_start", "CartesianPath", "line_path", "centre", "add_arm"),
    *("planar_arm", "gravity"),
)


@pytest.mark.parametrize("name", NAMES)
def test_what_has_one_meaning_is_taken(calls: Calls, name: str) -> None:
    call, value = calls[name]
    frozen = value.copy()
    frozen.setflags(write=False)
    for each in (
        value.tolist(),
        frozen,
        value.astype(">f8"),
        torch.tensor(value),
        torch.tensor(value, requires_grad=True),
    ):
        call(each)


@pytest.mark.parametrize("name", NAMES)
def test_what_has_not_is_refused_by_name(calls: Calls, name: str) -> None:
    call, value = calls[name]
    odd = [value + 1j, torch.tensor(value + 1j), np.full(value.shape, None), "abc", value.astype(str), [[1], [2, 3]]]
    nothing = np.full(value.shape, np.nan)
    for each in (*odd, np.ma.masked_array(value, mask=True), nothing):
        if each is nothing and name in ("forward_kinematics", "jacobian"):
            continue  # not a number in, not a number out
        with pytest.raises(IKError):
            call(each)


@pytest.mark.parametrize("T", [2 * np.eye(4), np.zeros((4, 4)), np.diag([1.0, 1.0, -1.0, 1.0]), np.eye(4)[None]])
def test_an_arm_is_put_somewhere_but_not_scaled_or_mirrored(T: np.ndarray) -> None:
    with sim.World() as world, pytest.raises(IKError, match="T_world_base"):
        world.add_arm(sim.load_arm("planar2"), T)


def test_batches_of_batches_and_poses_for_other_vectors_are_refused() -> None:
    arm = sim.load_arm("planar3")
    T = sim.forward_kinematics(arm, Q3)
    with pytest.raises(IKError, match=r"\(2, 3, 4, 4\); give one \(4, 4\) or a batch"):
        ik_mdn.IKSolver(arm).solve(np.tile(T, (2, 3, 1, 1)))
    with pytest.raises(IKError, match="2 poses T_base_tip for 1 joint vectors"):
        ik_mdn.slide(ik_mdn.IKSolver(arm, task="planar_position"), Q3, 0.1, T_base_tip=np.stack([T, T]))


def test_names_in_place_of_arms_and_scenes_are_answered_with_what_to_write() -> None:
    with sim.World() as world:
        with pytest.raises(IKError, match=r"sim\.load_arm\('planar2'\)"):
            world.add_arm("planar2")  # type: ignore[arg-type]
        with pytest.raises(IKError, match=r"sim\.load_scene\('table'\)"):
            world.add_scene("table")  # type: ignore[arg-type]


def test_motions_without_end_are_refused_with_the_joint() -> None:
    with sim.World() as world:
        body = world.add_arm(sim.load_arm("planar2"))
        with pytest.raises(IKError, match=r"'joint1' would take .* s from 0"):
            body.drive(np.array([1e300, 0.0]))
        with pytest.raises(IKError, match=r"more speed"):
            body.drive(np.array([0.5, 1.0]), speed=1e-4)


def test_raw_modes_of_the_furthest_target_are_finite_and_beyond_it_there_is_none() -> None:
    solver = ik_mdn.IKSolver.load("planar2")
    T = np.tile(np.eye(4), (2, 1, 1))
    T[:, 0, 3] = 1.0, 1e9
    found = solver.solve(T, refine=False)
    assert np.isfinite(found.q).all()
    assert len(found[0]) > 0
    T[1, 0, 3] = 1e150
    with pytest.raises(PoseError, match="positions are in metres"):
        solver.solve(T, refine=False)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("steps", "x"),
        ("steps", None),
        ("minutes", "x"),
        ("learning_rate", float("inf")),
        ("floor", None),
        ("floor", float("inf")),
        ("covariance", "x"),
        ("symmetries", "x"),
        ("seed", True),
    ],
)
def test_odd_settings_of_training_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(IKError, match=option):
        ik_mdn.TrainConfig(**{option: value})


def test_mixtures_of_odd_kinds_are_refused_by_name() -> None:
    logits, loc, scale = torch.zeros(3), torch.zeros(3, 2), torch.ones(3, 2)
    made = ik_mdn.GaussianMixture(logits, loc, scale=scale)
    for wrong in (
        lambda: ik_mdn.GaussianMixture(logits.numpy(), loc, scale=scale),  # type: ignore[arg-type]
        lambda: ik_mdn.GaussianMixture(logits, loc + 0j, scale=scale),
        lambda: ik_mdn.GaussianMixture(logits, loc, scale=scale.numpy()),  # type: ignore[arg-type]
        lambda: ik_mdn.GaussianMixture(logits, loc, scale=scale, period="x"),  # type: ignore[arg-type]
        lambda: ik_mdn.GaussianMixture(logits - torch.inf, loc, scale=scale),
        lambda: made.log_prob([0.0, 0.0]),  # type: ignore[arg-type]
        lambda: made.permuted(torch.tensor([0, 0, 2])),
        lambda: made.permuted(torch.tensor([0, 1, 9])),
    ):
        with pytest.raises(IKError):
            wrong()
    assert (
        ik_mdn.GaussianMixture(torch.tensor([0.0, -torch.inf]), loc[:2], scale=scale[:2]).sample((3,)).isfinite().all()
    )
