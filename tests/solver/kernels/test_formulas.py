"""Formulas of vectors, tried in numpy: they are what `sim` says of arms and tasks; and the code that is emitted for them."""

from __future__ import annotations

import ctypes
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch
from samples import random_arm

import sim
from ik_mdn.solver.kernels import formulas, machine
from ik_mdn.solver.kernels.emission import DOUBLE, SINGLE, Vectors
from ik_mdn.solver.kernels.formulas import (
    Shape,
    align,
    factor,
    gram,
    linearise,
    rotation_vector,
    substitute,
    transposed_times,
)
from ik_mdn.solver.kernels.kinematics import describe, in_frames
from sim.arm import Arm
from sim.jacobians import scaled_task_error, scaled_task_jacobian
from sim.task import TASKS, Task
from sim.task.task import NO_TWIST


class Numpy:
    """Stands in for `Vectors`: a vector is an array."""

    root, size, less, where = (staticmethod(each) for each in (np.sqrt, np.abs, np.less, np.where))

    def cos_sin(self, x: Any) -> Any:
        return np.cos(x), np.sin(x)


ARMS = [
    (sim.load_arm("ur5e"), "pose"),
    (sim.load_arm("panda"), "pose"),
    (random_arm(6, 2, sliding=(2,)), "pose"),
    (random_arm(5, 3, sliding=(0, 3)), "position_axis"),
    (random_arm(3, 4, sliding=(1,)), "position"),
    (sim.load_arm("planar3"), "planar_pose"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of 0 / 0, whose outcome is not taken
@pytest.mark.parametrize("turned_over", [False, True])
@pytest.mark.parametrize(("arm", "name"), ARMS, ids=lambda x: getattr(x, "name", x))
def test_errors_and_jacobians_are_those_of_the_arm(arm: Arm, name: str, turned_over: bool) -> None:
    task: Task = TASKS[name]
    rng = np.random.default_rng(0)
    q, goal = (arm.sample(rng, 50) for _ in range(2))
    T = np.asarray(sim.forward_kinematics(arm, goal))
    T = T @ np.diag([1.0, -1.0, -1.0, 1.0]) if turned_over else T  # in a plane no turn about z leads there
    problem = describe(arm, task)
    shape = Shape(tuple(bool(x) for x in arm.is_prismatic), problem.n_linear, problem.angular)
    base, chain = (np.tile(x.reshape(-1, 1), 50) for x in (problem.base, problem.chain))
    turned = in_frames(task, T)
    target = [turned[:, i, j] for i, j in itertools.product(range(3), range(3))]
    target += [turned[:, i, 3] / problem.length for i in range(3)]
    e, J = linearise(Numpy(), shape, list((q / problem.unit).T), lambda i: base[i], lambda i: chain[i], target)
    tips, expected = scaled_task_jacobian(arm, task, torch.from_numpy(q))
    error = scaled_task_error(arm, task, tips, torch.from_numpy(T)).numpy()
    e_all = np.stack([np.broadcast_to(x, 50) for x in e], axis=1)
    J_all = np.stack([np.stack([np.broadcast_to(x, 50) for x in row], axis=1) for row in J], axis=1)
    # rotations may be written in other frames: what counts is the same
    np.testing.assert_allclose(np.linalg.norm(e_all, axis=1), np.linalg.norm(error, axis=1), atol=1e-12)
    np.testing.assert_allclose(J_all.mT @ J_all, (expected.mT @ expected).numpy(), atol=1e-12)
    ours, theirs = (np.einsum("bij,bi->bj", A, b) for A, b in ((J_all, e_all), (expected.numpy(), error)))
    np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_turns_that_are_rounding_are_those_of_the_task() -> None:
    assert formulas.NO_TWIST == NO_TWIST


ANGLES = [0.0, 1e-300, 1e-160, 1e-12, 1e-3, 1.0, 3.0, np.pi - 1e-6, np.pi - 1e-12, np.pi]


@pytest.mark.parametrize("angle", ANGLES)
def test_rotations_up_to_half_a_turn_are_measured(angle: float) -> None:
    axis = np.random.default_rng(1).normal(size=(400, 3))
    axis[:9] = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, 0, -1), (1, 1, 0), (0, 1, -1), (1, 1, 1)]
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    R = roma.rotvec_to_rotmat(torch.from_numpy(axis * angle)).numpy()
    found = np.stack(rotation_vector(Numpy(), [[R[:, i, j] for j in range(3)] for i in range(3)]), axis=1)
    sign = np.sign((found * axis).sum(1, keepdims=True)) if angle == np.pi else 1.0  # both are the half turn
    np.testing.assert_allclose(found * sign, axis * angle, atol=2e-15, rtol=0)


