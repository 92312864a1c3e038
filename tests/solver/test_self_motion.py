"""Self-motion: exact, even, complete, in order, in limits; and sliding along it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import sliding_arm

import sim
from ik_mdn.solver.redundancy import self_motion
from ik_mdn.solver.refinement import refine
from ik_mdn.solver.self_motions import SelfMotion
from ik_mdn.solver.sliding import SlideStatus, slide
from ik_mdn.solver.solver import IKSolver
from sim.arm import Arm, load_arm, planar_arm
from sim.arrays import FloatArray
from sim.errors import PoseError, ShapeError, TaskError
from sim.jacobians import task_rank
from sim.kinematics import forward_kinematics, kinematics
from sim.task import error_norms, load_task, task_error, task_jacobian

CASES = [("panda", None), ("iiwa", None), ("xarm6", "position_axis"), ("planar3", "planar_position")]


def sample(arm: Arm, count: int, seed: int = 0) -> FloatArray:
    return arm.sample(np.random.default_rng(seed), count)


def apart(arm: Arm, a: FloatArray, b: FloatArray) -> FloatArray:
    """Distance on the circle of joint vectors, (..., n) each."""
    d = a - b
    d = d - np.where(arm.is_prismatic, 0.0, 2 * np.pi * np.round(d / (2 * np.pi)))
    return np.asarray(np.linalg.norm(d, axis=-1))


def errors(arm: Arm, task: str | None, q: FloatArray, T: FloatArray) -> FloatArray:
    error = task_error(load_task(arm, task), forward_kinematics(arm, torch.tensor(q)), torch.tensor(T))
    return np.maximum(*(x.numpy() for x in error_norms(error)))


def found_by_restarts(arm: Arm, task: str | None, T: FloatArray, count: int) -> FloatArray:
    """Solutions in limits by refining random joint vectors, and nothing else."""
    target = torch.tensor(T).expand(count, 4, 4)
    refined = refine(arm, load_task(arm, task), target, torch.tensor(sample(arm, count, 7)))
    q = refined.q[torch.maximum(refined.err_pos, refined.err_rot) < 1e-9].numpy()
    middle = (arm.sample_min + arm.sample_max) / 2
    q = q - np.where(arm.is_prismatic, 0.0, 2 * np.pi * np.round((q - middle) / (2 * np.pi)))
    return np.asarray(q[((q >= arm.q_min) & (q <= arm.q_max)).all(1)])


@pytest.mark.parametrize(("name", "task"), CASES)
def test_samples_are_exact_and_in_limits(name: str, task: str | None) -> None:
    arm = load_arm(name)
    T = forward_kinematics(arm, sample(arm, 30))
    batch = self_motion(arm, T, 60, task=task)
    assert len(batch) == 30
    for pose, motion in zip(T, batch, strict=True):
        assert len(motion) == 60
        assert errors(arm, task, motion.q, pose).max() <= 1e-8
        assert np.maximum(motion.err_pos, motion.err_rot).max() <= 1e-8
        assert (motion.q >= arm.q_min).all()
        assert (motion.q <= arm.q_max).all()


@pytest.mark.parametrize(("name", "task"), CASES)
def test_neighbours_on_a_curve_are_evenly_spaced_and_in_order(name: str, task: str | None) -> None:
    arm = load_arm(name)
    batch = self_motion(arm, forward_kinematics(arm, sample(arm, 20)), 400, task=task)
    for motion in batch:
        assert (np.diff(motion.curve) >= 0).all()
        for c, length in enumerate(motion.length):
            on = motion.curve == c
            place, q = motion.position[on], motion.q[on]
            spacing = length / len(q)
            np.testing.assert_allclose(place, (np.arange(len(q)) + 0.5) * spacing, atol=1e-9)
            chord = apart(arm, q[1:], q[:-1])
            assert (chord <= 1.02 * spacing + 1e-3).all()  # a chord is never longer than its arc
            if len(q) > 20:
                assert chord.max() <= 1.1 * np.median(chord) + 1e-3
            if motion.closed[c]:
                assert apart(arm, q[0], q[-1]) <= 1.02 * spacing + 1e-3


@pytest.mark.parametrize(("name", "task"), CASES)
def test_spacing_is_shared_fairly_between_curves(name: str, task: str | None) -> None:
    arm = load_arm(name)
    for motion in self_motion(arm, forward_kinematics(arm, sample(arm, 20)), 200, task=task):
        counts = np.bincount(motion.curve, minlength=len(motion.length))
        assert (counts >= 1).all()
        several = counts > 1
        # taking a sample away from any curve would make a wider spacing than there is
        assert (motion.length[several] / (counts[several] - 1) >= motion.spacing.max() - 1e-9).all()


@pytest.mark.parametrize(("name", "task"), CASES)
def test_no_solution_is_further_from_a_sample_than_half_a_spacing(name: str, task: str | None) -> None:
    arm = load_arm(name)
    T = forward_kinematics(arm, sample(arm, 6))
    batch = self_motion(arm, T, 300, task=task, seeds=600)
    for pose, motion in zip(T, batch, strict=True):
        reference = found_by_restarts(arm, task, pose, 400)
        assert len(reference) > 20
        gap = apart(arm, reference[:, None], motion.q).min(1)
        assert gap.max() <= 0.51 * motion.spacing.max() + 1e-3


def test_the_iiwa_has_eight_closed_curves_of_equal_length_without_limits() -> None:
    """A spherical shoulder and wrist: elbow, shoulder and wrist each either way, each a full turn of the elbow."""
    arm = load_arm("iiwa")
    free = replace(arm, q_min=np.full(7, -np.inf), q_max=np.full(7, np.inf), joint_types=("continuous",) * 7)
    for motion in self_motion(free, forward_kinematics(arm, sample(arm, 20)), 100, seeds=300):
        assert motion.closed.all()
        assert len(motion.length) == 8
        np.testing.assert_allclose(motion.length, motion.length[0], rtol=2e-3)


def test_curves_of_three_links_match_those_drawn_by_hand() -> None:
    """Sweep the last joint's heading: the two joints before it have two closed-form answers each."""
    arm = planar_arm([1.0, 0.8, 0.5])
    target = np.array([0.9, 0.7])
    heading = np.linspace(-np.pi, np.pi, 801)
    wrist = target - 0.5 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    r2 = (wrist**2).sum(1)
    cosine = (r2 - 1.0 - 0.64) / 1.6
    reached = np.abs(cosine) <= 1
    both = []
    for sign in (1, -1):
        q2 = sign * np.arccos(cosine[reached])
        q1 = np.arctan2(wrist[reached, 1], wrist[reached, 0]) - np.arctan2(0.8 * np.sin(q2), 1 + 0.8 * np.cos(q2))
        both.append(np.stack([q1, q2, heading[reached] - q1 - q2], axis=1))
    reference = np.concatenate(both)
    motion = self_motion(arm, target, 500, task="planar_position")[0]
    assert apart(arm, reference[:, None], motion.q).min(1).max() <= 0.51 * motion.spacing.max() + 1e-3
    assert apart(arm, motion.q[::5, None], reference).min(1).max() <= 0.05


