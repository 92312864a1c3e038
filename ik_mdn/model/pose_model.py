"""A trained or trainable model of one arm: features, network, and what they say about a pose."""

from __future__ import annotations

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture
from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.features import PoseFeatures
from ik_mdn.model.saved import ReportCard, SavedModel
from ik_mdn.model.seeding import Proposal, sigma_points
from sim.arm import Arm
from sim.task import Task, load_task


class PoseModel(ConditionalNetwork):
    """A network that knows its arm and task: poses in, mixture or joint vectors out.

    Its input x is the encoded pose and its y the reduced joint vector (see `PoseFeatures`).

    Args:
        arm: The arm.
        task: A `Task`, its name, or None for the arm's default.
        config: What the network is made of; None for the defaults of `ModelConfig`.
    """

    def __init__(self, arm: Arm, task: Task | str | None = None, config: ModelConfig | None = None) -> None:
        config, task = config or ModelConfig(), load_task(arm, task)
        features = PoseFeatures(arm, task, use_symmetries=config.symmetries)
        super().__init__(features.size, torch.tensor(arm.period), config)
        self.arm, self.task, self.features = arm, task, features
        self.report = ReportCard()

    @classmethod
    def from_saved(cls, saved: SavedModel) -> PoseModel:
        """The model of plain numbers, in evaluation mode."""
        model = cls(saved.arm, saved.task, saved.config)
        model.report = saved.report
        model.load_state_dict({name: torch.tensor(array) for name, array in saved.weights.items()})
        return model.eval()

    def saved(self) -> SavedModel:
        """The model as it is now, as plain numbers."""
        weights = {name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}
        return SavedModel(self.arm, self.task, self.config, weights, self.report)

    def posterior(self, T_base_tip: Tensor) -> GaussianMixture:
        """The density p(q | T) as a mixture over joint vectors.

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.

        Returns:
            Mixture with batch shape (B,), event shape (n,), float64; turning joints circular with period 2π.
        """
        encoded = self.features.encode(T_base_tip)
        reduced = self.mixture(encoded.features)
        full = self.config.covariance == "full"
        return GaussianMixture(
            logits=reduced.logits.double(),
            loc=reduced.loc.double() + encoded.shift[:, None],
            precision_tril=reduced.precision_tril.double() if full else None,
            scale=None if full else reduced.scale.double(),
            period=self.period,
        )

    def propose(self, T_base_tip: Tensor) -> Proposal:
        """Component means with their weights, or the regressor's single answer with weight one.

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.

        Returns:
            q (B, S, n) [rad, m] and weight (B, S), float64; S = K, or 1 for the regressor.
        """
        with torch.no_grad():
            encoded = self.features.encode(T_base_tip)
            if self.kind == "mse":
                q = self.regress(encoded.features).double()[:, None]
                return Proposal(q + encoded.shift[:, None], torch.ones_like(q[..., 0]))
            mixture = self.mixture(encoded.features)
            return Proposal(mixture.loc.double() + encoded.shift[:, None], mixture.weights.double())

    def seeds(self, T_base_tip: Tensor) -> Proposal:
        """What refinement is to start from: `propose`, and sigma points of wide components (see `sigma_points`).

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.

        Returns:
            q (B, S, n) [rad, m] and weight (B, S), float64; a weight of 0 marks an unused place.
        """
        if self.kind == "mse":
            return self.propose(T_base_tip)
        with torch.no_grad():
            encoded = self.features.encode(T_base_tip)
            q, weight = sigma_points(self.mixture(encoded.features))
            return Proposal(q + encoded.shift[:, None], weight)

    def sample(self, T_base_tip: Tensor, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Joint vectors drawn from p(q | T), shape (B, count, n), float64, turning joints in [-π, π).

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.
            count: Draws per target; limits play no part in them.
            generator: Source of randomness; None is torch's own.

        Raises:
            ShapeError: The model is a regressor.
        """
        with torch.no_grad():
            return self.posterior(T_base_tip).sample((count,), generator=generator).transpose(0, 1)

    def mean(self, T_base_tip: Tensor) -> Tensor:
        """The mixture's conditional mean (circular on turning joints), or the regressor's answer.

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.

        Returns:
            Shape (B, n), float64 [rad, m].
        """
        if self.kind == "mse":
            return self.propose(T_base_tip).q[:, 0]
        with torch.no_grad():
            encoded = self.features.encode(T_base_tip)
            mean: Tensor = self.mixture(encoded.features).mean.double() + encoded.shift
            return mean
