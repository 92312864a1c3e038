"""Measured joint vectors against the limits."""

from __future__ import annotations

import numpy as np
import pytest

import sim
from sim.arm import clip_measured


def test_states_a_hair_beyond_a_limit_are_put_on_it_and_named(caplog: pytest.LogCaptureFixture) -> None:
    arm = sim.load_arm("planar2")
    q = np.array([[np.pi + 2e-6, 0.0], [0.5, np.pi + 2e-3]])
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(clip_measured(arm, q), [[arm.q_max[0], 0.0], [0.5, np.pi + 2e-3]])
    assert "joint 'joint1' is 2.0e-06 beyond its limit" in caplog.text
    assert "joint2" not in caplog.text
