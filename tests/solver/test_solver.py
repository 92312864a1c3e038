"""The solver: every branch, in limits, exact; and the right word where there is none."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from samples import sliding_arm

from ik_mdn.cli import main
from ik_mdn.solver.probabilities import Law
from ik_mdn.solver.shipped import solver_for
from ik_mdn.solver.solutions import SolutionBatch, Solutions, Status
from ik_mdn.solver.solver import IKSolver
from sim.arm import Arm, load_arm
from sim.errors import CheckpointError, PoseError, ShapeError, TaskError
from sim.kinematics import forward_kinematics
from sim.task import TASKS

TURN = 2 * np.pi


@pytest.fixture(scope="module")
def planar2() -> Arm:
    return load_arm("planar2")


@pytest.fixture(scope="module")
def xarm6() -> Arm:
    return load_arm("xarm6")


def sample(arm: Arm, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return arm.sample(np.random.default_rng(seed), count)


def both_branches(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Closed form for two links of 1 m, (B, 2 branches, 2): law of cosines."""
    x, y = points.T
    bend = np.arccos(np.clip((x**2 + y**2 - 2) / 2, -1, 1))
    q2 = np.stack([bend, -bend], axis=1)
    q1 = np.arctan2(y, x)[:, None] - np.arctan2(np.sin(q2), 1 + np.cos(q2))
    return np.stack([q1, q2], axis=-1)


def angle_between(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.abs((a - b + np.pi) % TURN - np.pi).max(axis=-1)


class FakeModel:
    """Proposes the same joint vectors for every pose."""

    kind, postures, proposer = "fake", None, None

    def __init__(self, arm: Arm, q: list[list[float]], weight: list[float]) -> None:
        self.arm, self.task = arm, TASKS["planar_position"]
        self.q, self.weight = torch.tensor(q, dtype=torch.float64), torch.tensor(weight, dtype=torch.float64)

    def propose(self, T: torch.Tensor) -> SimpleNamespace | tuple[torch.Tensor, torch.Tensor]:
        return self.q.expand(len(T), -1, -1), self.weight.expand(len(T), -1)

    seeds = propose


def with_model(arm: Arm, q: list[list[float]], weight: list[float]) -> IKSolver:
    model: Any = FakeModel(arm, q, weight)
    return IKSolver(arm, model)


def test_both_branches_of_ten_thousand_targets_agree_with_the_closed_form(planar2: Arm) -> None:
    rng = np.random.default_rng(1)
    radius, azimuth = 2 * np.sqrt(rng.uniform(1e-6, 1 - 1e-6, 10_000)), rng.uniform(-np.pi, np.pi, 10_000)
    points = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth)], axis=1)
    found = IKSolver(planar2).solve(points)
    assert (found.count == 2).all()
    assert found.solved.all()
    assert found.err_pos.max() <= 1e-9
    q = found.q.reshape(-1, 2, 2)
    expected = both_branches(points)
    gap = angle_between(q[:, :, None], expected[:, None])  # (B, found, expected)
    assert (gap.min(axis=1) < 1e-5).all()
    assert (gap.argmin(axis=1) == [0, 1]).all(axis=1).mean() < 1  # order is by weight, not by sign


@pytest.mark.parametrize("radius", [2.0, 2.0 - 1e-9, 2.0 + 1e-9])
def test_the_edge_of_the_workspace_is_singular(planar2: Arm, radius: float) -> None:
    found = IKSolver(planar2).solve(np.array([radius * np.cos(1.0), radius * np.sin(1.0)]))[0]
    assert found.status is Status.SINGULAR
    assert len(found) == (2 if radius < 2 else 1)  # elbows 1.3e-4 apart are still two
    assert found.err_pos.max() <= 1e-9 + 1e-10
    np.testing.assert_allclose(found.q, [[1.0, 0.0]] * len(found), atol=1e-4)


@pytest.mark.parametrize("radius", [0.0, 1e-12, 1e-9])
def test_folded_on_the_base_axis_a_circle_of_solutions_is_a_continuum(planar2: Arm, radius: float) -> None:
    found = IKSolver(planar2).solve(np.array([radius, 0.0]))[0]
    assert (found.status, found.law) == (Status.CONTINUUM, Law.SAMPLES)  # no probability
    assert len(found) >= 2
    assert found.err_pos.max() <= (1e-8 if radius == 1e-9 else 1e-9)  # the whole circle is within the tolerance
    np.testing.assert_allclose(np.abs(found.q[:, 1]), np.pi, atol=1e-8)


