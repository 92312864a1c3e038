"""A search's work in compiled code, for float64 on the CPU."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.model import NEAR_AXIS, WAVES, SavedModel, seeding
from ik_mdn.solver.branches import middle
from ik_mdn.solver.engine import (
    MIN_WEIGHT,
    SINGULAR,
    Condition,
    Found,
    Problem,
    Seeds,
    fine_tolerance,
    merge_distance,
    portions,
    starts,
)
from ik_mdn.solver.kernels import refine as kernel
from ik_mdn.solver.kernels.branches import BLOCK, Bounds, Candidates, compact, mark_new, settle
from ik_mdn.solver.kernels.condition import condition, condition_size
from ik_mdn.solver.kernels.encode import Frames, are_poses, encode
from ik_mdn.solver.kernels.few import propose_few, settle_few
from ik_mdn.solver.kernels.folds import across, fold_size
from ik_mdn.solver.kernels.forward import Layers
from ik_mdn.solver.kernels.kinematics import describe, in_frames
from ik_mdn.solver.kernels.rules import Rule
from ik_mdn.solver.kernels.seeds import Reading, decode
from ik_mdn.solver.kernels.threads import share
from ik_mdn.solver.kernels.vector import workspace
from sim.arm import LIMIT_SLACK, Arm
from sim.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel

__all__ = ["CompiledEngine", "CompiledModel", "are_poses", "kernel"]

_FEW = 12  # targets up to which the compiled network beats torch's


class CompiledModel:
    """A model's numbers as the compiled code takes them, as they are when this is made.

    Args:
        model: A mixture.
    """

    def __init__(self, model: SavedModel | ArmModel) -> None:
        model = model if isinstance(model, SavedModel) else model.saved()
        assert model.config.kind == "mdn"
        self.model, features = model, model.features
        self.is_chain = bool(model.config.drawn_first)  # whose seeds torch proposes
        if self.is_chain:
            return
        rows, shape = model.task.rows, model.shape
        self.frames = Frames(
            *features.frames,
            azimuth=bool(features.removes_azimuth),
            roll=bool(features.removes_roll),
            rotates=any(rows[3:]),
            rolls=bool(rows[5]),
            n_orientation=features.n_orientation,
            octaves=WAVES,
            reach=float(model.arm.reach),
            near_axis=NEAR_AXIS,
            centre=model.weights["centre"],
            spread=model.weights["spread"],
        )
        sigma = (seeding.SPREAD, seeding.LEAST_WEIGHT, seeding.LEAST_STD)
        self.reading = Reading(shape.components, *shape.sizes[1:], True, float(model.config.floor), MIN_WEIGHT, *sigma)

    @cached_property
    def layers(self) -> Layers:
        """The network's parameters."""
        weights, width, blocks = self.model.weights, self.model.config.width, range(self.model.config.blocks)
        inner = [f"trunk.blocks.{i}.{place}" for i in blocks for place in (1, 3)]
        norms = [*(f"trunk.blocks.{i}.0" for i in blocks), "trunk.norm"]
        first, last = (
            np.vstack([weights[f"{name}.weight"].T, weights[f"{name}.bias"]]) for name in ("trunk.input", "head.out")
        )
        return Layers(
            first,
            np.array([weights[f"{name}.weight"].T for name in inner], np.float32).reshape(-1, width, width),
            np.array([weights[f"{name}.bias"] for name in inner], np.float32).reshape(-1, width),
            np.array([[weights[f"{name}.weight"], weights[f"{name}.bias"]] for name in norms]),
            last,
        )

    def numbers_of(self, T: FloatArray) -> tuple[NDArray[np.float32], FloatArray]:
        """The head's numbers (B, ...) and the azimuth and roll (B, 2) of targets (B, 4, 4)."""
        x, shift = np.empty((len(T), len(self.frames.centre)), np.float32), np.empty((len(T), 2))
        queue = np.zeros(1, np.int64)
        share(lambda: encode(T, self.frames, x, shift, queue), -(-len(T) // BLOCK))
        import torch

        with torch.inference_mode():
            return self.network.head.out(self.network.trunk(torch.from_numpy(x))).numpy(), shift

    @cached_property
    def network(self) -> Any:
        """The model in torch."""
        from ik_mdn.model import from_saved

        return from_saved(self.model)


class CompiledEngine:
    """See `ik_mdn.solver.engine.Engine`.

    Args:
        problem: What is solved for.
        model: A mixture, or None.
    """

    def __init__(self, problem: Problem, model: CompiledModel | None) -> None:
        self.problem = problem
        self.arm, self.task, self.T, self.near, self.tolerance = problem[:5]
        self.model, self.has_model = model, model is not None

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Seeds:
        model, P = self.model, len(poses)
        assert model is not None
        if model.is_chain:
            import torch

            from ik_mdn.solver.engine_torch import propose

            return propose(model.network, torch.from_numpy(self._targets(poses)), most, raw=raw)
        if P <= _FEW and not raw:
            return Seeds(*propose_few(self._targets(poses), model.frames, model.layers, model.reading, most))
        numbers, shift = model.numbers_of(self._targets(poses))
        reading = model.reading._replace(sigma_points=not raw)
        q, weight, count = np.empty((P, most, self.arm.n_joints)), np.empty((P, most)), np.empty(P, np.int64)
        queue = np.zeros(1, np.int64)
        share(lambda: decode(numbers, shift, reading, q, weight, count, queue), -(-P // BLOCK))
        taken = np.arange(most) < count[:, None]
        return Seeds(starts(count), q[taken], weight[taken])

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Seeds:
        assert self.model is not None
        import torch

        from ik_mdn.solver.engine_torch import draw

        return draw(self.model.network, torch.from_numpy(self._targets(poses)), count, generator)

    def settle(self, poses: IntArray, seeds: Seeds, tolerance: float | None = None) -> tuple[Found, NDArray[np.bool_]]:
        pose, most = poses.repeat(seeds.counts), tolerance or self.tolerance
        rule, count = Rule(tolerance=fine_tolerance(most)), len(pose)
        rows = Candidates(np.empty((count, self.arm.n_joints)), seeds.weight.copy(), *np.full((2, count), np.inf))
        for part in portions(count, self.problem):
            refined = kernel.refine_rows(self.arm, self.task, self.T, pose[part], seeds.q[part], rule)
            rows.q[part], rows.err_pos[part], rows.err_rot[part], _ = refined
        return self._gather(poses, seeds.start, rows, most)

    def is_new(self, found: Found, more: Found) -> BoolArray:
        first = (rows.pose.searchsorted(np.arange(len(self.T) + 1)) for rows in (found, more))
        new, turns = np.empty(len(more.pose), np.bool_), _limits(self.arm)[2]
        mark_new(*first, found.q, more.q, turns, merge_distance(self.tolerance), new)
        return new

    def across(self, poses: IntArray, found: Found) -> Seeds:
        place = poses.searchsorted(found.pose)
        if self.task.n_constraints != self.arm.n_joints:
            return Seeds(np.zeros(len(poses) + 1, np.int64), found.q[:0], found.weight[:0])
        problem, T = describe(self.arm, self.task), in_frames(self.task, self.T)
        seeds, near, queue = np.empty_like(found.q), np.empty(len(place), np.bool_), np.zeros(1, np.int64)

        def work() -> None:
            across(problem, T, found.pose, found.q, seeds, near, queue, workspace(fold_size(self.arm.n_joints)))

        share(work, -(-len(place) // 1024))
        count = np.bincount(place[near], minlength=len(poses))
        return Seeds.weightless(count, seeds[near])

    def condition(self, q: FloatArray) -> Condition:
        problem, queue = describe(self.arm, self.task), np.zeros(1, np.int64)
        singular, manipulability = np.empty(len(q), np.bool_), np.empty(len(q))

        def work() -> None:
            ws = workspace(condition_size(self.arm.n_joints))
            condition(problem, q, SINGULAR, singular, manipulability, queue, ws)

        share(work, -(-len(q) // 4096))
        return Condition(singular, manipulability)

    def _gather(
        self, poses: IntArray, start: IntArray, rows: Candidates, tolerance: float
    ) -> tuple[Found, NDArray[np.bool_]]:
        low, high, turns, near = _limits(self.arm)
        if self.near is not None:
            near = self.near[poses]
        bounds = Bounds(low, high, turns, near, float(tolerance), merge_distance(tolerance), LIMIT_SLACK)
        if len(poses) <= _FEW:
            offsets, *kept, met = settle_few(start, rows, bounds)
            return Found(poses.repeat(offsets[1:] - offsets[:-1]), *kept), met
        count, met, queue = np.empty(len(poses), np.int64), np.empty(len(poses), np.bool_), np.zeros(1, np.int64)
        share(lambda: settle(start, rows, bounds, count, met, queue), -(-len(poses) // BLOCK))
        offsets = starts(count)
        total = int(offsets[-1])
        moved = Candidates(np.empty((total, self.arm.n_joints)), np.empty(total), np.empty(total), np.empty(total))
        compact(start, count, rows, offsets, moved)
        return Found(poses.repeat(count), *moved), met

    def _targets(self, poses: IntArray) -> FloatArray:
        return self.T if len(poses) == len(self.T) else self.T[poses]


@lru_cache(maxsize=64)
def _limits(arm: Arm) -> tuple[FloatArray, FloatArray, NDArray[np.bool_], FloatArray]:
    """Least and greatest joint values (n,), which joints turn (n,), and the middle of the limits (1, n)."""
    return np.array(arm.q_min), np.array(arm.q_max), ~arm.is_prismatic, middle(arm)[None]
