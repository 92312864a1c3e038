"""Rotations, forward kinematics, errors, Jacobians and small symmetric systems as formulas of vectors.

Each takes `o`, which makes and combines vectors (`ik_mdn.solver.kernels.emission.Vectors`), first. Sizes are Python's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ik_mdn.solver.kernels.emission import Value, polynomial, total

NO_ROTATION, YAW, AXIS, ROTATION = 0, 1, 2, 3  # which angular errors count: none, z, x and y, all
NO_TWIST = 1e-7  # that of `sim.task`: what is emitted is kept until the sources here change

_TINY = 1e-150  # a sine whose square is nothing, so that its arc is the sine itself


class Shape(NamedTuple):
    """What the code of an arm and a task depends on.

    Args:
        slides: Which joints slide, (n,).
        n_linear: Linear rows that count, the first ones of x, y and z.
        angular: Angular rows that count: NO_ROTATION, YAW, AXIS or ROTATION.
    """

    slides: tuple[bool, ...]
    n_linear: int
    angular: int

    @property
    def n(self) -> int:
        """Joints."""
        return len(self.slides)

    @property
    def m(self) -> int:
        """Constraints."""
        return self.n_linear + self.angular


class Linear(NamedTuple):
    """A task's error and Jacobian at some joint values; lengths in arm lengths."""

    e: list[Value]  # m
    J: list[list[Value]]  # m rows of n

    def squares(self, n_linear: int) -> tuple[Value, Value]:
        """|e|² of the linear rows and of the angular ones."""
        return total([x * x for x in self.e[:n_linear]]), total([x * x for x in self.e[n_linear:]])


def linearise(
    o: Any,
    shape: Shape,
    q: list[Value],
    base: Callable[[int], Value],
    chain: Callable[[int], Value],
    target: list[Value],
) -> Linear:
    """Error and Jacobian at joint values.

    Linear rows are in the base frame. Angular rows are in the tip frame, for ROTATION in the base frame: turning all
    three rows of e and J together changes neither JᵀJ nor Jᵀe.

    Args:
        o: Makes vectors.
        shape: Of the arm and the task.
        q: Joint values [rad, arm lengths].
        base, chain: Numbers of `kinematics.Problem` of the same names, by their place in the flat array.
        target: The target's rotation by rows, then its origin.
    """
    axes, p, origins, directions = _sweep(o, shape, q, base, chain)
    columns = [_column(shape.slides[k], origins[k], directions[k], p) for k in range(shape.n)]
    J = [[column[i] for column in columns] for i in range(6)]
    e = [target[9 + i] - p[i] for i in range(shape.n_linear)]
    turned = {NO_ROTATION: _no_rotation, YAW: _yaw, AXIS: _axis, ROTATION: _rotation}[shape.angular]
    e_angular, J_angular = turned(o, axes, target, J[3:])
    return Linear(e + e_angular, J[: shape.n_linear] + J_angular)


def _sweep(o: Any, shape: Shape, q: list[Value], base: Any, chain: Any) -> Any:
    """The tip's axes and origin, and each joint's origin and axis: see `kinematics.fold_chain`."""
    x, y, z, p = ([base(4 * i + j) for i in range(3)] for j in range(4))
    origins, directions = [], []
    for k, slides in enumerate(shape.slides):
        turn, t1, t2, t3, cd, sd = (chain(6 * k + i) for i in range(6))
        origins.append(list(p))
        directions.append(list(z))
        c, s = o.cos_sin(turn if slides else q[k] + turn)
        for i in range(3):
            if slides:
                p[i] = p[i] + q[k] * z[i]
            x[i], y[i] = c * x[i] + s * y[i], c * y[i] - s * x[i]
            p[i] = p[i] + x[i] * t1 + y[i] * t2 + z[i] * t3
            y[i], z[i] = y[i] * cd + z[i] * sd, z[i] * cd - y[i] * sd
    c, s = chain(6 * shape.n + 4), chain(6 * shape.n + 5)
    for i in range(3):
        x[i], y[i] = c * x[i] + s * y[i], c * y[i] - s * x[i]
    return (x, y, z), p, origins, directions


