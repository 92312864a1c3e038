"""What fitting does: responsibilities, gradients by hand, underflow, and the floor under a standard deviation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from ik_mdn.mixture import GaussianMixture, nll
from ik_mdn.teaching.answers import worked_example
from ik_mdn.teaching.lesson import COLOURS, config, finish, generator
from ik_mdn.training import fit, swapped_sine, two_sided
from sim.rendering import BLUE, GREY, ORANGE, RED, new_figure


def draw_responsibilities(out: Path, effort: float) -> None:
    """Which component answers for which sample, and how the weights hand over."""
    toy = swapped_sine(0.04)
    net = fit(toy, config(effort, components=3, steps=900, floor_start=0.1, start_scale=0.1))
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


def draw_gradients(out: Path, effort: float) -> None:
    """The gradients of -log p(2) of the worked example by hand and by automatic differentiation."""
    example, y = worked_example(), torch.tensor([2.0], dtype=torch.float64)
    logits, loc = example.logits.clone().requires_grad_(), example.loc.clone().requires_grad_()
    loss = nll(GaussianMixture(logits, loc, scale=example.scale), y)
    automatic = torch.autograd.grad(loss, (logits, loc))
    r, weights = example.responsibilities(y), example.weights
    pull = r * (example.loc[:, 0] - y) / example.scale[:, 0].square()
    figure, (left, middle, right) = new_figure(1, 3, figsize=(14.5, 5))
    index = np.arange(3)
    left.bar(index - 0.2, weights, width=0.38, color=GREY, label="weight πₖ")
    left.bar(index + 0.2, r, width=0.38, color=ORANGE, label="responsibility rₖ of y = 2")
    left.set(title="Before and after seeing y = 2", ylabel="probability [-]")
    shown = (
        (middle, weights - r, automatic[0], "logits: πₖ - rₖ"),
        (right, pull, automatic[1][:, 0], "means: rₖ (μₖ - y)/σₖ²"),
    )
    for panel, by_hand, by_machine, name in shown:
        panel.bar(index, by_hand, width=0.55, color=BLUE, alpha=0.6, label="by hand")
        panel.plot(index, by_machine, "o", color=RED, markersize=9, label="by automatic differentiation")
        panel.axhline(0, color="black", linewidth=0.8)
        largest = float((by_hand - by_machine).abs().max())
        panel.set(title=f"Gradient by the {name}\nlargest difference {largest:.0e}", ylabel="gradient [nats per unit]")
    for panel in (left, middle, right):
        panel.set_xticks(index, [f"{k + 1}\nμ = {m:g}" for k, m in enumerate(example.loc[:, 0].tolist())])
        panel.set_xlabel("component")
    finish(figure, out)


def draw_log_sum_exp(out: Path, effort: float) -> None:
    """log p(y) of two narrow components in single precision, summed as it is written and by log-sum-exp."""
    loc, scale = torch.tensor([[-1.0], [1.0]]), torch.tensor([[0.05], [0.1]])
    mixture = GaussianMixture(torch.zeros(2), loc, scale=scale)
    y = torch.linspace(-3, 3, 1201)[:, None]
    stable = mixture.log_prob(y)
    each = (-0.5 * ((y - loc[:, 0]) / scale[:, 0]).square()).exp() / (scale[:, 0] * math.sqrt(2 * math.pi))
    density = (mixture.weights * each).sum(1)
    naive = density.log()
    lost = naive.isinf()
    figure, (left, right) = new_figure(1, 2, figsize=(12.5, 5))
    left.plot(y[:, 0], density, color=ORANGE, linewidth=2.5)
    left.set(yscale="log", xlabel="answer y [-]", ylabel="density, logarithmic [-]", ylim=(1e-46, 1e2), xlim=(-3, 3))
    smallest = float(torch.tensor(2.0) ** -149)
    left.axhline(
        smallest, color="black", linewidth=1.2, linestyle=":", label="smallest number of single precision, 1.4e-45"
    )
    left.set_title("The density underflows")
    right.plot(y[:, 0], stable, color=BLUE, linewidth=5, alpha=0.5, label="log-sum-exp: exact everywhere")
    right.plot(y[:, 0], naive.masked_fill(lost, torch.nan), color=ORANGE, linewidth=2, label="log of the sum")
    shade = {
        "color": RED,
        "alpha": 0.12,
        "linewidth": 0,
        "label": f"log of the sum is -∞ ({lost.float().mean():.0%} of the range)",
    }
    for panel in (left, right):
        low, high = panel.get_ylim()
        panel.fill_between(y[:, 0], low, high, where=lost.numpy(), **shade)
        panel.set_ylim(low, high)
    right.set(xlabel="answer y [-]", ylabel="log p(y) [nats]", xlim=(-3, 3), title="Its logarithm need not")
    finish(figure, out)


def draw_floor(out: Path, effort: float) -> None:
    """The likelihood of data with one component on a single point, over its standard deviation, without and with a floor."""
    _, y = two_sided(1.5, 0.5).draw(20, generator(3))
    point = y[0, 0]
    sigma = torch.logspace(-8, 0.5, 120, dtype=torch.float64)
    loc = torch.stack([point, y.mean()])[:, None]

    def mixture(s: torch.Tensor) -> GaussianMixture:
        """One component on the point, one on all data."""
        scale = torch.stack([s, y.std()])[:, None]
        return GaussianMixture(torch.zeros(2, dtype=torch.float64), loc, scale=scale)

    figure, (left, right) = new_figure(1, 2, figsize=(12.5, 5))
    lines = ((0.0, "no floor", RED, "-"), (1e-3, "floor 0.001", ORANGE, "--"), (0.1, "floor 0.1", BLUE, "-."))
    for floor, name, colour, style in lines:
        loss = [float(nll(mixture(s + floor), y)) for s in sigma]
        right.plot(sigma, loss, color=colour, linestyle=style, linewidth=2.8, label=name)
    right.set(xscale="log", xlabel="σ before the floor is added [-]", ylabel="negative log-likelihood [nats]")
    right.set_title("Loss of all 20 points as σ → 0")
    right.grid(alpha=0.3)
    grid = torch.linspace(-3.5, 3.5, 2001, dtype=torch.float64)[:, None]
    for floor, _, colour, style in lines[1:]:
        left.plot(grid[:, 0], mixture(torch.tensor(floor).double()).log_prob(grid).exp(), color=colour, linestyle=style)
    left.plot(y[:, 0], torch.zeros(len(y)), "|", color="black", markersize=16, label="the 20 points")
    left.set(xlabel="answer y [-]", ylabel="density [-]", ylim=(-0.15, 2.5), xlim=(-3.5, 3.5))
    left.set_title("A spike on one point (cut at 2.5), at its floor")
    finish(figure, out)
