"""What a trained mixture is worth on poses it never saw: likelihood, components, calibration, modes, errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ik_mdn.evaluation.calibration import angular_crps, coverage, density_level, pit, uniform_distance
from ik_mdn.evaluation.diversity import Diversity, measure_diversity
from ik_mdn.evaluation.health import Health, HealthTally
from ik_mdn.evaluation.matching import LEAST_MASS, ModeScores, mode_scores
from ik_mdn.evaluation.metrics import ErrorSummary, pose_errors, summarise_errors
from ik_mdn.evaluation.poses import HELD_OUT_SEED, held_out
from ik_mdn.evaluation.scores import energy_score
from ik_mdn.evaluation.weights import WeightScores, measure_weights
from ik_mdn.mixture import find_modes
from sim.errors import CheckpointError, ShapeError
from sim.inputs import check_counts, check_kinds
from sim.jacobians import moves_on_curves

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel
    from ik_mdn.solver import IKSolver

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.99)  # nominal probabilities of the coverage table

_MOST = 10**9  # poses or draws
_CHUNK = 128  # poses at a time; bounds the memory
_CURVES = 50  # poses whose draws are compared with exact ones along the curves
_PAIRED = 64  # draws that enter the scores over pairs
_TRUTH_SEEDS = 512  # random restarts per pose for the true solutions, in the first of up to six growing rounds


@dataclass(frozen=True)
class Calibration:
    """Whether the stated probabilities come true, for N poses and n joints.

    Args:
        pit: F(y) of each joint's marginal, (N, n); see `ik_mdn.evaluation.calibration.pit`.
        level: Probability of the smallest highest-density region around y, (N,); see `density_level`.
    """

    pit: Tensor
    level: Tensor

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: Kolmogorov-Smirnov distances, histograms of ten bins, and the coverage at `LEVELS`."""
        at = torch.tensor(LEVELS, dtype=self.level.dtype)
        bins = [torch.histc(column, 10, 0.0, 1.0).div(len(column)).tolist() for column in self.pit.T]
        return {
            "pit_distance": uniform_distance(self.pit).tolist(),
            "pit_histogram": bins,
            "coverage": {f"{a:g}": c for a, c in zip(LEVELS, coverage(self.level, at).tolist(), strict=True)},
            "coverage_distance": float(uniform_distance(self.level)),
        }


