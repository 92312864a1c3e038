"""What compiled code writes solutions to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ik_mdn.solver.kernels.compilation import kept, part
from ik_mdn.solver.kernels.pointers import Doubles, ahead, bare
from ik_mdn.solver.kernels.space import copy
from sim.arrays import FloatArray, IntArray


class Answers(NamedTuple):
    """Solutions, block by block of poses, in each block one pose after the other; a block has its own rows.

    Args:
        q: (R, n).
        values: Weights, weights by the proposals, errors in position and in rotation, (4, R).
        counts: 0, then the number of solutions of each pose, (B + 1,).
        became: SOLVED, SINGULAR, OPEN or NO_POSE, (B,).
    """

    q: FloatArray
    values: FloatArray
    counts: IntArray
    became: IntArray


def no_answers(rows: int, n: int, poses: int) -> Answers:
    """Room for solutions."""
    return Answers(np.empty((rows, n)), np.empty((4, rows)), np.zeros(poses + 1, np.int64), np.zeros(poses, np.int64))


class Columns(NamedTuple):
    """What `Answers` hold, as pointers."""

    q: Doubles
    weight: Doubles
    proposal_weight: Doubles
    err_pos: Doubles
    err_rot: Doubles


@part
def columns_of(q: Doubles, values: Doubles, rows: int) -> Columns:
    """The columns of so many rows."""
    return Columns(q, values, ahead(values, rows), ahead(values, 2 * rows), ahead(values, 3 * rows))


@kept
def gather(step: int, answers: Answers, to: Answers) -> None:
    """Copy the rows of all blocks, one block after the other.

    Args:
        step: Poses of a block.
        answers: Block by block.
        to: Written, but for the last two.
    """
    B, n, begin, rows, room = len(answers.became), answers.q.shape[1], 0, len(answers.q), len(to.q)
    per_block = rows // max(-(-B // step), 1)
    for b in range(0, B, step):
        first, count = b // step * per_block, 0
        for p in range(b, min(b + step, B)):
            count += answers.counts[p + 1]
        copy(ahead(bare(answers.q), n * first), ahead(bare(to.q), n * begin), n * count)
        for i in range(4):
            source, target = ahead(bare(answers.values), i * rows + first), ahead(bare(to.values), i * room + begin)
            copy(source, target, count)
        begin += count
