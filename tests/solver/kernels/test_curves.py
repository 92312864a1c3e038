"""Self-motion curves walked, cut by limits, and gone along: against the geometry of planar and sliding arms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import sliding_arm

from ik_mdn.solver.kernels.curves import Spread, Walk, go, trace
from sim.arm import Arm, load_arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics
from sim.task import load_task

TURN = 2 * np.pi


def planar(low: float, high: float) -> Arm:
    arm = load_arm("planar3")
    kind = "revolute" if np.isfinite(low) else "continuous"
    return replace(arm, joint_types=(kind,) * 3, q_min=np.full(3, low), q_max=np.full(3, high))


def lengths(arm: Arm) -> FloatArray:
    return np.linalg.norm(arm.offsets[1:, :2, 3], axis=1)


def tips(arm: Arm, q: FloatArray) -> FloatArray:
    """Tip of a planar arm by sums of angles: written out here, not by the library's kinematics."""
    heading = np.cumsum(q, axis=-1)
    return np.stack([np.cos(heading) @ lengths(arm), np.sin(heading) @ lengths(arm)], axis=-1)


def traced(arm: Arm, q: FloatArray, samples: int = 200, task: str = "planar_position") -> Spread:
    """The curve through each joint vector."""
    T = np.ascontiguousarray(forward_kinematics(arm, torch.from_numpy(q)).numpy())
    return trace(arm, load_task(arm, task), T, q, np.arange(len(q) + 1), samples, Walk())


def solutions(arm: Arm, point: FloatArray, heading: FloatArray) -> FloatArray:
    """All joint vectors whose last link has given headings: two elbows of the triangle of the first two links."""
    a, b, c = lengths(arm)
    wrist = point - c * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    cosine = (np.square(wrist).sum(1) - a * a - b * b) / (2 * a * b)
    reached = np.abs(cosine) <= 1
    both = []
    for q2 in (np.arccos(cosine[reached]), -np.arccos(cosine[reached])):
        q1 = np.arctan2(*wrist[reached].T[::-1]) - np.arctan2(b * np.sin(q2), a + b * np.cos(q2))
        both.append(np.stack([q1, q2, heading[reached] - q1 - q2], axis=1))
    return np.concatenate(both)


def apart(p: FloatArray, q: FloatArray) -> FloatArray:
    """Distances (P, Q) on the circle."""
    d = p[:, None] - q
    return np.asarray(np.linalg.norm(d - TURN * np.round(d / TURN), axis=2))


def test_a_planar_curve_without_limits_is_the_closed_one_of_the_triangle() -> None:
    arm = planar(-np.inf, np.inf)
    q = np.array([[0.3, 1.0, -0.8]])
    found = traced(arm, q, 400)
    assert found.counts.tolist() == [[400, 1]]
    assert found.closed[0, 0] == 1
    np.testing.assert_allclose(tips(arm, found.q[0]), np.tile(tips(arm, q), (400, 1)), atol=1e-4)
    reference = solutions(arm, tips(arm, q)[0], np.linspace(-np.pi, np.pi, 4001))
    spacing = found.length[0, 0] / 400
    assert apart(reference, found.q[0]).min(1).max() < 0.51 * spacing + 1e-3
    at_a_fold = np.sqrt(2 * TURN / 4000)  # the elbow goes with the root of the heading there
    assert apart(found.q[0], reference).min(1).max() < at_a_fold
    polygon = np.linalg.norm(np.diff(np.unwrap(np.vstack([found.q[0], found.q[0, :1]]), axis=0), axis=0), axis=1)
    assert polygon.sum() == pytest.approx(found.length[0, 0], rel=1e-3)
    np.testing.assert_allclose(found.place[0], (np.arange(400) + 0.5) * spacing)


