"""Everything that a comparison finds out about one arm: errors on poses, answers executed, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ik_mdn.comparison.contestants import Contestants
from ik_mdn.comparison.execution import ExecutedResult, execute
from ik_mdn.comparison.measuring import MethodResult, compare
from ik_mdn.comparison.methods import answering_methods, missing_methods
from ik_mdn.comparison.pictures import PosePanel, pose_panels
from sim.arm import Arm
from sim.errors import ShapeError
from sim.world import World


@dataclass(frozen=True, eq=False)
class Survey:
    """What was found out about one arm.

    Args:
        contestants: The models.
        count, seed: Of the poses.
        results: On the poses, one per method.
        targets: How many targets were executed.
        executed: At those, one per method.
        meshes: Whether the arm's meshes were loaded.
    """

    contestants: Contestants
    count: int
    seed: int
    results: tuple[MethodResult, ...]
    targets: int = 0
    executed: tuple[ExecutedResult, ...] = ()
    meshes: bool = True

    @property
    def arm(self) -> Arm:
        """The arm."""
        return self.contestants.solver.arm

    def panels(self) -> list[PosePanel]:
        """Pictures of poses; none where there is no regressor. See `pictures.pose_panels`."""
        mse = self.contestants.mse
        return [] if mse is None else pose_panels(self.contestants.mixture, mse, seed=self.seed, meshes=self.meshes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        values: dict[str, Any] = {
            "arm": self.arm.name,
            "task": self.contestants.solver.task.name,
            "count": self.count,
            "seed": self.seed,
            "missing": list(missing_methods(self.contestants)),
            "methods": [result.to_dict() for result in self.results],
        }
        if self.targets:
            values["executed"] = [result.to_dict() for result in self.executed]
        return values


def take_survey(
    contestants: Contestants,
    *,
    count: int = 2000,
    targets: int = 0,
    seed: int = 0,
    meshes: bool = True,
    on_step: Callable[[int, int], None] | None = None,
) -> Survey:
    """Compare the methods on one arm, on poses and (if wanted) on targets executed in the physics world.

    Args:
        contestants: The models.
        count: Number of held-out poses.
        targets: Number of targets to execute for each method; 0: none.
        seed: Of poses and targets, from 0.
        meshes: Load the arm's meshes; without them nothing of them collides.
        on_step: Called before the first and after each result with how many there are and will be, for progress.

    Returns:
        What was found out.

    Raises:
        ShapeError: A number is out of range.
    """
    if count < 1 or min(targets, seed) < 0:
        raise ShapeError(f"count must be at least 1, targets and seed at least 0; got {count}, {targets} and {seed}")
    results: list[MethodResult] = []
    executed: list[ExecutedResult] = []
    with World() as world:
        body = world.add_arm(contestants.solver.arm, meshes=meshes)
        methods = len(answering_methods(contestants, body))
        total = methods + (methods + 1 if targets else 0)

        def tell() -> None:
            if on_step is not None:
                on_step(len(results) + len(executed), total)

        tell()
        for result in compare(contestants, body=body, count=count, seed=seed):
            results.append(result)
            tell()
        for outcome in execute(contestants, body=body, targets=targets, seed=seed) if targets else ():
            executed.append(outcome)
            tell()
    return Survey(contestants, count, seed, tuple(results), targets, tuple(executed), meshes)
