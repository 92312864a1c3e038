"""A chain learns where the other joints can follow the one drawn first."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

import ik_mdn
import sim
from ik_mdn.evaluation import held_out
from ik_mdn.model import ChainModel, model_for
from ik_mdn.training.reaching import ReachStream

ARM = sim.load_arm("planar:1,0.7,0.4")  # the first joint is drawn first; two links of 0.7 and 0.4 m are left
CONFIG = ik_mdn.TrainConfig(steps=1200, components=4, width=32, blocks=1, batch_size=256, floor=0.02, reach_width=16)


def _can_follow(away: Tensor) -> Tensor:
    """Whether two links of 0.7 and 0.4 m reach so far from the joint that they begin at."""
    return (away > 0.3) & (away < 1.1)


def test_targets_are_told_apart_as_the_links_lengths_say() -> None:
    model = model_for(ARM, "planar_position", CONFIG.model_config())
    assert isinstance(model, ChainModel)
    stream = ReachStream(model)
    x, met = stream.draw(2000, torch.Generator().manual_seed(0))
    assert met.unique().tolist() == [0.0, 1.0]
    # the distance, in units of the links' length, is the first feature
    truth = _can_follow(x[:, 0].double() * model.rest.arm.reach)
    assert (truth == (met[:, 0] > 0.5)).double().mean() > 0.995


def test_draws_beyond_the_others_reach_become_few() -> None:
    beyond = {}
    for width in (0, 16):
        solver = ik_mdn.train(ARM, replace(CONFIG, reach_width=width), task="planar_position")
        model = solver.model
        assert isinstance(model, ChainModel)
        _, T = held_out(ARM, 300)
        q = model.sample(T, 20, generator=torch.Generator().manual_seed(0))
        left = model.split.shorten(ARM, T[:, None], q[..., 0])[..., :2, 3]
        away = (left - torch.tensor(model.rest.arm.offsets[0, :2, 3])).norm(dim=-1)
        beyond[width] = float((~_can_follow(away)).double().mean())
    assert beyond[16] < 0.25 * beyond[0]


def test_what_is_left_may_be_redundant_too() -> None:
    arm = sim.load_arm(
        "planar:0.6,0.3,0.3,0.2"
    )  # two joints to spare: the first leaves a chain, which leaves two links
    model = model_for(arm, "planar_position", CONFIG.model_config())
    assert isinstance(model, ChainModel)
    assert isinstance(model.rest, ChainModel)
    x, met = ReachStream(model).draw(2000, torch.Generator().manual_seed(0))
    away = x[:, 0].double() * model.rest.arm.reach
    assert ((away < 0.8) == (met[:, 0] > 0.5)).double().mean() > 0.99
    assert 0.3 < met.mean() < 0.999
