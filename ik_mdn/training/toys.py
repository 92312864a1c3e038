"""Small problems with known answers, and streams of fixed data: for choosing K, for teaching, for tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture, entropy_bonus, nll
from ik_mdn.model import ConditionalNetwork
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.trainer import Trainer
from sim.errors import ShapeError

TOY_RECIPE = TrainConfig(  # what fits a toy with two answers in a second or two
    steps=400,
    components=2,
    covariance="diagonal",
    width=32,
    blocks=1,
    batch_size=256,
    learning_rate=2e-2,
    floor=0.02,
    floor_start=0.2,
    start_scale=0.3,
    average=0.95,
)

_CHUNK = 8192  # rows at a time; bounds the memory


class FixedStream:
    """Training samples from arrays: every batch is drawn from the rows without repetition, pass after pass.

    Args:
        x: Inputs, (N, n_in).
        y: Targets, (N, D).

    Raises:
        ShapeError: No rows, or x and y differ in their number.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or not len(x):
            raise ShapeError(f"x {tuple(x.shape)} and y {tuple(y.shape)} do not fit; give (N, n_in) and (N, D), N >= 1")
        self.x, self.y = x, y.double()

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Different rows in random order.

        Args:
            count: How many; all where there are fewer.
            generator: Source of the order.

        Returns:
            x (count, n_in) as given, and y (count, D), float64.
        """
        rows = torch.randperm(len(self.x), generator=generator)[:count]
        return self.x[rows], self.y[rows]

    def batches(
        self, size: int, generator: torch.Generator, *, seed: int = 0, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches without end; a pass that `size` does not divide leaves out a few rows, others each time.

        Args:
            size: Rows per batch; all of them where there are fewer.
            generator: Source of the order.
            seed, start: Not used: the generator decides.

        Returns:
            An iterator of x (size, n_in) and y (size, D).
        """
        size = min(size, len(self.x))
        while True:
            order = torch.randperm(len(self.x), generator=generator)
            for start in range(0, len(order) - size + 1, size):
                rows = order[start : start + size]
                yield self.x[rows], self.y[rows]


@dataclass(frozen=True)
class Toy:
    """A conditional density that is known, as a stream of fresh samples.

    Args:
        truth: The mixture p(y | x) for inputs (B, n_in), float64.
        low, high: Range of every input, drawn uniformly.
        n_in: Number of inputs.
        period: Of y, (D,).
    """

    truth: Callable[[Tensor], GaussianMixture]
    low: float = -1.0
    high: float = 1.0
    n_in: int = 1
    period: tuple[float, ...] = (math.inf,)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Fresh inputs, uniform in their range, and a target drawn from the truth at each.

        Args:
            count: How many.
            generator: Source of randomness.

        Returns:
            x (count, n_in), float32, and y (count, D), float64.
        """
        x = self.low + (self.high - self.low) * torch.rand(count, self.n_in, dtype=torch.float64, generator=generator)
        return x.float(), self.truth(x).sample((), generator)

    def batches(
        self, size: int, generator: torch.Generator, *, seed: int = 0, start: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Fresh batches without end.

        Args:
            size: Samples per batch.
            generator: Source of randomness.
            seed, start: Not used: nothing is stored that could be ordered.

        Returns:
            An iterator of what `draw` gives.
        """
        while True:
            yield self.draw(size, generator)


def two_sided(a: float = 2.0, sigma: float = 0.5) -> Toy:
    """y = ±a + σ ε, each sign with probability ½, whatever x is: the smallest case of two answers.

    Args:
        a: Distance of the answers from 0.
        sigma: σ, standard deviation of the noise.
    """

    def truth(x: Tensor) -> GaussianMixture:
        loc = x.new_tensor([[-a], [a]]).expand(len(x), 2, 1)
        return GaussianMixture(x.new_zeros(len(x), 2), loc, scale=x.new_full((len(x), 2, 1), sigma))

    return Toy(truth)


def three_answers(gap: float = 1.5, sigma: float = 0.25) -> Toy:
    """y = b(x) + σ ε from three curves: b = -gap + ½ sin 2x, ½ x and gap - ½ sin 2x, with weights 0.4, 0.35, 0.25.

    Args:
        gap: Distance of the outer curves from the middle one at x = 0.
        sigma: σ, standard deviation of the noise.
    """

    def truth(x: Tensor) -> GaussianMixture:
        wave = 0.5 * (2 * x).sin()
        loc = torch.stack([-gap + wave, 0.5 * x, gap - wave], dim=1)  # (B, 3, 1)
        logits = x.new_tensor([0.4, 0.35, 0.25]).log().expand(len(x), 3)
        return GaussianMixture(logits, loc, scale=torch.full_like(loc, sigma))

    return Toy(truth)


