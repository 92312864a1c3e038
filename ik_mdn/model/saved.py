"""A model as plain numbers: what its file holds, and all that solving on the CPU needs, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.model.config import Kind, MixtureShape, ModelConfig, first_config, reach_config, shape_of
from ik_mdn.model.features import PoseFeatures, features_for
from ik_mdn.model.postures import Postures
from ik_mdn.model.recalibration import Recalibration
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.task import Task

PROPOSER = "proposer."  # of its arrays in a model's file


@dataclass
class ReportCard:
    """What was measured on held-out poses after training; plain JSON values by name."""

    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A trained model of one arm.

    Args:
        arm: The arm.
        task: Its task.
        config: What the network is made of.
        weights: Its numbers, float32, by the names that they have in `PoseModel.state_dict()`.
        report: What was measured of it.
        postures: How its arm is usually held, where it was trained on such joint vectors; None: anywhere in limits alike.
        recalibration: What its densities are made wider by.
        proposer: A small mixture whose means are what solving starts from, so that it need not wait for the density's
            network; None: the density's own means are.

    Raises:
        ValueError: The weights are not those of such a network.
    """

    arm: Arm
    task: Task
    config: ModelConfig
    weights: Mapping[str, NDArray[np.float32]] = field(repr=False)
    report: ReportCard = field(default_factory=ReportCard, repr=False)
    postures: Postures | None = field(default=None, repr=False)
    recalibration: Recalibration = field(default_factory=Recalibration)
    proposer: SavedModel | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        declared = self._shapes()
        found = {name: array.shape for name, array in self.weights.items()}
        if declared != found:
            unlike = sorted(name for name in declared | found if declared.get(name) != found.get(name))
            raise ValueError(
                f"{unlike[0]} has the shape {found.get(unlike[0])}; its config declares {declared.get(unlike[0])}"
            )

    @classmethod
    def of(cls, model: Any) -> SavedModel:
        """A `PoseModel` or `ChainModel` as it is now; plain numbers are taken as they are."""
        if isinstance(model, cls):
            return model
        weights = {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}
        extras = (model.report, model.postures, model.recalibration, model.proposer)
        return cls(model.arm, model.task, model.config, weights, *extras)

    def declared(self) -> dict[str, Any]:
        """The configuration of its networks, JSON types, as its file has it."""
        proposer = {} if self.proposer is None else {"proposer": asdict(self.proposer.config)}
        return {**asdict(self.config), **proposer}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All of its arrays, by the names that they have in its file."""
        proposer = {} if self.proposer is None else self.proposer.weights
        postures = {} if self.postures is None else self.postures.tensors()
        named = {PROPOSER + name: values for name, values in proposer.items()}
        return {**self.weights, **named, **postures, **self.recalibration.tensors()}

    @cached_property
    def fingerprint(self) -> str:
        """16 digits of what its densities and its seeds follow from: its configuration and its arrays."""
        digest = hashlib.sha256(json.dumps(self.declared(), sort_keys=True).encode())
        for name, values in sorted(self.tensors().items()):
            digest.update(f"{name} {values.dtype.str} {values.shape}".encode() + values.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def features(self) -> PoseFeatures:
        """What the network sees of a target."""
        return features_for(self.arm, self.task, self.config)

    @property
    def kind(self) -> Kind:
        """ "mdn" or "mse"."""
        return self.config.kind

    @property
    def shape(self) -> MixtureShape:
        """The size of its mixtures (mdn)."""
        return shape_of(self.config, self.arm.period)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights, as the config has them."""
        arm, config, before = self.arm, self.config, ""
        shapes: dict[str, tuple[int, ...]] = {}
        for joint in config.drawn_first:
            size = features_for(arm, self.task, config).size
            shapes |= {
                f"{before}first.{name}": shape
                for name, shape in _network(first_config(config), size, arm.period[[joint]]).items()
            }
            arm = arm.part(1, arm.n_joints) if joint == 0 else arm.part(0, arm.n_joints - 1)
            if config.reach_width:
                size = features_for(arm, self.task, config).size
                small = reach_config(config.reach_width)
                shapes |= {f"{before}reach.{name}": shape for name, shape in _network(small, size, np.ones(1)).items()}
            before += "rest."
        size = features_for(arm, self.task, config).size
        return shapes | {f"{before}{name}": shape for name, shape in _network(config, size, arm.period).items()}


def _network(config: ModelConfig, n_in: int, period: FloatArray) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of one network for joints of these periods, (n,)."""
    width, n, n_out = config.width, len(period), config.components * sum(shape_of(config, period).sizes)
    if config.kind == "mse":
        n_out = 2 * n if config.targets == "cos_sin" else n
    blocks = [f"trunk.blocks.{i}" for i in range(config.blocks)]
    linear = {"trunk.input": (width, n_in), "head.out": (n_out, width)}
    linear |= {f"{block}.{place}": (width, width) for block in blocks for place in (1, 3)}
    shapes: dict[str, tuple[int, ...]] = {"centre": (n_in,), "spread": (n_in,), "y_centre": (n,)}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in ("trunk.norm", *(f"{block}.0" for block in blocks)):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return shapes
