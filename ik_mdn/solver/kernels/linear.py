"""Small symmetric systems for compiled code, LANES at a time: A = L D Lᵀ, where A is J Jᵀ or Jᵀ J.

Matrices lie by rows, an entry a vector; of symmetric ones the lower triangle counts.
"""

from __future__ import annotations

from ik_mdn.solver.kernels.compilation import part
from ik_mdn.solver.kernels.vector import Vector, load, spread, store, where_less
from sim.arrays import FloatArray


@part
def gram(ws: FloatArray, rows: int, columns: int, J: int, down: int, along: int, H: int) -> None:
    """Write J Jᵀ.

    Args:
        ws: Workspace.
        rows, columns: Size of J.
        J: First of its vectors.
        down, along: How many vectors it is to the next row and to the next column: the other way round for Jᵀ.
        H: First of the rows² vectors that are written.
    """
    for i in range(rows):
        for j in range(i + 1):
            s = load(ws, J + i * down) * load(ws, J + j * down)
            for k in range(1, columns):
                s = s + load(ws, J + i * down + k * along) * load(ws, J + j * down + k * along)
            store(ws, H + i * rows + j, s)


@part
def factor(ws: FloatArray, m: int, H: int, v: int, ridge: Vector, least: float, instead: float) -> None:
    """H + ridge I = L D Lᵀ: its lower triangle becomes L D, its diagonal 1 / D.

    Args:
        ws: Workspace.
        m: Size of H.
        H: First of its m² vectors.
        v: First of m vectors for use inside.
        ridge: Added to the diagonal: a vector or a number.
        least: What a pivot in D has to be more than;
        instead: otherwise this takes its place.
    """
    for j in range(m):
        pivot = load(ws, H + j * m + j) + ridge
        for k in range(j):
            u = load(ws, H + j * m + k)
            w = u * load(ws, H + k * m + k)
            store(ws, v + k, w)
            pivot = pivot - u * w
        store(ws, H + j * m + j, 1.0 / where_less(least, pivot, pivot, instead))
        for i in range(j + 1, m):
            s = load(ws, H + i * m + j)
            for k in range(j):
                s = s - load(ws, H + i * m + k) * load(ws, v + k)
            store(ws, H + i * m + j, s)


@part
def substitute(ws: FloatArray, m: int, H: int, right: int, y: int) -> None:
    """Solve with what `factor` left: the m vectors from `right` on are the right side, those from `y` on are written."""
    for i in range(m):
        s = load(ws, right + i)
        for k in range(i):
            s = s - load(ws, H + i * m + k) * load(ws, y + k)
        store(ws, y + i, s * load(ws, H + i * m + i))
    for i in range(m - 2, -1, -1):
        s = spread(0.0)
        for k in range(i + 1, m):
            s = s + load(ws, H + k * m + i) * load(ws, y + k)
        store(ws, y + i, load(ws, y + i) - s * load(ws, H + i * m + i))