def _column(slides: bool, origin: list[Value], axis: list[Value], tip: list[Value]) -> list[Value]:
    """A column of the Jacobian: (z × (p_tip - p), z), or (z, 0) where the joint slides."""
    if slides:
        return [*axis, 0.0, 0.0, 0.0]
    return [*cross(axis, [tip[i] - origin[i] for i in range(3)]), *axis]


def cross(a: list[Value], b: list[Value]) -> list[Value]:
    """The cross product."""
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _no_rotation(o: Any, axes: Any, t: list[Value], J: Any) -> Any:
    return [], []


def _rotation(o: Any, axes: Any, t: list[Value], J: Any) -> Any:
    """The rotation vector from the tip's axes to the target's."""
    x, y, z = axes
    R = [[t[3 * i] * x[j] + t[3 * i + 1] * y[j] + t[3 * i + 2] * z[j] for j in range(3)] for i in range(3)]
    return rotation_vector(o, R), J


def _axis(o: Any, axes: Any, t: list[Value], J: Any) -> Any:
    """The shortest turn of the tip's z axis onto the target's, in the tip frame."""
    x, y, z = axes
    goal = [t[2], t[5], t[8]]
    e = align(o, dot(x, goal), dot(y, goal), dot(z, goal))
    return list(e), [_along(x, J), _along(y, J)]


def _yaw(o: Any, axes: Any, t: list[Value], J: Any) -> Any:
    """The turn about z from the tip to the target; half a turn where z points the other way."""
    x, y, z = axes
    goal_x, goal_y = [t[0], t[3], t[6]], [t[1], t[4], t[7]]
    s, c = dot(y, goal_x) - dot(x, goal_y), dot(x, goal_x) + dot(y, goal_y)
    yaw = angle(o, o.size(s), c)
    yaw = o.where(o.less(s, 0.0), 0.0 - yaw, yaw)
    return [o.where(o.less(s * s + c * c, NO_TWIST**2), np.pi, yaw)], [_along(z, J)]


def _along(axis: list[Value], J: list[list[Value]]) -> list[Value]:
    """The row of a Jacobian's angular part for an axis; a joint that slides has none."""
    return transposed_times(J, axis)


def rotation_vector(o: Any, R: list[list[Value]]) -> list[Value]:
    """Rotation vector of a rotation matrix, exact up to half a turn.

    By way of the quaternion whose largest component is computed without cancellation (Shepperd, Quaternion from
    Rotation Matrix, J. Guidance and Control 1(3), 1978).
    """
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = R
    a, b, c = r21 - r12, r02 - r20, r10 - r01
    d, e, f = r21 + r12, r02 + r20, r10 + r01
    w, x, y, z = 1.0 + r00 + r11 + r22, 1.0 + r00 - r11 - r22, 1.0 - r00 + r11 - r22, 1.0 - r00 - r11 + r22
    best, chosen = w, (w, a, b, c)
    for most, other in ((x, (a, x, f, e)), (y, (b, f, y, d)), (z, (c, e, d, z))):
        more = o.less(best, most)
        chosen = tuple(o.where(more, new, old) for new, old in zip(other, chosen, strict=True))
        best = o.where(more, most, best)
    w, x, y, z = chosen
    norm = 1.0 / o.root(w * w + x * x + y * y + z * z)
    scale = 2.0 * norm * _arc(1.0 - o.size(w) * norm)
    scale = o.where(o.less(w, 0.0), 0.0 - scale, scale)
    return [x * scale, y * scale, z * scale]


def align(o: Any, x: Value, y: Value, z: Value) -> tuple[Value, Value]:
    """Components x and y of the shortest turn of (0, 0, 1) onto a unit vector; about x for (0, 0, -1)."""
    sine = o.root(x * x + y * y)
    tiny = o.less(sine, _TINY)
    scale = o.where(tiny, 1.0, angle(o, sine, z) / (sine + _TINY))
    half_turn = o.where(tiny, o.where(o.less(z, 0.0), np.pi, 0.0), 0.0)
    return half_turn - y * scale, x * scale