def test_curves_run_in_the_sense_of_the_positive_determinant() -> None:
    arm = load_arm("panda")
    motion = self_motion(arm, forward_kinematics(arm, sample(arm, 1)), 400)[0]
    q = torch.tensor(motion.q)
    T, J = kinematics(arm, q)
    same = motion.curve[1:] == motion.curve[:-1]
    step = torch.tensor(apart_vector(motion))[same]
    stacked = torch.cat([task_jacobian(load_task(arm, None), J, T)[:-1][same], step[:, None]], dim=1)
    assert (torch.linalg.det(stacked) > 0).double().mean() > 0.99


def apart_vector(motion: SelfMotion) -> FloatArray:
    d = motion.q[1:] - motion.q[:-1]
    return np.asarray(d - 2 * np.pi * np.round(d / (2 * np.pi)))


def test_phase_lies_between_nothing_and_a_whole() -> None:
    arm = load_arm("panda")
    motion = self_motion(arm, forward_kinematics(arm, sample(arm, 1)))[0]
    assert (motion.phase > 0).all()
    assert (motion.phase < 1).all()
    np.testing.assert_allclose(motion.phase * motion.length[motion.curve], motion.position)


def test_a_batch_gives_what_its_poses_give_one_by_one() -> None:
    arm = load_arm("panda")
    T = forward_kinematics(arm, sample(arm, 200))  # several threads have a piece each
    batches = [self_motion(IKSolver(arm, threads=threads), T, 50) for threads in (1, 3)]
    np.testing.assert_array_equal(batches[0].q, batches[1].q)
    for i in range(0, 200, 45):
        alone, motion = self_motion(arm, T[i], 50)[0], batches[0][i]
        np.testing.assert_array_equal(alone.q, motion.q)
        np.testing.assert_array_equal(alone.curve, motion.curve)


