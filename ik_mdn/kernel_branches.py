"""Which rows are the same branch, for compiled code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ik_mdn.kernel_vector import kept


@kept
def first_near(pose: NDArray[np.int64], place: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """For each row the first row of its pose that it is linked to; see `ik_mdn.branches.first_of_branch`.

    Args:
        pose: Pose of each row, ascending, shape (R,).
        place: Rows as points whose distance counts, shape (R, c).
        tolerance: Distance up to which two rows are linked.

    Returns:
        Row numbers, shape (R,); a row that is linked to none before it gives its own.
    """
    first = np.arange(len(pose))
    start = 0
    for i in range(len(pose)):
        if pose[i] != pose[start]:
            start = i
        for j in range(start, i):
            distance, k = 0.0, 0
            while k < place.shape[1] and distance <= tolerance * tolerance:
                distance += (place[i, k] - place[j, k]) ** 2
                k += 1
            if distance <= tolerance * tolerance:
                first[i] = first[j]
                break
    return first
