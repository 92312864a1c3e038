"""Where training samples come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ik_mdn.model import ArmModel, draw_uniform
from ik_mdn.training.branches import Branches
from ik_mdn.training.likelihood import Answers
from sim.arm import Arm
from sim.kinematics import forward_kinematics

Batch: TypeAlias = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Answers]  # x, y, and where there are several y of an x
_AHEAD = 64  # batches that a GPU draws at once: it takes as long as for one
Source: TypeAlias = Callable[[int, torch.Generator], Tensor]  # joint vectors of the whole arm (count, n), on the CPU


class Stream(Protocol):
    """Where training samples come from: pairs of network inputs x (B, n_in) and targets y (B, D)."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Samples to look at before training: to scale inputs and to place the first means.

        Args:
            count: How many; a stream of fixed data may give fewer.
            generator: Source of randomness.

        Returns:
            x (count, n_in) and y (count, D).
        """

    def batches(self, size: int, generator: torch.Generator, *, seed: int, start: int = 0) -> Iterator[Batch]:
        """Batches to train on, without end.

        Args:
            size: Samples per batch.
            generator: Source of randomness for streams that draw; its state is kept for resuming.
            seed: Of the order of stored data.
            start: How many batches of stored data to leave out, so that a resumed training sees what follows; a
                stream that draws begins where its generator stands.

        Returns:
            An iterator of x (size, n_in) and y (size, D), or (M, D) with the `Answers` that say whose each is.
        """


class PoseStream:
    """Encoded poses and reduced joint vectors of an arm, q uniform in limits, from a dataset folder or from a source.

    Args:
        model: Whose arm and features to use.
        dataset: Folder to take configurations from, or None for fresh samples.
        drawn: Which joint is all that y holds, (B, 1); None for the whole joint vector.
        whole: The arm that the dataset is of, where the model's is a part of it.
        first: Which of its joints is the model's first.
        source: Draws joint vectors of the whole arm instead.
        branches: Finds every branch of a fresh sample's pose; None for that which was drawn.

    Raises:
        DatasetError: The dataset is missing, unfinished or of another arm.
    """

    def __init__(
        self,
        model: ArmModel,
        dataset: Path | str | None = None,
        *,
        drawn: int | None = None,
        whole: Arm | None = None,
        first: int = 0,
        source: Source | None = None,
        branches: Branches | None = None,
    ) -> None:
        self.arm, self.features, self.drawn, self.source = model.arm, model.features, drawn, source
        self.whole, self.joints = whole or model.arm, slice(first, first + model.arm.n_joints)
        self.dataset, self.branches = dataset, branches
        if self.dataset is not None:
            self._read(1, 0)  # checks

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Fresh samples, q uniform in limits, also where batches come from a dataset.

        Args:
            count: How many.
            generator: Source of randomness.

        Returns:
            Features (count, n_in), float32, and reduced joint vectors (count, n), float64 [rad, m].
        """
        device = generator.device
        if self.source is not None:
            return self._encode(self.source(count, on_cpu(generator))[:, self.joints].to(device))
        return self._encode(draw_uniform(self.arm, count, generator))

    def batches(self, size: int, generator: torch.Generator, *, seed: int, start: int = 0) -> Iterator[Batch]:
        """Batches without end: fresh, or from the dataset.

        Args:
            size: Samples per batch.
            generator: Source of randomness of fresh samples; batches come on its device.
            seed: Of the dataset's order.
            start: How many batches of the dataset to leave out; they are read, which takes about a second for ten
                million samples.

        Returns:
            An iterator of features (size, n_in), float32, and reduced joint vectors (size, n), float64 [rad, m]; where
            fresh samples are drawn on the CPU and `branches` knows them, those of every branch of each pose (M, n), with
            whose they are.

        Raises:
            DatasetError: The dataset was found damaged.
        """
        if self.dataset is None:
            is_gpu = generator.device.type != "cpu"
            while self.branches is not None and self.source is None and not is_gpu:
                yield self._encode_branches(draw_uniform(self.arm, size, generator))
            ahead = _AHEAD if is_gpu else 1
            while True:
                x, y = self.draw(ahead * size, generator)
                yield from zip(torch.split(x, size), torch.split(y, size), strict=True)
        for q in islice(self._read(size, seed), start, None):
            yield self._encode(torch.from_numpy(q[:, self.joints]).to(generator.device).double())

    def _read(self, size: int, seed: int) -> Iterator[NDArray[np.float32]]:
        from sim.dataset import read_batches

        assert self.dataset is not None
        return read_batches(self.dataset, arm=self.whole, batch_size=size, seed=seed, repeat=True)

    def _encode(self, q: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.features.encode(forward_kinematics(self.arm, q))
        y = q - encoded.shift
        return encoded.features, y if self.drawn is None else y[:, [self.drawn]]

    def _encode_branches(self, q: Tensor) -> Batch:
        assert self.branches is not None
        T = forward_kinematics(self.arm, q)
        encoded = self.features.encode(T)
        found, answers = self.branches.find(T, q)
        if answers is None:
            return encoded.features, q - encoded.shift
        return encoded.features, found - encoded.shift.repeat_interleave(answers.ends.diff(), dim=0), answers


def on_cpu(generator: torch.Generator) -> torch.Generator:
    """The generator, or a new one on the CPU that goes on from one elsewhere."""
    if generator.device.type == "cpu":
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))
