"""What comes in at the door: all kinds with one meaning, while the others are told what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import ik_mdn
import sim
from ik_mdn import IKSolver
from sim.errors import IKError, ShapeError
from sim.inputs import as_numbers
from sim.world import ArmBody

READ_ONLY = np.arange(3.0)
READ_ONLY.setflags(write=False)


@pytest.mark.parametrize(
    "value",
    [
        [0, 1, 2],
        (0.0, 1.0, 2.0),
        range(3),
        np.arange(3, dtype=np.float16),
        np.arange(3, dtype=np.uint8),
        np.arange(3, dtype=np.longdouble),
        np.arange(3, dtype=">f8"),
        READ_ONLY,
        np.arange(2.0, -1.0, -1.0)[::-1],
        np.broadcast_to(np.arange(3), (1, 3))[0],
        torch.arange(3.0),
        torch.arange(3, dtype=torch.float16),
        torch.arange(3.0, requires_grad=True),
        torch.arange(3, dtype=torch.bfloat16),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}",
)
def test_real_numbers_of_every_kind_are_taken_as_a_copy(value: Any) -> None:
    numbers = as_numbers(value, "x")
    np.testing.assert_array_equal(numbers, [0.0, 1.0, 2.0])
    assert numbers.dtype == np.float64
    numbers += 1
    np.testing.assert_array_equal(as_numbers(value, "x"), [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1j], "x holds complex numbers"),
        (torch.tensor([1j]), "x holds complex numbers"),
        ([None, 1], "x holds objects"),
        (np.array([1.0], dtype=object), "x holds objects"),
        ({"joint1": 1}, "x holds objects"),
        (["1.0"], "x holds text"),
        (np.array([b"1"]), "x holds text"),
        ("abc", "x holds text"),
        ([[1], [1, 2]], "x is no array of numbers"),
        (np.ma.masked_array([1.0], mask=[True]), "x is a masked array"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "x holds dates"),
        ([Fraction(1, 2)], "x holds objects"),
        ([Decimal(1)], "x holds objects"),
        (torch.ones(2).to_sparse(), "x is no plain tensor"),
        (torch.ones(2, device="meta"), "x is no plain tensor"),
    ],
)
def test_what_is_no_real_number_is_refused_by_what_it_is(value: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        as_numbers(value, "x")


ODD_NUMBERS = ["3", None, 1j, np.nan, [1.0, 2.0], np.array(["1"]), b"1", 10**400, object(), {}, torch.ones(2)]


@pytest.fixture(scope="module")
def solver() -> IKSolver:
    return IKSolver(sim.load_arm("planar2"))


@pytest.fixture(scope="module")
def body(solver: IKSolver) -> Iterator[ArmBody]:
    with sim.World() as world:
        yield world.add_arm(solver.arm)


def circle(solver: IKSolver, body: ArmBody, value: Any) -> object:
    return ik_mdn.circle_path((1, 0, 0), (0, 0, 1), value, np.eye(3))


NUMBERS: dict[str, Callable[[IKSolver, ArmBody, Any], object]] = {
    "speed of a line": lambda s, b, x: ik_mdn.line_path(np.eye(4), np.eye(4), speed=x),
    "radius": circle,
    "dt": lambda s, b, x: ik_mdn.CartesianPath(np.eye(4)[None], x),
    "speed of following": lambda s, b, x: ik_mdn.track(s, ik_mdn.CartesianPath(np.eye(4)[None]), speed=x),
    "speed of driving": lambda s, b, x: b.drive([0.1, 0.1], speed=x),
    "period of watching": lambda s, b, x: b.drive([0.1, 0.1], watch=lambda: None, watch_period=x),
    "margin": lambda s, b, x: b.collides([0, 0], margin=x),
    "within": lambda s, b, x: b.clearance([0, 0], within=x),
    "size of a marker": lambda s, b, x: sim.World().add_marker(np.eye(4), size=x),
    "colour of a marker": lambda s, b, x: sim.World().add_marker(np.eye(4), colour=x),
    "height of the ground": lambda s, b, x: sim.World().add_ground(size=x),
    "weight of a cost": lambda s, b, x: ik_mdn.CostWeights(travel=x),
    "speed of reaching": lambda s, b, x: ik_mdn.Controller(b, s, speed=x).reach([1, 1]),
    "frozen joint": lambda s, b, x: sim.load_arm("planar2", freeze={"joint1": x}),
    "samples": lambda s, b, x: sim.generate(s.arm, "never", count=x),
    "shards": lambda s, b, x: sim.generate(s.arm, "never", count=10, shards=[x]),
    "rows of a batch": lambda s, b, x: sim.read_batches("never", batch_size=x),
    "seed of a batch": lambda s, b, x: sim.read_batches("never", batch_size=1, seed=x),
    "poses": lambda s, b, x: ik_mdn.evaluate(s, count=x),
    "samples of a curve": lambda s, b, x: ik_mdn.self_motion(sim.load_arm("planar3"), [1, 1], task="planar_position", count=x),
}  # fmt: skip


def said(value: Any) -> str:
    """A value's kind and, of a plain one, how it begins: the same in every process."""
    plain = np.ndim(value) == 0 and type(value) is not object
    return f"{type(value).__name__} {str(value)[:12]}" if plain else type(value).__name__


