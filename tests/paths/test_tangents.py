"""The local linear picture of a branch, against finite differences of the forward kinematics."""

from __future__ import annotations

import numpy as np
import pytest
from samples import on_rail

import sim
from ik_mdn.paths.tangents import look, predict, weakest_direction
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics
from sim.task import default_task

STEP = 1e-5  # [rad, m]: what is neglected is of the order of its square


def draw(arm: Arm, count: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(0.8 * arm.sample_min, 0.8 * arm.sample_max, (count, arm.n_joints))


def moved(arm: Arm, q: FloatArray, dq: FloatArray) -> FloatArray:
    """How the tip moves per unit of dq, by central differences: linear and angular velocity, shape (R, 6)."""
    ahead, behind = (forward_kinematics(arm, q + sign * STEP * dq) for sign in (0.5, -0.5))
    R_dot = (ahead[:, :3, :3] - behind[:, :3, :3]) / STEP
    W = R_dot @ forward_kinematics(arm, q)[:, :3, :3].swapaxes(-1, -2)  # the cross-product matrix of the velocity
    spin = np.stack([W[:, 2, 1], W[:, 0, 2], W[:, 1, 0]], axis=-1)
    return np.concatenate([(ahead[:, :3, 3] - behind[:, :3, 3]) / STEP, spin], axis=-1)


@pytest.mark.parametrize("name", ["planar2", "puma560", "xarm6"])
def test_the_step_to_the_pose_of_a_small_motion_is_that_motion(name: str) -> None:
    arm = sim.load_arm(name)
    q, dq = draw(arm, 50), STEP * draw(arm, 50, seed=1)
    task = default_task(arm)
    place = look(arm, task, q)
    step = predict(arm, task, place, forward_kinematics(arm, q + dq), 1.0)
    sound = np.linalg.svd(place.L)[1][:, -1] > 0.1  # off singularities
    assert sound.sum() > 5
    np.testing.assert_allclose(step[sound], dq[sound], atol=100 * STEP**2)


@pytest.mark.parametrize("name", ["planar2", "puma560"])
def test_the_sign_is_that_of_the_determinant_by_differences(name: str) -> None:
    arm = sim.load_arm(name)
    task = default_task(arm)
    q = draw(arm, 30, seed=2)
    columns = [moved(arm, q, np.broadcast_to(row, q.shape)) for row in np.eye(arm.n_joints)]
    J = np.stack(columns, axis=-1)[:, [i for i, on in enumerate(task.rows) if on]]
    place = look(arm, task, q)
    np.testing.assert_array_equal(place.sign, np.sign(np.linalg.det(J)))
    factored = place.L @ place.Q.swapaxes(-1, -2)
    np.testing.assert_allclose(factored[:, :3], J[:, :3], atol=1e-8)  # the rows of rotation are in another frame


def test_spare_joints_ease_away_from_their_limits_without_moving_the_tip() -> None:
    arm = sim.load_arm("panda")
    task = default_task(arm)
    q = 0.6 * draw(arm, 20, seed=3) + 0.4 * (arm.q_min + arm.q_max) / 2  # the others are far from theirs
    q[:, 0] = arm.q_max[0] - 0.02
    place = look(arm, task, q)
    T = forward_kinematics(arm, q + STEP * draw(arm, 20, seed=4))
    ahead, back = (predict(arm, task, place, T, direction) for direction in (1.0, -1.0))
    plain = (ahead + back) / 2  # what both share: the shortest step to the pose
    pull = (ahead - back) / 2
    assert np.abs(pull).max() > 0.1 * np.abs(plain).max()
    np.testing.assert_allclose(moved(arm, q, pull / np.abs(pull).max()), 0.0, atol=1e-8)
    assert (pull[:, 0] < 0).all()


def test_a_slide_without_limits_is_not_drawn_to_where_it_is_sampled() -> None:
    """A mobile base 50 m from the origin eases no other way than at it; one at the end of a rail does."""
    still = on_rail(sim.load_arm("ur5e"), -1e6, 1e6)
    task = default_task(still)
    q = np.array([[50.0, 0.3, -1.0, 1.2, 0.4, 0.8, 0.2]])
    q_near = np.append(0.0, q[0, 1:])[None]

    def pulls(arm: Arm, q: FloatArray) -> FloatArray:
        T = forward_kinematics(arm, q + STEP * draw(arm, 1, seed=4))
        ahead, back = (predict(arm, task, look(arm, task, q), T, direction) for direction in (1.0, -1.0))
        return (ahead - back) / STEP

    np.testing.assert_allclose(pulls(still, q), pulls(still, q_near), atol=1e-3)
    assert pulls(on_rail(sim.load_arm("ur5e"), 0.0, 50.1), q)[0, 0] < -0.1


@pytest.mark.parametrize("name", ["puma560", "panda"])
def test_the_weakest_direction_moves_the_tip_least(name: str) -> None:
    arm = sim.load_arm(name)
    task = default_task(arm)
    for q in draw(arm, 5, seed=5):
        weakest = weakest_direction(arm, task, q)
        place = look(arm, task, q[None])
        assert np.linalg.norm(weakest) == pytest.approx(1.0)
        least = np.linalg.norm(moved(arm, q[None], weakest[None]))
        across = np.random.default_rng(6).normal(size=(100, arm.n_joints))
        across = (place.Q[0] @ (place.Q[0].T @ across.T)).T  # within the row space: null motions move nothing at all
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        others = np.linalg.norm(moved(arm, np.broadcast_to(q, across.shape), across), axis=1)
        assert least <= others.min() + 1e-9
