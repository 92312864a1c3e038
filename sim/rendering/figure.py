"""Figures: training curves, and what planar arms do with a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.arrays import FloatArray
from sim.errors import ShapeError
from sim.files import whole_file
from sim.kinematics import joint_origins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.arm import Arm


def draw_planar_arm(axes: Axes, arm: Arm, q: FloatArray, **style: Any) -> None:
    """Draw the links and joints of a planar arm.

    Args:
        axes: Where to draw.
        arm: A planar arm.
        q: One joint vector, shape (n,).
        **style: Passed to matplotlib's `plot` (colour, label, width, ...).
    """
    points = joint_origins(arm, q)
    axes.plot(points[:, 0], points[:, 1], marker="o", solid_capstyle="round", **style)


def new_figure(
    rows: int, columns: int, *, figsize: tuple[float, float] | None = None, **options: Any
) -> tuple[Figure, Any]:
    """A figure that needs no screen, and its axes; pyplot, with its figures and its backend, is left alone.

    Args:
        rows, columns: Of axes.
        figsize: Width and height [inch]; None: matplotlib's own.
        **options: As for `matplotlib.figure.Figure.subplots`.

    Returns:
        The figure, and its axes in the shape that `subplots` gives them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def check_figure(out: Path) -> None:
    """Find out before the work whether `save_figure` knows the format of a file.

    Raises:
        ShapeError: No format has its ending.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    endings = FigureCanvasBase.filetypes
    if out.suffix[1:].lower() not in endings:
        raise ShapeError(f"cannot draw to {out}: the ending decides the format; allowed: {', '.join(sorted(endings))}")


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure to a temporary name, and rename it.

    Args:
        figure: What to write.
        out: The file, whose folder is made; the ending decides the format.

    Raises:
        ShapeError: No format has that ending.
    """
    check_figure(out)
    show_names_as_they_are(figure)
    with whole_file(out) as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches="tight")


def show_names_as_they_are(figure: Figure) -> None:
    """Take no text of a figure for a formula, so that a link called "$a_{$" is drawn; numbers at the axes stay."""
    from matplotlib.text import Text

    every = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = {id(label) for axis in every for label in axis.get_ticklabels(which="both")}
    for text in figure.findobj(Text):
        if isinstance(text, Text) and id(text) not in ticks:
            text.set_parse_math(False)


# Okabe & Ito's palette, told apart by colour-blind readers too
BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#6b6b6b",
)