@pytest.mark.parametrize(("name", "hard"), [("panda", [532, 1388, 1410]), ("iiwa", [769])])
def test_no_curve_is_counted_twice(name: str, hard: list[int]) -> None:
    """Poses with folds, near which seeds lie far from their curves, and curves far from their cubics."""
    arm = load_arm(name)
    T = forward_kinematics(arm, arm.sample(np.random.default_rng(15), 1500)[hard])
    for motion in self_motion(arm, T, 2000):
        places = np.concatenate([np.cos(motion.q), np.sin(motion.q)], axis=1)
        for curve, spacing in enumerate(motion.spacing):
            others = motion.curve != curve
            apart = np.linalg.norm(places[~others, None] - places[others], axis=-1).min(1)
            assert apart.max() > 0.6 * spacing


def test_a_solver_without_model_serves_as_its_arm_does() -> None:
    arm = load_arm("panda")
    T = forward_kinematics(arm, sample(arm, 2))
    np.testing.assert_array_equal(self_motion(IKSolver(arm), T, 30).q, self_motion(arm, T, 30).q)


def test_bullet_sees_the_tip_stay() -> None:
    arm = load_arm("panda")
    T = forward_kinematics(arm, sample(arm, 2))
    with sim.World() as world:
        body = world.add_arm(arm, meshes=False)
        for pose, motion in zip(T, self_motion(arm, T, 20), strict=True):
            for q in motion.q:
                np.testing.assert_allclose(body.tip_pose(q), pose, atol=2e-6)  # Bullet's URDF reader rounds


def test_poses_out_of_reach_have_no_samples_and_leave_the_others_alone() -> None:
    arm = load_arm("panda")
    T = forward_kinematics(arm, sample(arm, 3))
    T[1, :3, 3] = [5.0, 0.0, 0.0]
    batch = self_motion(arm, T, 20)
    assert [len(motion) for motion in batch] == [20, 0, 20]
    assert batch[1].q.shape == (0, 7)
    assert len(batch[1].length) == 0
    assert len(self_motion(arm, np.zeros((0, 4, 4)), 20)) == 0
    assert [len(motion) for motion in batch[1:]] == [0, 20]
    assert len(batch[-1]) == 20


def test_what_was_found_is_said_in_a_line() -> None:
    arm = load_arm("planar3")
    found = self_motion(arm, forward_kinematics(arm, sample(arm, 2)), 10, task="planar_position")
    assert re.fullmatch(r"SelfMotionBatch\(20 samples on \d+ curves of 2 poses\)", repr(found))
    assert re.fullmatch(r"SelfMotion\(10 samples on \d+ curves?\)", repr(found[0]))


