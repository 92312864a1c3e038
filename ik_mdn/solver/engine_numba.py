"""A search's work in compiled code, for float64 on the CPU."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ik_mdn.model import NEAR_AXIS, WAVES, MixtureHead, seeding
from ik_mdn.solver.branches import middle
from ik_mdn.solver.engine import MIN_WEIGHT, SINGULAR, Found, Problem, Seeds, fine_tolerance, merge_distance, starts
from ik_mdn.solver.engine_torch import draw
from ik_mdn.solver.kernels import refine as kernel
from ik_mdn.solver.kernels.branches import BLOCK, compact, mark_new, settle
from ik_mdn.solver.kernels.condition import condition, condition_size
from ik_mdn.solver.kernels.encode import are_poses, encode
from ik_mdn.solver.kernels.few import propose_few, settle_few
from ik_mdn.solver.kernels.folds import across, fold_size
from ik_mdn.solver.kernels.rules import Rule
from ik_mdn.solver.kernels.seeds import decode
from ik_mdn.solver.kernels.vector import LANES, aligned, share
from sim.arm import LIMIT_SLACK, Arm
from sim.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from ik_mdn.model import PoseModel

__all__ = ["CompiledEngine", "CompiledModel", "are_poses", "has_model", "kernel"]

_FEW = 12  # targets up to which the compiled network beats torch's


def has_model(model: PoseModel) -> bool:
    """Whether the compiled code can do what a model does: mixtures on the CPU."""
    return isinstance(getattr(model, "head", None), MixtureHead) and model.centre.device.type == "cpu"


class CompiledModel:
    """A model's numbers as the compiled code takes them, as they are when this is made.

    Args:
        model: A mixture on the CPU.
    """

    def __init__(self, model: PoseModel) -> None:
        assert isinstance(model.head, MixtureHead)
        self.model, features = model, model.features
        rows, shape = model.task.rows, model.head.shape
        n_orientation = 0 if not any(rows[3:]) else 3 if features.removes_roll or not rows[5] else 6
        flags = (features.removes_azimuth, features.removes_roll, any(rows[3:]), rows[5])
        options = np.array([*map(int, flags), n_orientation, WAVES], dtype=np.int64)
        scaling = (model.centre.numpy().copy(), model.spread.numpy().copy())
        self.frames = (*features.frames, options, np.array([model.arm.reach, NEAR_AXIS]), *scaling)
        self.shape = np.array([shape.components, *shape.sizes[1:], 1], dtype=np.int64)
        sigma = (seeding.SPREAD, seeding.LEAST_WEIGHT, seeding.LEAST_STD)
        self.reading = (self.shape, np.array([model.floor, MIN_WEIGHT, *sigma]))

    @cached_property
    def layers(self) -> tuple[NDArray[np.float32], ...]:
        """What `kernel_forward.forward` takes between its input and its output."""
        trunk, out = self.model.trunk, self.model.head.out
        blocks: list[Any] = [list(block.children()) for block in trunk.blocks]  # normalisation, linear, SiLU, linear
        linear = [layer for block in blocks for layer in (block[1], block[3])]
        norms = [*(block[0] for block in blocks), trunk.norm]
        width = out.in_features
        with torch.no_grad():
            arrays = (
                torch.cat([trunk.input.weight.T, trunk.input.bias[None]]),
                torch.stack([layer.weight.T for layer in linear]) if linear else torch.empty(0, width, width),
                torch.stack([layer.bias for layer in linear]) if linear else torch.empty(0, width),
                torch.stack([torch.stack([norm.weight, norm.bias]) for norm in norms]),
                torch.cat([out.weight.T, out.bias[None]]),
            )
            return tuple(np.ascontiguousarray(array.numpy()) for array in arrays)

    def numbers_of(self, T: FloatArray) -> tuple[NDArray[np.float32], FloatArray]:
        """The head's numbers (B, ...) and the azimuth and roll (B, 2) of targets (B, 4, 4)."""
        x, shift = np.empty((len(T), len(self.frames[4])), np.float32), np.empty((len(T), 2))
        queue = np.zeros(1, np.int64)
        share(lambda: encode(T, *self.frames, x, shift, queue), -(-len(T) // BLOCK))
        with torch.inference_mode():
            return self.model.head.out(self.model.trunk(torch.from_numpy(x))).numpy(), shift


class CompiledEngine:
    """See `ik_mdn.solver.engine.Engine`.

    Args:
        problem: What is solved for.
        model: A mixture, or None.
    """

    def __init__(self, problem: Problem, model: CompiledModel | None) -> None:
        self.arm, self.task, self.T, self.near, self.tolerance = problem
        self.model, self.has_model = model, model is not None

    def propose(self, poses: IntArray, most: int, *, raw: bool = False) -> Seeds:
        model, P = self.model, len(poses)
        assert model is not None
        if P <= _FEW and not raw:
            _, start, _, q, weight = propose_few(self._targets(poses), model.frames, model.layers, model.reading, most)
            return Seeds(start, q, weight)
        numbers, shift = model.numbers_of(self._targets(poses))
        shape, reading = model.reading
        shape = np.array([*shape[:-1], not raw], dtype=np.int64)
        q, weight, count = np.empty((P, most, self.arm.n_joints)), np.empty((P, most)), np.empty(P, np.int64)
        queue = np.zeros(1, np.int64)
        share(lambda: decode(numbers, shift, shape, reading, most, q, weight, count, queue), -(-P // BLOCK))
        start = starts(count)
        first, rows = np.arange(P) * most, (q.reshape(P * most, -1), weight.reshape(P * most))
        return Seeds(start, *_moved(first, count, start, rows))

    def draw(self, poses: IntArray, count: int, generator: np.random.Generator) -> Seeds:
        assert self.model is not None
        return draw(self.model.model, torch.from_numpy(self._targets(poses)), count, generator)

    def settle(self, poses: IntArray, seeds: Seeds) -> tuple[Found, NDArray[np.bool_]]:
        pose = poses.repeat(seeds.counts)
        rule = Rule(tolerance=fine_tolerance(self.tolerance))
        q, err_pos, err_rot, _ = kernel.refine_rows(self.arm, self.task, self.T, pose, seeds.q, rule)
        return self._gather(poses, seeds.start, (q, seeds.weight.copy(), err_pos, err_rot))

    def is_new(self, found: Found, more: Found) -> BoolArray:
        first = (rows.pose.searchsorted(np.arange(len(self.T) + 1)) for rows in (found, more))
        new, turns = np.empty(len(more.pose), np.bool_), _limits(self.arm)[1]
        mark_new(*first, found.q, more.q, turns, merge_distance(self.tolerance), new)
        return new

    def across(self, poses: IntArray, found: Found) -> Seeds:
        place = poses.searchsorted(found.pose)
        if self.task.n_constraints != self.arm.n_joints:
            return Seeds(np.zeros(len(poses) + 1, np.int64), found.q[:0], found.weight[:0])
        base, chain, slides, unit, length = kernel.describe(self.arm)
        seeds, near, queue = np.empty_like(found.q), np.empty(len(place), np.bool_), np.zeros(1, np.int64)
        description = (base, chain, slides, unit, kernel.code_of(self.task), length)

        def work() -> None:
            ws = aligned(fold_size(len(unit)) * LANES)
            across(self.T, found.pose, found.q, *description, seeds, near, queue, ws)

        share(work, -(-len(place) // 1024))
        count = np.bincount(place[near], minlength=len(poses))
        return Seeds.weightless(count, seeds[near])

    def condition(self, q: FloatArray) -> tuple[NDArray[np.bool_], FloatArray]:
        base, chain, slides, unit, _ = kernel.describe(self.arm)
        singular, manipulability = np.empty(len(q), np.bool_), np.empty(len(q))
        queue, code = np.zeros(1, np.int64), kernel.code_of(self.task)

        def work() -> None:
            ws = aligned(condition_size(len(unit)) * LANES)
            condition(q, base, chain, slides, unit, code, SINGULAR, singular, manipulability, queue, ws)

        share(work, -(-len(q) // 4096))
        return singular, manipulability

    def _gather(
        self, poses: IntArray, start: IntArray, rows: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
    ) -> tuple[Found, NDArray[np.bool_]]:
        limits, turns, near = _limits(self.arm)
        if self.near is not None:
            near = self.near[poses]
        numbers = np.array([self.tolerance, merge_distance(self.tolerance), LIMIT_SLACK])
        if len(poses) <= _FEW:
            _, offsets, *kept, met = settle_few(start, *rows, limits, turns, near, numbers)
            return Found(poses.repeat(offsets[1:] - offsets[:-1]), *kept), met
        count, met, queue = np.empty(len(poses), np.int64), np.empty(len(poses), np.bool_), np.zeros(1, np.int64)
        share(lambda: settle(start, *rows, limits, turns, near, numbers, count, met, queue), -(-len(poses) // BLOCK))
        return Found(poses.repeat(count), *_moved(start, count, starts(count), rows)), met

    def _targets(self, poses: IntArray) -> FloatArray:
        return self.T if len(poses) == len(self.T) else self.T[poses]


def _moved(start: IntArray, count: IntArray, offsets: IntArray, rows: tuple[FloatArray, ...]) -> list[Any]:
    """The first `count` rows of each target, one target after the other."""
    copies, total = [], int(offsets[-1])
    for source in rows:
        flat = source if source.ndim == 2 else source[:, None]
        target = np.empty((total, flat.shape[1]))
        compact(start, count, flat, target, offsets)
        copies.append(target if source.ndim == 2 else target[:, 0])
    return copies


@lru_cache(maxsize=64)
def _limits(arm: Arm) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """Lowest and highest joint values (2, n), which joints turn (n,), and the middle of the limits (1, n)."""
    return np.array([arm.q_min, arm.q_max]), ~arm.is_prismatic, middle(arm)[None]
