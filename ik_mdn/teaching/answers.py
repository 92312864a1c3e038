"""What the answers are: two of them, their spread, their variance, the elbows of an arm."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture
from ik_mdn.model import load_model
from ik_mdn.solver import IKSolver
from ik_mdn.teaching.lesson import COLOURS, config, finish, generator
from ik_mdn.training import Toy, fit, two_sided
from sim.arrays import FloatArray
from sim.rendering import BLUE, GREY, ORANGE, RED, draw_planar_arm, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ik_mdn.model import ArmModel


def draw_two_answers(out: Path, effort: float) -> None:
    """y = ±2 + noise: squared error predicts the trough, the mixture both peaks."""
    toy = two_sided()
    mixture_net, regressor = fit(toy, config(effort)), fit(toy, config(effort, kind="mse"))
    grid = torch.linspace(-1, 1, 101)[:, None]
    with torch.no_grad():
        mixture, mean = mixture_net.mixture(grid).reordered(), regressor.regress(grid)[:, 0]
    x, y = toy.draw(600, generator(1))
    figure, (left, right) = new_figure(1, 2, figsize=(12, 5), sharey=True)
    left.scatter(x, y, s=8, color=GREY, alpha=0.45, linewidths=0)
    for k in range(2):
        mu, sigma = mixture.loc[:, k, 0], mixture.scale[:, k, 0]
        left.fill_between(grid[:, 0], mu - sigma, mu + sigma, color=BLUE, alpha=0.25, linewidth=0)
        left.plot(grid[:, 0], mu, color=BLUE, linewidth=2.5)
    left.plot(grid[:, 0], mean, color=RED, linewidth=3, linestyle="--")
    left.set(
        xlabel="input x [-]",
        ylabel="answer y [-]",
        title="Data, and what each network predicts",
        xlim=(-1, 1),
        xticks=(-1, -0.5, 0, 0.5, 1),
    )
    ys = torch.linspace(-4, 4, 401, dtype=torch.float64)[:, None]
    middle = torch.zeros(1, 1)
    with torch.no_grad():
        learned = mixture_net.mixture(middle).log_prob(ys[:, None].float()).exp()[:, 0]
    true = toy.truth(middle.double()).log_prob(ys[:, None]).exp()[:, 0]
    right.fill_betweenx(ys[:, 0], 0, true, color=GREY, alpha=0.35, linewidth=0, label="true density")
    right.plot(learned, ys[:, 0], color=BLUE, linewidth=2.5, label="MDN: means ± σ, density")
    right.axhline(float(mean[50]), color=RED, linewidth=3, linestyle="--", label="MSE: the mean, where no data are")
    right.set(xlabel="density p(y | x = 0) [-]", title="Density at x = 0", xlim=(0, None), ylim=(-4, 4))
    finish(figure, out)


def draw_one_component(out: Path, effort: float) -> None:
    """Mean and standard deviation of one Gaussian, both depending on x, beside the truth."""

    def truth(x: Tensor) -> GaussianMixture:
        return GaussianMixture(x.new_zeros(len(x), 1), (3 * x).sin()[:, None], scale=(0.1 + 0.4 * x.abs())[:, None])

    toy, grid = Toy(truth), torch.linspace(-1, 1, 101)[:, None]
    net = fit(toy, config(effort, components=1, steps=500, batch_size=512, learning_rate=1e-2))
    with torch.no_grad():
        found, exact = net.mixture(grid), toy.truth(grid.double())
    x, y = toy.draw(700, generator(1))
    figure, (left, right) = new_figure(1, 2, figsize=(12, 5))
    left.scatter(x, y, s=8, color=GREY, alpha=0.45, linewidths=0)
    mean, sigma = found.loc[:, 0, 0], found.scale[:, 0, 0]
    left.fill_between(grid[:, 0], mean - 2 * sigma, mean + 2 * sigma, color=BLUE, alpha=0.2, linewidth=0)
    left.plot(grid[:, 0], mean, color=BLUE, linewidth=2.5, label="learned: mean μ(x), band ± 2σ(x), and σ(x)")
    left.plot(grid[:, 0], exact.loc[:, 0, 0], color=ORANGE, linewidth=2.5, linestyle="--", label="truth")
    left.set(
        xlabel="input x [-]",
        ylabel="answer y [-]",
        title="Data, and one Gaussian for every x",
        xlim=(-1, 1),
        xticks=(-1, -0.5, 0, 0.5, 1),
    )
    right.plot(grid[:, 0], sigma, color=BLUE, linewidth=2.5)
    right.plot(grid[:, 0], exact.scale[:, 0, 0], color=ORANGE, linewidth=2.5, linestyle="--")
    right.set(xlabel="input x [-]", ylabel="standard deviation σ(x) [-]", title="The spread is learned too")
    right.set(xlim=(-1, 1), xticks=(-1, -0.5, 0, 0.5, 1), ylim=(0, None))
    right.grid(alpha=0.3)
    finish(figure, out)


def worked_example() -> GaussianMixture:
    """Weights (0.5, 0.3, 0.2), means (1, 3, -2), standard deviations (0.4, 0.7, 1.5): mean 1, variance 3.677."""
    logits = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
    loc = torch.tensor([[1.0], [3.0], [-2.0]], dtype=torch.float64)
    return GaussianMixture(logits, loc, scale=torch.tensor([[0.4], [0.7], [1.5]], dtype=torch.float64))


def draw_worked_example(out: Path, effort: float) -> None:
    """The density of the worked example, and what each component adds to its variance."""
    mixture, y = worked_example(), torch.linspace(-7, 6, 600, dtype=torch.float64)[:, None]
    weights, loc, scale = mixture.weights, mixture.loc[:, 0], mixture.scale[:, 0]
    figure, (left, right) = new_figure(1, 2, figsize=(12.5, 5), width_ratios=(1.3, 1))
    left.plot(y[:, 0], mixture.log_prob(y).exp(), color="black", linewidth=2.5, label="p(y)")
    parts = (mixture.log_weights + mixture.component_log_prob(y)).exp()
    names = [f"component {k + 1}: {weights[k]:.1f} N({loc[k]:g}, {scale[k]:g}²)" for k in range(3)]
    for k, name in enumerate(names):
        left.fill_between(y[:, 0], 0, parts[:, k], color=COLOURS[k], alpha=0.45, linewidth=0, label=name)
    mean, sigma = float(mixture.mean), float(mixture.variance.sqrt())
    left.axvline(mean, color=RED, linewidth=2, linestyle="--", label=f"mean {mean:g}, ± σ = ± {sigma:.3f}")
    left.axvspan(mean - sigma, mean + sigma, color=RED, alpha=0.08, linewidth=0)
    left.set(
        xlabel="answer y [-]", ylabel="density [-]", title="Three components, one mean", ylim=(0, None), xlim=(-7, 6)
    )
    within, between = weights * scale.square(), weights * (loc - mean).square()
    for row, (values, name) in enumerate(((within, "within\nΣ πσ²"), (between, "between\nΣ π(μ - mean)²"))):
        start = 0.0
        for k, value in enumerate(values.tolist()):
            right.barh(row, value, left=start, color=COLOURS[k], alpha=0.75)
            start += value
        right.text(start + 0.06, row, f"{start:.3f}", va="center")
        names.append(name)
    right.set_yticks((0, 1), names[-2:])
    right.set(xlabel="part of the variance [-]", xlim=(0, 3.6), title=f"Variance {float(mixture.variance):.3f}")
    finish(figure, out)


def draw_elbows(out: Path, effort: float) -> None:
    """Both postures of a planar arm over its workspace, and the elbow angle over the distance."""
    solver = IKSolver.load("planar2")
    arm, regressor = solver.arm, load_model("planar2-mse")
    figure, (left, right) = new_figure(1, 2, figsize=(13, 6))
    angle = np.linspace(0, 2 * np.pi, 7)[:-1] + 0.25
    radius = np.array([1.7, 1.1, 1.5, 0.8, 1.7, 1.3])
    for i, found in enumerate(solver.solve(_points(radius * np.cos(angle), radius * np.sin(angle)))):
        for q in found.q:
            colour, style = (BLUE, "-") if q[1] < 0 else (ORANGE, "--")
            draw_planar_arm(left, arm, q, color=colour, linewidth=3.5, linestyle=style, markersize=6, alpha=0.9)
        left.plot(radius[i] * np.cos(angle[i]), radius[i] * np.sin(angle[i]), "k*", markersize=15, zorder=5)
    left.plot(
        arm.reach * np.cos(circle := np.linspace(0, 2 * np.pi, 200)), arm.reach * np.sin(circle), "k:", linewidth=1
    )
    left.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal", xlabel="x [m]", ylabel="y [m]")
    left.set_title("Every target (★) has two answers")
    _draw_elbow_angle(right, solver, regressor)
    finish(figure, out)


def _draw_elbow_angle(right: Axes, solver: IKSolver, regressor: ArmModel) -> None:
    """The elbow angle over the distance of the target: exact, the mixture's, and the regressor's."""
    r = np.linspace(0.05, 1.98, 80, dtype=np.float64)
    T = _points(r, np.zeros_like(r))
    proposal = solver.model.propose(torch.tensor(T))  # type: ignore[union-attr]
    weight, elbow = proposal.weight.numpy(), np.rad2deg(_wrapped(proposal.q[..., 1].numpy()))
    exact = np.rad2deg(np.arccos((r**2 - 2) / 2))
    right.plot(r, exact, color=ORANGE, linewidth=7, alpha=0.35, label="exact, elbow positive", solid_capstyle="butt")
    right.plot(r, -exact, color=BLUE, linewidth=7, alpha=0.35, label="exact, elbow negative", solid_capstyle="butt")
    rows, live = np.nonzero(weight > 0.05)
    every = rows % 3 == 0
    right.scatter(r[rows[every]], elbow[rows, live][every], s=16, color="black", zorder=4, label="MDN component")
    mean = np.rad2deg(_wrapped(regressor.mean(torch.tensor(T))[:, 1].numpy()))
    mean = np.where(np.abs(mean) > 90, np.abs(mean), mean)  # -180° and 180° are one angle
    right.plot(r, mean, color=RED, linewidth=3, linestyle="--", label="MSE: straight (0°) or folded (180°)")
    right.set(xlabel="distance of the target from the base [m]", ylabel="elbow angle q₂ [°]", ylim=(-190, 190))
    right.set(xlim=(0, 2), yticks=range(-180, 181, 60), title="The mean of two elbows is no elbow")
    right.grid(alpha=0.3)


def _points(x: FloatArray, y: FloatArray) -> FloatArray:
    """Poses of points in the plane, (N, 4, 4)."""
    T = np.tile(np.eye(4), (len(x), 1, 1))
    T[:, 0, 3], T[:, 1, 3] = x, y
    return T


def _wrapped(angle: FloatArray) -> FloatArray:
    """Angles in [-π, π) [rad]."""
    return np.asarray((angle + math.pi) % (2 * math.pi) - math.pi)
