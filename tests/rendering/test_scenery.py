"""Cameras that see what the arm does, and keys that say what is seen."""

from __future__ import annotations

import numpy as np
import pytest

import sim
from sim.kinematics import joint_origins
from sim.rendering import camera_for, draw_key, project


@pytest.mark.parametrize("name", ["xarm6", "ur5e", "panda", "planar3"])
def test_the_arm_is_large_in_the_picture_and_mostly_in_it(name: str) -> None:
    arm = sim.load_arm(name)
    camera = camera_for(arm, width=480, height=360)
    q = arm.sample(np.random.default_rng(1), 300)
    pixels = project(camera, joint_origins(arm, q))
    inside = ((pixels >= 0) & (pixels < [480, 360])).all(axis=-1)
    assert inside.mean() > 0.85
    spread = np.ptp(pixels, axis=1).max(axis=-1)  # of one arm, in its longer direction
    assert np.median(spread) > 0.2 * 360


def test_what_lies_below_a_floor_takes_no_room_in_the_picture() -> None:
    arm = sim.load_arm("ur5e")
    at = np.array([arm.offsets[0, :3, 3], [0.0, 0.0, 0.5]])
    heights = [np.ptp(project(camera_for(arm, lowest=z), at)[:, 1]) for z in (-np.inf, 0.0)]
    assert heights[1] > 1.1 * heights[0]


def test_a_key_shows_every_colour_and_changes_the_corner_only() -> None:
    picture = np.full((240, 320, 3), 200, dtype=np.uint8)
    entries = [("target", (1.0, 0.5, 0.0)), ("reached", (0.0, 0.8, 0.2))]
    keyed = draw_key(picture, entries)
    for _, colour in entries:
        assert (keyed == np.round(255 * np.array(colour)).astype(np.uint8)).all(axis=-1).any()
    np.testing.assert_array_equal(keyed[40:], picture[40:])
    assert (picture == 200).all()