@pytest.mark.parametrize("point", [[2.1, 0.0], [2.0 + 1e-6, 0.0], [30.0, -30.0]])
def test_out_of_reach_is_unreachable(planar2: Arm, point: list[float]) -> None:
    found = IKSolver(planar2).solve(np.array(point))[0]
    assert found.status is Status.UNREACHABLE
    assert found.q.shape == (0, 2)


def test_inside_an_unreachable_hole_is_unreachable() -> None:
    found = IKSolver(load_arm("planar:1.0,0.4")).solve(np.array([[0.3, 0.0], [0.7, 0.0]]))
    assert [one.status for one in found] == [Status.UNREACHABLE, Status.SOLVED]


def test_reachable_only_beyond_the_limits_is_out_of_limits(planar2: Arm) -> None:
    stiff = replace(planar2, q_min=np.array([-0.1, -0.1]), q_max=np.array([0.1, 0.1]))
    found = IKSolver(stiff).solve(np.array([[0.0, 1.5], [1.999, 0.0]]))
    assert [one.status for one in found] == [Status.OUT_OF_LIMITS, Status.SOLVED]
    assert found.count.tolist() == [0, 2]


def test_almost_every_xarm6_pose_is_solved_in_limits(xarm6: Arm) -> None:
    T = forward_kinematics(xarm6, sample(xarm6, 2_000))
    found = IKSolver(xarm6).solve(T)
    assert found.solved.mean() >= 0.995
    assert max(found.err_pos.max(), found.err_rot.max()) <= 1e-6
    assert (found.q >= xarm6.q_min).all()
    assert (found.q <= xarm6.q_max).all()
    np.testing.assert_allclose(forward_kinematics(xarm6, found.q), T[found.pose_index], atol=1e-9)


def test_most_branches_that_made_the_pose_are_found_again(xarm6: Arm) -> None:
    q = sample(xarm6, 300, seed=2)
    found = IKSolver(xarm6).solve(forward_kinematics(xarm6, q), seeds=64)
    again = [angle_between(one.q, q[i]).min(initial=9.0) < 1e-4 for i, one in enumerate(found)]
    assert np.mean(again) > 0.95


@pytest.mark.parametrize("name", ["puma560", "panda"])
def test_configurations_on_their_limits_are_solved(name: str) -> None:
    arm = load_arm(name)
    rng = np.random.default_rng(3)
    q = sample(arm, 40)
    ends = np.where(rng.random(q.shape) < 0.5, arm.q_min, arm.q_max)
    q = np.where(rng.random(q.shape) < 0.3, ends, q)
    found = IKSolver(arm).solve(forward_kinematics(arm, q))
    assert found.solved.mean() >= 0.95


def test_singular_configurations_are_solved_and_named() -> None:
    arm = load_arm("puma560")
    q = sample(arm, 20)
    q[:, 4] = 0.0  # straight wrist: joints 4 and 6 turn about one line
    found = IKSolver(arm).solve(forward_kinematics(arm, q), q_seed=q)
    assert found.tally() == {Status.CONTINUUM: 20}  # one turns back as far as the other turns on
    straight = sample(load_arm("planar3"), 20)
    straight[:, 1] = 0.0  # links 1 and 2 stretched: no further out
    edge = IKSolver(load_arm("planar3")).solve(forward_kinematics(load_arm("planar3"), straight), q_seed=straight)
    assert edge.tally() == {Status.SINGULAR: 20}


def test_half_turns_and_the_base_axis_are_solved(xarm6: Arm) -> None:
    on_axis = IKSolver(xarm6, task="position").solve(np.array([0.0, 0.0, 0.8]))[0].q
    T = np.concatenate([np.eye(4)[None], forward_kinematics(xarm6, on_axis)])
    T[0, :3, :3], T[0, :3, 3] = np.diag([1.0, -1.0, -1.0]), [0.3, 0.0, 0.3]
    found = IKSolver(xarm6).solve(T)
    assert len(T) > 2
    assert found.solved.all()
    np.testing.assert_allclose(forward_kinematics(xarm6, found.q), T[found.pose_index], atol=1e-9)


