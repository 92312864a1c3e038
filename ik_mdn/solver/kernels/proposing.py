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
from ik_mdn.solver.kernels.network import ROWS, Layers, forward
from ik_mdn.solver.kernels.pointers import Doubles, Ints, Singles, ahead, as_ints, as_singles, bare
from ik_mdn.solver.kernels.space import copy
from ik_mdn.solver.kernels.strata import PLACE, expand, link_in, scale_of, write_means
from sim.arrays import FloatArray, IntArray

_LANES = 8
_ROWS_AT_A_TIME = 96
_POWER_STEPS = 5


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
    """A model's numbers.

    Args:
        frames, layers, reading: Of the network whose components seeds are.
        links: `strata.Link` of each joint that is drawn before, packed, one after the other.
        drawn: How many these are.
        size: Words of each.
        rows: How many targets they make of one.
        most_in, most_out: Most inputs and outputs of a network.
        places: Numbers of these joints, (drawn,).
        first: Number of the first of the other joints.
    """

    frames: Frames
    layers: Layers
    reading: Reading
    links: IntArray
    drawn: int
    size: int
    rows: int
    most_in: int
    most_out: int
    places: IntArray
    first: int


def head_order(components: int, sizes: tuple[int, ...]) -> IntArray:
    """Which number of the head each output is: attribute by attribute, components filled up with -1."""
    filled, size = -(-components // _LANES) * _LANES, sum(sizes)
    order = np.full((size, filled), -1)
    order[:, :components] = np.arange(components * size).reshape(components, size).T
    return order.ravel()


def measure_for(joints: int, turning: tuple[int, ...], n_scales: int, n_tangles: int, filled: int) -> int:
    """Address of the code for a head; of `turning` joints it says sines beside the means."""
    shape = (joints, turning, n_scales, n_tangles, filled)
    return address_of("measure", shape, "fff", lambda builder, *given: _measure(builder, shape, *given))


def _measure(builder: Any, shape: tuple[int, tuple[int, ...], int, int, int], raw: Any, numbers: Any, out: Any) -> None:
    """Write each component's weight, its standard deviation along its longest axis, 0 where it is narrow, and that axis.

    In `raw` cosines of means become means.
    """
    n, turning, n_scales, n_tangles, filled = shape
    first = 1 + n + len(turning)
    o, groups = Vectors(builder, _LANES, SINGLE), filled // _LANES
    for place, joint in enumerate(turning):
        write_means(o, raw, groups, 1 + joint, 1 + n + place)
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
        if n_scales == 0:
            continue  # only means are wanted
        heavy = ~o.less(weight, share)
        with builder.if_then(_any(o, heavy)):
            at = partial(_attribute, o, raw, groups, g)
            scales = [scale_of(o, floor, at(first + i % n_scales)) for i in range(n)]
            tangles = [at(first + n_scales + i) for i in range(n_tangles)]
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
        shift, place, T, drawn: Azimuth and roll; numbers for use inside; targets and values of the joints drawn.
        key: Weights of the seeds chosen.
        what: Three times the component, of those of all rows of a pose, plus the side of each of these.
    """

    x: Singles
    raw: Singles
    hidden: Singles
    components: Singles
    shift: Doubles
    place: Doubles
    T: Doubles
    drawn: Doubles
    key: Doubles
    what: Ints


@part
def draft_in(memory: Doubles, used: int, proposer: Proposer, poses: int, most: int) -> Any:
    """A draft for so many poses and seeds of each, in memory of which some is used; how much is used then."""
    reading, rows = proposer.reading, min(poses, _at_a_time(proposer)) * proposer.rows
    x = ahead(memory, used)
    raw = ahead(x, (rows * proposer.most_in + 31) // 2)
    hidden = ahead(raw, rows * proposer.most_out // 2)
    components = ahead(hidden, 4 * rows * proposer.layers.width // 2)
    shift = ahead(components, (2 + reading.joints) * reading.filled * proposer.rows // 2)
    place = ahead(shift, 2 * rows)
    T = ahead(place, PLACE)
    drawn = ahead(T, 16 * rows)
    key = ahead(drawn, proposer.drawn * rows)
    what = ahead(key, most)
    draft = Draft(
        as_singles(x),
        as_singles(raw),
        as_singles(hidden),
        as_singles(components),
        shift,
        place,
        T,
        drawn,
        key,
        as_ints(what),
    )
    numbers = (proposer.most_in + proposer.most_out + 4 * proposer.layers.width) // 2 + 18 + proposer.drawn
    components = (2 + reading.joints) * reading.filled * proposer.rows // 2
    return draft, used + rows * (numbers + 1) + components + PLACE + 2 * most + 32


@part
def _at_a_time(proposer: Proposer) -> int:
    """Poses whose rows go through the networks together: whole tiles, and few enough to stay in the cache."""
    return ROWS * max(1, _ROWS_AT_A_TIME // (ROWS * proposer.rows))


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
    reading, rows, step = proposer.reading, proposer.rows, _at_a_time(proposer)
    n = reading.joints + proposer.drawn
    start[0] = 0
    for b in range(0, poses, step):
        some = min(step, poses - b)
        _evaluate(ahead(T, 16 * b), some, proposer, draft)
        for p in range(some):
            row, begin = p * rows, start[b + p]
            for r in range(rows):
                numbers = ahead(draft.raw, (row + r) * proposer.layers.n_out)
                invoke(reading.measure, (numbers, reading.numbers, ahead(draft.components, r * _room(reading))))
            taken = _choose(reading, rows, draft.components, most, draft.key, draft.what)
            for i in range(taken):
                weight[begin + i] = draft.key[i]
                _write_seed(proposer, row, draft.what[i], draft, ahead(seeds, (begin + i) * n))
            start[b + p + 1] = begin + taken + extra


@piece
def _evaluate(T: Doubles, poses: int, proposer: Proposer, draft: Draft) -> None:
    """Write what the last network gives for each row of some targets, and the rows' shifts and values drawn."""
    rows, targets = poses, T
    if proposer.drawn > 0:
        copy(T, draft.T, 16 * poses)
        targets = draft.T
    for k in range(proposer.drawn):
        link = link_in(ahead(proposer.links, k * proposer.size))
        encode(targets, rows, link.frames, link.layers.n_in, draft.x, draft.shift, draft.place)
        forward(draft.x, rows, link.layers, draft.raw, draft.hidden)
        expand(link, k, proposer.drawn, rows, draft.raw, draft.shift, draft.place, targets, draft.drawn)
        rows *= link.strata
    encode(targets, rows, proposer.frames, proposer.layers.n_in, draft.x, draft.shift, draft.place)
    forward(draft.x, rows, proposer.layers, draft.raw, draft.hidden)


@part
def _room(reading: Reading) -> int:
    """Numbers that are measured of a row's components."""
    return (2 + reading.joints) * reading.filled


@part
def _choose(reading: Reading, rows: int, components: Singles, most: int, key: Doubles, what: Ints) -> int:
    """The heaviest seeds of all rows, heaviest first: their weights, and which they are (see `Draft`); how many."""
    taken, best, most_weight = 0, 0, -1.0
    for there in range(rows):
        own = ahead(components, there * _room(reading))
        for k in range(reading.components):
            sides = 3 if own[reading.filled + k] > 0 else 1
            share = float(own[k]) / (sides * rows)
            if share > most_weight:
                best, most_weight = there * reading.components + k, share
            if share >= reading.least_weight:
                taken = _insert(share, 3 * (there * reading.components + k), sides, taken, most, key, what)
    return taken if taken > 0 else _insert(max(most_weight, 0.0), 3 * best, 1, 0, most, key, what)


@part
def _insert(share: float, first: int, sides: int, taken: int, most: int, key: Doubles, what: Ints) -> int:
    """Put seeds of one weight among those chosen, behind those that weigh as much; how many are chosen then."""
    for side in range(sides):
        place = taken
        if taken == most:
            if key[taken - 1] >= share:
                break
            place -= 1
        while place > 0 and key[place - 1] < share:
            key[place], what[place] = key[place - 1], what[place - 1]
            place -= 1
        key[place], what[place] = share, first + side
        taken = min(taken + 1, most)
    return taken


@part
def _write_seed(proposer: Proposer, row: int, what: int, draft: Draft, q: Doubles) -> None:
    """Write a seed of the pose whose rows begin with this one."""
    reading, c, side = proposer.reading, what // 3, what % 3
    there, k, filled = c // reading.components, c % reading.components, reading.filled
    raw, axis = ahead(draft.raw, (row + there) * proposer.layers.n_out), ahead(draft.components, there * _room(reading))
    step = 0.0 if side == 0 else (3 - 2 * side) * reading.spread * axis[filled + k]
    others, shift = ahead(q, proposer.first), ahead(draft.shift, 2 * (row + there))
    for i in range(reading.joints):
        others[i] = raw[(1 + i) * filled + k]
        if side > 0:
            others[i] += step * axis[(2 + i) * filled + k]
    others[0] += shift[0]
    others[reading.joints - 1] += shift[1]
    for i in range(proposer.drawn):
        q[proposer.places[i]] = draft.drawn[(row + there) * proposer.drawn + i]


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
