"""A model's numbers as compiled code takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ik_mdn.model import NEAR_AXIS, WAVES, PoseFeatures, SavedModel, features_for, first_config, seeding, shape_of
from ik_mdn.solver.engine import MIN_WEIGHT
from ik_mdn.solver.kernels.encode import Frames
from ik_mdn.solver.kernels.network import Layers, layers_of
from ik_mdn.solver.kernels.pointers import packed
from ik_mdn.solver.kernels.proposing import Proposer, Reading, head_order, measure_for
from ik_mdn.solver.kernels.strata import GRID, MOST_STRATA, Link, density_for
from sim.arm import Arm

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel

_FEW = 2  # strata where one solution is enough


class CompiledModel:
    """A model as compiled code takes it, with the weights that it has when this is made.

    Args:
        model: A mixture.
        with_axes: Whether wide components have sigma points, where no joint is drawn first.
        halves: Whether its networks may be evaluated in bfloat16, see `kernels.tiles`: for seeds that are refined.
    """

    def __init__(self, model: SavedModel | ArmModel, *, with_axes: bool = True, halves: bool = True) -> None:
        self.saved = SavedModel.of(model)
        self._links, last = _taken_apart(self.saved, halves)
        self._last = _last_of(last, with_axes=with_axes and not self._links, halves=halves)

    @cached_property
    def network(self) -> ArmModel:
        """The model in torch, for draws."""
        from ik_mdn.model import from_saved

        return from_saved(self.saved)

    @cached_property
    def exact(self) -> CompiledModel:
        """The model in float32 for means alone, without sigma points: for what is not refined."""
        return CompiledModel(self.saved, with_axes=False, halves=False)

    @cached_property
    def proposer(self) -> Proposer:
        """What proposes seeds."""
        return self._with_strata(seeding.STRATA)

    @cached_property
    def quick(self) -> Proposer:
        """What proposes seeds where one solution is enough."""
        return self._with_strata(_FEW)

    def _with_strata(self, most: int) -> Proposer:
        left = range(len(self._links), 0, -1)
        links = [link._replace(strata=seeding.strata_for(k, most)) for link, k in zip(self._links, left, strict=True)]
        words = [packed(link) for link in links]
        return self._last._replace(
            links=np.concatenate([np.zeros(0, np.int64), *words]),
            drawn=len(links),
            size=len(words[0]) if words else 0,
            rows=int(np.prod([link.strata for link in links])),
            most_in=max([self._last.layers.n_in, *(link.layers.n_in for link in links)]),
            most_out=max([self._last.layers.n_out, *(link.layers.n_out for link in links)]),
            places=_places(self.saved),
            first=sum(not link.is_last for link in links),
        )


@lru_cache(maxsize=1)
def no_model() -> Proposer:
    """What stands where there is none."""
    some, none, words = np.eye(4), np.empty(0, np.float32), np.empty(0, np.int64)
    frames = Frames(some, some, False, False, False, False, 0, 0, 1.0, 1, 0.0, none, none)
    layers = Layers(none, none, none, *[0] * (len(Layers._fields) - 3))
    return Proposer(frames, layers, Reading(0, 0, 1, 0, none, 0.0, 0.0), words, 0, 0, 1, 0, 0, words, 0)


def _places(model: SavedModel) -> NDArray[np.int64]:
    """Numbers of the joints that are drawn first."""
    left, places = list(range(model.arm.n_joints)), []
    for joint in model.config.drawn_first:
        places.append(left.pop(joint))
    return np.array(places, np.int64)


def _taken_apart(model: SavedModel, halves: bool) -> tuple[list[Link], SavedModel]:
    """The joints drawn first, and the model of the others."""
    arm, weights, links = model.arm, model.weights, []
    for joint in model.config.drawn_first:
        links.append(_link(model, arm, joint, _below(weights, "first."), halves))
        weights = _below(weights, "rest.")
        arm = arm.part(1, arm.n_joints) if joint == 0 else arm.part(0, joint)
    return links, SavedModel(arm, model.task, replace(model.config, drawn_first=()), weights)


def _below(weights: Mapping[str, NDArray[np.float32]], prefix: str) -> dict[str, NDArray[np.float32]]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _link(model: SavedModel, arm: Arm, joint: int, weights: Mapping[str, NDArray[np.float32]], halves: bool) -> Link:
    features, config = features_for(arm, model.task, model.config), first_config(model.config)
    shape, slides = shape_of(config, arm.period[[joint]]), bool(arm.is_prismatic[joint])
    order = head_order(shape.components, shape.sizes)
    low, period = float(arm.sample_min[joint]), float(arm.period[joint])
    step = (min(float(arm.sample_max[joint]), low + period) - low) / GRID
    return Link(
        _frames(features, weights),
        layers_of(weights, model.config, order, halves=halves),
        density_for(len(order) // sum(shape.sizes), slides=slides, by_sines=len(shape.turning) > 0),
        np.array([model.config.floor, step, period], np.float32),
        low,
        step,
        MOST_STRATA,
        is_last=joint > 0,
        slides=slides,
        beyond=np.linalg.inv(arm.offsets[-1 if joint else 0]),
    )


def _last_of(model: SavedModel, *, with_axes: bool, halves: bool) -> Proposer:
    """The network whose components are seeds, as if no joint were drawn before."""
    assert model.kind == "mdn"
    shape = model.shape
    joints, wanted = shape.dims, shape.sizes if with_axes else (*shape.sizes[:3], 0, 0)
    whole = head_order(shape.components, shape.sizes)
    filled = len(whole) // sum(shape.sizes)
    numbers = np.array([model.config.floor, seeding.LEAST_WEIGHT, seeding.LEAST_STD], np.float32)
    code = measure_for(joints, shape.turning, *wanted[3:], filled)
    reading = Reading(shape.components, filled, joints, code, numbers, MIN_WEIGHT, seeding.SPREAD)
    layers = layers_of(model.weights, model.config, whole[: filled * sum(wanted)], halves=halves)
    none = np.zeros(0, np.int64)
    frames = _frames(model.features, model.weights)
    return Proposer(frames, layers, reading, none, 0, 0, 1, layers.n_in, layers.n_out, none, 0)


def _frames(features: PoseFeatures, weights: Mapping[str, NDArray[np.float32]]) -> Frames:
    rows = features.task.rows
    return Frames(
        *features.frames,
        azimuth=bool(features.removes_azimuth),
        roll=bool(features.removes_roll),
        rotates=any(rows[3:]),
        rolls=bool(rows[5]),
        n_orientation=features.n_orientation,
        octaves=WAVES,
        reach=float(features.arm.reach or 1.0),
        charts=features.charts,
        near_axis=NEAR_AXIS,
        centre=weights["centre"],
        spread=weights["spread"],
    )
