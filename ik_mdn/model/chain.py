"""The density of a redundant arm by the chain rule: one joint after the other until a square arm is left."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ik_mdn.mixture import GaussianMixture, lower_factor, nearest_image
from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.config import AUTOMATIC, Kind, ModelConfig, first_config
from ik_mdn.model.features import features_for
from ik_mdn.model.kinematic import heaviest
from ik_mdn.model.limits import condition_on_limits, draw_inside, kept, mass_in_limits, partly_wound
from ik_mdn.model.pose_model import PoseModel
from ik_mdn.model.postures import Postures
from ik_mdn.model.quantiles import FINE, equal_shares
from ik_mdn.model.reach import ReachNetwork
from ik_mdn.model.recalibration import Recalibration
from ik_mdn.model.saved import ReportCard, SavedModel
from ik_mdn.model.seeding import Proposal, strata_for
from ik_mdn.model.split import Split, chosen_split
from ik_mdn.model.targets import checked_targets
from sim.arm import Arm
from sim.task import Task, load_task

STRATA = 32  # values of the first joint that stand for its density where a mixture over all joints is wanted
_INNER_STRATA = 4  # the same of every next joint drawn before the others, in means over such values
_ROUNDS = 12  # of drawing the first joint again where the others leave the limits, or do not arrive
_SECANT = 0.02  # [rad] to either side, over which it is seen how the others move with the first joint
_SWEEP = 0.3  # [rad, m] that they move over a deviation of it at most; more is a singularity
_AT_ONCE = 1 << 23  # densities that are looked up in one go; bounds the memory


class ChainModel(nn.Module):
    """p(q | T) = p(q_e | T) p(q_rest | T, q_e) for an arm with more joints than the task has constraints.

    The solutions of a redundant arm are curves or surfaces, which few Gaussians cover badly. Given one joint at an end of
    the chain, the target of the other joints is known exactly, and their solutions are isolated again (or, with more
    joints to spare, the same is done once more). So the joint density is a mixture over one joint, times an ordinary
    `PoseModel` of a shorter arm (chain rule; autoregressive models: Bengio & Bengio, NIPS 1999).

    Args:
        arm: The arm.
        task: A `Task`, its name, or None for the arm's default.
        config: Of both networks.
        split: From `find_split`.
    """

    def __init__(self, arm: Arm, task: Task | str | None, config: ModelConfig, split: Split) -> None:
        super().__init__()
        self.arm, self.task, self.split = arm, load_task(arm, task), split
        self.features = features_for(arm, self.task, config)
        self.first = ConditionalNetwork(self.features.size, arm.period[[split.joint]], first_config(config))
        self._one = arm.part(split.joint, split.joint + 1)  # the joint drawn first, for its limits
        self._wound = partly_wound(self._one, [0] if split.joint in self.features.divided_out else [])
        left = config.drawn_first if config.drawn_first == AUTOMATIC else config.drawn_first[1:]
        self.rest: ArmModel = model_for(split.rest, self.task, replace(config, drawn_first=left))
        self.is_inner = (
            False  # whether joints of another chain are drawn before: means over values of the joint are coarser
        )
        if isinstance(self.rest, ChainModel):
            self.rest.is_inner = True
        unseen = self.split.of_rest(self.features.divided_out)
        self.known = [j for j in self.rest.features.divided_out if j not in unseen]  # joints of the rest, see `_kept`
        self.reach = ReachNetwork(self.rest.features.size, config.reach_width) if config.reach_width else None
        self.config: ModelConfig = replace(config, drawn_first=(split.joint, *self.rest.config.drawn_first))
        self.report = ReportCard()
        self.postures: Postures | None = None  # p(q), where it is not uniform
        self.recalibration = Recalibration()
        self.proposer: SavedModel | None = None  # what solving starts from, where it is not this model's own means

    def saved(self) -> SavedModel:
        """The model as it is now, as plain numbers."""
        return SavedModel.of(self)

    @property
    def kind(self) -> Kind:
        """ "mdn"."""
        return self.config.kind

    @property
    def period(self) -> Tensor:
        """(n,), inf where a joint slides."""
        return torch.tensor(self.arm.period)

    def log_prob(self, T_base_tip: Tensor, q: Tensor, *, steps: int = 0, noise: Tensor | float = 0.0) -> Tensor:
        """log p(q | T), shape (*sample, B).

        Args:
            T_base_tip: Targets, (B, 4, 4), float64.
            q: Joint vectors, (*sample, B, n) [rad, m].
            steps: Of the kinematic head; see `PoseModel.posterior`.
            noise: See `PoseModel.log_prob`.
        """
        T_base_tip = checked_targets(self.task, T_base_tip, steps=steps)
        q = torch.as_tensor(q, dtype=T_base_tip.dtype, device=T_base_tip.device)
        uncut = self.log_uncut(T_base_tip, q, steps=steps, noise=noise)
        return uncut - self.mass(T_base_tip, steps=steps).clamp_min(1e-9).log()

    def log_uncut(
        self,
        T_base_tip: Tensor,
        q: Tensor,
        *,
        steps: int = 0,
        noise: Tensor | float = 0.0,
        known: Collection[int] = (),
    ) -> Tensor:
        """`log_prob` before it is divided by `mass`, (*sample, B); see `PoseModel.log_uncut`."""
        drawn, others = q[..., self.split.joint], self._others(q)
        away = noise + torch.zeros_like(q)
        at = (drawn + away[..., self.split.joint])[..., None]
        outer = self.first_density(T_base_tip).log_prob(at) + kept(at, self._one, self._wound).log()
        T = self.split.shorten(self.arm, T_base_tip, drawn)  # (*sample, B, 4, 4)
        outer = outer + self._log_reach(T)
        rows, away = others.reshape(-1, others.shape[-1]), self._others(away).reshape(-1, others.shape[-1])
        inner = self.rest.log_uncut(T.reshape(-1, 4, 4), rows, steps=steps, noise=away, known=self.known)
        return outer + inner.reshape(outer.shape) - self.known_mass(T_base_tip, known, steps=steps).log()

    def mass(self, T_base_tip: Tensor, *, steps: int = 0, known: Collection[int] = ()) -> Tensor:
        """See `PoseModel.mass`: that of the first joint, times the mean of the others' over what of it is in limits, (B,)."""
        others = self._mean_over_strata(T_base_tip, lambda T: self._kept(T, steps))
        mass = mass_in_limits(self.first_density(T_base_tip), self._one, wound=self._wound) * others
        return mass / self.known_mass(T_base_tip, known, steps=steps)

    def known_mass(self, T_base_tip: Tensor, known: Collection[int], *, steps: int = 0) -> Tensor:
        """See `PoseModel.known_mass`."""
        mass = T_base_tip.new_ones(len(T_base_tip))
        if self.split.joint in known:
            mass = condition_on_limits(self.first_density(T_base_tip), self._one, [0], self._wound)
        if others := self.split.of_rest(known):
            mass = mass * self._mean_over_strata(T_base_tip, lambda T: self.rest.known_mass(T, others, steps=steps))
        return mass

    def _mean_over_strata(self, T_base_tip: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
        """The mean of what the others' targets (B, 4, 4) give, (B,), over the density of the first joint in limits, (B,)."""
        drawn, _ = self._strata(T_base_tip, _INNER_STRATA if self.is_inner else STRATA, sharp=not self.is_inner)
        T = self.split.shorten(self.arm, T_base_tip[:, None], drawn)
        return measure(T.flatten(0, 1)).reshape(drawn.shape).mean(-1)

    def sample(
        self, T_base_tip: Tensor, count: int, *, steps: int = 0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Joint vectors drawn from p(q | T), shape (B, count, n), float64; see `PoseModel.sample`."""
        T_base_tip = checked_targets(self.task, T_base_tip, count=count, steps=steps)
        with torch.no_grad():
            drawn = self._draw_first(T_base_tip, count, steps, generator)
            T = self.split.shorten(self.arm, T_base_tip[:, None], drawn).flatten(0, 1)
            others = self.rest.sample(T, 1, steps=steps, generator=generator)[:, 0]
            return self._joined(drawn.reshape(-1), others).reshape(len(T_base_tip), count, self.arm.n_joints)

    def _draw_first(self, T_base_tip: Tensor, count: int, steps: int, generator: torch.Generator | None) -> Tensor:
        """Values of the first joint in limits, (B, count), as far as the others stay in limits, and arrive, from there."""
        density = self.first_density(T_base_tip)

        def draw(rows: Tensor, last: bool) -> Tensor:
            return density.take(rows).sample((count,), generator=generator)

        rows = torch.arange(len(T_base_tip), device=T_base_tip.device)
        drawn = draw_inside(draw, rows, self._one, self._wound, generator)[..., 0].T.contiguous()
        pose = rows.repeat_interleave(count)
        flat, left = drawn.view(-1), torch.arange(drawn.numel(), device=drawn.device)
        for _ in range(_ROUNDS):
            T = self.split.shorten(self.arm, T_base_tip[pose[left]], flat[left])
            reached = self._kept(T, steps)
            left = left[torch.empty_like(reached).uniform_(generator=generator) > reached]
            if not len(left):
                break
            again = draw_inside(draw, rows, self._one, self._wound, generator)[..., 0].T.reshape(-1)
            flat[left] = again[left]
        return drawn

    def posterior(self, T_base_tip: Tensor, *, steps: int = 0, strata: int = STRATA) -> GaussianMixture:
        """p(q | T) as one mixture: of `strata` values of the first joint, each with the components that follow from it.

        For moments, modes and pictures: a component reaches from the middle of a stretch to both of its ends, and its means of the
        other joints follow the first joint along a straight line, where the density itself follows the curve of solutions. `sample`
        and `log_prob` of the model are the density's own. Every value of the first joint stands for the same share of it.

        Args:
            T_base_tip: Targets, (B, 4, 4), float64.
            steps: Of the kinematic head.
            strata: How many.

        Returns:
            Mixture with batch shape (B,), event shape (n,), float64.
        """
        T_base_tip = checked_targets(self.task, T_base_tip, steps=steps)
        drawn, width = self._strata(T_base_tip, strata)
        T = self.split.shorten(self.arm, T_base_tip[:, None], drawn).flatten(0, 1)
        inner = self.rest.posterior(T, steps=steps)
        reached = self._kept(T, steps).clamp_min(1e-9).log()
        B, K = len(T_base_tip), inner.logits.shape[-1]
        loc = self._joined(drawn.reshape(-1, 1).expand(-1, K), inner.loc)
        factor = loc.new_zeros(*loc.shape, loc.shape[-1])
        e = self.split.joint
        rest = [j for j in range(self.arm.n_joints) if j != e]
        factor[..., torch.tensor(rest)[:, None], torch.tensor(rest)] = inner.precision_tril
        factor[..., e, e] = 1 / width.reshape(-1, 1)
        if not steps or isinstance(self.rest, PoseModel):  # stepped ones of another chain stay where they are
            slope = self._slopes(T_base_tip, drawn, width, T if steps else None)
            factor[..., torch.tensor(rest), e] = -(inner.precision_tril @ slope[..., None])[..., 0]
            if e:  # lower triangular again
                factor = lower_factor(factor.mT.flip(-2)).mT.flip(-1, -2)
        return GaussianMixture(
            logits=(inner.log_weights + reached[:, None]).reshape(B, strata * K),
            loc=loc.reshape(B, strata * K, loc.shape[-1]),
            precision_tril=factor.reshape(B, strata * K, *factor.shape[-2:]),
            period=self.period,
            validate_args=False,
        )

    def _slopes(self, T_base_tip: Tensor, drawn: Tensor, width: Tensor, stepped: Tensor | None) -> Tensor:
        """How fast the means of the others' components move with the first joint, by secants of the network's own.

        Args:
            T_base_tip: Targets, (B, 4, 4).
            drawn: Values of the first joint, (B, strata).
            width: Their deviations, (B, strata).
            stepped: Where components are stepped, the others' targets, (B strata, 4, 4).

        Returns:
            (B strata, K, n - 1), in the order of `posterior` of the others.
        """
        half, width = width.clamp(max=_SECANT), width.reshape(-1, 1, 1)
        before, after = (
            self.rest.posterior(self.split.shorten(self.arm, T_base_tip[:, None], drawn + side).flatten(0, 1)).loc
            for side in (-half, half)
        )
        slope = nearest_image(after - before, self.rest.period) / (2 * half.reshape(-1, 1, 1))
        slope = slope * (_SWEEP / (slope.abs().amax(-1, keepdim=True) * width).clamp_min(_SWEEP))
        if stepped is not None:  # stepped components, of the heaviest, come first
            assert isinstance(self.rest, PoseModel)
            best = heaviest(self.rest.uncut(stepped).mixture).indices[..., None]
            slope = torch.cat([slope.gather(1, best.expand(-1, -1, slope.shape[-1])), slope], dim=1)
        return slope

    def components(self, T_base_tip: Tensor, q: Tensor) -> GaussianMixture:
        """The mixture of the joints drawn last, given the values that q (B, n) has for those drawn first."""
        T = self.split.shorten(self.arm, T_base_tip, q[:, self.split.joint])
        return self.rest.components(T, self._others(q))

    def propose(self, T_base_tip: Tensor) -> Proposal:
        """Means of the components that follow from some values of the first joint; see `PoseModel.propose`."""
        with torch.no_grad():
            drawn, _ = self._strata(T_base_tip, strata_for(len(self.config.drawn_first)), sharp=False)
            T = self.split.shorten(self.arm, T_base_tip[:, None], drawn).flatten(0, 1)
            others, weight = self.rest.propose(T)
            q, seeds = self._joined(drawn.reshape(-1, 1).expand_as(weight), others), drawn.shape[1] * weight.shape[1]
            return Proposal(
                q.reshape(len(drawn), seeds, q.shape[-1]), weight.reshape(len(drawn), seeds) / drawn.shape[1]
            )

    def seeds(self, T_base_tip: Tensor) -> Proposal:
        """What refinement is to start from: `propose`."""
        return self.propose(T_base_tip)

    def mean(self, T_base_tip: Tensor) -> Tensor:
        """The conditional mean (circular on turning joints), (B, n), float64 [rad, m]."""
        with torch.no_grad():
            return self.posterior(T_base_tip).mean

    def _kept(self, T: Tensor, steps: int) -> Tensor:
        """What of the density at a value of the first joint is kept: where the others reach, and stay in limits, (B,).

        That density has learned limits that the others' has not, of joints that only their features divide out (`known`).
        Theirs is conditioned on these, so that they count once.

        Args:
            T: The others' targets, (B, 4, 4).
            steps: Of the kinematic head.
        """
        return self.rest.mass(T, steps=steps, known=self.known) * self._log_reach(T).exp()

    def _log_reach(self, T: Tensor) -> Tensor:
        """Log probability that the others can meet their targets (..., 4, 4), (...)."""
        if self.reach is None:
            return T.new_zeros(T.shape[:-2])
        features = self.rest.features.encode(T.reshape(-1, 4, 4)).features
        return self.reach.log_reach(features).reshape(T.shape[:-2])

    def first_density(self, T: Tensor) -> GaussianMixture:
        """The density of the joint drawn first, as if it had no limits and the others could always follow, (B,)."""
        encoded = self.features.encode(T)
        reduced = self.first.mixture(encoded.features)
        return GaussianMixture(
            logits=reduced.logits.double(),
            loc=reduced.loc.double() + encoded.shift[:, self.split.joint, None, None],
            scale=reduced.scale.double() * self.recalibration.width,
            period=self.first.period,
            validate_args=False,
        )

    def _strata(self, T: Tensor, count: int, *, sharp: bool = True) -> tuple[Tensor, Tensor]:
        """Values of the first joint in limits, each in the middle of an equal share, (B, count), and their deviations."""
        density, one = self.first_density(T), self._one
        shares = partial(equal_shares, one=one, count=count, sharp=sharp, wound=self._wound)
        some = max(1, _AT_ONCE // (FINE * density.logits.shape[-1]))
        every = torch.arange(len(T), device=T.device)
        parts = [
            checkpoint(shares, density.take(every[begin : begin + some]), use_reentrant=False)
            for begin in range(0, max(1, len(T)), some)  # where gradients are wanted the grid is made again for them
        ]
        values, reach = (torch.cat(column) for column in zip(*parts, strict=True))
        widest = float(min(one.sample_max[0] - one.sample_min[0], one.period[0])) / 4
        return values, (reach / 12**0.5).clamp(self.config.floor, widest)

    def _others(self, q: Tensor) -> Tensor:
        return q[..., 1:] if self.split.joint == 0 else q[..., :-1]

    def _joined(self, drawn: Tensor, others: Tensor) -> Tensor:
        parts = [drawn[..., None], others] if self.split.joint == 0 else [others, drawn[..., None]]
        return torch.cat(parts, dim=-1)


ArmModel: TypeAlias = (
    PoseModel | ChainModel
)  # what stands for an arm: the same questions, answered by one network or two


def model_for(arm: Arm, task: Task | str | None = None, config: ModelConfig | None = None) -> ArmModel:
    """An untrained model of an arm: a `ChainModel` where it is redundant, can be split and the config says so.

    Args:
        arm: The arm.
        task: A `Task`, its name, or None for the arm's default.
        config: Of the networks; None for the defaults.
    """
    config, task = config or ModelConfig(), load_task(arm, task)
    split = chosen_split(arm, task, config)
    if split is None:
        return PoseModel(arm, task, replace(config, drawn_first=()))
    return ChainModel(arm, task, config, split)


def from_saved(saved: SavedModel) -> ArmModel:
    """The model of plain numbers in torch, in evaluation mode."""
    model = model_for(saved.arm, saved.task, saved.config)
    model.report, model.postures, model.proposer = saved.report, saved.postures, saved.proposer
    saved.recalibration.put_on(model)
    model.load_state_dict({name: torch.tensor(array) for name, array in saved.weights.items()})
    return model.eval()
