"""A mixture density network for the arm's posterior, in coordinates of choice, trained by the project's one loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ik_mdn.mixture.mixture import GaussianMixture
from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.network import MixtureHead
from ik_mdn.training import Progress, Trainer
from ik_mdn.training.config import TrainConfig
from kruse.coordinates import Coordinates, check_coordinates, from_mixture, period_of, to_mixture
from kruse.problem import draw_pairs

_FREQUENCIES = (1.0, 2.0, 4.0, 8.0)  # of the Fourier features [1/m]


@dataclass(frozen=True)
class Recipe:
    """What is trained and how.

    Args:
        train: Network and budget.
        coordinates: What the mixture is a density of: "raw", "rail" or "tip" (see `kruse.coordinates`).
        spread: Start the means spread over the prior (k-means); False starts all of them near its centre.

    Raises:
        ShapeError: Unknown coordinates.
    """

    train: TrainConfig
    coordinates: Coordinates = "tip"
    spread: bool = True

    def __post_init__(self) -> None:
        check_coordinates(self.coordinates)


def encode_target(y: Tensor) -> Tensor:
    """What the network sees of y (..., 2): y and its Fourier features, (..., 18), float32."""
    phase = (y.unsqueeze(-1) * y.new_tensor(_FREQUENCIES)).flatten(-2)
    return torch.cat([y, torch.sin(phase), torch.cos(phase)], dim=-1).float()


class ArmStream:
    """Fresh pairs from the prior and the noisy forward process, as the trainer takes them.

    Args:
        coordinates: Of the mixture.
    """

    def __init__(self, coordinates: Coordinates) -> None:
        self.coordinates: Coordinates = coordinates

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features (count, 18) and coordinates of the mixture (count, 4)."""
        x, y = draw_pairs(count, generator)
        return encode_target(y), to_mixture(self.coordinates, x, y)[0]

    def batches(
        self, size: int, generator: torch.Generator, *, seed: int = 0, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Fresh batches without end."""
        while True:
            yield self.draw(size, generator)


@dataclass(frozen=True)
class ArmPosterior:
    """p(x | y) of a trained network.

    Args:
        network: Predicts the mixture.
        coordinates: Of the mixture.
    """

    network: ConditionalNetwork
    coordinates: Coordinates

    @torch.no_grad()
    def mixture(self, y: Tensor) -> GaussianMixture:
        """The mixture for targets (T, 2), over its own coordinates."""
        return self.network.mixture(encode_target(y))

    @torch.no_grad()
    def sample(self, y: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws of x, (T, count, 4), float32; those of one target are independent as a set, sorted by component."""
        z = draw_sorted(self.mixture(y), count, generator)
        return from_mixture(self.coordinates, z, y.float().unsqueeze(1))

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(x | y) in nats, (T,), for x (T, 4), with the determinant of the change of variables."""
        z, log_det = to_mixture(self.coordinates, x, y)
        return self.mixture(y).log_prob(z.float()) + log_det


@dataclass(frozen=True)
class Trained:
    """The end of a training run.

    Args:
        posterior: With averaged weights.
        last: With the weights of the last step.
        minutes, steps, parameters: What it cost.
    """

    posterior: ArmPosterior
    last: ArmPosterior
    minutes: float
    steps: int
    parameters: int


def train_posterior(
    recipe: Recipe, folder: Path | None = None, on_progress: Callable[[Progress], None] | None = None
) -> Trained:
    """A trained network; a run folder that holds a finished or stopped run of the same recipe is taken up.

    Args:
        recipe: What to train.
        folder: Where state and metrics are kept.
        on_progress: Called every few steps.

    Raises:
        TrainingError: The loss became NaN, or the folder holds another run.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.train.seed)
        network = _network(recipe)
    trainer = Trainer(
        network,
        recipe.train,
        ArmStream(recipe.coordinates),
        run_folder=folder,
        identity={"arm": "kruse", "coordinates": recipe.coordinates, "spread": recipe.spread},
    )
    if not recipe.spread and trainer.step == 0:
        means = 0.01 * torch.randn(recipe.train.components, 4, generator=trainer.generator)
        cast(MixtureHead, network.head).start_from(means, recipe.train.start_scale)
    last = _network(recipe)

    def note(progress: Progress) -> None:
        last.load_state_dict(network.state_dict())
        if on_progress is not None:
            on_progress(progress)

    last.load_state_dict(network.state_dict())  # of a finished run: it makes no step
    trainer.run(note)
    last.floor = network.floor
    cost = trainer.summary()
    return Trained(
        posterior=ArmPosterior(network, recipe.coordinates),
        last=ArmPosterior(last.eval(), recipe.coordinates),
        minutes=cost["minutes"],
        steps=cost["steps"],
        parameters=cost["parameters"],
    )


def draw_sorted(mixture: GaussianMixture, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draws sorted by component and not wrapped, (T, count, D), in half the time of `GaussianMixture.sample`.

    How many draws come from each component is multinomial; so no draw looks its component up, and the table of
    components is read in order.

    Args:
        mixture: Batch shape (T,).
        count: Draws of each element.
        generator: Source of randomness.
    """
    rng = np.random.default_rng(int(torch.randint(1 << 62, (), generator=generator)))
    times = torch.from_numpy(rng.multinomial(count, mixture.logits.double().softmax(-1).numpy())).flatten()
    index = torch.arange(len(times)).repeat_interleave(times, output_size=len(mixture.loc) * count)
    return mixture.draw_from(index, generator).reshape(-1, count, mixture.loc.shape[-1])


def _network(recipe: Recipe) -> ConditionalNetwork:
    n_in = encode_target(torch.zeros(1, 2)).shape[1]
    return ConditionalNetwork(n_in, period_of(recipe.coordinates), recipe.train.model_config())
