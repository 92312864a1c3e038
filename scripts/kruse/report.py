"""What the benchmark shows: a Markdown table with the published rows, a JSON file, and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kruse.evaluation import Row
from kruse.metrics import Scores
from kruse.model import ArmPosterior
from kruse.posterior import sample_posterior
from kruse.problem import CENTRE, LENGTHS
from sim.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADER = (
    "model",
    "Err_post",
    "Err_resim [m²]",
    "mean distance [m]",
    "spread",
    "within 5 cm of (1.5, 0)",
    "s per 10⁶ draws",
)
PUBLISHED = (  # eminesu/invertible-architectures-benchmark, docs/fmpe.md, "Headline": one seed, times on an Apple M4
    ("published: prior only", "0.242", "2.73", "", "", "", ""),
    ("published: autoencoder", "0.0053", "4.1e-4", "", "", "", "7.9"),
    ("published: MDN, K = 16, full covariance, 3.0 M parameters", "0.0031", "6.7e-4", "", "", "55 %", "0.07"),
    ("published: flow matching, 3.0 M parameters", "0.0016", "2.7e-6", "", "", "", "414"),
)
FIGURE_TARGETS = (CENTRE, (0.9, 1.1), (0.3, -0.9))

_DRAWN_ARMS = 60


def scores_cells(name: str, scores: Scores) -> tuple[str, ...]:
    """A row of the table from scores alone."""
    cells = f"{scores.err_post:.5f}", f"{scores.err_resim:.1e}", f"{scores.distance:.4f}", f"{scores.spread:.3f}"
    return name, *cells, "", ""


def seeds_cells(name: str, rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Rows of the table, raw and refined, as mean ± standard deviation over seeds."""
    raw = _spread_cells(name + ", raw draws", [row.raw for row in rows])
    raw[5] = _spread([100 * row.centre for row in rows], "{:.1f}") + " %"
    raw[6] = f"{min(row.seconds for row in rows):.3f}"
    refined = [row.refined for row in rows if row.refined is not None]
    return [tuple(raw), *([tuple(_spread_cells(name + ", refined draws", refined))] if refined else [])]


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of everything in the rows."""
    out: dict[str, Any] = {"seeds": len(rows)}
    for kind in ("raw", "refined"):
        found = [getattr(row, kind) for row in rows if getattr(row, kind) is not None]
        for field in fields(Scores):
            values = [getattr(scores, field.name) for scores in found]
            if values:
                out[f"{kind}.{field.name}"] = [float(np.mean(values)), float(np.std(values, ddof=len(values) > 1))]
    for name in ("centre", "nll", "seconds"):
        values = [getattr(row, name) for row in rows]
        out[name] = [float(np.mean(values)), float(np.std(values, ddof=len(values) > 1))]
    return out


def draw_figure(posterior: ArmPosterior, out: Path, *, seed: int = 0) -> None:
    """Arms drawn from the network and from the exact posterior, side by side, for three targets."""
    from sim.rendering.figure import new_figure, save_figure

    figure, axes = new_figure(2, len(FIGURE_TARGETS), figsize=(12, 7.6), sharex=True, sharey=True)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    for column, target in zip(axes.T, FIGURE_TARGETS, strict=True):
        y = torch.tensor([target], dtype=torch.float64)
        draws = posterior.sample(y, _DRAWN_ARMS, generator)[0].double().numpy()
        exact = sample_posterior(np.array(target), _DRAWN_ARMS, rng)
        for panel, x, colour in ((column[0], draws, "#1b6ca8"), (column[1], exact, "#2a9d8f")):
            _draw_arms(panel, x, target, colour)
        column[0].set_title(f"target ({target[0]:g}, {target[1]:g})")
        column[1].set_xlabel("x [m]")
    axes[0][0].set_ylabel("mixture density network, raw draws\ny [m]")
    axes[1][0].set_ylabel("exact posterior\ny [m]")
    save_figure(figure, out)


def _draw_arms(axes: Axes, x: FloatArray, target: tuple[float, float], colour: str) -> None:
    a = np.cumsum(x[:, 1:], axis=1)
    steps = np.stack([np.cos(a), np.sin(a)], axis=-1) * np.array(LENGTHS)[:, None]  # (S, 3, 2)
    base = np.stack([np.zeros(len(x)), x[:, 0]], axis=-1)[:, None]
    points = np.concatenate([base, base + np.cumsum(steps, axis=1)], axis=1)  # (S, 4, 2)
    axes.axvline(0, color="#999999", linewidth=1)
    for arm in points:
        axes.plot(arm[:, 0], arm[:, 1], color=colour, alpha=0.25, linewidth=1.2)
    axes.plot(points[:, -1, 0], points[:, -1, 1], ".", color="#c8352b", markersize=3)
    axes.plot(*target, marker="*", markersize=13, color="#f2b134", markeredgecolor="black", linestyle="")
    axes.set_aspect("equal")
    axes.grid(alpha=0.25)


def _spread_cells(name: str, scores: Sequence[Scores]) -> list[str]:
    post = _spread([s.err_post for s in scores], "{:.5f}")
    resim = _spread([s.err_resim for s in scores], "{:.1e}")
    distance, spread = (_spread([getattr(s, key) for s in scores], "{:.4f}") for key in ("distance", "spread"))
    return [name, post, resim, distance, spread, "", ""]


def _spread(values: Sequence[float], form: str) -> str:
    mean = form.format(float(np.mean(values)))
    return f"{mean} ± {form.format(float(np.std(values, ddof=1)))}" if len(values) > 1 else mean