@pytest.mark.parametrize("value", ODD_NUMBERS, ids=said)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_an_odd_kind_is_refused_by_name(name: str, value: Any, solver: IKSolver, body: ArmBody) -> None:
    with pytest.raises(IKError) as caught:
        NUMBERS[name](solver, body, value)
    assert "\n" not in str(caught.value)


OBJECTS: dict[str, Callable[[IKSolver, ArmBody, Any], object]] = {
    "held joints": lambda s, b, x: b.hold(x),
    "speeds of held joints": lambda s, b, x: b.hold([0, 0], x),
    "arm of kinematics": lambda s, b, x: sim.forward_kinematics(x, [0, 0]),
    "arm of a dataset": lambda s, b, x: sim.generate(x, "never", count=10),
    "arm of a task": lambda s, b, x: sim.default_task(x),
    "arm of training": lambda s, b, x: ik_mdn.train(x, ik_mdn.TrainConfig(steps=1)),
    "config": lambda s, b, x: ik_mdn.train(s.arm, x),
    "task": lambda s, b, x: IKSolver(s.arm, task=x),
    "device": lambda s, b, x: IKSolver(s.arm, device=x),
    "model": lambda s, b, x: IKSolver(s.arm, x),
    "name of a model": lambda s, b, x: IKSolver.load(x),
    "solver of self-motion": lambda s, b, x: ik_mdn.self_motion(x, [1, 1]),
    "solver of following": lambda s, b, x: ik_mdn.track(x, ik_mdn.CartesianPath(np.eye(4)[None])),
    "path": lambda s, b, x: ik_mdn.track(s, x),
    "waypoints": lambda s, b, x: ik_mdn.polyline_path(x),
    "body": lambda s, b, x: ik_mdn.Controller(x, s),
    "solver of a controller": lambda s, b, x: ik_mdn.Controller(b, x),
    "solver that is evaluated": lambda s, b, x: ik_mdn.evaluate(x),
    "tip": lambda s, b, x: sim.load_arm("xarm6", tip=x),
    "frozen joints": lambda s, b, x: sim.load_arm("xarm6", freeze=x),
    "folder": lambda s, b, x: sim.generate(s.arm, x, count=10),
    "kind of a model": lambda s, b, x: ik_mdn.TrainConfig(kind=x),
    "marked pose": lambda s, b, x: sim.World().add_marker(x),
    "pose for people": lambda s, b, x: sim.pose_text(x),
    "place on a path": lambda s, b, x: ik_mdn.line_path(np.eye(4), sim.pose((1, 0, 0))).pose_at(x if callable(x) else "x"),
    "rotation": lambda s, b, x: ik_mdn.circle_path((1, 0, 0), (0, 0, 1), 0.1, x),
}  # fmt: skip


@pytest.mark.parametrize(
    "value", [5, 1.5, object(), b"x", np.array(["a", "b"]), lambda: 0], ids=lambda x: type(x).__name__
)
@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_of_an_odd_kind_is_refused_by_name(name: str, value: Any, solver: IKSolver, body: ArmBody) -> None:
    with pytest.raises(IKError) as caught:
        OBJECTS[name](solver, body, value)
    assert "\n" not in str(caught.value)
