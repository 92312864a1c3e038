"""From targets to sorted solutions in one compiled call, for one pose or a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ik_mdn.solver.kernels.answers import Answers, Columns, columns_of
from ik_mdn.solver.kernels.compilation import kept, part, piece
from ik_mdn.solver.kernels.encode import is_pose
from ik_mdn.solver.kernels.pointers import Doubles, Ints, ahead, bare, unpacking
from ik_mdn.solver.kernels.proposing import Proposer, draft_in, propose
from ik_mdn.solver.kernels.settle import settle
from ik_mdn.solver.kernels.space import MEASURES, Job, Roots, Space, copy, memory_for, space_in
from ik_mdn.solver.kernels.threads import take_number
from ik_mdn.solver.probabilities import LEAST
from sim.arrays import BoolArray, FloatArray, IntArray

BLOCK = 60  # most poses that a thread takes at a time: a multiple of the rows of the network's tiles
WEIGHT, DISTANCE, MARGIN, MANIPULABILITY = range(4)  # what solutions are ordered by
SOLVED, SINGULAR, OPEN, NO_POSE = range(4)  # what has become of a pose: OPEN where more is to be tried or looked at

_BLOCK_SEEDS = 4096  # seeds of a block; bounds the memory
_TURN = 2 * np.pi


class Wish(NamedTuple):
    """What is wanted of the solutions.

    Args:
        seeds: Most seeds of a pose that the model gives.
        first: Whether to stop at a pose's first solution.
        rank: WEIGHT, DISTANCE, MARGIN or MANIPULABILITY.
        most: Most solutions of a pose that are given.
        exact: Whether weights are exact probabilities.
        has_near: Whether there are joint vectors to be near, which then are one more seed.
        has_model: Whether a model gives the seeds.
        rotation_tolerance: Of the targets.
    """

    seeds: int
    first: bool
    rank: int
    most: int
    exact: bool
    has_near: bool
    has_model: bool
    rotation_tolerance: float


class Given(NamedTuple):
    """All that does not change from call to call.

    Args:
        proposer: The model.
        job: What is solved for.
        wish: What is wanted.
        draws: Seeds of every pose where there is no model, (n_draws, n).
        n_draws: How many.
    """

    proposer: Proposer
    job: Job
    wish: Wish
    draws: FloatArray
    n_draws: int


@part
def block_size(most: int) -> int:
    """Poses of a block, each with so many seeds at most."""
    return max(1, min(BLOCK, _BLOCK_SEEDS // max(most, 1)))


_unpacked = unpacking(Given)


@kept
def memory_of_call(words: IntArray, poses: int) -> int:
    """How many numbers of memory a call of `answer` needs for so many poses."""
    given = _unpacked(bare(words))
    most = (given.wish.seeds if given.wish.has_model else given.n_draws) + int(given.wish.has_near)
    P = min(block_size(most), poses)
    used = space_in(given.draws, P, most, given.job.n)[1]
    return int(draft_in(given.draws, used, given.proposer, P, most)[1]) + 8


@kept
def answer(
    T: FloatArray,
    T_in_frames: FloatArray,
    near: FloatArray,
    words: IntArray,
    memory: FloatArray,
    q: FloatArray,
    values: FloatArray,
    counts: IntArray,
    became: IntArray,
    queue: IntArray,
) -> int:
    """Write the solutions of each target, until the queue of blocks is empty.

    Args:
        T, T_in_frames: Targets, (B, 4, 4), as given and in the frames of the task.
        near: Joint vectors to be near, (B, n), or the middle of the limits, (1, n).
        words: `Given`, packed.
        memory: As much as `memory_of_call` says, one for each thread.
        q, values, counts, became: Written: what `Answers` holds.
        queue: Zero at the start, shared by all threads.

    Returns:
        The greatest of what has become of the targets.
    """
    given = _unpacked(bare(words))
    arm, model, wish = given.job, given.proposer, given.wish
    B, n, extra = len(T), arm.n, int(wish.has_near)
    most = (wish.seeds if wish.has_model else given.n_draws) + extra
    step, stride = block_size(most), n if wish.has_near else 0
    per_block, P = len(q) // max(-(-B // step), 1), min(step, B)
    to = columns_of(bare(q), bare(values), len(q))
    start = ahead(bare(memory), -(memory.ctypes.data // 8) % 8)
    space, used = space_in(start, P, most, n)
    draft, _ = draft_in(start, used, model, P, most)
    worst = SOLVED
    while True:
        number = take_number(queue)
        b = number * step
        if b >= B:
            break
        poses = min(step, B - b)
        targets, here = ahead(bare(T), 16 * b), ahead(bare(near), stride * b)
        for p in range(poses):
            if not is_pose(ahead(targets, 16 * p), wish.rotation_tolerance):
                became[b] = worst = NO_POSE
                break
        if worst == NO_POSE:
            break
        if wish.has_model:
            propose(targets, poses, model, wish.seeds, extra, draft, space.start, space.seeds, space.weight)
        else:
            _repeat(given.draws, given.n_draws, poses, extra, n, space)
        if wish.has_near:
            for p in range(poses):
                r = space.start[p + 1] - 1
                space.weight[r] = 0.0
                copy(ahead(here, n * p), ahead(space.seeds, n * r), n)
        settle(arm, ahead(bare(T_in_frames), 16 * b), poses, here, stride, wish.first, wish.has_model, space)
        place = number * per_block
        for p in range(poses):
            taken, became[b + p] = _arrange(arm, wish, p, ahead(here, stride * p), space, to, place)
            counts[b + p + 1] = taken
            place += taken
            worst = max(worst, became[b + p])
    return worst


@part
def _repeat(draws: Doubles, count: int, poses: int, extra: int, n: int, space: Space) -> None:
    """Write the same seeds for each pose, with a place for one more at the end."""
    for p in range(poses + 1):
        space.start[p] = p * (count + extra)
    for p in range(poses):
        for r in range(count):
            space.weight[space.start[p] + r] = 1.0 / count
        copy(draws, ahead(space.seeds, n * space.start[p]), n * count)


@piece
def _arrange(arm: Job, wish: Wish, p: int, near: Doubles, space: Space, to: Columns, place: int) -> tuple[int, int]:
    """Write a pose's solutions from row `place` on, best first; how many, and what has become of the pose."""
    roots, order, key, taken, singular = space.roots, space.order, space.key, 0, False
    weight = space.polished  # no longer needed
    for r in range(p * roots.room, p * roots.room + roots.count[p]):
        if _is_solution(arm, roots, r):
            singular |= roots.measures[MEASURES * r + 3] > 0.0
            order[taken], weight[taken] = r, roots.weight[r]
            taken += 1
    if wish.exact:
        _weigh(arm, roots, order, taken, weight)
    for i in range(taken):
        key[i] = _key(arm, wish.rank, roots, order[i], weight[i], near)
        _insert(order, weight, key, i)
    missing = roots.lost[p] > 0 or (arm.paired and wish.has_model and taken % 2 == 1)
    doubtful = arm.countable and (singular or (missing and not wish.first))
    became = OPEN if taken == 0 or doubtful else SOLVED
    if became == SOLVED and roots.measures[MEASURES * order[0] + 3] > 0.0:
        became = SINGULAR
    taken = min(taken, wish.most)
    for i in range(taken):
        _write(arm, roots, order[i], to, place + i)
        to.weight[place + i] = weight[i]
    return taken, became