def test_prismatic_joints_are_solved_as_cylinder_coordinates() -> None:
    arm = sliding_arm()
    points = np.array([[0.6, 0.8, 1.2], [-1.5, 0.1, 0.0], [0.1, 0.0, 1.0], [0.5, 0.0, 1.6]])
    found = IKSolver(arm).solve(points)
    names = [Status.SOLVED, Status.SOLVED, Status.OUT_OF_LIMITS, Status.OUT_OF_LIMITS]
    assert [one.status for one in found] == names
    np.testing.assert_allclose(found[0].q, [[np.arctan2(0.8, 0.6), 1.2, 1.0]], atol=1e-9)


@pytest.mark.parametrize("name", ["xarm6", "panda"])
@pytest.mark.parametrize("model", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"max_solutions": 1}, {"q_seed": True}, {"rank": "margin", "max_solutions": 3}]
)
def test_a_batch_gives_what_its_poses_give_one_by_one(name: str, model: bool, options: dict[str, Any]) -> None:
    arm = load_arm(name)
    q = sample(arm, 70, seed=4)
    T = forward_kinematics(arm, q)
    T[::9, :3, 3] *= 1.3  # some out of reach
    solver, near = IKSolver.load(name) if model else IKSolver(arm), "q_seed" in options
    batch = solver.solve(T, **{**options, **({"q_seed": q + 0.1} if near else {})})
    for i in range(70):
        alone = solver.solve(T[i], **{**options, **({"q_seed": q[i] + 0.1} if near else {})})[0]
        for field in ("q", "weight", "proposal_weight", "err_pos", "err_rot"):
            np.testing.assert_array_equal(getattr(batch[i], field), getattr(alone, field))
        assert batch[i].status is alone.status


def test_torch_targets_and_points_give_the_same(planar2: Arm) -> None:
    solver, point = IKSolver(planar2), np.array([1.2, 0.5])
    T = np.eye(4)
    T[:2, 3] = point
    answers = [solver.solve(x)[0].q for x in (point, T, torch.tensor(point), torch.tensor(T)[None])]
    for q in answers[1:]:
        np.testing.assert_array_equal(q, answers[0])


