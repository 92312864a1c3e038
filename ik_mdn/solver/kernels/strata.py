"""The joints of a chain model that are drawn first: values that stand for their densities, and targets of the others.

The same as `ik_mdn.model.chain.ChainModel` has them in torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import cgutils
from numpy.typing import NDArray

from ik_mdn.model import LOG_SCALE_RANGE
from ik_mdn.solver.kernels.compilation import part, piece
from ik_mdn.solver.kernels.emission import INT, SINGLE, Vector, Vectors, repeat
from ik_mdn.solver.kernels.encode import Frames
from ik_mdn.solver.kernels.machine import address_of, invoke
from ik_mdn.solver.kernels.network import Layers
from ik_mdn.solver.kernels.pointers import Doubles, Singles, ahead, as_singles, unpacking
from ik_mdn.solver.kernels.space import copy
from sim.arrays import FloatArray

GRID = 128  # points at which the density of a joint is looked at
MOST_STRATA = 32

_LANES = 16
_LOG_SCALE_MIN, _LOG_SCALE_MAX = LOG_SCALE_RANGE
_LIGHTEST, _FURTHEST = -30.0, -50.0  # logarithms below which nothing counts: products stay normal numbers
_LEAST = 1e-30  # of a density's sum: less is as good as nothing
PLACE = MOST_STRATA + 16 + (_LANES + GRID) // 2  # numbers that `expand` needs


class Link(NamedTuple):
    """A joint that is drawn before the others.

    Args:
        frames: How inputs are made of targets.
        layers: The network that gives its density.
        density: Address of the emitted function.
        numbers: Floor of standard deviations, distance of the grid's points, a turn, float32.
        low: Least value [rad, m].
        step: Distance of the grid's points [rad, m].
        strata: How many values stand for the density.
        is_last: Whether it is the last one of those that are left, or the first.
        slides: Whether it slides.
        beyond: The inverse of the transform behind the joint, or before it, (4, 4).
    """

    frames: Frames
    layers: Layers
    density: int
    numbers: NDArray[np.float32]
    low: float
    step: float
    strata: int
    is_last: bool
    slides: bool
    beyond: FloatArray


link_in = unpacking(Link)


def density_for(components: int, *, slides: bool, by_sines: bool) -> int:
    """Address of the code for the density of a joint."""
    shape = (components, slides, by_sines)
    return address_of("density", shape, "ffff", lambda builder, *given: _density(builder, shape, *given))


def _density(builder: Any, shape: tuple[int, bool, bool], raw: Any, numbers: Any, first: Any, out: Any) -> None:
    """Write the density at the points of the grid, but for a factor.

    Args:
        builder: Where instructions go.
        shape: How many components, a multiple of 8; whether the joint slides; whether sines lie behind the means.
        raw: Logits, means and logarithms of standard deviations.
        numbers: See `Link`.
        first: The first points of the grid, as many as a vector holds, as the network sees them.
        out: Written: (GRID,).
    """
    (components, slides, by_sines), o, rounds = shape, Vectors(builder, _LANES, SINGLE), GRID // _LANES
    floor, step, turn = (o.number(numbers, i) for i in range(3))
    points = [o.load(first, 0) + step * float(_LANES * j) for j in range(rounds)]
    top = cgutils.alloca_once_value(builder, o.number(raw, 0).ir)

    def of(attribute: int, k: Any) -> Vector:
        return o.number(raw, builder.add(k, INT(attribute * components)))

    def look(k: Any) -> None:
        builder.store(o.larger(Vector(o, builder.load(top)), of(0, k)).ir, top)

    def add(k: Any) -> None:
        per_scale = 1.0 / scale_of(o, floor, of(2 + by_sines, k))
        mean, weight = of(1, k), o.exp(o.larger(of(0, k) - Vector(o, builder.load(top)), _LIGHTEST)) * per_scale
        for j in range(rounds):
            away = points[j] - mean
            z = (away if slides else away - o.round(away * per_turn) * turn) * per_scale
            o.store(out, j, o.load(out, j) + weight * o.exp(o.larger(-0.5 * z * z, _FURTHEST)))

    if by_sines:
        eight = Vectors(builder, 8, SINGLE)
        write_means(eight, raw, components // 8, 1, 2)
    for j in range(rounds):
        o.store(out, j, 0.0)
    per_turn = 1.0 / turn
    repeat(builder, components, look)
    repeat(builder, components, add)


def write_means(o: Vectors, raw: Any, groups: int, cosines: int, sines: int) -> None:
    """Write the means of all components of one joint, in groups as large as a vector, over their cosines."""
    for g in range(groups):
        there = cosines * groups + g
        o.store(raw, there, o.direction(o.load(raw, sines * groups + g), o.load(raw, there)))


def scale_of(o: Vectors, floor: Vector, logarithm: Vector) -> Vector:
    """A standard deviation, of what the head gives for it."""
    return floor + o.exp(o.larger(o.smaller(logarithm, _LOG_SCALE_MAX), _LOG_SCALE_MIN))


@piece
def stratify(link: Link, raw: Singles, shift: Doubles, place: Singles, values: Doubles) -> None:
    """Write values of a joint in limits, each in the middle of an equal share of its density.

    Args:
        link: The joint.
        raw: What its network gives; cosines of means become means.
        shift: Azimuth and roll [rad].
        place: Room for a vector and GRID numbers.
        values: Written: as many as there are strata.
    """
    low, density, whole = link.low - shift[1 if link.is_last else 0], ahead(place, _LANES), 0.0
    for i in range(_LANES):
        place[i] = low + (i + 0.5) * link.step
    invoke(link.density, (raw, link.numbers, place, density))
    for j in range(GRID):
        whole += density[j]
    j, below = 0, 0.0
    for s in range(link.strata):
        share = (s + 0.5) / link.strata
        if whole > _LEAST:
            while j < GRID - 1 and below + density[j] < share * whole:
                below += density[j]
                j += 1
            values[s] = link.low + (j + min(max((share * whole - below) / density[j], 0.0), 1.0)) * link.step
        else:
            values[s] = link.low + share * GRID * link.step


@part
def shorten(link: Link, value: float, T: Doubles, place: Doubles, to: Doubles) -> None:
    """Write the target of the other joints, given the value of this one.

    Args:
        link: The joint.
        value: Its value [rad, m].
        T: The target, (4, 4).
        place: 32 numbers for use inside.
        to: Written: (4, 4).
    """
    back, moved = place, ahead(place, 16)  # the joint's motion taken back
    c, s = (1.0, 0.0) if link.slides else (np.cos(value), np.sin(value))
    for i in range(16):
        back[i] = 0.0
    back[0] = back[5] = c
    back[1], back[4] = s, -s
    back[10] = back[15] = 1.0
    back[11] = -value if link.slides else 0.0
    if link.is_last:
        _multiply(T, link.beyond, moved)
        _multiply(moved, back, to)
    else:
        _multiply(link.beyond, T, moved)
        _multiply(back, moved, to)


@part
def _multiply(A: Doubles, B: Doubles, to: Doubles) -> None:
    """A product of matrices, (4, 4)."""
    for i in range(0, 16, 4):
        for j in range(4):
            to[i + j] = A[i] * B[j] + A[i + 1] * B[4 + j] + A[i + 2] * B[8 + j] + A[i + 3] * B[12 + j]


@piece
def expand(
    link: Link, k: int, links: int, rows: int, raw: Singles, shift: Doubles, place: Doubles, T: Doubles, drawn: Doubles
) -> None:
    """Write the targets of the other joints that follow from each value of this one, over those before.

    Args:
        link: The joint.
        k: How many are drawn before it.
        links: How many are drawn at all.
        rows: Targets before.
        raw: What the joint's network gives for each.
        shift: Azimuth and roll of each, (rows, 2).
        place: PLACE numbers for use inside.
        T: Targets, (rows, 4, 4) and then (rows · strata, 4, 4).
        drawn: Values of the joints drawn, (rows · strata, links): this one's go to column k.
    """
    values, target, inside = place, ahead(place, MOST_STRATA), ahead(place, MOST_STRATA + 16)
    for r in range(rows - 1, -1, -1):  # from the last on, so that none is written over before it is read
        stratify(link, ahead(raw, r * link.layers.n_out), ahead(shift, 2 * r), as_singles(inside), values)
        copy(ahead(T, 16 * r), target, 16)
        for s in range(link.strata - 1, -1, -1):
            row = r * link.strata + s
            shorten(link, values[s], target, inside, ahead(T, 16 * row))
            copy(ahead(drawn, r * links), ahead(drawn, row * links), k)
            drawn[row * links + k] = values[s]
