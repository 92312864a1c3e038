"""The closest approach: in limits, stationary, no farther than SciPy's, after a bounded number of looks."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import sim
from ik_mdn.solver import approach
from ik_mdn.solver.approach import closest_approach
from sim.arm import Arm
from sim.jacobians import scaled_task_error
from sim.kinematics import forward_kinematics
from sim.task import Task, default_task

ARMS = ("planar2", "ur5e", "panda")


def distance(arm: Arm, task: Task, q: np.ndarray, T: np.ndarray) -> float:
    """The squared error that is made small, by other calls than those that made it so."""
    error = scaled_task_error(arm, task, forward_kinematics(arm, torch.from_numpy(q)), torch.from_numpy(T))
    return float(error.square().sum())


def beyond(arm: Arm, count: int, seed: int = 0) -> np.ndarray:
    """Poses out of reach: those of random configurations, twice as far away."""
    q = arm.sample(np.random.default_rng(seed), count)
    T = sim.forward_kinematics(arm, q)
    T[:, :3, 3] *= 2.0
    return T


@pytest.mark.parametrize("name", ARMS)
def test_it_is_in_limits_and_no_small_motion_in_them_comes_nearer(name: str) -> None:
    arm = sim.load_arm(name)
    task = default_task(arm)
    for T in beyond(arm, 5):
        q = closest_approach(arm, task, T).q
        assert ((q >= arm.q_min) & (q <= arm.q_max)).all()
        here = distance(arm, task, q, T)
        for step in 1e-4 * np.concatenate([np.eye(arm.n_joints), -np.eye(arm.n_joints)]):
            assert distance(arm, task, np.clip(q + step, arm.q_min, arm.q_max), T) >= here - 1e-12


@pytest.mark.parametrize("name", ARMS)
def test_it_is_no_farther_than_what_scipy_finds(name: str) -> None:
    arm = sim.load_arm(name)
    task, rng = default_task(arm), np.random.default_rng(3)
    bounds = list(zip(arm.q_min, arm.q_max, strict=True))
    for T in beyond(arm, 3, seed=1):
        starts = arm.sample(rng, 4)
        theirs = min(
            minimize(lambda q, T=T: distance(arm, task, q, T), start, method="L-BFGS-B", bounds=bounds).fun
            for start in starts
        )
        assert distance(arm, task, closest_approach(arm, task, T).q, T) <= 1.001 * theirs + 1e-6  # other local minima


def test_limits_in_the_way_do_not_make_it_look_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panda cannot stretch its fourth joint: least squares within bounds take thousands of evaluations there."""
    arm, looks = sim.load_arm("panda"), 0
    look = approach._Landscape.look

    def counted(self: approach._Landscape, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        nonlocal looks
        looks += 1
        return look(self, x)

    monkeypatch.setattr(approach._Landscape, "look", counted)
    poses = beyond(arm, 10)
    for T in poses:
        closest_approach(arm, default_task(arm), T)
    assert looks <= 40 * len(poses)


def test_after_the_deadline_the_nearest_so_far_is_given() -> None:
    arm = sim.load_arm("panda")
    (T,) = beyond(arm, 1)
    hasty = closest_approach(arm, default_task(arm), T, deadline=time.monotonic())
    best = closest_approach(arm, default_task(arm), T)
    assert distance(arm, default_task(arm), hasty.q, T) > distance(arm, default_task(arm), best.q, T)
