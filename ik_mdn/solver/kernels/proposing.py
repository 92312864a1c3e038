"""From targets to a model's seeds: encode, network, decode."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver.kernels.compilation import kept, part, piece
from ik_mdn.solver.kernels.emission import INT, SINGLE, Mask, Vectors, total
from ik_mdn.solver.kernels.encode import Frames, encode
from ik_mdn.solver.kernels.machine import address_of, invoke
from ik_mdn.solver.kernels.network import Layers, forward
from ik_mdn.solver.kernels.pointers import Doubles, Ints, Singles, ahead, as_ints, as_singles, bare
from sim.arrays import FloatArray, IntArray

_LANES = 8
_POWER_STEPS = 5
_LOG_SCALE_MIN, _LOG_SCALE_MAX = -9.0, 3.0


class Reading(NamedTuple):
    """How seeds are read from the head's numbers, which lie attribute by attribute, `filled` components each.

    Args:
        components: K.
        filled: K, filled up to a multiple of 8.
        joints: n.
        measure: Address of the emitted function.
        numbers: Floor of standard deviations, weight and standard deviation of a component from which on it has sigma
            points (a weight of more than 1 means never), float32.
        least_weight: Of a seed.
        spread: Distance of sigma points from the mean [standard deviations].
    """

    components: int
    filled: int
    joints: int
    measure: int
    numbers: NDArray[np.float32]
    least_weight: float
    spread: float


class Proposer(NamedTuple):
    """A model's numbers."""

    frames: Frames
    layers: Layers
    reading: Reading


