"""What a model is trained in: one network after the other, each with its share of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ik_mdn.model import ArmModel, ChainModel, ConditionalNetwork, PoseModel, choose_device, model_for
from ik_mdn.training.branches import Branches
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.reaching import ReachStream
from ik_mdn.training.streams import PoseStream, Source
from sim.arm import Arm
from sim.task import Task

_FIRST_FLOOR_START, _FIRST_START_SCALE = 0.05, 0.1  # [rad, m] of that density at most
_PROPOSER_SHARE = 0.2  # of the whole budget
_DRAWS_SHARE = 0.02  # of the budget of the joints drawn last, for bringing draws nearer to the target
_DRAWS_RATE = 0.15  # share of the learning rates then
_REACH_SHARE = 0.1  # of the whole budget, for where the others can follow the joints drawn first


@dataclass(frozen=True)
class Stage:
    """One network to train.

    Args:
        name: Of its run folder, "" for the only one.
        network: What is trained.
        stream: What it is trained on.
        config: With its part of the budget.
        start, share: Where in the whole budget it begins, and how much of it it takes.
        goes_on: Whether an earlier stage has trained the network, and this one trains it further.
    """

    name: str
    network: ConditionalNetwork
    stream: PoseStream | ReachStream
    config: TrainConfig
    start: float
    share: float
    goes_on: bool = False

    @property
    def branches(self) -> Branches | None:
        """What its stream finds branches by."""
        return self.stream.branches if isinstance(self.stream, PoseStream) else None


def build_model(arm: Arm, config: TrainConfig, *, task: Task | str | None = None) -> ArmModel:
    """An untrained model whose initial weights depend on the config's seed alone.

    Args:
        arm: The arm.
        config: The network and the seed.
        task: A `Task`, its name, or None for `sim.default_task`.

    Raises:
        UnknownNameError, TaskError: See `sim.task.load_task`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return model_for(arm, task, config.model_config())


def stages_of(
    model: ArmModel, config: TrainConfig, dataset: Path | str | None = None, source: Source | None = None
) -> list[Stage]:
    """The networks of a model, those of the joints drawn first before the others.

    The likelihood of a chain is the sum over its factors, whose parameters are apart, so each is trained by itself.

    Args:
        model: Freshly built.
        config: The whole budget.
        dataset: Folder to take configurations from, or None for fresh samples.
        source: Draws joint vectors to train on instead, see `PoseStream`.

    Raises:
        DatasetError: The dataset is missing, unfinished or of another arm.
    """
    found: list[Stage] = []
    chains, whole, first, start = chains_of(model), model.arm, 0, 0.0
    end = 1 - (_PROPOSER_SHARE if _has_proposer(model, config) else 0.0) - (_REACH_SHARE if _reaches(chains) else 0.0)
    while isinstance(model, ChainModel):
        drawn = model.split.joint
        stream = PoseStream(model, dataset, drawn=drawn, whole=whole, first=first, source=source)
        share = config.first_share * (end - start)
        name = f"joint-{first + drawn + 1}"
        found.append(Stage(name, model.first, stream, _sharp(_part_of(config, share)), start, share))
        first, start, model = first + (drawn == 0), start + share, model.rest
    fresh = dataset is None and source is None and choose_device(config.device).type == "cpu"
    branches = Branches(model) if config.branches and fresh and Branches.known_for(model) else None
    streamed = partial(PoseStream, model, dataset, whole=whole, first=first, source=source)
    last = _DRAWS_SHARE * (end - start) if config.draws_weight and model.kind == "mdn" else 0.0
    share = end - start - last
    part = _part_of(config, share)
    found.append(Stage("others" if found else "", model, streamed(branches=branches), part, start, share))
    if last:
        part = _closer(_part_of(config, last), config.draws_weight)
        found.append(Stage("draws", model, streamed(), part, start + share, last, goes_on=True))
    return found + reach_stages(chains, config, end)


def reach_stages(chains: Sequence[ChainModel], config: TrainConfig, start: float) -> list[Stage]:
    """The networks that tell where the others can follow the joints drawn first, to be trained after all of those.

    Args:
        chains: A chain, and the chains in it.
        config: The whole budget.
        start: Where in it they begin.
    """
    found: list[Stage] = []
    for chain in _reaches(chains):
        assert chain.reach is not None
        share = _REACH_SHARE / len(_reaches(chains))
        name = f"reach-{chain.arm.n_joints}"
        found.append(Stage(name, chain.reach, ReachStream(chain), _part_of(config, share), start, share))
        start += share
    return found


def chains_of(model: ArmModel) -> list[ChainModel]:
    """A chain, and the chains in it; none where a model is one network."""
    return [model, *chains_of(model.rest)] if isinstance(model, ChainModel) else []


def _reaches(chains: Sequence[ChainModel]) -> list[ChainModel]:
    return [chain for chain in chains if chain.reach is not None]


def proposer_stage(
    model: ArmModel, config: TrainConfig, dataset: Path | str | None = None, source: Source | None = None
) -> Stage | None:
    """A small mixture over all joints to train last, for a chain; None where the config wants none.

    A chain's own seeds cost a network for every value of the joint drawn first. Of one network alone they are better, and
    next to singularities much better, than what a small one proposes.

    Args:
        model: Freshly built.
        config, dataset, source: As for `stages_of`.
    """
    if not _has_proposer(model, config):
        return None
    small = config.for_proposer()
    network = build_model(model.arm, small, task=model.task)
    assert isinstance(network, PoseModel)  # no joint of it is drawn first
    stream = PoseStream(network, dataset, source=source)
    part = _part_of(small, _PROPOSER_SHARE)
    return Stage("proposer", network, stream, part, 1 - _PROPOSER_SHARE, _PROPOSER_SHARE)


def _has_proposer(model: ArmModel, config: TrainConfig) -> bool:
    return isinstance(model, ChainModel) and 0 < config.proposer_width < config.width


def _sharp(config: TrainConfig) -> TrainConfig:
    """For a mixture over one joint, whose means stand everywhere from the beginning: they need not be led there."""
    return replace(
        config,
        floor_start=min(config.floor_start, _FIRST_FLOOR_START),
        start_scale=min(config.start_scale, _FIRST_START_SCALE),
    )


def _closer(config: TrainConfig, draws_weight: float) -> TrainConfig:
    """For a network that is trained already: from the floor that it has, by smaller steps."""
    return replace(
        config,
        draws_weight=draws_weight,
        floor_start=config.floor or config.floor_start,
        learning_rate=_DRAWS_RATE * config.learning_rate,
        matrix_rate=_DRAWS_RATE * config.matrix_rate,
        branches=False,
    )


def _part_of(config: TrainConfig, share: float) -> TrainConfig:
    config = replace(config, draws_weight=0.0)  # but for the stage that is for it
    if share == 1:
        return config
    steps = max(1, round(share * config.steps)) if config.steps else 0
    return replace(
        config, steps=steps, minutes=share * config.max_minutes if config.max_minutes < float("inf") else 0.0
    )