@pytest.mark.parametrize("angle", ANGLES)
def test_axes_up_to_half_a_turn_are_aligned(angle: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    sine = np.sin(np.pi - angle) if angle > 3 else np.sin(angle)
    x, y = align(Numpy(), -np.sin(turn) * -sine, -np.cos(turn) * sine, np.full(8, np.cos(angle)))
    np.testing.assert_allclose(np.hypot(x, y), angle, atol=1e-15, rtol=1e-14)
    if 0 < angle < np.pi - 1e-9:
        np.testing.assert_allclose([x, y], angle * np.stack([np.cos(turn), np.sin(turn)]), atol=1e-15, rtol=1e-14)


def test_symmetric_systems_are_solved() -> None:
    rng = np.random.default_rng(1)
    A, right = rng.normal(size=(5, 7)), rng.normal(size=5)
    rows = [[np.array([x]) for x in row] for row in A]
    factors = factor(gram(rows), 0.1)
    H = A @ A.T + 0.1 * np.eye(5)
    x = np.concatenate(substitute(factors, [np.array([b]) for b in right]))
    np.testing.assert_allclose(H @ x, right, atol=1e-12)
    np.testing.assert_allclose(np.prod(factors.pivots), np.linalg.det(H), rtol=1e-12)
    np.testing.assert_allclose(np.concatenate(transposed_times(rows, list(x[:, None]))), A.T @ x, atol=1e-12)


def emitted(name: str, scalar: Any, formula: Any, *given: Any) -> Any:
    """What a formula of vectors gives, emitted and compiled, for arrays of whole vectors."""
    lanes, letter = (8, "d") if scalar is DOUBLE else (16, "f")

    def body(builder: Any, *places: Any) -> None:
        o = Vectors(builder, lanes, scalar)
        o.store(places[-1], 0, formula(o, *(o.load(place, 0) for place in places[:-1])))

    arrays = [*given, np.empty_like(given[0])]
    address = machine.address_of(name, (), len(arrays) * letter, body)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * len(arrays))(address)
    for first in range(0, len(given[0]), lanes):
        call(*(array[first:].ctypes.data for array in arrays))
    return arrays[-1]


@pytest.mark.parametrize("reach", [1e-8, 1.0, 10.0, 1e5])
def test_emitted_cosine_and_sine_are_those_of_the_standard_library(reach: float) -> None:
    x = np.random.default_rng(0).uniform(-reach, reach, 4096)
    x[:9] = np.arange(-4, 5) * np.pi / 4 * min(1.0, reach)
    for place, expected in enumerate((np.cos(x), np.sin(x))):
        ours = emitted(f"test_cos_sin{place}", DOUBLE, lambda o, v, place=place: o.cos_sin(v)[place], x)
        np.testing.assert_allclose(ours, expected, atol=2.3e-16, rtol=0)


def test_the_emitted_exponential_is_that_of_the_standard_library() -> None:
    x = np.linspace(-80, 80, 4096).astype(np.float32)
    ours = emitted("test_exp", SINGLE, lambda o, v: o.exp(v), x)
    np.testing.assert_allclose(ours, np.exp(x.astype(np.float64)), rtol=3e-7)


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e6])
def test_the_emitted_direction_is_that_of_the_standard_library(size: float) -> None:
    angle = np.linspace(-np.pi, np.pi, 4096)
    angle[:9] = np.arange(-4, 5) * np.pi / 4
    y = (size * np.sin(angle)).astype(np.float32)
    for x in (size * np.cos(angle), np.array([0.0, -0.0, 0.5, -3.0]).repeat(1024)):
        ours = emitted("test_direction", SINGLE, lambda o, a, b: o.direction(a, b), y, x.astype(np.float32))
        away = ours - np.arctan2(y.astype(np.float64), x.astype(np.float32).astype(np.float64))
        assert np.abs(np.remainder(away + np.pi, 2 * np.pi) - np.pi).max() < 4e-7


def test_comparisons_are_false_beside_nan() -> None:
    x = np.array([1.0, np.nan, -1.0, np.inf, -np.inf, 0.0, 2.0, np.nan])
    ours = emitted("test_where", DOUBLE, lambda o, v: o.where(o.less(v, 1.0) & ~o.less(v, 0.0), 1.0, 0.0), x)
    np.testing.assert_array_equal(ours, [0, 0, 0, 0, 0, 1, 0, 0])


def test_emitted_code_is_kept_and_made_again_where_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine, "cache_folder", lambda: str(tmp_path))
    compiled: list[str] = []
    original = machine._Machine.compile
    monkeypatch.setattr(machine._Machine, "compile", lambda self, text: compiled.append(text) or original(self, text))
    for damage, times in ((None, 1), (None, 1), (b"\0" * 8, 2)):
        fresh = machine._Machine()  # as in another process; the one of this process keeps what others hold addresses of
        monkeypatch.setattr(machine, "_machine", lambda fresh=fresh: fresh)
        if damage:
            (file,) = tmp_path.glob("*.o")
            file.write_bytes(file.read_bytes()[:-8] + damage)
        x = np.arange(8.0)
        np.testing.assert_array_equal(emitted("test_kept", DOUBLE, lambda o, v: v * 2.0 + 1.0, x), 2 * x + 1)
        assert len(compiled) == times
    assert "is damaged" in caplog.text