@part
def _is_solution(arm: Job, roots: Roots, r: int) -> bool:
    return roots.inside[r] and max(roots.measures[MEASURES * r], roots.measures[MEASURES * r + 1]) <= arm.tolerance


@part
def _write(arm: Job, roots: Roots, r: int, to: Columns, place: int) -> None:
    """Write all but the weight of a solution."""
    copy(ahead(roots.q, arm.n * r), ahead(to.q, arm.n * place), arm.n)
    to.proposal_weight[place] = roots.weight[r]
    to.err_pos[place], to.err_rot[place] = roots.measures[MEASURES * r], roots.measures[MEASURES * r + 1]


@part
def _weigh(arm: Job, roots: Roots, rows: Ints, count: int, weight: Doubles) -> None:
    """Write the probability of each solution: as `ik_mdn.solver.probabilities.solution_weights`."""
    whole = 0.0
    for i in range(count):
        r = rows[i]
        weight[i] = _windings(arm, ahead(roots.q, arm.n * r)) / max(roots.measures[MEASURES * r + 2], LEAST)
        whole += weight[i]
    for i in range(count):
        weight[i] /= whole


@part
def _windings(arm: Job, q: Doubles) -> float:
    """How many joint vectors in limits differ by full turns of joints with limits, itself included."""
    count = 1.0
    for i in range(arm.n):
        low, high = arm.low[i] - arm.slack, arm.high[i] + arm.slack
        if arm.turns[i] and _TURN <= arm.high[i] - arm.low[i] < np.inf:
            count *= np.floor((high - q[i]) / _TURN) + np.floor((q[i] - low) / _TURN) + 1.0
    return count


