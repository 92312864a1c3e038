"""The figures of a lecture on mixture density networks: python scripts/teaching_figures.py [--out FOLDER]."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console

from ik_mdn.training.config import TrainConfig
from ik_mdn.training.figures import draw_choice
from ik_mdn.training.toys import descend, fit, starved_start, swapped_sine, three_answers, two_sided
from sim.rendering.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, draw_planar_arm, new_figure, save_figure

SMALL = TrainConfig(
    steps=400,
    components=2,
    covariance="diagonal",
    width=32,
    blocks=1,
    batch_size=256,
    learning_rate=2e-2,
    floor=0.02,
    floor_start=0.2,
    start_scale=0.3,
    average=0.95,
)
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)


def main(out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("out/teaching")) -> None:
    """Draw every teaching figure.

    Args:
        out: Where to write.
    """
    from matplotlib import rcParams

    torch.set_num_threads(1)  # the networks are tiny
    rcParams.update({"font.size": 13, "axes.titlesize": 13, "legend.fontsize": 11, "axes.spines.top": False})
    rcParams.update({"axes.spines.right": False})
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    figures = {
        "two_answers.png": draw_two_answers,
        "elbows.png": draw_elbows,
        "responsibilities.png": draw_responsibilities,
        "collapse.png": draw_collapse,
        "label_switching.png": draw_label_switching,
        "bias_variance.png": draw_bias_variance,
    }
    for name, draw in figures.items():
        started = time.perf_counter()
        draw(out / name)
        console.print(f"wrote {out / name} in {time.perf_counter() - started:.0f} s")


def draw_two_answers(out: Path) -> None:
    """y = ±2 + noise: squared error predicts the trough, the mixture both peaks."""
    toy = two_sided()
    mixture_net, regressor = fit(toy, SMALL), fit(toy, replace(SMALL, kind="mse"))
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
    left.set(xlabel="input x [-]", ylabel="answer y [-]", title="Data, and what each network predicts", xlim=(-1, 1))
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


def draw_elbows(out: Path) -> None:
    """Both postures of a planar arm over its workspace, and the elbow angle over the distance."""
    from ik_mdn.model.checkpoint import find_shipped, load_model
    from ik_mdn.solver.solver import IKSolver
    from ik_mdn.training.trainer import train

    solver = IKSolver.load("planar2")
    arm, shipped = solver.arm, find_shipped(solver.arm, kind="mse")
    if shipped is not None:
        regressor = load_model(shipped)
    else:
        trained = train(arm, replace(SMALL, kind="mse", learning_rate=5e-3)).model
        assert trained is not None
        regressor = trained
    figure, (left, right) = new_figure(1, 2, figsize=(13, 6))
    angle = np.linspace(0, 2 * np.pi, 7)[:-1] + 0.25
    radius = np.array([1.7, 1.1, 1.5, 0.8, 1.7, 1.3])
    for i, found in enumerate(solver.solve(points(radius * np.cos(angle), radius * np.sin(angle)))):
        for q in found.q:
            colour, style = (BLUE, "-") if q[1] < 0 else (ORANGE, "--")
            draw_planar_arm(left, arm, q, color=colour, linewidth=3.5, linestyle=style, markersize=6, alpha=0.9)
        left.plot(radius[i] * np.cos(angle[i]), radius[i] * np.sin(angle[i]), "k*", markersize=15, zorder=5)
    left.plot(
        arm.reach * np.cos(circle := np.linspace(0, 2 * np.pi, 200)), arm.reach * np.sin(circle), "k:", linewidth=1
    )
    left.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal", xlabel="x [m]", ylabel="y [m]")
    left.set_title("Every target (★) has two answers")
    r = np.linspace(0.05, 1.98, 80)
    T = points(r, np.zeros_like(r))
    proposal = solver.model.propose(torch.tensor(T))  # type: ignore[union-attr]
    weight, elbow = proposal.weight.numpy(), np.rad2deg(wrapped(proposal.q[..., 1].numpy()))
    exact = np.rad2deg(np.arccos((r**2 - 2) / 2))
    right.plot(r, exact, color=ORANGE, linewidth=7, alpha=0.35, label="exact, elbow positive", solid_capstyle="butt")
    right.plot(r, -exact, color=BLUE, linewidth=7, alpha=0.35, label="exact, elbow negative", solid_capstyle="butt")
    rows, live = np.nonzero(weight > 0.05)
    every = rows % 3 == 0
    right.scatter(r[rows[every]], elbow[rows, live][every], s=16, color="black", zorder=4, label="MDN component")
    mean = np.rad2deg(wrapped(regressor.mean(torch.tensor(T))[:, 1].numpy()))
    mean = np.where(np.abs(mean) > 90, np.abs(mean), mean)  # -180° and 180° are one angle
    right.plot(r, mean, color=RED, linewidth=3, linestyle="--", label="MSE: straight (0°) or folded (180°)")
    right.set(xlabel="distance of the target from the base [m]", ylabel="elbow angle q₂ [°]", ylim=(-190, 190))
    right.set(xlim=(0, 2), yticks=range(-180, 181, 60), title="The mean of two elbows is no elbow")
    right.grid(alpha=0.3)
    finish(figure, out)


def draw_responsibilities(out: Path) -> None:
    """Which component answers for which sample, and how the weights hand over."""
    toy = swapped_sine(0.04)
    net = fit(toy, replace(SMALL, components=3, steps=900, floor_start=0.1, start_scale=0.1))
    x, y = toy.draw(1500, generator(1))
    grid = torch.linspace(0.02, 0.98, 200)[:, None]
    with torch.no_grad():
        share = net.mixture(x).responsibilities(y.float()).numpy()
        mixture = net.mixture(grid)
    figure, axes = new_figure(1, 3, figsize=(14.5, 5), sharex=True)
    palette = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS[:3]])
    axes[0].scatter(x, y, s=10, c=share @ palette, linewidths=0)
    axes[0].set(ylabel="answer y [-]", title="Responsibility rₖ(x, y) of every sample", xlabel="input x [-]")
    order = mixture.loc[100, :, 0].argsort()
    for rank, k in enumerate(order.tolist()):
        mu, sigma, weight = mixture.loc[:, k, 0], mixture.scale[:, k, 0], mixture.weights[:, k]
        for part, alpha in ((weight > 0.05, 1.0), (weight <= 0.05, 0.2)):
            shown = torch.where(part, mu, torch.nan)
            axes[1].plot(grid[:, 0], shown, color=COLOURS[k], linewidth=2.5, alpha=alpha)
            low, high = (torch.where(part, mu + sign * 2 * sigma, torch.nan) for sign in (-1, 1))
            axes[1].fill_between(grid[:, 0], low, high, color=COLOURS[k], alpha=0.25 * alpha, linewidth=0)
        axes[2].plot(grid[:, 0], weight, color=COLOURS[k], linewidth=2.5, label=f"component {rank + 1}")
    axes[1].set(title="Means μₖ(x) ± 2σₖ(x); pale: weight below 5 %", xlabel="input x [-]", ylim=axes[0].get_ylim())
    axes[1].set_ylabel("answer y [-]")
    axes[2].set(title="Weights πₖ(x)", ylabel="weight [-]", xlabel="input x [-]", ylim=(0, 1.02))
    finish(figure, out)


def draw_collapse(out: Path) -> None:
    """A component that starts with little weight is starved by gradient descent, unless entropy is rewarded."""
    _, y = two_sided().draw(500, generator(0))
    runs = {0.0: ("no bonus: one component takes all", RED, "--"), 2.0: ("entropy bonus, λ: 2 → 0", BLUE, "-")}
    figure, (effective, loss, density) = new_figure(1, 3, figsize=(14.5, 5))
    ys = torch.linspace(-4.5, 4.5, 401, dtype=torch.float64)[:, None]
    density.hist(y[:, 0].numpy(), bins=45, range=(-4.5, 4.5), density=True, color=GREY, alpha=0.35, label="data")
    for weight, (label, colour, style) in runs.items():
        fitted, history = descend(starved_start(), y, entropy_weight=weight)
        line = {"color": colour, "linestyle": style, "linewidth": 2.8}
        effective.plot(history[:, 1], **line, label=label)
        loss.plot(history[:, 0], **line)
        density.plot(ys[:, 0], fitted.log_prob(ys).exp(), **line)
    loss.axhline(float(-fit_truth(y)), color="black", linewidth=1.2, linestyle=":", label="NLL of the true density")
    effective.set(ylabel="effective components exp(H) [-]", ylim=(0.95, 2.05), title="Components in use")
    loss.set(ylabel="negative log-likelihood [nats]", title="Loss (the bonus not counted)")
    for panel in (effective, loss):
        panel.set_xlabel("step of gradient descent [-]")
        panel.axvspan(0, 200, color=BLUE, alpha=0.09, linewidth=0, label="bonus on")
        panel.set_xlim(0, 400)
        panel.grid(alpha=0.3)
    density.set(xlabel="answer y [-]", ylabel="density [-]", title="What was learned", xlim=(-4.5, 4.5))
    finish(figure, out)


def draw_label_switching(out: Path) -> None:
    """The same three answers under other names in every run, and under one name after reordering."""
    toy = three_answers()
    seeds = (0, 1, 2, 3)
    grid = torch.linspace(-1, 1, 101)[:, None]
    figure, axes = new_figure(2, len(seeds), figsize=(15, 7.5), sharex=True, sharey=True)
    x, y = toy.draw(400, generator(5))
    for column, seed in zip(axes.T, seeds, strict=True):
        net = fit(toy, replace(SMALL, components=3, steps=250, seed=seed))
        with torch.no_grad():
            mixture = net.mixture(grid)
        for panel, shown in zip(column, (mixture, mixture.reordered()), strict=True):
            panel.scatter(x, y, s=5, color=GREY, alpha=0.3, linewidths=0)
            for k, style in enumerate(("-", "--", "-.")):
                label = f"component {k + 1}"
                panel.plot(grid[:, 0], shown.loc[:, k, 0], style, color=COLOURS[k], linewidth=3.5, label=label)
        column[0].set_title(f"run {seed + 1}")
        column[1].set_xlabel("input x [-]")
    axes[0][0].set_ylabel("as trained\n\nanswer y [-]")
    axes[1][0].set_ylabel("reordered by mean\n\nanswer y [-]")
    finish(figure, out, legend_of=[axes[0][0]])


def draw_bias_variance(out: Path) -> None:
    """Training and validation likelihood over K on few samples, and what the one-standard-error rule picks."""
    from ik_mdn.training.selection import choose

    x, y = three_answers().draw(240, generator(3))
    config = replace(SMALL, steps=150, batch_size=192, width=16, learning_rate=3e-2, floor_start=0.1)
    choice = choose(x, y, config, components=(1, 2, 3, 4, 6, 8, 12), covariances=("diagonal",))
    draw_choice(choice, out)


def fit_truth(y: torch.Tensor) -> float:
    """Mean log density of data under the true mixture of `two_sided`."""
    return float(two_sided().truth(torch.zeros(len(y), 1, dtype=torch.float64)).log_prob(y).mean())


def points(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Poses of points in the plane, (N, 4, 4)."""
    T = np.tile(np.eye(4), (len(x), 1, 1))
    T[:, 0, 3], T[:, 1, 3] = x, y
    return T


def wrapped(angle: np.ndarray) -> np.ndarray:
    """Angles in [-π, π) [rad]."""
    return np.asarray((angle + math.pi) % (2 * math.pi) - math.pi)


def generator(seed: int) -> torch.Generator:
    """A source of randomness."""
    return torch.Generator().manual_seed(seed)


def finish(figure: Any, out: Path, *, legend_of: list[Any] | None = None) -> None:
    """Put one legend below all panels, and write the figure."""
    pairs = [panel.get_legend_handles_labels() for panel in (legend_of or figure.axes)]
    named = {label: handle for handles, labels in pairs for handle, label in zip(handles, labels, strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncol=min(5, len(named)), frameon=False)
    save_figure(figure, out)


if __name__ == "__main__":
    tyro.cli(main)
