"""What is plotted of a mixture agrees with the mixture."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from ik_mdn.model import PoseModel
from ik_mdn.viewer.curves import trace_curves
from ik_mdn.viewer.density import joint_density, marginals, plane_variance, tip_spread
from ik_mdn.viewer.html import heat
from ik_mdn.viewer.session import Session
from sim.arm import load_arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics


def model_of(name: str) -> tuple[PoseModel, FloatArray]:
    session = Session.load(load_arm(name))
    assert session.solver.model is not None
    return session.solver.model, session.start_target()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["planar2", "panda", "ur5e"])
def test_marginals_are_the_shares_of_draws(name: str) -> None:
    model, T = model_of(name)
    plotted = marginals(model, T)
    draws = model.sample(torch.from_numpy(T[None]), 20_000, generator=torch.Generator().manual_seed(0))[0].numpy()
    for i in range(model.arm.n_joints):
        edges = plotted.edges[i]
        turns = [np.histogram(draws[:, i] + 2 * np.pi * k, edges)[0] for k in (-1, 0, 1)]
        np.testing.assert_allclose(plotted.share[i], sum(turns) / len(draws), atol=0.05)


def test_components_of_next_to_no_weight_have_no_ellipsoid() -> None:
    model, T = model_of("planar2")
    with torch.no_grad():
        weights = model.posterior(torch.from_numpy(T[None])).weights[0].sort(descending=True).values
    needed = int((weights.cumsum(0) < 0.999).sum()) + 1
    assert needed < len(weights)
    assert len(tip_spread(model, T, len(weights))[0]) == needed


def test_the_density_of_two_joints_peaks_at_the_solutions() -> None:
    model, T = model_of("planar2")
    density = joint_density(model, T)
    assert density.sum() * (2 * np.pi / len(density)) ** 2 == pytest.approx(1.0, abs=0.05)
    row, column = np.unravel_index(density.argmax(), density.shape)
    step = 2 * np.pi / len(density)
    peak = np.array([-np.pi + step * (column + 0.5), np.pi - step * (row + 0.5)])
    solutions = Session.load(model.arm).answer(T).q
    assert np.abs(solutions - peak).max(axis=1).min() < 2 * step


def test_the_tips_spread_is_that_of_draws_from_a_component() -> None:
    model, T = model_of("ur5e")
    axes, rotations, centres = tip_spread(model, T, 1)
    with torch.no_grad():
        mixture = model.posterior(torch.from_numpy(T[None]))
        k = int(mixture.weights[0].argmax())
        noise = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        q = mixture.loc[0, k] + noise @ mixture.scale_tril[0, k].mT
    tips = forward_kinematics(model.arm, q.numpy())[:, :3, 3]
    covariance = rotations[0] @ np.diag(axes[0] ** 2) @ rotations[0].T
    np.testing.assert_allclose(covariance, np.cov(tips.T), atol=0.15 * np.trace(covariance))
    np.testing.assert_allclose(centres[0], tips.mean(axis=0), atol=0.2 * axes.max())
    assert np.linalg.det(rotations[0]) == pytest.approx(1.0)


def test_components_disagree_inside_the_workspace_more_than_at_its_edge() -> None:
    model, T = model_of("planar2")
    variance = plane_variance(model, T, side=41)
    assert np.isnan(variance[0, 0])
    assert variance[20, 30] > 2 * variance[20, 39]  # at half the reach, at 95 % of it


def test_the_workspace_is_about_the_first_joint_wherever_that_is() -> None:
    model, T = model_of("planar2")
    there = np.array([0.3, -0.2])
    offsets = model.arm.offsets.copy()
    offsets[0, :2, 3] += there
    asked: list[FloatArray] = []

    def posterior(targets: torch.Tensor) -> SimpleNamespace:
        asked.append(targets.numpy())
        return SimpleNamespace(variance_between=torch.zeros(len(targets), 2))

    plane_variance(cast(PoseModel, SimpleNamespace(arm=replace(model.arm, offsets=offsets), posterior=posterior)), T, 9)
    np.testing.assert_allclose(asked[0][:, :2, 3].mean(axis=0), there, atol=1e-9)


def test_the_picture_of_the_workspace_is_clear_beyond_the_reach() -> None:
    model, T = model_of("planar2")
    picture = heat(plane_variance(model, T, side=41))
    assert picture.shape == (41, 41, 4)
    row, column = np.mgrid[:41, :41]
    np.testing.assert_array_equal(picture[..., 3], np.where(np.hypot(row - 20, column - 20) <= 20, 255, 0))


def test_curves_hold_the_target_and_have_relative_densities() -> None:
    session = Session.load(load_arm("panda"))
    T = session.start_target()
    curves = trace_curves(session.solver, T, 50)
    assert curves
    for curve in curves:
        np.testing.assert_allclose(
            forward_kinematics(session.arm, curve.q), np.broadcast_to(T, (len(curve.q), 4, 4)), atol=1e-6
        )
        assert (curve.share <= 1).all()
        np.testing.assert_array_equal(curve.at(0.0), curve.q[0])
        np.testing.assert_array_equal(curve.at(1.0), curve.q[-1])
    assert max(float(curve.share.max()) for curve in curves) == pytest.approx(1.0)
