"""Products in bfloat16 against torch's rounding and numpy's products, and against the network in float32."""

import numpy as np
import pytest
import torch
from numba import njit

import sim
from ik_mdn import IKSolver
from ik_mdn.solver.kernels import tiles
from ik_mdn.solver.kernels.machine import address_of, invoke
from ik_mdn.solver.kernels.proposing import propose_some
from ik_mdn.solver.proposers import CompiledModel

needs_tiles = pytest.mark.skipif(not tiles.has_tiles(), reason="this processor has no registers for bfloat16 tiles")


@njit
def _multiply(narrow, multiply, x, W, bias, out, n_in, size, rows, short):
    invoke(narrow, (x, short, n_in, size, rows))
    for j in range(0, len(bias), 64):
        invoke(multiply, (short, W[j * size :], bias[j:], out[j:], size, size, len(bias), rows))


def _rounded(x):
    return torch.from_numpy(x).bfloat16().double().numpy()


@needs_tiles
@pytest.mark.parametrize("n_in", [1, 13, 32, 50, 192])
@pytest.mark.parametrize("rows", [1, 5, 16])
def test_a_product_is_that_of_rounded_numbers(n_in, rows):
    rng = np.random.default_rng(n_in + rows)
    x, W = rng.normal(size=(rows, n_in)).astype(np.float32), rng.normal(size=(128, n_in)).astype(np.float32)
    bias, out, size = rng.normal(size=128).astype(np.float32), np.zeros((rows, 128), np.float32), tiles.slots(n_in)
    narrow = address_of("narrow", (), "ffiii", tiles.emit_narrow)
    multiply = address_of("multiply", (), "ffffiiii", tiles.emit_multiply)
    short = np.full(rows * size, np.nan, np.float32)
    _multiply(narrow, multiply, x.ravel(), tiles.packed(W), bias, out.ravel(), n_in, size, rows, short)
    assert np.abs(out - (_rounded(x) @ _rounded(W).T + bias)).max() < 1e-5 * np.sqrt(n_in) * 4


@needs_tiles
def test_seeds_lie_beside_those_in_float32_and_are_the_same_alone():
    arm = sim.load_arm("ur5e")
    q = arm.sample(np.random.default_rng(0), 37)
    T = sim.forward_kinematics(arm, q)
    exact, rounded = (_seeds(T, halves) for halves in (False, True))
    away = [np.abs(a[0] - b[0]).max() for a, b in zip(exact, rounded, strict=True)]  # of the heaviest seeds
    assert 1e-6 < np.median(away) < 0.03
    for T_one, seeds in zip(T, rounded, strict=True):
        assert np.array_equal(_seeds(T_one[None], True)[0], seeds)


def _seeds(T, halves):
    T = np.ascontiguousarray(T)
    start, seeds, weight = np.zeros(len(T) + 1, np.int64), np.zeros((33 * len(T), 6)), np.zeros(33 * len(T))
    propose_some(T, CompiledModel(IKSolver.load("ur5e")._model, halves=halves).proposer, 32, start, seeds, weight)
    return np.split(seeds[: start[-1]], start[1:-1])


def test_without_the_registers_answers_are_as_many(monkeypatch):
    arm = sim.load_arm("puma560")
    q = arm.sample(np.random.default_rng(3), 300)
    T = sim.forward_kinematics(arm, q)
    with_tiles = IKSolver.load("puma560").solve(T)
    monkeypatch.setattr(tiles, "has_tiles", lambda: False)
    without = IKSolver.load("puma560").solve(T)
    assert np.abs(np.diff(with_tiles.offsets) - np.diff(without.offsets)).sum() <= 2