def angle(o: Any, s: Value, c: Value) -> Value:
    """`atan2(s, c)` for s ≥ 0, by way of the half angle."""
    norm = 1.0 / o.root(s * s + c * c)
    large = o.root(0.5 + 0.5 * norm * o.size(c))  # cosine or sine of the half angle, whichever is larger
    small = 0.5 * norm * s / large
    obtuse = o.less(c, 0.0)
    return 2.0 * _arc(1.0 - o.where(obtuse, small, large)) * o.where(obtuse, large, small)


def _arc(u: Value) -> Value:
    """`arccos(w) / sqrt(1 - w²)` at w = 1 - u for u in [0, 1], to 3e-17 of itself.

    The polynomial of degree 20 through the 21 Chebyshev nodes of [0, 1]; even and odd powers apart for speed.
    """
    v = u * u
    return u * polynomial(v, _ARC[1::2]) + polynomial(v, _ARC[::2])


def gram(rows: list[list[Value]]) -> list[list[Value]]:
    """The lower triangle of A Aᵀ."""
    return [[dot(rows[i], rows[j]) for j in range(i + 1)] for i in range(len(rows))]


def dot(a: list[Value], b: list[Value]) -> Value:
    """The sum of products, without those of a zero that is known: a Python number."""
    return total([x * y for x, y in zip(a, b, strict=True) if not isinstance(x, float) and not isinstance(y, float)])


class Factors(NamedTuple):
    """A symmetric matrix as L D Lᵀ."""

    lower: list[list[Value]]  # L D below the diagonal, 1 / D on it
    pivots: list[Value]  # D


def factor(H: list[list[Value]], ridge: Value, o: Any = None) -> Factors:
    """H + ridge I = L D Lᵀ, of the lower triangle of H; with `o` no pivot is less than the ridge."""
    m, L, pivots = len(H), [list(row) for row in H], []
    for j in range(m):
        scaled = [L[j][k] * L[k][k] for k in range(j)]
        pivot = H[j][j] + ridge
        for k in range(j):
            pivot = pivot - L[j][k] * scaled[k]
        pivot = pivot if o is None else o.larger(pivot, ridge)
        pivots.append(pivot)
        L[j][j] = 1.0 / pivot
        for i in range(j + 1, m):
            for k in range(j):
                L[i][j] = L[i][j] - L[i][k] * scaled[k]
    return Factors(L, pivots)


def substitute(factors: Factors, right: list[Value]) -> list[Value]:
    """Solve with the factors for a right side."""
    L, y, m = factors.lower, list(right), len(right)
    for i in range(m):
        for k in range(i):
            y[i] = y[i] - L[i][k] * y[k]
        # y holds L⁻¹ times the right side, divided by D:
        y[i] = y[i] * L[i][i]
    for i in range(m - 2, -1, -1):
        y[i] = y[i] - total([L[k][i] * y[k] for k in range(i + 1, m)]) * L[i][i]
    return y


def transposed_times(J: list[list[Value]], y: list[Value]) -> list[Value]:
    """Jᵀ y."""
    return [dot([row[k] for row in J], y) for k in range(len(J[0]))]


_ARC = (
    0.00012117305831116537,
    -0.001025639660813829,
    0.004114940516850556,
    -0.01025927464062151,
    0.01773831596916336,
    -0.022454256450108755,
    0.02153400343586953,
    -0.01586170544127971,
    0.009195329684833449,
    -0.003976427223224787,
    0.0017011133906985544,
    0.00016421047913476515,
    0.001251083869870826,
    0.0024737607111697374,
    0.00532944828305169,
    0.011543895604776996,
    0.025396831596651948,
    0.05714285694042784,
    0.13333333333682526,
    0.33333333333330945,
    1.0,
)