def test_the_seed_chooses_the_draws(planar2: Arm) -> None:
    weights = [IKSolver(planar2).solve(np.array([1.2, 0.5]), seed=s)[0].proposal_weight for s in (0, 0, 3)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert weights[0].tolist() != weights[2].tolist()


def test_solutions_are_ordered_by_weight_and_weights_are_shares(xarm6: Arm) -> None:
    found = IKSolver(xarm6).solve(forward_kinematics(xarm6, sample(xarm6, 30)))
    for one in found:
        assert (np.diff(one.weight) <= 0).all()
        assert one.weight.sum() == pytest.approx(1)
        assert 0 < one.proposal_weight.sum() <= 1 + 1e-12


def test_a_seed_orders_by_distance_and_chooses_the_turn(xarm6: Arm) -> None:
    q = sample(xarm6, 20, seed=5)
    found = IKSolver(xarm6).solve(forward_kinematics(xarm6, q), q_seed=q)
    np.testing.assert_allclose(found.best, q, atol=1e-6)
    for i, one in enumerate(found):
        assert (np.diff(np.linalg.norm(one.q - q[i], axis=1)) >= -1e-9).all()


def test_windings_are_all_there_in_limits_and_exact(xarm6: Arm) -> None:
    T = forward_kinematics(xarm6, sample(xarm6, 10))
    plain, wound = IKSolver(xarm6).solve(T), IKSolver(xarm6).solve(T, windings=True)
    for few, many in zip(plain, wound, strict=True):
        assert len(many) == 8 * len(few)  # joints 1, 4 and 6 turn twice
        assert len(np.unique(many.q.round(6), axis=0)) == len(many)
        assert (many.q >= xarm6.q_min).all()
        assert (many.q <= xarm6.q_max).all()
        np.testing.assert_allclose(many.weight.sum(), few.weight.sum())
    assert max(wound.err_pos.max(), wound.err_rot.max()) < 1e-9


def test_redundant_arms_give_many_distinct_solutions_and_a_cap() -> None:
    arm = load_arm("panda")
    T = forward_kinematics(arm, sample(arm, 5))
    found = IKSolver(arm).solve(T, seeds=64)
    assert (found.count > 8).all()
    assert (IKSolver(arm).solve(T, seeds=64, max_solutions=3).count == 3).all()


def test_no_target_gives_an_empty_batch(xarm6: Arm) -> None:
    found = IKSolver(xarm6).solve(np.zeros((0, 4, 4)))
    assert len(found) == 0
    assert found.q.shape == (0, 6)
    assert found.tally() == {}


def test_a_batch_is_a_sequence_of_solutions(planar2: Arm) -> None:
    found = IKSolver(planar2).solve(np.array([[1.0, 0.5], [9.0, 0.0], [0.3, -1.0]]))
    assert found.count.tolist() == [2, 0, 2]
    assert found.solved.tolist() == [True, False, True]
    assert found.pose_index.tolist() == [0, 0, 2, 2]
    np.testing.assert_array_equal(found.best[0], found[0].q[0])
    assert np.isnan(found.best[1]).all()
    np.testing.assert_array_equal(found[-1].q, found[2].q)
    backwards = found[::-1]
    assert isinstance(backwards, SolutionBatch)
    assert [len(one) for one in backwards] == [2, 0, 2]
    np.testing.assert_array_equal(backwards[0].q, found[2].q)
    with pytest.raises(IndexError):
        found[3]


def test_a_solution_carries_its_status_as_a_word(planar2: Arm) -> None:
    one = IKSolver(planar2).solve(np.array([9.0, 0.0]))[0]
    assert isinstance(one, Solutions)
    assert one.status == "unreachable"
    assert all(status.about for status in Status)
    assert json.dumps(one.to_dict())


def test_a_model_weighs_the_branches_its_components_reach(planar2: Arm) -> None:
    elbow_down, elbow_up = both_branches(np.array([[1.2, 0.5]]))[0].tolist()
    solver = with_model(planar2, [elbow_down, elbow_up, [elbow_down[0] + 0.1 + TURN, elbow_down[1]]], [0.3, 0.4, 0.3])
    found = solver.solve(np.array([1.2, 0.5]), restarts=0)[0]
    order = np.argsort(-found.proposal_weight)
    np.testing.assert_allclose(found.q[order], [elbow_down, elbow_up], atol=1e-8)
    np.testing.assert_allclose(found.proposal_weight[order], [0.6, 0.4])
    np.testing.assert_allclose(found.weight, [0.5, 0.5])  # mirrored elbows are as probable, whatever the model says


def test_components_that_weigh_nothing_are_not_refined(planar2: Arm) -> None:
    elbow_down, elbow_up = both_branches(np.array([[1.2, 0.5]]))[0].tolist()
    solver = with_model(planar2, [elbow_down, elbow_up], [1 - 1e-6, 1e-6])
    assert solver.solve(np.array([1.2, 0.5]), restarts=0).count.tolist() == [1]
    both = with_model(planar2, [elbow_down, elbow_up], [0.6, 0.4])
    assert both.solve(np.array([1.2, 0.5]), restarts=0, seeds=1).count.tolist() == [1]


def test_random_restarts_solve_what_the_model_misses_with_weight_zero(planar2: Arm) -> None:
    stiff = replace(planar2, q_min=np.array([-np.pi, 0.0]))  # one elbow only; the proposal leads to the other
    solver = with_model(stiff, [both_branches(np.array([[1.2, 0.5]]))[0, 1].tolist()], [1.0])
    assert solver.solve(np.array([1.2, 0.5]), restarts=0)[0].status is Status.OUT_OF_LIMITS
    found = solver.solve(np.array([1.2, 0.5]))[0]
    assert found.status is Status.SOLVED
    assert found.proposal_weight.tolist() == [0.0]
    assert found.weight.tolist() == [1.0]


def test_raw_modes_come_unrefined_in_limits_with_their_errors(planar2: Arm) -> None:
    solver = with_model(planar2, [[0.1, 0.2], [0.3 + TURN, 0.1 - TURN]], [0.4, 0.6])
    found = solver.solve(np.array([1.2, 0.5]), refine=False)[0]
    assert found.status is Status.PROPOSED
    np.testing.assert_allclose(found.q, [[0.3, 0.1], [0.1, 0.2]], atol=1e-12)
    np.testing.assert_allclose(found.weight, [0.6, 0.4])
    tips = forward_kinematics(planar2, found.q)[:, :2, 3]
    np.testing.assert_allclose(found.err_pos, np.linalg.norm(tips - [1.2, 0.5], axis=1))


def test_raw_modes_need_a_model(planar2: Arm) -> None:
    with pytest.raises(CheckpointError, match="this solver has no model"):
        IKSolver(planar2).solve(np.array([1.2, 0.5]), refine=False)


def test_saving_needs_a_model(planar2: Arm, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no model to save"):
        IKSolver(planar2).save(tmp_path / "m.safetensors")


def test_a_model_of_another_arm_or_task_is_refused(planar2: Arm) -> None:
    model: Any = FakeModel(planar2, [[0.0, 0.0]], [1.0])
    with pytest.raises(CheckpointError, match="was made for arm 'planar2'"):
        IKSolver(load_arm("planar3"), model)
    model.task = TASKS["planar_pose"]
    with pytest.raises(CheckpointError, match="was made for task 'planar_pose', not for 'planar_position'"):
        IKSolver(planar2, model, task="planar_position")


def test_solver_for_falls_back_to_random_restarts(planar2: Arm) -> None:
    assert solver_for(planar2, "none").model is None
    assert solver_for(load_arm("planar:0.7,0.2")).model is None
    assert solver_for(load_arm("planar3"), task="planar_position").task.name == "planar_position"
    with pytest.raises(CheckpointError, match="nowhere"):
        solver_for(planar2, "nowhere.safetensors")


@pytest.mark.parametrize(
    "wrong", [{"seeds": 0}, {"restarts": -1}, {"tolerance": 0.0}, {"tolerance": np.nan}, {"max_solutions": 0}]
)
def test_numbers_that_make_no_sense_are_refused(planar2: Arm, wrong: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match=f"got {next(iter(wrong))}=.*; "):
        IKSolver(planar2).solve(np.array([1.0, 0.0]), **wrong)


@pytest.mark.parametrize("q_seed", [np.zeros(3), np.zeros((2, 2)), np.array([np.nan, 0.0])])
def test_a_seed_of_the_wrong_shape_is_refused(planar2: Arm, q_seed: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ShapeError, match="q_seed has shape"):
        IKSolver(planar2).solve(np.array([1.0, 0.0]), q_seed=q_seed)


def test_targets_that_are_no_poses_are_refused(xarm6: Arm) -> None:
    solver = IKSolver(xarm6)
    with pytest.raises(PoseError, match="NaN"):
        solver.solve(np.full((4, 4), np.nan))
    with pytest.raises(PoseError, match="no rotation"):
        solver.solve(np.diag([2.0, 1.0, 1.0, 1.0]))
    with pytest.raises(ShapeError, match="target has shape"):
        solver.solve(np.zeros(3))


def test_a_task_that_the_arm_cannot_do_is_refused(planar2: Arm) -> None:
    with pytest.raises(TaskError, match="is planar; use task planar_position"):
        IKSolver(planar2, task="pose")


def test_the_command_prints_solutions_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "planar2", "--point", "1.2", "0.5", "--model", "none", "--degrees"]) == 0
    assert "98.917" in capsys.readouterr().out
    assert main(["solve", "planar2", "--point", "3", "0", "--model", "none"]) == 0
    assert "out of reach" in capsys.readouterr().out


