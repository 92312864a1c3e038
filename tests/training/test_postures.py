"""Learning p(q): found where it is known, never learned by heart, and scored on rows that are not neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import sim
from ik_mdn.model.postures import Postures, log_volume
from ik_mdn.training.postures import LEAST_ROWS, deal_blocks, fit_postures, learn_postures
from sim.arrays import FloatArray
from sim.errors import DatasetError

ARM = sim.load_arm("planar3")


def two_postures(count: int, seed: int = 0) -> FloatArray:
    """Elbow up and elbow down, three to one."""
    rng = np.random.default_rng(seed)
    up = np.where(rng.random((count, 1)) < 0.75, 1.0, -1.0)
    return up * np.array([0.5, 1.2, -0.6]) + rng.standard_normal((count, 3)) * [0.3, 0.2, 0.3]


def nll(postures: Postures, q: FloatArray) -> float:
    return -float(postures.log_prob(q).mean())


def test_a_known_density_is_found() -> None:
    true = Postures(
        ARM,
        np.log([0.75, 0.25]),
        np.array([[0.5, 1.2, -0.6], [-0.5, -1.2, 0.6]]),
        np.tile(np.diag([0.3, 0.2, 0.3]), (2, 1, 1)),
        0.0,
    )
    learned, fresh = learn_postures(ARM, two_postures(2000)), two_postures(4000, seed=1)
    assert learned.selection.picked.components == 2
    assert nll(learned.postures, fresh) == pytest.approx(nll(true, fresh), abs=0.02)
    assert learned.postures.even < 0.01
    order = np.argsort(learned.postures.logits)[::-1]
    np.testing.assert_allclose(learned.postures.loc[order], true.loc, atol=0.1)


@pytest.mark.parametrize("count", [LEAST_ROWS, 100, 400])
def test_few_rows_are_not_learned_by_heart(count: int) -> None:
    """What the fit claims of rows held out is what fresh rows get, and far better than uniform."""
    learned, fresh = learn_postures(ARM, two_postures(count)), two_postures(4000, seed=1)
    assert nll(learned.postures, fresh) < log_volume(ARM) - 1.0
    assert nll(learned.postures, fresh) == pytest.approx(
        learned.selection.picked.validation.mean, abs=0.1 + 3 * learned.selection.picked.validation.error
    )
    assert nll(learned.postures, fresh) < nll(fit_postures(ARM, torch.as_tensor(two_postures(count)), 16), fresh) + 0.05


def test_rows_spread_evenly_are_said_to_be() -> None:
    q = ARM.sample(np.random.default_rng(0), 2000)
    learned = learn_postures(ARM, q)
    assert learned.postures.even > 0.8
    assert nll(learned.postures, q) == pytest.approx(log_volume(ARM), abs=0.05)


def test_continuous_joints_are_learned_on_the_circle() -> None:
    arm = replace(ARM, q_min=np.array([-np.inf, -3.0, -3.0]), q_max=np.array([np.inf, 3.0, 3.0]))
    q = two_postures(600)
    q[:, 0] += np.pi - q[:, 0].mean()  # across the cut
    wrapped = np.column_stack([(q[:, 0] + np.pi) % (2 * np.pi) - np.pi, q[:, 1:]])
    learned = learn_postures(arm, wrapped)
    assert learned.selection.picked.components == 2
    turned = wrapped + np.array([2 * np.pi, 0, 0])
    np.testing.assert_allclose(learned.postures.log_prob(turned), learned.postures.log_prob(wrapped))


def test_neighbours_in_a_recording_are_held_out_together() -> None:
    """Rows held out one by one would be known from those beside them, and K without end would look right."""
    assert (np.diff(deal_blocks(1000, 5)) != 0).sum() < 50
    assert np.bincount(deal_blocks(1000, 5)).tolist() == [200] * 5
    assert set(deal_blocks(LEAST_ROWS, 5)) == set(range(5))


def test_one_seed_gives_one_fit() -> None:
    q = two_postures(200)
    one, two = (learn_postures(ARM, q, seed=3).postures for _ in range(2))
    np.testing.assert_array_equal(one.loc, two.loc)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DatasetError, match="19 joint vectors cannot say how 'planar3' is held; give at least 20"):
        learn_postures(ARM, two_postures(LEAST_ROWS - 1))