def head_order(components: int, sizes: tuple[int, ...]) -> IntArray:
    """Which number of the head each output is: attribute by attribute, components filled up with -1."""
    filled, size = -(-components // _LANES) * _LANES, sum(sizes)
    order = np.full((size, filled), -1)
    order[:, :components] = np.arange(components * size).reshape(components, size).T
    return order.ravel()


def measure_for(joints: int, n_scales: int, n_tangles: int, filled: int) -> int:
    """Address of the code for a head."""
    shape = (joints, n_scales, n_tangles, filled)
    return address_of("measure", shape, "fff", lambda builder, *given: _measure(builder, shape, *given))


def _measure(builder: Any, shape: tuple[int, int, int, int], raw: Any, numbers: Any, out: Any) -> None:
    """Write each component's weight, its standard deviation along its longest axis, 0 where it is narrow, and that axis."""
    n, n_scales, n_tangles, filled = shape
    o, groups = Vectors(builder, _LANES, SINGLE), filled // _LANES
    logits = [o.load(raw, g) for g in range(groups)]
    top = logits[0]
    for logit in logits[1:]:
        top = o.larger(top, logit)
    exponentials = [o.exp(logit - o.spread(o.largest(top))) for logit in logits]
    whole = o.spread(o.sum(total(exponentials)))
    floor, share, least = (o.number(numbers, i) for i in range(3))
    for g, exponential in enumerate(exponentials):
        weight = exponential / whole
        o.store(out, g, weight)
        o.store(out, groups + g, 0.0)
        heavy = ~o.less(weight, share)
        with builder.if_then(_any(o, heavy)):
            at = partial(_attribute, o, raw, groups, g)
            scales = [
                floor + o.exp(o.larger(o.smaller(at(1 + n + i % n_scales), _LOG_SCALE_MAX), _LOG_SCALE_MIN))
                for i in range(n)
            ]
            tangles = [at(1 + n + n_scales + i) for i in range(n_tangles)]
            M = _scaled_inverse(n, scales, tangles)
            wide = heavy & ~o.less(total([x * x for row in M for x in row]), least * least)
            with builder.if_then(_any(o, wide)):
                std, axis = _longest_axis(o, n, M)
                o.store(out, groups + g, o.where(wide & ~o.less(std, least), std, 0.0))
                for i in range(n):
                    o.store(out, (2 + i) * groups + g, axis[i])


def _attribute(o: Vectors, raw: Any, groups: int, g: int, i: int) -> Any:
    """The i-th number of each component of a group."""
    return o.load(raw, i * groups + g)


def _any(o: Vectors, mask: Mask) -> Any:
    return o.builder.icmp_unsigned("!=", o.which(mask), INT(0))


def _scaled_inverse(n: int, scales: list[Any], tangles: list[Any]) -> list[list[Any]]:
    """M = (I + N)⁻¹ diag(σ), lower triangular: with the precision AᵀA, A = diag(1/σ)(I + N), the covariance is M Mᵀ."""

    def N(i: int, j: int) -> Any:
        return tangles[i * (i - 1) // 2 + j]

    inverse: list[list[Any]] = []
    for i in range(n):
        row = []
        for j in range(i if tangles else 0):
            row.append(total([0.0 - N(i, j), *(0.0 - N(i, k) * inverse[k][j] for k in range(j + 1, i))]))
        inverse.append(row)
    return [[*(x * scales[j] for j, x in enumerate(row)), scales[i]] for i, row in enumerate(inverse)]


def _longest_axis(o: Vectors, n: int, M: list[list[Any]]) -> Any:
    """Standard deviation along the longest axis, and that axis, by power iteration on M Mᵀ."""
    diagonal = len(M[-1]) == 1
    axis, std = [o.spread(n**-0.5)] * n, o.spread(0.0)
    for _ in range(_POWER_STEPS):
        if diagonal:
            axis = [row[0] * row[0] * x for row, x in zip(M, axis, strict=True)]
        else:
            y = [total([M[i][j] * axis[i] for i in range(j, n)]) for j in range(n)]
            axis = [total([M[i][j] * y[j] for j in range(i + 1)]) for i in range(n)]
        length = o.root(total([x * x for x in axis]))
        axis, std = [x / length for x in axis], o.root(length)
    return std, axis


class Draft(NamedTuple):
    """Room for what is computed on the way from targets to seeds.

    Args:
        x, raw, hidden, components: Inputs and outputs of the network, what is in between, what `_measure` writes.
        shift, place, key: Azimuth and roll; coordinates; weights of the seeds chosen.
        what: Three times the component plus the side of each of these.
    """

    x: Singles
    raw: Singles
    hidden: Singles
    components: Singles
    shift: Doubles
    place: Doubles
    key: Doubles
    what: Ints


@part
def draft_in(memory: Doubles, used: int, proposer: Proposer, poses: int, most: int) -> Any:
    """A draft for so many poses and seeds of each, in memory of which some is used; how much is used then."""
    layers, reading = proposer.layers, proposer.reading
    x = as_singles(ahead(memory, used))
    used += (poses * layers.n_in + 31) // 2
    raw = as_singles(ahead(memory, used))
    used += poses * layers.n_out // 2
    hidden = as_singles(ahead(memory, used))
    used += 3 * poses * layers.width // 2
    components = as_singles(ahead(memory, used))
    used += (2 + reading.joints) * reading.filled // 2
    shift, place, key = ahead(memory, used), ahead(memory, used + 2 * poses), ahead(memory, used + 2 * poses + 9)
    what = as_ints(ahead(key, most))
    return Draft(x, raw, hidden, components, shift, place, key, what), used + 2 * poses + 9 + 2 * most


@piece
def propose(
    T: Doubles,
    poses: int,
    proposer: Proposer,
    most: int,
    extra: int,
    draft: Draft,
    start: Ints,
    seeds: Doubles,
    weight: Doubles,
) -> None:
    """Write the heaviest seeds of each target, heaviest first, at least one of each.

    Args:
        T: Targets, (poses, 4, 4).
        poses: How many.
        proposer: The model.
        most: Most seeds of a target.
        extra: Rows to leave free at the end of each target's.
        draft: Room.
        start: Written: where each target's rows begin, (poses + 1,).
        seeds: Written: (R, n) [rad, m].
        weight: Written: (R,).
    """
    frames, layers, reading = proposer.frames, proposer.layers, proposer.reading
    encode(T, poses, frames, layers.n_in, draft.x, draft.shift, draft.place)
    forward(draft.x, poses, layers, draft.raw, draft.hidden)
    start[0] = 0
    for p in range(poses):
        numbers, first = ahead(draft.raw, p * layers.n_out), start[p]
        invoke(reading.measure, (numbers, reading.numbers, draft.components))
        taken = _choose(reading, draft.components, most, draft.key, draft.what)
        for r in range(taken):
            weight[first + r] = draft.key[r]
            q = ahead(seeds, (first + r) * reading.joints)
            _write_seed(reading, numbers, draft.components, draft.what[r], ahead(draft.shift, 2 * p), q)
        start[p + 1] = first + taken + extra


@part
def _choose(reading: Reading, components: Singles, most: int, key: Doubles, what: Ints) -> int:
    """The heaviest seeds, heaviest first: their weights, and three times the component plus the side; how many."""
    taken, best = 0, 0
    for k in range(reading.components):
        best = k if components[k] > components[best] else best
    for k in range(reading.components):
        sides = 3 if components[reading.filled + k] > 0 else 1
        share = float(components[k]) / sides
        for side in range(sides):
            if share < reading.least_weight and not (k == best and side == 0):
                break
            place = taken
            if taken == most:
                if key[taken - 1] >= share:
                    break
                place -= 1
            while place > 0 and key[place - 1] < share:
                key[place], what[place] = key[place - 1], what[place - 1]
                place -= 1
            key[place], what[place] = share, 3 * k + side
            taken = min(taken + 1, most)
    return taken


@part
def _write_seed(reading: Reading, numbers: Singles, components: Singles, what: int, shift: Doubles, q: Doubles) -> None:
    k, side, filled = what // 3, what % 3, reading.filled
    step = 0.0 if side == 0 else (3 - 2 * side) * reading.spread * components[filled + k]
    for i in range(reading.joints):
        q[i] = numbers[(1 + i) * filled + k]
        if side > 0:
            q[i] += step * components[(2 + i) * filled + k]
    q[0] += shift[0]
    q[reading.joints - 1] += shift[1]


@kept
def propose_some(
    T: FloatArray, proposer: Proposer, most: int, start: IntArray, seeds: FloatArray, weight: FloatArray
) -> None:
    """See `propose`."""
    given = bare(proposer)
    memory = np.empty(draft_in(bare(weight), 0, given, len(T), most)[1])
    draft, _ = draft_in(bare(memory), 0, given, len(T), most)
    propose(bare(T), len(T), given, most, 0, draft, bare(start), bare(seeds), bare(weight))
    memory[0] = 0.0  # so that it is kept until here
