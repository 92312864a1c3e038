"""Where training samples come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ik_mdn.model import PoseModel
from sim.kinematics import forward_kinematics


class Stream(Protocol):
    """Where training samples come from: pairs of network inputs x (B, n_in) and targets y (B, D)."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Fresh samples."""

    def batches(self, size: int, generator: torch.Generator, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches without end; `seed` orders a stored dataset, and differs after a resume."""


class PoseStream:
    """Encoded poses and reduced joint vectors of an arm, q uniform in limits or from a dataset folder.

    Args:
        model: Whose arm and features to use.
        dataset: Folder to take configurations from, or None for fresh samples.
    """

    def __init__(self, model: PoseModel, dataset: Path | str | None = None) -> None:
        self.arm, self.features = model.arm, model.features
        self.dataset = Path(dataset) if dataset is not None else None

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Fresh samples: features (count, size), float32, and reduced joint vectors (count, n), float64."""
        low, high = torch.tensor(self.arm.sample_min), torch.tensor(self.arm.sample_max)
        unit = torch.rand(count, self.arm.n_joints, dtype=torch.float64, generator=generator)
        return self._encode(low + (high - low) * unit)

    def batches(self, size: int, generator: torch.Generator, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches without end: fresh, or from the dataset in an order that the seed decides."""
        if self.dataset is None:
            while True:
                yield self.draw(size, generator)
        from sim.dataset import read_batches

        for q in read_batches(self.dataset, arm=self.arm, batch_size=size, seed=seed, repeat=True):
            yield self._encode(torch.from_numpy(q).double())

    def _encode(self, q: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.features.encode(forward_kinematics(self.arm, q))
        return encoded.features, q - encoded.shift
