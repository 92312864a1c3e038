"""What every lesson is made of: a figure with a title and a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ik_mdn.training import TOY_RECIPE, TrainConfig
from sim.rendering import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, save_figure

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))


@dataclass(frozen=True)
class Lesson:
    """One figure of a lecture.

    Args:
        name: Of its file, without ending.
        title: In a few words.
        caption: What to see in it, one sentence.
        draw: Writes the figure to a path, with a share of the full training effort.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Path, float], None]


def config(effort: float, **changes: Any) -> TrainConfig:
    """The small training of the lessons with some changes, its steps scaled by the effort."""
    wanted = replace(TOY_RECIPE, **changes)
    return replace(wanted, steps=max(2, round(effort * wanted.steps)))


def generator(seed: int) -> torch.Generator:
    """A source of randomness."""
    return torch.Generator().manual_seed(seed)


def finish(figure: Any, out: Path, *, legend_of: list[Any] | None = None) -> None:
    """Put one legend below all panels, and write the figure.

    Args:
        figure: What was drawn.
        out: The file.
        legend_of: Panels whose labels the legend has; default: all.
    """
    pairs = [panel.get_legend_handles_labels() for panel in (legend_of or figure.axes)]
    named = {label: handle for handles, labels in pairs for handle, label in zip(handles, labels, strict=True)}
    if named:
        columns = len(named) if len(named) <= 4 else 3
        options = {"ncol": columns, "frameon": False, "handlelength": 2.8}
        figure.legend(named.values(), named.keys(), loc="outside lower center", **options)
    save_figure(figure, out)
