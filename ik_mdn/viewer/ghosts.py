"""Which arms are drawn for an answer, in which colours and how solid: no browser in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ik_mdn.viewer.answer import Answer, Details
from sim.arrays import FloatArray

Colour = tuple[int, int, int]

BRANCHES: tuple[Colour, ...] = (
    (38, 112, 214),
    (240, 150, 20),
    (20, 160, 105),
    (150, 80, 200),
    (0, 170, 200),
    (205, 90, 165),
    (150, 160, 20),
    (130, 90, 60),
    (90, 110, 240),
    (245, 190, 60),
    (80, 190, 90),
    (185, 140, 230),
)  # red is the regressor's and grey stands for a miss
MSE: Colour = (222, 40, 40)
NEAREST: Colour = (120, 124, 132)
RAW: Colour = (70, 90, 120)
ALONG: Colour = (255, 196, 0)  # a configuration picked on a self-motion

FAINTEST, FULLEST = 0.1, 0.5  # opacity of a ghost of no probability, and of the most probable one
RAW_MOST = 8
_SEEN = 0.01  # of the heaviest component's weight: a mean of less is not drawn


@dataclass(frozen=True, eq=False)
class Ghosts:
    """Arms to draw.

    Args:
        q: Configurations, shape (m, n).
        colour: Red, green, blue, 0 to 255, shape (m, 3).
        opacity: 0 to 1, shape (m,).
    """

    q: FloatArray
    colour: NDArray[np.uint8]
    opacity: FloatArray

    def __len__(self) -> int:
        return len(self.q)


def branch_colour(branch: int) -> Colour:
    """The colour that a branch keeps."""
    return BRANCHES[branch % len(BRANCHES)]


def solid_row(answer: Answer, selected: int | None, chosen: int | None) -> int | None:
    """The row that is drawn solid.

    Args:
        answer: The solutions.
        selected: The branch that a person selected, or None.
        chosen: The branch that the controller would take, or None.

    Returns:
        The selected branch's row, else the controller's, else the most probable one; None without solutions.
    """
    for branch in (selected, chosen):
        row = answer.row_of(branch)
        if row is not None:
            return row
    return 0 if len(answer) else None


def solution_ghosts(answer: Answer, solid: int | None) -> Ghosts:
    """Every solution in its branch's colour, the more probable the more opaque.

    Args:
        answer: The solutions.
        solid: Row that is drawn solid, or None.
    """
    share = answer.weight / max(float(answer.weight.max(initial=0.0)), 1e-300)
    opacity = FAINTEST + (FULLEST - FAINTEST) * np.sqrt(np.clip(share, 0.0, 1.0))
    if solid is not None:
        opacity[solid] = 1.0
    colour = np.array([branch_colour(branch) for branch in answer.branch.tolist()], dtype=np.uint8).reshape(-1, 3)
    return Ghosts(answer.q, colour, opacity)


def other_ghosts(details: Details, *, mse: bool, raw: bool, along: FloatArray | None, n: int) -> Ghosts:
    """The regressor's arm, the nearest approach, the raw means and the arm picked on a self-motion, as far as wanted.

    Args:
        details: Of the answer.
        mse, raw: Whether to draw those.
        along: Configuration picked on a self-motion, shape (n,), or None.
        n: Number of joints.
    """
    rows: list[tuple[FloatArray, Colour, float]] = []
    if mse and details.mse is not None:
        rows.append((details.mse.q, MSE, 0.75))
    if details.nearest is not None:
        rows.append((details.nearest.q, NEAREST, 0.75))
    if along is not None:
        rows.append((along, ALONG, 0.75))
    if raw and details.raw is not None and details.raw_weight is not None:
        top = details.raw_weight / max(float(details.raw_weight.max()), 1e-300)
        rows += [
            (details.raw[i], RAW, 0.1 + 0.25 * float(top[i])) for i in range(min(RAW_MOST, len(top))) if top[i] > _SEEN
        ]
    q, colour, opacity = zip(*rows, strict=True) if rows else ((), (), ())
    return Ghosts(
        np.array(q, dtype=np.float64).reshape(-1, n),
        np.array(colour, dtype=np.uint8).reshape(-1, 3),
        np.array(opacity, dtype=np.float64),
    )
