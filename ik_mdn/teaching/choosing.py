"""How many components: one data set judged by cross-validation, and many data sets side by side."""

from __future__ import annotations

from pathlib import Path

import torch

from ik_mdn.teaching.lesson import config, finish, generator
from ik_mdn.training import FixedStream, choose, draw_choice, fit, three_answers
from sim.rendering import BLUE, GREY, ORANGE, RED, new_figure


def draw_bias_variance(out: Path, effort: float) -> None:
    """Training and validation likelihood over K on few samples, and what the one-standard-error rule picks."""
    x, y = three_answers().draw(240, generator(3))
    small = config(effort, steps=150, batch_size=192, width=16, learning_rate=3e-2, floor_start=0.1)
    ks = (1, 2, 3, 4, 6, 8, 12) if effort >= 0.5 else (1, 3)
    choice = choose(x, y, small, components=ks, covariances=("diagonal",))
    draw_choice(choice, out)


def draw_data_sets(out: Path, effort: float) -> None:
    """Densities at x = 0 learned from many small data sets, and bias and variance of these densities over K."""
    toy, middle = three_answers(), torch.zeros(1, 1)
    ys = torch.linspace(-3.5, 3.5, 281)[:, None]
    truth = toy.truth(middle.double()).log_prob(ys[:, None].double()).exp()[:, 0]
    n_sets = 12 if effort >= 0.5 else 2
    ks = (1, 3, 8)
    figure, axes = new_figure(1, 4, figsize=(17, 5), width_ratios=(1, 1, 1, 0.9))
    parts = []
    for panel, k in zip(axes, ks, strict=False):
        curves = torch.stack([_density_from(seed, k, ys, effort) for seed in range(n_sets)])
        for curve in curves:
            panel.plot(ys[:, 0], curve, color=GREY, linewidth=0.8, alpha=0.6)
        panel.plot([], [], color=GREY, linewidth=0.8, label="one data set of 240 samples")
        panel.plot(ys[:, 0], curves.mean(0), color=BLUE, linewidth=2.8, label="mean over data sets")
        panel.plot(ys[:, 0], truth, color=RED, linewidth=2.2, linestyle="--", label="truth")
        panel.set(xlabel="answer y [-]", title=f"K = {k}", ylim=(0, 1.3))
        step = float(ys[1, 0] - ys[0, 0])
        bias = float((curves.mean(0) - truth).square().sum()) * step
        parts.append((bias, float(curves.var(0, unbiased=False).sum()) * step))
    axes[0].set_ylabel("density p(y | x = 0) [-]")
    positions = list(range(len(ks)))
    axes[3].bar(positions, [bias for bias, _ in parts], color=ORANGE, label="bias², ∫ (mean - truth)² dy")
    axes[3].bar(
        positions,
        [v for _, v in parts],
        bottom=[b for b, _ in parts],
        color=BLUE,
        alpha=0.6,
        label="variance over data sets",
    )
    axes[3].set_xticks(positions, [str(k) for k in ks])
    axes[3].set(xlabel="components K [-]", ylabel="integrated squared error [-]", title="Bias² + variance")
    finish(figure, out, legend_of=[axes[0], axes[3]])


def _density_from(seed: int, k: int, ys: torch.Tensor, effort: float) -> torch.Tensor:
    """p(y | x = 0) learned from a data set of 240 samples, (N,)."""
    x, y = three_answers().draw(240, generator(100 + seed))
    wanted = config(effort, components=k, steps=100, batch_size=240, width=16, seed=seed, learning_rate=3e-2, floor=0.1)
    net = fit(FixedStream(x, y), wanted)
    with torch.no_grad():
        return net.mixture(torch.zeros(1, 1)).log_prob(ys[:, None]).exp()[:, 0].double()
