"""The compiled kinematics of datasets against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
from samples import random_arm, sliding_arm

import sim
from sim.dataset import sampling
from sim.dataset.reaching import reach
from sim.dataset.sampling import make_shard
from sim.kinematics import forward_kinematics
from sim.rotations import quat_xyzw_of

ARMS = {
    "ur5e": lambda: sim.load_arm("ur5e"),
    "planar3": lambda: sim.load_arm("planar3"),
    "sliding": sliding_arm,
    **{f"random {seed}": lambda seed=seed: random_arm(5 + seed, seed, sliding=(2,)) for seed in range(3)},
}


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("count", [0, 1, 511, 3000])
def test_poses_are_those_of_forward_kinematics_to_rounding(name: str, count: int) -> None:
    arm = ARMS[name]()
    q = arm.sample(np.random.default_rng(0), count)
    q[: count // 2] *= np.where(arm.is_prismatic, 1.0, 100.0)  # many turns
    position, quat_xyzw = np.empty((count, 3)), np.empty((count, 4))
    reach(np.array(arm.offsets), np.array(arm.is_prismatic), q, position, quat_xyzw)
    T = forward_kinematics(arm, q)
    np.testing.assert_allclose(position, T[:, :3, 3], atol=4e-15 * max(1.0, arm.reach), rtol=0)
    expected = quat_xyzw_of(T[:, :3, :3])
    expected *= np.sign((quat_xyzw * expected).sum(axis=1, keepdims=True))  # a half turn is a coin toss
    np.testing.assert_allclose(quat_xyzw, expected, atol=4e-15, rtol=0)
    assert (quat_xyzw[:, 3] >= 0).all()


def test_every_half_turn_and_none_has_its_quaternion() -> None:
    arm = sim.load_arm("puma560")
    q = np.random.default_rng(1).choice([-np.pi / 2, 0.0, np.pi / 2, np.pi], (4000, 6))
    position, quat_xyzw = np.empty((4000, 3)), np.empty((4000, 4))
    reach(np.array(arm.offsets), np.array(arm.is_prismatic), q, position, quat_xyzw)
    np.testing.assert_allclose(
        sim.rotations.rotation_from_quat(quat_xyzw), forward_kinematics(arm, q)[:, :3, :3], atol=1e-14
    )
    assert set(np.abs(quat_xyzw).argmax(axis=1)) == {0, 1, 2, 3}


def test_without_numba_the_samples_are_the_same_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = sim.load_arm("xarm6")
    compiled = make_shard(arm, seed=3, index=1, rows=2000)
    monkeypatch.setattr(sampling, "_compiled_reach", lambda: None)
    plain = make_shard(arm, seed=3, index=1, rows=2000)
    np.testing.assert_array_equal(plain.q, compiled.q)
    np.testing.assert_allclose(plain.position, compiled.position, atol=2.0**-23, rtol=0)
    np.testing.assert_allclose(plain.quat_xyzw, compiled.quat_xyzw, atol=2.0**-23, rtol=0)