def test_arcs_lie_in_limits_and_end_at_them() -> None:
    arm, free = planar(-1.5, 1.5), planar(-np.inf, np.inf)
    q = np.array([[0.3, 1.0, -0.8], [0.1, -0.9, 1.2]])
    found, whole = traced(arm, q, 500), traced(free, q, 20000)
    for i in range(len(q)):
        samples, arcs = found.counts[i]
        assert samples == 500
        assert (np.abs(found.q[i]) <= 1.5 + 1e-6).all()
        for arc in np.flatnonzero(found.closed[i, :arcs] == 0):
            rows = found.q[i][found.arc[i] == arc]
            spacing = found.length[i, arc] / len(rows)
            for end in (rows[0], rows[-1]):  # half a spacing away from the limit
                assert 1.5 - np.abs(end).max() < 0.6 * spacing
        turned = whole.q[i] - TURN * np.round(whole.q[i] / TURN)
        share = (np.abs(turned) <= 1.5).all(1).mean()
        assert found.length[i, :arcs].sum() == pytest.approx(share * whole.length[i, 0], abs=5e-3)


def test_seeds_on_one_curve_give_it_once_and_no_seed_gives_none() -> None:
    arm = planar(-np.inf, np.inf)
    point = tips(arm, np.array([[0.3, 1.0, -0.8]]))[0]
    seeds = solutions(arm, point, np.linspace(-1, 1, 9))
    T = forward_kinematics(arm, torch.from_numpy(seeds[:2])).numpy()
    found = trace(arm, load_task(arm, "planar_position"), T, seeds, np.array([0, len(seeds), len(seeds)]), 50, Walk())
    assert found.counts.tolist() == [[50, 1], [0, 0]]
    nothing = trace(arm, load_task(arm, "planar_position"), T[:0], seeds[:0], np.zeros(1, np.int64), 50, Walk())
    assert nothing.q.shape == (0, 50, 3)


def test_sliding_joints_end_arcs_at_their_limits() -> None:
    arm = two_booms()
    q = np.array([[0.3, 0.5, 1.2, 0.6]])
    found = traced(arm, q, 100, "position")
    assert found.counts[0, 1] == 1
    np.testing.assert_allclose(found.q[0, :, 2] + found.q[0, :, 3], 1.8, atol=1e-6)  # one boom makes up for the other
    np.testing.assert_allclose(found.q[0, :, :2], np.tile(q[:, :2], (100, 1)), atol=1e-6)
    step = np.abs(np.diff(found.q[0, :, 3]))
    np.testing.assert_allclose(step, 1.0 / 100, atol=1e-6)  # from end to end of the second boom


def two_booms() -> Arm:
    """Cylinder coordinates with a second boom that slides along the first."""
    arm = sliding_arm()
    return replace(
        arm,
        joint_names=(*arm.joint_names, "second"),
        joint_types=(*arm.joint_types, "prismatic"),
        offsets=np.concatenate([arm.offsets[:-1], np.eye(4)[None], arm.offsets[-1:]]),
        q_min=np.array([-np.inf, 0.0, 0.2, 0.0]),
        q_max=np.array([np.inf, 1.5, 2.0, 1.0]),
        dq_max=np.ones(4),
        effort_max=np.ones(4),
    )


@pytest.mark.slow
@pytest.mark.parametrize("distance", [0.4, -0.4, 50.0])
def test_going_along_a_curve_is_integrating_its_tangent(distance: float) -> None:
    limit = 2.0 if abs(distance) < 1 else 1.05
    arm = planar(-limit, limit)
    start = np.array([0.3, 1.0, -0.8])
    T = forward_kinematics(arm, torch.from_numpy(start[None])).numpy()
    task = load_task(arm, "planar_position")
    q, gone = go(arm, task, T, start[None], np.array([distance]), Walk(0.06, 1e-5))
    step, point = np.copysign(1e-4, distance), start.copy()
    for _ in range(round(gone[0] / 1e-4)):
        middle = point + step / 2 * tangent(arm, point)
        point = point + step * tangent(arm, middle)
    np.testing.assert_allclose(q[0], point, atol=3e-4)
    if abs(distance) < 1:
        assert gone[0] == pytest.approx(0.4)
    else:
        assert np.abs(q).max() == pytest.approx(limit, abs=1e-3)


def tangent(arm: Arm, q: FloatArray) -> FloatArray:
    """Unit null vector of the planar position Jacobian, by the cross product of its rows."""
    heading, length = np.cumsum(q), lengths(arm)
    x = -np.cumsum((length * np.sin(heading))[::-1])[::-1]
    y = np.cumsum((length * np.cos(heading))[::-1])[::-1]
    t = np.cross(x, y)
    return np.asarray(t / np.linalg.norm(t))