def swapped_sine(sigma: float = 0.1) -> Toy:
    """y drawn uniformly from the roots of x = y + 0.3 sin 2πy in [0, 1], plus noise: one answer or three.

    Bishop, Mixture Density Networks, 1994, section 5; here the noise is on y.
    """
    y = torch.linspace(0, 1, 2001, dtype=torch.float64)
    forward = y + 0.3 * (2 * math.pi * y).sin()

    def truth(x: Tensor) -> GaussianMixture:
        above = forward >= x  # (B, 2001)
        crosses = above[:, 1:] != above[:, :-1]
        order = crosses.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :3]
        found = crosses.gather(1, order)
        found[:, 0] = True
        logits = torch.where(found, 0.0, -torch.inf).double()
        loc = y[order].unsqueeze(-1)
        return GaussianMixture(logits, loc, scale=torch.full_like(loc, sigma), validate_args=False)

    return Toy(truth, low=0.02, high=0.98)


def fit(
    stream: Toy | FixedStream,
    config: TrainConfig,
    *,
    period: Sequence[float] | None = None,
    on_step: Callable[[Trainer], None] | None = None,
) -> ConditionalNetwork:
    """A network trained on a stream on the CPU, by the same loop as every model.

    Args:
        stream: Where samples come from.
        config: Budget and model.
        period: Of y, (D,); default: the toy's, or no circular coordinate.
        on_step: Called with the trainer at every report.

    Returns:
        The network with its averaged weights, in evaluation mode.
    """
    x, y = stream.draw(2, torch.Generator().manual_seed(0))
    given = period or (stream.period if isinstance(stream, Toy) else (math.inf,) * y.shape[1])
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = ConditionalNetwork(x.shape[1], torch.tensor(given), config.model_config())
    trainer = Trainer(model, replace(config, device="cpu"), stream)
    trainer.run(None if on_step is None else lambda progress: on_step(trainer))
    return model


@torch.no_grad()
def mean_nll(model: ConditionalNetwork, x: Tensor, y: Tensor) -> float:
    """Mean negative log-likelihood of a mixture network on data [nats].

    Args:
        model: Of kind "mdn".
        x: Inputs, (N, n_in).
        y: Targets, (N, D).
    """
    total = 0.0
    for start in range(0, len(x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        total -= float(model.mixture(x[rows]).log_prob(y[rows].float()).double().sum())
    return total / len(x)


def descend(
    start: GaussianMixture, y: Tensor, *, entropy_weight: float = 0.0, steps: int = 400, rate: float = 0.1
) -> tuple[GaussianMixture, Tensor]:
    """A mixture fitted by plain gradient descent, and its NLL and effective components at every step.

    No network and no adaptive steps: gradients of a component are proportional to its responsibilities, so one of
    tiny weight stands still, and the others explain its data. The bonus -λ H(π), with λ falling to 0 half way as in
    training, prevents this. Scales are not floored.

    Args:
        start: Where to begin, batch shape (), with a scale.
        y: Data, (N, D).
        entropy_weight: λ at the start.
        steps: Of descent on the mean over the data.
        rate: Step size.

    Returns:
        The fitted mixture, and (steps, 2) with NLL [nats] and exp(H) before each step.
    """
    parameters = [p.detach().clone().requires_grad_() for p in (start.logits, start.loc, start.scale.log())]
    history = []
    for step in range(steps):
        mixture = GaussianMixture(parameters[0], parameters[1], scale=parameters[2].exp())
        loss = nll(mixture, y)
        history.append(torch.stack([loss, mixture.effective_components]).detach())
        strength = entropy_weight * max(0.0, 1 - 2 * step / steps)
        gradients = torch.autograd.grad(loss + entropy_bonus(mixture, strength), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
    logits, loc, log_scale = (p.detach() for p in parameters)
    return GaussianMixture(logits, loc, scale=log_scale.exp()), torch.stack(history)


def starved_start() -> GaussianMixture:
    """Two components for `two_sided`, of which the one at an answer has the weight e⁻⁵: the start of a collapse."""
    loc = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    return GaussianMixture(torch.tensor([5.0, 0.0], dtype=torch.float64), loc, scale=torch.ones_like(loc))