def test_the_command_reads_a_quaternion_in_xyzw_order(xarm6: Arm, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["0.3", "0.1", "0.4", "1", "0", "0", "0"]
    assert main(["solve", "xarm6", "--pose", *target, "--model", "none", "--json", "-"]) == 0
    q = np.array(json.loads(capsys.readouterr().out)["targets"][0]["q"])
    T = forward_kinematics(xarm6, q)
    np.testing.assert_allclose(T[:, :3, :3], np.tile(np.diag([1.0, -1.0, -1.0]), (len(q), 1, 1)), atol=1e-9)


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_the_command_solves_a_file_of_targets(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, points = tmp_path / f"targets{suffix}", np.array([[1.0, 0.5], [9.0, 0.0]])
    np.save(path, points) if suffix == ".npy" else path.write_text(json.dumps(points.tolist()))
    assert main(["solve", "planar2", "--pose-file", str(path), "--model", "none"]) == 0
    out = capsys.readouterr().out
    assert "unreachable" in out
    assert "2 targets, 2 solutions" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "0 targets given"),
        (["--point", "1", "0", "--pose", "1", "0", "0", "0", "0", "0", "1"], "2 targets given"),
        (["--pose", "1", "0", "0", "0", "0", "0", "3"], "length 3"),
        (["--pose", "1", "0"], "takes 7 numbers x y z qx qy qz qw; got 2"),
        (["--point", "nan", "0"], "no finite number"),
        (["--pose-file", "missing.npy"], "missing.npy"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "planar2", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_file_of_targets_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "targets.json"
    path.write_text("[[1, 2], [3]]")
    assert main(["solve", "planar2", "--pose-file", str(path)]) == 2
    assert "targets.json is no array of numbers" in capsys.readouterr().err


def test_without_restarts_the_seed_that_was_given_is_still_tried() -> None:
    arm = load_arm("ur5e")
    q = np.array([0.3, -1.0, 1.2, 0.4, 0.9, -0.2])
    found = IKSolver(arm).solve(forward_kinematics(arm, q), q_seed=q + 0.01, restarts=0)[0]
    np.testing.assert_allclose(found.q, [q], atol=1e-7)


@pytest.mark.parametrize("load", [IKSolver.load, lambda name: IKSolver(load_arm(name))], ids=["model", "no model"])
def test_a_used_solver_can_be_copied_and_pickled(load: Callable[[str], IKSolver]) -> None:
    solver = load("planar2")
    T = forward_kinematics(solver.arm, sample(solver.arm, 3))
    expected = solver.solve(T)
    for again in (copy.deepcopy(solver).solve(T), pickle.loads(pickle.dumps(solver)).solve(T)):
        np.testing.assert_array_equal(again.q, expected.q)
        np.testing.assert_array_equal(again.weight, expected.weight)


@pytest.mark.slow
def test_a_used_solver_can_be_sent_to_a_process() -> None:
    solver = IKSolver.load("planar2")
    T = forward_kinematics(solver.arm, sample(solver.arm, 3))
    expected = solver.solve(T)
    with get_context("spawn").Pool(1) as pool:
        sent = pool.apply(IKSolver.solve, (solver, T))
    np.testing.assert_array_equal(sent.q, expected.q)


@pytest.mark.parametrize("load", [IKSolver.load, lambda name: IKSolver(load_arm(name))], ids=["model", "no model"])
def test_arrays_that_may_not_be_written_are_solved(load: Callable[[str], IKSolver], tmp_path: Path) -> None:
    solver = load("xarm6")
    q_seed = sample(solver.arm, 1)
    T = forward_kinematics(solver.arm, q_seed)
    expected = solver.solve(T, q_seed=q_seed)
    np.save(tmp_path / "T.npy", T)
    frozen, seed = np.frombuffer(T.tobytes()).reshape(1, 4, 4), np.frombuffer(q_seed.tobytes())
    for given in (frozen, np.broadcast_to(T[0], (1, 4, 4)), np.load(tmp_path / "T.npy", mmap_mode="r")):
        np.testing.assert_array_equal(solver.solve(given, q_seed=seed).q, expected.q)


def test_what_is_printed_says_what_it_is(planar2: Arm) -> None:
    solver = IKSolver(planar2)
    found = solver.solve(np.array([[1.0, 0.5], [5.0, 0.0], [0.3, 0.4]]))
    assert repr(solver) == "IKSolver(arm 'planar2', task 'planar_position', random seeds)"
    assert repr(IKSolver.load("planar2")) == "IKSolver(arm 'planar2', task 'planar_position', a model's seeds)"
    assert repr(found) == "SolutionBatch(4 solutions of 3 poses: 2 solved, 1 unreachable)"
    assert [repr(each) for each in found[:2]] == [
        "Solutions(2 solutions, solved)",
        "Solutions(0 solutions, unreachable)",
    ]
    assert repr(found[:0]) == "SolutionBatch(0 solutions of 0 poses: none)"
    assert repr(solver.solve(np.array([1.0, 0.5]), max_solutions=1)[0]) == "Solutions(1 solution, solved)"


def test_solutions_are_looped_over_joint_vector_by_joint_vector(planar2: Arm) -> None:
    found = IKSolver(planar2).solve(np.array([1.0, 0.5]))[0]
    np.testing.assert_array_equal(list(found), found.q)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ShapeError, match="got seed=-1; give a whole number, seed >= 0"):
        IKSolver(load_arm("planar2")).solve(np.array([1.0, 0.5]), seed=-1)