def test_two_joints_to_spare_give_diverse_exact_samples_without_curves() -> None:
    arm = planar_arm([0.7, 0.6, 0.5, 0.4])
    T = forward_kinematics(arm, sample(arm, 4))
    for pose, motion in zip(T, self_motion(arm, T, 50, task="planar_position"), strict=True):
        assert len(motion) == 50
        assert errors(arm, "planar_position", motion.q, pose).max() <= 1e-8
        assert (motion.curve == -1).all()
        assert np.isnan(motion.position).all()
        assert np.isnan(motion.phase).all()
        assert len(motion.spacing) == 0
        nearest = np.sort(apart(arm, motion.q[:, None], motion.q), axis=1)[:, 1]
        assert nearest.min() > 0.05


def rolling(n: int = 5) -> Arm:
    """Base turn, pitches (three of five joints), and a turn about the tool's own axis: of that axis singular everywhere."""
    turned = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    offsets = np.tile(np.eye(4), (n + 1, 1, 1))
    offsets[1, :3, :3], offsets[-2, :3, :3] = turned, turned.T
    offsets[1, 2, 3], offsets[2:-2, 0, 3], offsets[-2, 0, 3], offsets[-1, 2, 3] = 0.2, 0.4, 0.1, 0.1
    limits = np.full(n, 2.5)
    names = tuple("abcdef"[:n])
    return Arm("rolling", "base", "tip", names, ("revolute",) * n, offsets, -limits, limits, np.ones(n), np.ones(n))


def test_a_task_that_is_singular_everywhere_has_a_joint_to_spare() -> None:
    arm = rolling()
    q = sample(arm, 6)
    T = forward_kinematics(arm, q)
    assert task_rank(arm, load_task(arm, "position_axis")) == 4
    for pose, motion in zip(T, self_motion(arm, T, 40, task="position_axis"), strict=True):
        assert len(motion) == 40
        assert errors(arm, "position_axis", motion.q, pose).max() <= 1e-8
        roll = np.unwrap(np.sort(motion.q[:, 4]))
        assert np.ptp(roll) > 4.0  # of the 5 that its limits allow
        assert motion.weight.max() < 0.3  # none is "exactly singular" and takes all


def test_a_task_that_is_singular_everywhere_leaves_no_curves() -> None:
    """Six joints and five constraints, of which four are independent: two joints are to spare, and no curve is a curve."""
    arm = rolling(6)
    q = sample(arm, 2)
    for motion in self_motion(arm, forward_kinematics(arm, q), 40, task="position_axis"):
        assert len(motion) > 5  # of seeds that end in limits
        assert (motion.curve == -1).all()
        assert not len(motion.length)
    with pytest.raises(TaskError, match="fixes 5 numbers, of which 4 are independent"):
        slide(arm, q[0], 0.1, task="position_axis")


def with_second_boom(longest: float) -> Arm:
    """A column, a lift and two booms that slide along one line: a distance from the column is held along a line."""
    arm = sliding_arm()
    return replace(
        arm,
        joint_names=(*arm.joint_names, "second"),
        joint_types=(*arm.joint_types, "prismatic"),
        offsets=np.concatenate([arm.offsets[:-1], np.eye(4)[None], arm.offsets[-1:]]),
        q_min=np.array([-np.inf, 0.0, 0.2, 0.0]),
        q_max=np.array([np.inf, 1.5, 2.0, longest]),
        dq_max=np.ones(4),
        effort_max=np.ones(4),
    )


def test_sliding_joints_are_followed_to_their_ends() -> None:
    double = with_second_boom(1.0)
    T = forward_kinematics(double, np.array([[0.3, 0.5, 1.2, 0.6]]))
    motion = self_motion(double, T, 40, task="position")[0]
    together = motion.q[:, 2] + motion.q[:, 3]
    np.testing.assert_allclose(together, 1.8, atol=1e-8)
    assert motion.q[:, 3].min() < 0.05
    assert motion.q[:, 3].max() > 0.95
    assert not motion.closed.any()


