"""Everything that a comparison finds out about one arm: models, errors on poses, answers executed, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ik_mdn.comparison.comparison import MethodResult, compare
from ik_mdn.comparison.execution import EXECUTED, ExecutedResult, execute
from ik_mdn.comparison.methods import METHODS
from ik_mdn.comparison.pictures import PosePanel, pose_panels
from ik_mdn.model import PoseModel, find_shipped, load_fitting, load_model
from ik_mdn.solver import IKSolver
from sim.arm import Arm
from sim.errors import CheckpointError, ShapeError
from sim.world import World

Source = Path | str | None


@dataclass(frozen=True, eq=False)
class Contestants:
    """The models of one arm that are compared.

    Args:
        solver: With the mixture.
        mse: The regressor, or None.
        k1: The mixture of one component, or None.
    """

    solver: IKSolver
    mse: PoseModel | None = None
    k1: PoseModel | None = None

    @property
    def mixture(self) -> PoseModel:
        """The solver's model."""
        assert self.solver.model is not None, "contestants are loaded with a mixture"
        return self.solver.model

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the methods that are left out because their model is not there."""
        return tuple(METHODS[kind] for kind in ("mse", "k1") if getattr(self, kind) is None)

    @property
    def models(self) -> dict[str, PoseModel]:
        """The models that are there: name of the method → model."""
        found = {"mse": self.mse, "k1": self.k1}
        named = {METHODS[kind]: model for kind, model in found.items() if model is not None}
        return {**named, "MDN": self.mixture}


@dataclass(frozen=True, eq=False)
class Survey:
    """What was found out about one arm.

    Args:
        contestants: The models.
        count, seed: Of the poses.
        results: On the poses, one per method.
        targets: How many targets were executed.
        executed: At those, one per method.
    """

    contestants: Contestants
    count: int
    seed: int
    results: tuple[MethodResult, ...]
    targets: int = 0
    executed: tuple[ExecutedResult, ...] = ()

    @property
    def arm(self) -> Arm:
        """The arm."""
        return self.contestants.solver.arm

    def panels(self) -> list[PosePanel]:
        """Pictures of poses; none where there is no regressor. See `poses.pose_panels`."""
        mse = self.contestants.mse
        return [] if mse is None else pose_panels(self.contestants.mixture, mse, seed=self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        values: dict[str, Any] = {
            "arm": self.arm.name,
            "task": self.contestants.solver.task.name,
            "count": self.count,
            "seed": self.seed,
            "missing": list(self.contestants.missing),
            "methods": [result.to_dict() for result in self.results],
        }
        if self.targets:
            values["executed"] = [result.to_dict() for result in self.executed]
        return values


def load_contestants(arm: Arm, *, model: Source = None, mse: Source = None, k1: Source = None) -> Contestants:
    """The models to compare on an arm: the ones that were named, otherwise those shipped for it.

    Args:
        arm: The arm.
        model, mse, k1: Names or files of the mixture, the regressor and the mixture of one component; None: shipped.

    Returns:
        The models; None for a regressor or one Gaussian that does not exist.

    Raises:
        CheckpointError: There is no mixture for this arm, a file is damaged or made for another arm, or holds
            another kind of model than it is named for.
    """
    mixture = load_fitting(arm, model)
    others = {kind: source or find_shipped(arm, kind=kind) for kind, source in (("mse", mse), ("k1", k1))}
    loaded = {kind: load_model(source, arm=arm) if source else None for kind, source in others.items()}
    for kind, found in {"mdn": mixture, **loaded}.items():
        if found is not None and not _is_kind(found, kind):
            raise CheckpointError(
                f"the model given as {'--model' if kind == 'mdn' else '--' + kind} is {_describe(found)}; "
                f"expected {_EXPECTED[kind]}"
            )
    return Contestants(IKSolver(arm, mixture), **loaded)


def take_survey(
    contestants: Contestants,
    *,
    count: int = 2000,
    targets: int = 0,
    seed: int = 0,
    on_step: Callable[[str], None] | None = None,
) -> Survey:
    """Compare the methods on one arm, on poses and (if wanted) on targets executed in the physics world.

    Args:
        contestants: The models.
        count: Number of held-out poses.
        targets: Number of targets to execute for each method; 0: none.
        seed: Of poses and targets, from 0.
        on_step: Called with a method's name after each result, for progress.

    Returns:
        What was found out.

    Raises:
        ShapeError: A number is out of range.
    """
    if count < 1 or min(targets, seed) < 0:
        raise ShapeError(f"count must be at least 1, targets and seed at least 0; got {count}, {targets} and {seed}")
    solver, mse, k1 = contestants.solver, contestants.mse, contestants.k1
    say = on_step or (lambda name: None)
    with World() as world:
        body = world.add_arm(solver.arm)
        results = _collect(compare(solver, mse, k1=k1, body=body, count=count, seed=seed), METHODS, say)
        executed: list[ExecutedResult] = []
        if targets:
            executed = _collect(execute(solver, mse, k1=k1, body=body, targets=targets, seed=seed), EXECUTED, say)
    return Survey(contestants, count, seed, tuple(results), targets, tuple(executed))


def steps_of(contestants: Contestants, *, targets: int) -> int:
    """How often `take_survey` calls `on_step`."""
    methods = len(METHODS) - len(contestants.missing)
    return methods + (methods + 1 if targets else 0)


def _collect(results: Iterable[Any], names: dict[str, str], say: Callable[[str], None]) -> list[Any]:
    found = []
    for result in results:
        found.append(result)
        say(names[result.name])
    return found


def _is_kind(model: PoseModel, kind: str) -> bool:
    if kind == "mse" or model.kind == "mse":
        return kind == model.kind
    return kind == "mdn" or model.config.components == 1


def _describe(model: PoseModel) -> str:
    return "a regressor" if model.kind == "mse" else f"a mixture of K = {model.config.components}"


_EXPECTED = {"mdn": "a mixture", "mse": "a regressor (--kind mse)", "k1": "a mixture of one component (--components 1)"}
