"""Which of the arms drawn a click meets."""

from __future__ import annotations

import numpy as np
import trimesh

from ik_mdn.viewer.batch import ray_length


def test_the_length_of_a_ray_is_that_to_the_nearest_side_it_meets() -> None:
    box = trimesh.creation.box((2.0, 2.0, 2.0))
    corners = box.vertices[box.faces]
    rng = np.random.default_rng(0)
    for origin in rng.normal(size=(50, 3)) * 3:
        direction = rng.normal(size=3) * 0.4 - origin  # in units that are not of length one
        with np.errstate(divide="ignore"):
            first, second = np.sort(np.stack([(-1 - origin) / direction, (1 - origin) / direction]), axis=0)
        enter, leave = first.max(), second.min()
        met = enter <= leave and leave > 0
        np.testing.assert_allclose(
            ray_length(corners, origin, direction), (enter if enter > 0 else leave) if met else np.inf, rtol=1e-9
        )
