"""What goes wrong, and what prevents it: starvation, shared answers, switched labels, angles that wind."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from ik_mdn.mixture import GaussianMixture, nearest_image
from ik_mdn.teaching.lesson import COLOURS, STYLES, config, finish, generator
from ik_mdn.training import Toy, Trainer, descend, fit, starved_start, three_answers, two_sided
from sim.rendering import BLUE, GREY, RED, new_figure


def draw_collapse(out: Path, effort: float) -> None:
    """A component that starts with little weight is starved by gradient descent, unless entropy is rewarded."""
    _, y = two_sided().draw(500, generator(0))
    runs = {0.0: ("no bonus: one component takes all", RED, "--"), 2.0: ("entropy bonus, λ: 2 → 0", BLUE, "-")}
    steps = max(4, round(400 * effort))
    figure, (effective, loss, density) = new_figure(1, 3, figsize=(14.5, 5))
    ys = torch.linspace(-4.5, 4.5, 401, dtype=torch.float64)[:, None]
    density.hist(y[:, 0].numpy(), bins=45, range=(-4.5, 4.5), density=True, color=GREY, alpha=0.35, label="data")
    for weight, (label, colour, style) in runs.items():
        fitted, history = descend(starved_start(), y, entropy_weight=weight, steps=steps)
        line = {"color": colour, "linestyle": style, "linewidth": 2.8}
        effective.plot(history[:, 1], **line, label=label)
        loss.plot(history[:, 0], **line)
        density.plot(ys[:, 0], fitted.log_prob(ys).exp(), **line)
    loss.axhline(
        float(-_truth_log_prob(y)), color="black", linewidth=1.2, linestyle=":", label="NLL of the true density"
    )
    effective.set(ylabel="effective components exp(H) [-]", ylim=(0.95, 2.05), title="Components in use")
    loss.set(ylabel="negative log-likelihood [nats]", title="Loss (the bonus not counted)")
    for panel in (effective, loss):
        panel.set_xlabel("step of gradient descent [-]")
        panel.axvspan(0, steps / 2, color=BLUE, alpha=0.09, linewidth=0, label="bonus on")
        panel.set_xlim(0, steps)
        panel.grid(alpha=0.3)
    density.set(xlabel="answer y [-]", ylabel="density [-]", title="What was learned", xlim=(-4.5, 4.5))
    finish(figure, out)


def draw_shared_mode(out: Path, effort: float) -> None:
    """Two components that start at one place stay there; two that start apart part."""
    _, y = two_sided().draw(500, generator(0))
    steps = max(4, round(300 * effort))
    runs = ((0.0, "together", RED), (1.0, "2 apart", BLUE))
    figure, (path, density) = new_figure(1, 2, figsize=(12.5, 5))
    ys = torch.linspace(-4.5, 4.5, 401, dtype=torch.float64)[:, None]
    density.hist(y[:, 0].numpy(), bins=45, range=(-4.5, 4.5), density=True, color=GREY, alpha=0.35, label="data")
    for apart, name, colour in runs:
        loc = torch.tensor([[0.3 - apart], [0.3 + apart]], dtype=torch.float64)
        mixture, means = GaussianMixture(torch.zeros(2, dtype=torch.float64), loc, scale=torch.ones_like(loc)), []
        for _ in range(steps):
            means.append(mixture.loc[:, 0])
            mixture, _ = descend(mixture, y, steps=1)
        for k, (style, width) in enumerate((("-", 4.5), ("--", 2))):
            values = torch.stack(means)[:, k]
            path.plot(
                values,
                color=colour,
                linestyle=style,
                linewidth=width,
                alpha=0.75,
                label=f"started {name}, component {k + 1}",
            )
        density.plot(ys[:, 0], mixture.log_prob(ys).exp(), color=colour, linewidth=2.8)
    path.set(xlabel="step of gradient descent [-]", ylabel="mean μₖ [-]", title="Means of the two components")
    path.grid(alpha=0.3)
    density.set(
        xlabel="answer y [-]", ylabel="density [-]", title="What was learned (colours as left)", xlim=(-4.5, 4.5)
    )
    finish(figure, out)


def draw_label_switching(out: Path, effort: float) -> None:
    """The same three answers in an order left to chance, and under one name after reordering."""
    toy = three_answers()
    seeds = (0, 1, 2, 3)
    grid = torch.linspace(-1, 1, 101)[:, None]
    figure, axes = new_figure(2, len(seeds), figsize=(15, 7.5), sharex=True, sharey=True)
    x, y = toy.draw(400, generator(5))
    for column, seed in zip(axes.T, seeds, strict=True):
        net = fit(toy, config(effort, components=3, steps=250, seed=seed))
        with torch.no_grad():
            mixture = net.mixture(grid)
        for panel, shown in zip(column, (mixture, mixture.reordered()), strict=True):
            panel.scatter(x, y, s=5, color=GREY, alpha=0.3, linewidths=0)
            for k, style in enumerate(STYLES[:3]):
                label = f"component {k + 1}"
                panel.plot(grid[:, 0], shown.loc[:, k, 0], style, color=COLOURS[k], linewidth=3.5, label=label)
        column[0].set_title(f"run {seed + 1}")
        column[1].set_xlabel("input x [-]")
    axes[0][0].set_ylabel("as trained\n\nanswer y [-]")
    axes[1][0].set_ylabel("reordered by mean\n\nanswer y [-]")
    finish(figure, out, legend_of=[axes[0][0]])


def draw_ordering(out: Path, effort: float) -> None:
    """Means of three components at x = 0 while they train, without and with the ordering penalty."""
    toy, seeds = three_answers(), (0, 1, 2)
    middle, (x, y) = torch.zeros(1, 1), toy.draw(4000, generator(7))
    figure, axes = new_figure(2, len(seeds), figsize=(14, 7.5), sharex=True, sharey=True)
    for row, (weight, name) in zip(axes, ((0.0, "no penalty"), (2.0, "penalty, λ = 2")), strict=True):
        for panel, seed in zip(row, seeds, strict=True):
            seen: list[torch.Tensor] = []
            at: list[int] = []

            def look(trainer: Trainer, seen: list[torch.Tensor] = seen, at: list[int] = at) -> None:
                with torch.no_grad():
                    seen.append(trainer.model.mixture(middle).loc[0, :, 0].clone())
                at.append(trainer.step)

            net = fit(toy, config(effort, components=3, steps=400, seed=seed, ordering_weight=weight), on_step=look)
            with torch.no_grad():
                loss = -float(net.mixture(x).log_prob(y).mean())
            panel.set_title(f"run {seed + 1}, {name}: NLL {loss:.2f}")
            for k, style in enumerate(STYLES[:3]):
                values = torch.stack(seen)[:, k]
                panel.plot(
                    at,
                    values,
                    linestyle=style,
                    marker="o",
                    markersize=5,
                    color=COLOURS[k],
                    linewidth=2.5,
                    label=f"component {k + 1}",
                )
            for answer in (-1.5, 0.0, 1.5):
                panel.axhline(answer, color="black", linewidth=1, linestyle=":", zorder=0)
            panel.grid(alpha=0.2)
        row[0].set_ylabel("mean μₖ at x = 0 [-]")
    for panel in axes[1]:
        panel.set_xlabel("training step [-]")
    finish(figure, out, legend_of=[axes[0][0]])


def draw_winding(out: Path, effort: float) -> None:
    """The direction of a point in the plane, learned as an angle and as a cosine and a sine."""

    def truth(x: torch.Tensor) -> GaussianMixture:
        direction = torch.atan2(x[:, 1], x[:, 0])[:, None, None]
        logits, scale = torch.zeros_like(direction[..., 0]), torch.full_like(direction, 0.05)
        return GaussianMixture(logits, direction, scale=scale, period=turn[None])

    turn = torch.tensor(2 * math.pi)
    toy = Toy(truth, n_in=2, period=(2 * math.pi,))
    axis, around = torch.linspace(-1, 1, 201), torch.linspace(-math.pi, math.pi, 721)
    grid = torch.cartesian_prod(axis, axis)[:, [1, 0]]
    figure, (*planes, circle) = new_figure(1, 3, figsize=(15, 5))
    runs = (("angles", "as an angle", RED, "--"), ("cos_sin", "as a cosine and a sine", BLUE, "-"))
    for panel, (targets, name, colour, style) in zip(planes, runs, strict=True):
        net = fit(toy, config(effort, components=1, steps=600, targets=targets))
        with torch.no_grad():
            mean = nearest_image(net.mixture(grid).loc[:, 0, 0], turn)
            off = net.mixture(0.7 * torch.stack([around.cos(), around.sin()], dim=1)).loc[:, 0, 0] - around
        picture = panel.imshow(
            mean.view(201, 201), cmap="twilight", vmin=-math.pi, vmax=math.pi, origin="lower", extent=(-1, 1, -1, 1)
        )
        panel.set(xlabel="x₁ [-]", ylabel="x₂ [-]", title=f"Mean, said {name}")
        circle.plot(around, nearest_image(off, turn).abs(), style, color=colour, linewidth=2.8, label=f"said {name}")
    figure.colorbar(picture, ax=planes, label="mean [rad]", shrink=0.8)
    circle.set(
        xlabel="true answer y on a circle of radius 0.7 [rad]",
        ylabel="error of the mean [rad]",
        title="Around once",
        yscale="log",
        ylim=(1e-4, 3),
    )
    circle.grid(alpha=0.3)
    finish(figure, out)


def _truth_log_prob(y: torch.Tensor) -> float:
    """Mean log density of data under the true mixture of `two_sided`."""
    return float(two_sided().truth(torch.zeros(len(y), 1, dtype=torch.float64)).log_prob(y).mean())