def test_the_only_limit_of_a_sliding_joint_cuts_a_curve_and_stops_a_slide() -> None:
    arm, q = with_second_boom(np.inf), np.array([0.3, 0.5, 1.2, 0.6])
    motion = self_motion(arm, forward_kinematics(arm, q), 40, task="position")[0]
    assert len(motion) == 40
    halved = 2 * 0.025 / 2**12  # how near to both its ends a curve is cut
    np.testing.assert_allclose(motion.length, np.sqrt(2) * 1.6 / arm.length, atol=halved)  # the second boom to 1.6 m
    for way, wanted in ((-3.0, 0.6), (3.0, 1.0)):
        end = slide(arm, q, way, task="position")
        assert end.status == (SlideStatus.LIMIT,)
        np.testing.assert_allclose(np.abs(end.moved), np.sqrt(2) * wanted / arm.length, atol=halved)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_sliding_forth_and_back_returns_and_the_tip_stays(name: str, task: str | None) -> None:
    arm = load_arm(name)
    q, way = sample(arm, 40), np.random.default_rng(1).uniform(-3, 3, 40)
    there = slide(arm, q, way, task=task)
    assert errors(arm, task, there.q, forward_kinematics(arm, q)).max() <= 1e-8
    assert (there.q >= arm.q_min).all()
    assert (there.q <= arm.q_max).all()
    assert (np.abs(there.moved) <= np.abs(way) + 1e-12).all()
    back = slide(arm, there.q, -there.moved, task=task)
    singular = np.linalg.svd(task_jacobian_of(arm, task, q), compute_uv=False)[:, -1] < 0.02
    assert np.quantile(apart(arm, back.q, q)[~singular], 0.9) < 1e-5
    for q_end, moved, wanted, status in zip(there.q, there.moved, way, there.status, strict=True):
        if status is SlideStatus.MOVED:
            assert moved == pytest.approx(wanted)
        if status is SlideStatus.LIMIT:
            assert np.minimum(q_end - arm.q_min, arm.q_max - q_end).min() <= 1e-6


def task_jacobian_of(arm: Arm, task: str | None, q: FloatArray) -> FloatArray:
    T, J = kinematics(arm, torch.tensor(q))
    return np.asarray(task_jacobian(load_task(arm, task), J, T).numpy())


def test_small_slides_go_as_far_as_they_say() -> None:
    arm = load_arm("panda")
    q = sample(arm, 50) * 0.6 + 0.4 * (arm.q_min + arm.q_max) / 2
    moved = slide(arm, q, 1e-3)
    assert all(status is SlideStatus.MOVED for status in moved.status)
    np.testing.assert_allclose(np.linalg.norm(moved.q - q, axis=1), 1e-3, rtol=1e-3)
    np.testing.assert_allclose(slide(arm, q, 0.0).q, q, atol=1e-9)


def test_a_slide_stops_at_a_limit_and_leaves_it_again() -> None:
    arm = load_arm("panda")
    q = sample(arm, 1, 3)[0]
    end = slide(arm, q, 100.0)
    assert end.status == (SlideStatus.LIMIT,)
    assert np.minimum(end.q - arm.q_min, arm.q_max - end.q).min() == pytest.approx(0.0, abs=1e-9)
    assert slide(arm, end.q, 1.0).moved[0] == pytest.approx(0.0, abs=1e-6)
    assert slide(arm, end.q, -0.05).moved[0] == pytest.approx(-0.05)


def one_sided(arm: Arm, low: FloatArray, high: FloatArray) -> tuple[Arm, Arm]:
    """The arm with the first joint's limit on one side only, and with one of a turn."""
    ends = [
        np.concatenate([limit[:1], rest[1:]]) for limit, rest in zip((low, high), (arm.q_min, arm.q_max), strict=True)
    ]
    one = replace(arm, q_min=ends[0], q_max=ends[1])
    return one, replace(one, q_min=one.sample_min, q_max=one.sample_max)


