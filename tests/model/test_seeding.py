"""Seeds: sigma points lie on the longest axis of wide components, and bring back branches that means alone miss."""

from __future__ import annotations

import math

import torch

from ik_mdn.evaluation.metrics import joint_distance
from ik_mdn.evaluation.report import held_out
from ik_mdn.mixture.mixture import GaussianMixture
from ik_mdn.model.checkpoint import load_model
from ik_mdn.model.seeding import SPREAD, sigma_points
from ik_mdn.solver.refinement import refine


def _mixture(std: list[list[float]], weight: list[float]) -> GaussianMixture:
    """One pose; components with these standard deviations along axes turned at random."""
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    covariance = turn @ torch.diag_embed(torch.tensor(std, dtype=torch.float64).square()) @ turn.T
    return GaussianMixture(
        logits=torch.tensor([weight], dtype=torch.float64).log(),
        loc=torch.arange(3 * len(std), dtype=torch.float64).reshape(1, len(std), 3),
        scale_tril=torch.linalg.cholesky(covariance)[None],
    )


def test_sigma_points_lie_on_the_longest_axis() -> None:
    mixture = _mixture([[0.02, 0.8, 0.05], [0.6, 0.03, 0.02]], [0.5, 0.5])
    points = sigma_points(mixture)
    values, vectors = torch.linalg.eigh(mixture.scale_tril[0] @ mixture.scale_tril[0].mT)
    step = SPREAD * values[:, -1:].sqrt() * vectors[..., -1]
    for sign, start in ((1, 2), (-1, 4)):
        offset = points.q[0, start : start + 2] - mixture.loc[0]
        aligned = offset * torch.sign((offset * step).sum(-1, keepdim=True)) * sign
        torch.testing.assert_close(aligned, sign * step, rtol=1e-4, atol=1e-4)


def test_the_three_points_share_their_components_weight() -> None:
    points = sigma_points(_mixture([[0.02, 0.8, 0.05], [0.02, 0.03, 0.02], [0.5, 0.5, 0.9]], [0.6, 0.3996, 0.0004]))
    weight = points.weight.reshape(3, 3)  # means, plus, minus
    torch.testing.assert_close(weight.sum(0), torch.tensor([0.6, 0.3996, 0.0004], dtype=torch.float64))
    torch.testing.assert_close(weight[:, 0], torch.full((3,), 0.2, dtype=torch.float64))
    assert (weight[1:, 1] == 0).all()  # narrow: its mean is enough
    assert (weight[1:, 2] == 0).all()  # light: not worth refining thrice


def test_a_diagonal_mixture_has_sigma_points_too() -> None:
    mixture = GaussianMixture(
        logits=torch.zeros(2, 1), loc=torch.zeros(2, 1, 3), scale=torch.tensor([0.01, 0.5, 0.02]).expand(2, 1, 3)
    )
    points = sigma_points(mixture)
    torch.testing.assert_close(
        points.q[:, 1, 1].abs(), torch.full((2,), 0.5 * SPREAD, dtype=torch.float64), rtol=1e-4, atol=0
    )


def test_sigma_points_find_the_branches_that_means_alone_miss() -> None:
    model = load_model("xarm6-k1")  # one wide component
    q, T = held_out(model.arm, 300, seed=11)
    recall = {}
    for name, (seeds, weight) in {"means": model.propose(T), "sigma": model.seeds(T)}.items():
        pose, slot = (weight >= 1e-4).nonzero(as_tuple=True)
        refined = refine(model.arm, model.task, T[pose], seeds[pose, slot])
        distance = joint_distance(refined.q, q[pose], model.period)
        distance[(refined.err_pos > 1e-8) | (refined.err_rot > 1e-8)] = math.inf
        nearest = torch.full((len(T),), math.inf, dtype=torch.float64).scatter_reduce(0, pose, distance, "amin")
        recall[name] = (nearest < 1e-3).double().mean().item()
    assert recall["sigma"] > recall["means"] + 0.2
