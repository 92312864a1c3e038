"""A trained or trainable model of one arm: features, network, and what they say about a pose."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from ik_mdn.mixture import GaussianMixture
from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.features import features_for
from ik_mdn.model.kinematic import Stepped, step_means
from ik_mdn.model.limits import condition_on_limits, draw_inside, kept, mass_in_limits, partly_wound, within_limits
from ik_mdn.model.postures import Postures
from ik_mdn.model.recalibration import Recalibration
from ik_mdn.model.saved import ReportCard, SavedModel
from ik_mdn.model.seeding import Proposal, sigma_points
from ik_mdn.model.targets import checked_targets
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
        config, task = replace(config or ModelConfig(), drawn_first=()), load_task(arm, task)
        features = features_for(arm, task, config)
        super().__init__(features.size, arm.period, config)
        self.arm, self.task, self.features = arm, task, features
        self._wound = partly_wound(arm, features.divided_out)  # see `ik_mdn.model.limits`
        self.report = ReportCard()
        self.postures: Postures | None = None  # p(q), where it is not uniform
        self.recalibration = Recalibration()
        self.proposer: SavedModel | None = None  # what solving starts from, where it is not this model's own means

    def saved(self) -> SavedModel:
        """The model as it is now, as plain numbers."""
        return SavedModel.of(self)

    def posterior(self, T_base_tip: Tensor, *, steps: int = 0) -> GaussianMixture:
        """The density p(q | T) as a mixture over joint vectors, in limits up to the width of a component.

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64 (others are made so; `sim.task.as_targets`).
            steps: Gauss-Newton steps of the component means with the arm's kinematics, as a last layer; see
                `ik_mdn.model.kinematic.step_means`. 0 is the network alone.

        Returns:
            Mixture with batch shape (B,), event shape (n,), float64; turning joints circular with period 2π.

        Raises:
            ShapeError, PoseError: Steps for an arm with more joints than the task has constraints, or the targets make no sense.
        """
        T_base_tip = checked_targets(self.task, T_base_tip, steps=steps)
        return within_limits(self.uncut(T_base_tip, steps).mixture, self.arm, self._wound)

    def log_prob(self, T_base_tip: Tensor, q: Tensor, *, steps: int = 0, noise: Tensor | float = 0.0) -> Tensor:
        """log p(q | T), shape (*sample, B): the mixture cut at the limits, over its mass inside them.

        Args:
            T_base_tip: Targets, (B, 4, 4), float64.
            q: Joint vectors, (*sample, B, n) [rad, m]; outside the limits, where the density is 0, the formula goes on.
            steps: Of the kinematic head; see `posterior`.
            noise: Added to every joint where its density is asked, as in training. (Joints drawn first by a `ChainModel`
                condition the others as they are: with the noise on them others would be right.)
        """
        T_base_tip = checked_targets(self.task, T_base_tip, steps=steps)
        q = torch.as_tensor(q, dtype=T_base_tip.dtype, device=T_base_tip.device)
        mixture = self.uncut(T_base_tip, steps).mixture  # what arrived of it stands in `log_uncut` and in `mass`
        log_p = mixture.log_prob(q + noise) + kept(q + noise, self.arm, self._wound).log()
        return log_p - mass_in_limits(mixture, self.arm, wound=self._wound).clamp_min(1e-9).log()

    def log_uncut(
        self,
        T_base_tip: Tensor,
        q: Tensor,
        *,
        steps: int = 0,
        noise: Tensor | float = 0.0,
        known: Collection[int] = (),
    ) -> Tensor:
        """`log_prob` before it is divided by `mass`, (*sample, B).

        Args:
            T_base_tip: See `log_prob`.
            q: See `log_prob`.
            steps: See `log_prob`.
            noise: See `log_prob`.
            known: Joints whose being in limits it is conditioned on.
        """
        mixture, arrived = self.uncut(T_base_tip, steps)
        log_p = mixture.log_prob(q + noise) + kept(q + noise, self.arm, self._wound).log()
        return log_p + arrived.clamp_min(1e-9).log() - condition_on_limits(mixture, self.arm, known, self._wound).log()

    def mass(self, T_base_tip: Tensor, *, steps: int = 0, known: Collection[int] = ()) -> Tensor:
        """How much of the network's density lies in limits and, after steps, at the target, (B,), 0 to 1: little out of reach.

        Args:
            T_base_tip: Targets, (B, 4, 4), float64.
            steps: Of the kinematic head.
            known: Joints whose being in limits it is conditioned on.
        """
        mixture, arrived = self.uncut(T_base_tip, steps)
        mass = arrived * mass_in_limits(mixture, self.arm, wound=self._wound)
        return mass / condition_on_limits(mixture, self.arm, known, self._wound)

    def known_mass(self, T_base_tip: Tensor, known: Collection[int], *, steps: int = 0) -> Tensor:
        """What conditioning on these joints' being in limits divides the density by, (B,); see `mass`."""
        return condition_on_limits(self.uncut(T_base_tip, steps).mixture, self.arm, known, self._wound)

    def uncut(self, T_base_tip: Tensor, steps: int = 0) -> Stepped:
        """The mixture as if no joint had limits, (B,), and what of it arrived at the target after steps; see `posterior`."""
        encoded = self.features.encode(T_base_tip)
        reduced = self.mixture(encoded.features)
        mixture = GaussianMixture(
            logits=reduced.logits.double(),
            loc=reduced.loc.double() + encoded.shift[:, None],
            precision_tril=reduced.precision_tril.double(),
            period=self.period,
            validate_args=False,
        )
        mixture = self.recalibration.apply(mixture)
        if steps:
            return step_means(mixture, self.arm, self.task, T_base_tip, steps=steps)
        return Stepped(mixture, torch.ones_like(mixture.loc[:, 0, 0]))

    def components(self, T_base_tip: Tensor, q: Tensor) -> GaussianMixture:
        """`posterior`: no joint is drawn before the others, so none of q (B, n) is given."""
        return self.posterior(T_base_tip)

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

    def sample(
        self, T_base_tip: Tensor, count: int, *, steps: int = 0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Joint vectors drawn from p(q | T) in limits, shape (B, count, n), float64, turning joints in [-π, π).

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.
            count: Draws per target. Those outside the limits (at any number of turns) are drawn again, a dozen times.
            steps: Of the kinematic head; see `posterior`.
            generator: Source of randomness; None is torch's own.

        Raises:
            ShapeError, PoseError: The model is a regressor, or the targets or numbers make no sense.
        """
        T_base_tip = checked_targets(self.task, T_base_tip, count=count, steps=steps)
        with torch.no_grad():
            whole = self.uncut(T_base_tip, steps).mixture

            def draw(rows: Tensor, last: bool) -> Tensor:
                part = whole.take(rows)
                part = within_limits(part, self.arm, self._wound) if last else part
                return part.sample((count,), generator=generator)

            rows = torch.arange(len(T_base_tip), device=T_base_tip.device)
            return draw_inside(draw, rows, self.arm, self._wound, generator).transpose(0, 1)

    def mean(self, T_base_tip: Tensor) -> Tensor:
        """The mean of p(q | T) in limits (circular on turning joints), or the regressor's answer.

        Args:
            T_base_tip: Targets, shape (B, 4, 4), float64.

        Returns:
            Shape (B, n), float64 [rad, m].
        """
        T_base_tip = checked_targets(self.task, T_base_tip)
        if self.kind == "mse":
            return self.propose(T_base_tip).q[:, 0]
        with torch.no_grad():
            return self.posterior(T_base_tip).mean