@part
def _key(arm: Job, rank: int, roots: Roots, r: int, weight: float, near: Doubles) -> float:
    """What to sort by, ascending: as `ik_mdn.solver.collecting`."""
    if rank == WEIGHT:
        return -weight
    if rank == MANIPULABILITY:
        return -roots.measures[MEASURES * r + 2]
    q, square, margin = ahead(roots.q, arm.n * r), 0.0, np.inf
    for i in range(arm.n):
        square += (q[i] - near[i]) ** 2
        margin = min(margin, q[i] - arm.low[i], arm.high[i] - q[i])
    return np.sqrt(square) if rank == DISTANCE else -margin


@part
def _insert(order: Ints, weight: Doubles, key: Doubles, i: int) -> None:
    """Put row i among those before it, which are in order, behind those whose key is not greater."""
    r, w, k = order[i], weight[i], key[i]
    while i > 0 and key[i - 1] > k:
        order[i], weight[i], key[i] = order[i - 1], weight[i - 1], key[i - 1]
        i -= 1
    order[i], weight[i], key[i] = r, w, k


@kept
def settle_some(
    poses: IntArray,
    T: FloatArray,
    near: FloatArray,
    start: IntArray,
    seeds: FloatArray,
    weight: FloatArray,
    most: int,
    beside: bool,
    job: Job,
    answers: Answers,
    met: BoolArray,
    queue: IntArray,
) -> None:
    """Write the distinct solutions in limits that given seeds lead to, until the queue of blocks is empty.

    Args:
        poses: Numbers of the targets that are solved for, (P,).
        T: All targets in the frames of the task, (B, 4, 4).
        near: Joint vectors to be near of all targets, (B, n), or the middle of the limits, (1, n).
        start, seeds, weight: Pose p owns the seeds `start[p]:start[p + 1]`.
        most: Most seeds of a pose.
        beside: Whether to look across folds.
        job: What is solved for.
        answers: Written, but for the weights, which are the seeds'.
        met: Written: whether a pose's target was met, in limits or not, (P,).
        queue: Zero at the start, shared by all threads.
    """
    B, n, step = len(poses), job.n, block_size(most)
    per_block, P, stride = len(answers.q) // (-(-B // step)) if B else 0, min(step, B), n if len(near) > 1 else 0
    used = space_in(bare(T), P, most, n)[1]
    memory, first = memory_for(used + P * (16 + n))
    space, _ = space_in(ahead(bare(memory), first), P, most, n)
    targets = ahead(bare(memory), first + used)
    here = ahead(targets, 16 * P)
    arm, to, roots = bare(job), columns_of(bare(answers.q), bare(answers.values), len(answers.q)), space.roots
    while True:
        number = take_number(queue)
        b = number * step
        if b >= B:
            break
        count, place = min(step, B - b), number * per_block
        for p in range(count):
            copy(ahead(bare(T), 16 * poses[b + p]), ahead(targets, 16 * p), 16)
            copy(ahead(bare(near), stride * poses[b + p]), ahead(here, n * p), n)
        for p in range(count + 1):
            space.start[p] = start[b + p] - start[b]
        copy(ahead(bare(seeds), n * start[b]), space.seeds, n * space.start[count])
        copy(ahead(bare(weight), start[b]), space.weight, space.start[count])
        settle(arm, targets, count, here, n, False, beside, space)
        for p in range(count):
            met[b + p], answers.counts[b + p + 1] = roots.count[p] > 0, 0
            for r in range(p * roots.room, p * roots.room + roots.count[p]):
                if _is_solution(arm, roots, r):
                    _write(arm, roots, r, to, place)
                    answers.counts[b + p + 1] += 1
                    place += 1
    memory[0] = 0.0  # so that it is kept until here