@pytest.mark.parametrize("limits", [(-np.inf, 1.0), (-1.0, np.inf)])
def test_a_limit_on_one_side_cuts_a_curve_and_stops_a_slide(limits: tuple[float, float]) -> None:
    one, turn = one_sided(load_arm("panda"), *(np.array([limit]) for limit in limits))
    T = sim.pose((0.35, 0.2, 0.4), rpy=(np.pi, 0, 0))
    motion, expected = (self_motion(arm, T, 100)[0] for arm in (one, turn))
    assert ((motion.q >= one.q_min) & (motion.q <= one.q_max)).all()
    np.testing.assert_allclose(motion.length, expected.length, rtol=1e-6)
    q = expected.q[np.argmin(np.abs(expected.q[:, 0] - limits[int(np.isfinite(limits[1]))]))]
    for way in (1.0, -1.0):
        end, same = (slide(arm, q, way) for arm in (one, turn))
        assert end.status == same.status
        np.testing.assert_allclose(end.q, same.q, atol=1e-6)
    assert SlideStatus.LIMIT in {slide(one, q, way).status[0] for way in (1.0, -1.0)}


def test_a_slide_goes_on_where_a_joint_with_one_limit_is_many_turns_from_it() -> None:
    one, turn = one_sided(load_arm("panda"), np.array([-np.inf]), np.array([1.0]))
    q = self_motion(turn, sim.pose((0.35, 0.2, 0.4), rpy=(np.pi, 0, 0)), 100)[0].q
    q = q[np.argmin(np.abs(q[:, 0] - 1.0))] - 6 * np.pi * np.eye(7)[0]
    assert all(slide(one, q, way).status == (SlideStatus.MOVED,) for way in (1.0, -1.0))


def test_many_slides_to_one_pose_do_not_drift() -> None:
    arm = load_arm("panda")
    q = sample(arm, 1, 3)
    T = forward_kinematics(arm, q)
    for _ in range(30):
        q = slide(arm, q, 0.02, T_base_tip=T).q
    assert errors(arm, None, q, T).max() <= 1e-10


def test_arms_without_a_joint_to_spare_are_refused() -> None:
    with pytest.raises(TaskError, match="no joint is to spare; choose a task that fixes less"):
        self_motion(load_arm("ur5e"), np.eye(4))
    with pytest.raises(TaskError, match="no joint is to spare"):
        slide(load_arm("ur5e"), np.zeros(6), 0.1)
    with pytest.raises(TaskError, match="slide needs exactly one joint to spare"):
        slide(load_arm("panda"), np.array([0, 0, 0, -1.5, 0, 1.5, 0]), 0.1, task="position")


def test_arguments_that_make_no_sense_are_refused() -> None:
    arm = load_arm("panda")
    inside = (arm.q_min + arm.q_max) / 2
    with pytest.raises(ShapeError, match="count >= 1"):
        self_motion(arm, np.eye(4), 0)
    with pytest.raises(PoseError, match="NaN"):
        self_motion(arm, np.full((4, 4), np.nan))
    with pytest.raises(ShapeError, match=r"needs \(7,\) or"):
        slide(arm, inside[:6], 0.1)
    with pytest.raises(ShapeError, match="a number or"):
        slide(arm, inside, np.zeros(3))
    with pytest.raises(ShapeError, match="NaN or infinity"):
        slide(arm, inside, np.nan)
    with pytest.raises(ShapeError, match="outside its limits; a slide begins inside"):
        slide(arm, arm.q_max + 0.1, 0.1)


def test_without_numba_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ik_mdn.solver.redundancy.compiled_kernel", lambda: None)
    with pytest.raises(TaskError, match="needs numba"):
        self_motion(load_arm("panda"), np.eye(4))


def test_a_model_loses_no_curves() -> None:
    """A density's own seeds lie where it is high; short curves and those of little probability count all the same."""
    solver = IKSolver.load("panda")
    T = forward_kinematics(solver.arm, solver.arm.sample(np.random.default_rng(11), 60))
    found, every = (sum(one.length.sum() for one in self_motion(solver, T, **how)) for how in ({}, {"seeds": 2048}))
    assert found > 0.97 * every