@dataclass(frozen=True)
class Evaluation:
    """Everything `evaluate` measures, on N poses of an arm with n joints.

    Args:
        arm, task: Names.
        seed: Of the poses.
        nll: Mean of -log p(q | T) [nats] (Bishop, 1994, equation 29).
        nll_bound: n log(σ √2π) with σ the floor times the recalibration of widths: no component is denser, before it is cut
            at the limits.
        floor: Smallest standard deviation of a component [rad, m].
        health: Of the components.
        within, between: Variance of each joint inside and between the components at every pose, (N, n) [rad², m²]:
            Σₖ πₖ σₖ² and Σₖ πₖ (μₖ - mean)², law of total variance; see `GaussianMixture.variance`.
        exact: Calibration against the generating joint vectors as they are.
        blurred: Calibration against the same plus N(0, floor² I): the truth as sharp as the floor lets a density be.
        crps: Of each joint, (n,) [rad, m]; see `angular_crps`.
        energy: Energy score [rad, m mixed]; see `ik_mdn.evaluation.scores.energy_score`.
        errors: Of answers by name: "likely", the mean of the heaviest component; "best", the component mean nearest
            to the target by FK; "refined", the solver's first solution.
        weights: How good the probabilities of solutions are; None as for modes.
        modes: None for an arm with more joints than the task has constraints: its solutions form a continuum.
        diversity: How draws are spread along the curves of an arm with one joint to spare; None for others.
        T_base_tip: The poses, (N, 4, 4).
    """

    arm: str
    task: str
    seed: int
    nll: float
    nll_bound: float
    floor: float
    health: Health
    within: Tensor
    between: Tensor
    exact: Calibration
    blurred: Calibration
    crps: Tensor
    energy: float
    errors: dict[str, ErrorSummary]
    weights: WeightScores | None
    modes: ModeScores | None
    diversity: Diversity | None
    T_base_tip: Tensor

    @property
    def count(self) -> int:
        """N."""
        return len(self.T_base_tip)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; what does not exist is null."""
        return {
            "arm": self.arm,
            "task": self.task,
            "poses": {"count": self.count, "seed": self.seed},
            "nll": self.nll,
            "nll_bound": self.nll_bound,
            "floor": self.floor,
            "components": self.health.to_dict(),
            "variance_within": self.within.mean(0).tolist(),
            "variance_between": self.between.mean(0).tolist(),
            "calibration": {"exact": self.exact.to_dict(), "blurred": self.blurred.to_dict()},
            "crps": self.crps.tolist(),
            "energy_score": self.energy,
            "weights": None if self.weights is None else vars(self.weights),
            "modes": None if self.modes is None else vars(self.modes),
            "diversity": None if self.diversity is None else self.diversity.to_dict(),
            "errors": {name: summary.to_dict() for name, summary in self.errors.items()},
        }


def evaluate(
    solver: IKSolver,
    *,
    count: int = 2000,
    mode_count: int = 200,
    draws: int = 200,
    seed: int = HELD_OUT_SEED,
    on_stage: Callable[[str, float], None] | None = None,
) -> Evaluation:
    """Every diagnostic of a solver's mixture on held-out poses.

    Args:
        solver: With a mixture model; densities, modes and proposals are computed on its device.
        count: Number of poses, made from joint vectors uniform in limits, or drawn from the model's own p(q).
        mode_count: How many of them have their modes compared with all true solutions (the slow part).
        draws: Monte Carlo draws per pose for coverage and scores.
        seed: Of the poses and draws.
        on_stage: Called with the name of a stage and the share of it that is done.

    Returns:
        The measurements; nothing is trimmed.

    Raises:
        CheckpointError: The solver has no model, or a regressor.
        ShapeError: Too few poses or draws.
    """
    from ik_mdn.solver import IKSolver

    check_kinds(IKSolver, solver=solver)
    model = _mixture_model(solver)
    check_counts(0, count=count, mode_count=mode_count, draws=draws, seed=seed)
    if max(count, mode_count, draws) > _MOST:
        raise ShapeError(f"count, mode_count and draws go up to {_MOST:,}; got {count}, {mode_count} and {draws}")
    if count < 2 or mode_count < 1 or draws < 2:
        raise ShapeError(
            f"got count={count}, mode_count={mode_count}, draws={draws}; allowed: count >= 2, mode_count >= 1, draws >= 2"
        )
    say = on_stage or (lambda stage, done: None)
    say("densities", 0.0)
    q, T = held_out(solver.arm, count, seed=seed, postures=model.postures)
    T_there, q_there = T.to(solver.device or "cpu"), q.to(solver.device or "cpu")
    generator = torch.Generator(T_there.device).manual_seed(seed + 1)  # the seed itself made the poses
    tally, rows = HealthTally(), []
    for i, part in enumerate(_chunks(count)):
        rows.append(_densities(model, q_there[part], T_there[part], draws, generator, tally))
        say("densities", min(1.0, (i + 1) * _CHUNK / count))
    found = {name: torch.cat([row[name] for row in rows]).cpu() for name in rows[0]}
    redundant = solver.arm.n_joints > solver.task.n_constraints
    modes = None if redundant else _score_modes(solver, model, T_there[:mode_count], say)
    curves = moves_on_curves(solver.arm, solver.task)
    diversity = measure_diversity(solver, T[: min(mode_count, _CURVES)], seed=seed + 1) if curves else None
    weights = measure_weights(solver, q, T) if solver.arm.n_joints == solver.task.n_constraints else None
    return Evaluation(
        arm=solver.arm.name,
        task=solver.task.name,
        seed=seed,
        nll=float(found["nll"].mean()),
        nll_bound=solver.arm.n_joints
        * math.log(model.config.floor * model.recalibration.width * math.sqrt(2 * math.pi)),
        floor=model.config.floor,
        health=tally.result(),
        within=found["within"],
        between=found["between"],
        exact=Calibration(found["pit"], found["level"]),
        blurred=Calibration(found["pit_blurred"], found["level_blurred"]),
        crps=found["crps"].mean(0),
        energy=float(found["energy"].mean()),
        errors=_errors(solver, model, T_there, say),
        weights=weights,
        modes=modes,
        diversity=diversity,
        T_base_tip=T,
    )


def _densities(
    model: ArmModel, q: Tensor, T: Tensor, n_draws: int, generator: torch.Generator, tally: HealthTally
) -> dict[str, Tensor]:
    """Per-pose values of one chunk of poses."""
    with torch.no_grad():
        mixture = model.posterior(T)
        tally.add(model.components(T, q))
    noise = model.config.floor * torch.randn(q.shape, dtype=q.dtype, device=q.device, generator=generator)
    draws = model.sample(T, n_draws, generator=generator).transpose(0, 1)  # (S, B, n)
    few = draws[:_PAIRED]
    with torch.no_grad():
        log_p, log_p_draws = (model.log_prob(T, each) for each in (q, draws))
        log_p_blurred = model.log_prob(T, q, noise=noise)
    return {
        "nll": -log_p,
        "within": mixture.variance_within,
        "between": mixture.variance_between,
        "pit": pit(mixture, q),
        "pit_blurred": pit(mixture, q + noise),
        "level": density_level(log_p, log_p_draws, generator=generator),
        "level_blurred": density_level(log_p_blurred, log_p_draws, generator=generator),
        "crps": angular_crps(few, q, mixture.period),
        "energy": energy_score(few, q, mixture.period),
    }


def _score_modes(solver: IKSolver, model: ArmModel, T: Tensor, say: Callable[[str, float], None]) -> ModeScores:
    from ik_mdn.solver import IKSolver

    modes: list[Tensor] = []
    masses: list[Tensor] = []
    for part in _chunks(len(T), 32):
        with torch.no_grad():
            found = find_modes(model.posterior(T[part]), max_steps=200)
        counted = found.valid & (found.weight >= LEAST_MASS)
        modes += [loc[keep].cpu() for loc, keep in zip(found.loc, counted, strict=True)]
        masses += [weight[keep].cpu() for weight, keep in zip(found.weight, counted, strict=True)]
        say("modes", len(modes) / len(T))
    bare = IKSolver(solver.arm, task=solver.task)
    solutions = []
    for part in _chunks(len(T), 32):
        solutions += [torch.as_tensor(one.q) for one in bare.solve(T[part].cpu(), seeds=_TRUTH_SEEDS)]
        say("true solutions", len(solutions) / len(T))
    refined = [torch.as_tensor(one.q) for one in solver.solve(T, restarts=0)]
    return mode_scores(modes, masses, solutions, refined, torch.tensor(solver.arm.period))


def _errors(solver: IKSolver, model: ArmModel, T: Tensor, say: Callable[[str, float], None]) -> dict[str, ErrorSummary]:
    proposal = model.propose(T)
    err_pos, err_rot = pose_errors(solver.arm, solver.task, proposal.q, T[:, None])  # (N, K)
    picks = {"likely": proposal.weight.argmax(1, keepdim=True), "best": (err_pos + err_rot).argmin(1, keepdim=True)}
    errors = {
        name: summarise_errors(*(error.gather(1, pick)[:, 0].numpy(force=True) for error in (err_pos, err_rot)))
        for name, pick in picks.items()
    }
    say("refinement", 0.0)
    refined = torch.as_tensor(solver.solve(T).best)
    errors["refined"] = summarise_errors(*(e.numpy() for e in pose_errors(solver.arm, solver.task, refined, T.cpu())))
    say("refinement", 1.0)
    return errors


def _mixture_model(solver: IKSolver) -> ArmModel:
    model = solver.model
    if model is None or model.kind != "mdn":
        what = "no model" if model is None else "a regressor (kind 'mse')"
        raise CheckpointError(
            f"the solver for {solver.arm.name!r} has {what}; evaluate needs a mixture: train one with `ik-mdn train`"
        )
    return model if solver.device in (None, "cpu") else deepcopy(model).to(solver.device)


def _chunks(count: int, size: int = _CHUNK) -> Iterator[slice]:
    return (slice(i, min(i + size, count)) for i in range(0, count, size))
