"""How long and what to train, as plain data (nothing heavy is imported here)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from ik_mdn.model import ModelConfig
from sim.errors import TrainingError

_PROPOSER_FLOOR = 0.003  # [rad, m] its trunk is too small to be sharper
_LARGEST_COUNT = 10**15  # of seeds and steps: torch takes 64 bits, and a float still counts up to here


@dataclass(frozen=True)
class TrainConfig(ModelConfig):
    """How long and what to train; every field has a default that works. The network's fields are those of `ModelConfig`.

    Args:
        minutes: Stop after this much training time; 0 is no bound, or 10 minutes where steps are not bounded either.
        steps: Stop after this many steps; 0 is no bound. The first bound that is met ends training.
        seed: Of initial weights and sample stream.
        batch_size: Samples per step.
        learning_rate: Peak of a warm-up and cosine schedule (AdamW; Loshchilov & Hutter 2019).
        matrix_rate: The same for the square matrices of the trunk, whose steps are orthogonalised (Muon; Jordan 2024).
        weight_decay: Of AdamW.
        clip: Largest gradient norm.
        floor_start: Standard deviation floor at the start [rad or m]; annealed geometrically to `floor`.
        start_scale: Standard deviation of the untrained components [rad or m].
        anneal: Share of the training in which the floor reaches its end.
        entropy_weight: λ at the start of the bonus -λ H(weights) against collapse; falls to 0 half way.
        ordering_weight: Of the penalty that keeps component means in order along the first joint; 0 is off.
        draws_weight: λ of a last stage, which takes a fiftieth of the budget of the joints that are drawn last and adds
            λ times the mean distance of draws from the target (`distance_of_draws`) to the loss; 0 is none.
        noise: Standard deviation of Gaussian noise on the scaled features (noise regularisation); 0 is off.
        branches: Train on every branch of a sample's pose by its probability, found with the network as it is so far,
            where joints are uniform in limits, as many as the task has constraints, and training is on the CPU.
        average: Decay of the running average of the weights that becomes the model.
        proposer_width: Width of a small mixture of two blocks that is trained last, for solving to start from, where joints
            are drawn first; 0, or a model that is no wider itself, is none.
        first_share: Of the training of a joint drawn first and of those drawn after it, what the first has. More than the
            default makes draws more diverse in trainings of an hour, and all else worse in those of minutes.
        device: Where to train: "cpu", "cuda" (or "cuda:1" …), or "auto", the GPU where there is one. A run may go on
            on another device; runs are equal bit for bit on the CPU only.

    Raises:
        TrainingError: A value of the training out of range.
        ShapeError: A value of the network outside what is allowed; see `ModelConfig`.
    """

    reach_width: int = 64
    minutes: float = 0.0
    steps: int = 0
    seed: int = 0
    batch_size: int = 1024
    learning_rate: float = 2e-3
    matrix_rate: float = 0.02
    weight_decay: float = 1e-4
    clip: float = 5.0
    floor_start: float = 0.3
    start_scale: float = 1.0
    anneal: float = 0.7
    entropy_weight: float = 0.0
    ordering_weight: float = 0.0
    draws_weight: float = 0.0
    noise: float = 0.0
    branches: bool = True
    average: float = 0.999
    proposer_width: int = 96
    first_share: float = 0.25
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in [field.name for field in fields(self)[len(fields(ModelConfig)) :]]:  # the training's own
            value = getattr(self, name)
            if name == "branches":
                if not isinstance(value, bool):
                    raise TrainingError(f"branches must be True or False; got {value!r}")
            elif name != "device" and (not isinstance(value, int | float) or isinstance(value, bool)):
                raise TrainingError(f"{name} must be a number; got {value!r}")
        for name in ("batch_size", "learning_rate", "matrix_rate", "clip", "floor_start", "start_scale", "anneal"):
            if not 0 < getattr(self, name) < math.inf:
                raise TrainingError(f"{name} must be positive and finite; got {getattr(self, name)}")
        for name in (
            "seed",
            "minutes",
            "steps",
            "weight_decay",
            "entropy_weight",
            "ordering_weight",
            "draws_weight",
            "noise",
        ):
            if not getattr(self, name) >= 0:
                raise TrainingError(f"{name} must not be negative; got {getattr(self, name)}")
        for name in ("seed", "steps", "batch_size", "proposer_width"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) > _LARGEST_COUNT:
                raise TrainingError(f"{name} must be a whole number up to {_LARGEST_COUNT}; got {getattr(self, name)}")
        if self.proposer_width < 0:
            raise TrainingError(f"proposer_width must not be negative; got {self.proposer_width}")
        if not 0 < self.first_share < 1:
            raise TrainingError(f"first_share must be above 0 and below 1; got {self.first_share}")
        if not 0 <= self.average < 1:
            raise TrainingError(f"average must be in [0, 1); got {self.average}")
        super().__post_init__()

    @property
    def max_minutes(self) -> float:
        """The bound on training time [min]; inf where only steps bound it."""
        if self.minutes:
            return self.minutes
        return float("inf") if self.steps else 10.0

    @property
    def adds_to_likelihood(self) -> bool:
        """Whether anything but the likelihood is in the loss of a mixture."""
        return bool(self.entropy_weight or self.ordering_weight or self.draws_weight)

    def for_proposer(self) -> TrainConfig:
        """How the proposer is trained, with the whole budget."""
        floor = max(self.floor, _PROPOSER_FLOOR)
        whole = replace(self, drawn_first=(), reach_width=0, draws_weight=0.0)
        return replace(whole, width=self.proposer_width, blocks=2, covariance="diagonal", floor=floor)

    def model_config(self) -> ModelConfig:
        """The part that describes the network."""
        return ModelConfig(**{field.name: getattr(self, field.name) for field in fields(ModelConfig)})
