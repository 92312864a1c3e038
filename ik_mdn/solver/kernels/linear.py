"""Small symmetric systems J J^T x = b, LANES at a time, for compiled code that solves with one matrix several times."""

from __future__ import annotations

from ik_mdn.solver.kernels.vector import Floats, load, part, spread, store, where_less


@part
def gram(ws: Floats, n: int, m: int, J: int, H: int) -> None:
    """Write the lower triangle of J J^T (m × m, by rows) for J (m × n, by rows)."""
    for i in range(m):
        for j in range(i + 1):
            s = load(ws, J + i * n) * load(ws, J + j * n)
            for k in range(1, n):
                s = s + load(ws, J + i * n + k) * load(ws, J + j * n + k)
            store(ws, H + i * m + j, s)


@part
def factor(ws: Floats, n: int, m: int, J: int, H: int, v: int, ridge: float) -> None:
    """J J^T + ridge I = L D L^T: the lower triangle of H gets L D, its diagonal 1 / D, no D below the ridge.

    Args:
        ws: Workspace.
        n, m: Joints and constraints.
        J: First vector of the Jacobian, by rows.
        H: First of the m² vectors that are written.
        v: First of m vectors for use inside.
        ridge: Added to the diagonal, so that an exactly singular Jacobian can be factored.
    """
    gram(ws, n, m, J, H)
    for j in range(m):
        pivot = load(ws, H + j * m + j) + ridge
        for k in range(j):
            u = load(ws, H + j * m + k)
            w = u * load(ws, H + k * m + k)
            store(ws, v + k, w)
            pivot = pivot - u * w
        store(ws, H + j * m + j, 1.0 / where_less(ridge, pivot, pivot, ridge))
        for i in range(j + 1, m):
            s = load(ws, H + i * m + j)
            for k in range(j):
                s = s - load(ws, H + i * m + k) * load(ws, v + k)
            store(ws, H + i * m + j, s)


@part
def substitute(ws: Floats, m: int, H: int, y: int) -> None:
    """Solve with what `factor` left; the m vectors from y on are overwritten."""
    for i in range(m):
        s = load(ws, y + i)
        for k in range(i):
            s = s - load(ws, H + i * m + k) * load(ws, y + k)
        store(ws, y + i, s * load(ws, H + i * m + i))
    for i in range(m - 2, -1, -1):
        s = spread(0.0)
        for k in range(i + 1, m):
            s = s + load(ws, H + k * m + i) * load(ws, y + k)
        store(ws, y + i, load(ws, y + i) - s * load(ws, H + i * m + i))
