"""How draws are spread along curves of solutions: alike is 0, collapsed is not, and what stands for itself says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ik_mdn.evaluation.diversity import measure_diversity, mmd2
from ik_mdn.evaluation.poses import held_out
from ik_mdn.solver.solver import IKSolver
from sim.arm import planar_arm

CIRCLE = torch.tensor([2 * np.pi, np.inf], dtype=torch.float64)


def draws(count: int, shift: float = 0.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, dtype=torch.float64, generator=generator) * 0.5 + shift


def test_it_is_without_bias_for_samples_of_one_law_and_grows_with_the_distance() -> None:
    alike = [mmd2(draws(60, seed=2 * i), draws(60, seed=2 * i + 1), CIRCLE) for i in range(60)]
    assert abs(np.mean(alike)) < 3 * np.std(alike) / 60**0.5
    near, far = (mmd2(draws(200), draws(200, shift=shift, seed=1), CIRCLE) for shift in (0.3, 1.0))
    assert 3 * np.std(alike) < near < far


def test_whole_turns_change_nothing() -> None:
    x, y = draws(50), draws(50, seed=1)
    assert mmd2(x + torch.tensor([2 * np.pi, 0.0], dtype=torch.float64), y, CIRCLE) == pytest.approx(
        mmd2(x, y, CIRCLE), abs=1e-12
    )


def test_by_the_definition() -> None:
    x, y = draws(7), draws(9, seed=1)
    points = [torch.stack([q[:, 0].cos(), q[:, 0].sin(), q[:, 1]], 1).numpy() for q in (x, y)]
    apart = [[np.linalg.norm(a - b) for b in points[1]] for a in points[1]]
    width = np.sort([apart[i][j] for i in range(9) for j in range(i)])[(36 - 1) // 2]

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-0.5 * (np.linalg.norm(a - b) / width) ** 2))

    xx = np.mean([kernel(points[0][i], points[0][j]) for i in range(7) for j in range(7) if i != j])
    yy = np.mean([kernel(points[1][i], points[1][j]) for i in range(9) for j in range(9) if i != j])
    xy = np.mean([kernel(a, b) for a in points[0] for b in points[1]])
    assert mmd2(x, y, CIRCLE) == pytest.approx(xx + yy - 2 * xy, abs=1e-12)


class ByHand:
    """Draws for links of 1, 0.8 and 0.5 m whose tip is where it is: the heading of the last decides, but for the elbow.

    Uniform joint vectors have given the tip the density 1 / |d(wrist)/d(q₁, q₂)|, which is ∝ 1 / |sin q₂|, over headings.
    """

    postures = None

    def sample(self, T: torch.Tensor, count: int, *, generator: torch.Generator) -> torch.Tensor:
        heading = torch.linspace(-np.pi, np.pi, 20_001, dtype=torch.float64)[:-1]
        x, y = (T[:, axis, 3, None] - 0.5 * way for axis, way in enumerate((heading.cos(), heading.sin())))
        bend = ((x.square() + y.square() - 1.64) / 1.6).acos()  # (B, headings)
        q2 = torch.cat([bend, -bend], dim=1)
        q1 = torch.atan2(y, x).repeat(1, 2) - torch.atan2(0.8 * q2.sin(), 1 + 0.8 * q2.cos())
        rows = (1 / q2.sin().abs()).multinomial(count, replacement=True, generator=generator)
        q = torch.stack([q1, q2, heading.repeat(2) - q1 - q2], dim=-1)
        return torch.remainder(q + np.pi, 2 * np.pi).sub(np.pi).take_along_dim(rows[..., None], dim=1)


def test_draws_of_the_law_derived_by_hand_are_alike_with_the_exact_ones() -> None:
    solver = IKSolver(planar_arm([1.0, 0.8, 0.5]), task="planar_position")
    vars(solver._engines)["network"] = ByHand()
    T = torch.eye(4, dtype=torch.float64).repeat(4, 1, 1)
    T[:, 0, 3], T[:, 1, 3] = 1.29 * torch.tensor(
        [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0]]
    )  # within reach, whatever the heading
    found = measure_diversity(solver, T, draws=200)
    assert max(abs(found.raw), abs(found.exact)) < 0.005  # even draws along the curves are 0.026 away
    assert found.restarts > 0.05


@pytest.mark.slow
def test_exact_draws_are_alike_and_a_collapsed_model_is_not() -> None:
    solver = IKSolver.load("panda")
    assert solver.model is not None
    _, T = held_out(solver.arm, 6)
    found = measure_diversity(solver, T, draws=60)
    assert abs(found.exact) < 0.02
    assert max(found.raw, found.refined, found.restarts) < 0.01  # 0.077 where the density is one of few Gaussians
    assert found.poses == 6
    assert set(found.errors) == {"raw", "refined", "restarts", "exact"}
    assert all(0 < error < 0.02 for error in found.errors.values())

    class Collapsed:
        """Every draw of a pose is the same solution."""

        postures = None

        def sample(self, T: torch.Tensor, count: int, *, generator: object) -> torch.Tensor:
            return torch.from_numpy(solver.solve(T).best)[:, None].expand(-1, count, -1)

    one = IKSolver.load("panda")
    vars(one._engines)["network"] = Collapsed()
    assert measure_diversity(one, T, draws=60).refined > found.refined + 0.1


def test_a_pose_that_one_of_them_fails_at_counts_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = IKSolver.load("panda")
    _, T = held_out(solver.arm, 2)
    whole = measure_diversity(solver, T, draws=20)
    monkeypatch.setattr("ik_mdn.evaluation.diversity._refined", lambda solver, T, q: torch.zeros(0, q.shape[1]))
    failed = measure_diversity(solver, T, draws=20)
    assert (whole.poses, failed.poses) == (2, 0)
    assert np.isnan(failed.raw)
