"""Which task an arm gets: the rows that it can move, by name, by rows, or found from its Jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import sim
from ik_mdn import IKSolver
from sim.arm import Arm
from sim.errors import TaskError, UnknownNameError
from sim.task import TASKS, Task, default_task, error_norms, load_task, task_error, task_jacobian
from sim.task.motions import motions

LIMIT = '<limit lower="-2.5" upper="2.5" effort="9" velocity="2"/>'


def chain(*rows: tuple[str, str, str], base: str = "0 0 0", tip: str = "0 0 0") -> Arm:
    """Joints (kind, axis, xyz of the link behind), the whole turned at its base, the tip at its end."""
    parts = [f'<link name="{name}"/>' for name in ("base", "l0", *(f"l{i + 1}" for i in range(len(rows))), "tip")]
    parts.append(f'<joint name="b" type="fixed"><parent link="base"/><child link="l0"/><origin rpy="{base}"/></joint>')
    behind = "0 0 0.2"
    for i, (kind, axis, xyz) in enumerate(rows):
        parts.append(
            f'<joint name="j{i}" type="{kind}"><parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="{behind}"/>'
            f'<axis xyz="{axis}"/>{LIMIT}</joint>'
        )
        behind = xyz
    parts.append(
        f'<joint name="t" type="fixed"><parent link="l{len(rows)}"/><child link="tip"/>'
        f'<origin xyz="{behind}" rpy="{tip}"/></joint>'
    )
    return sim.load_arm(f'<robot name="r">{"".join(parts)}</robot>')


TURN, DOWN, LINK = "0 0 1", "0 1 0", "0.3 0 0"
SCARA = (
    ("revolute", TURN, LINK),
    ("revolute", TURN, "0.25 0 0"),
    ("prismatic", TURN, "0 0 0"),
    ("revolute", TURN, "0 0 -0.1"),
)
LEG2 = (("revolute", DOWN, LINK), ("revolute", DOWN, LINK))
LEG3 = (*LEG2, ("revolute", DOWN, "0.1 0 0"))
PINCER = (("revolute", TURN, "0 0 0.1"), *LEG3)
TILTED = "0.3 0.4 0.5"
ARMS = {
    "SCARA": (chain(*SCARA), "x,y,z,yaw"),
    "SCARA with rounded right angles": (chain(*SCARA, base="1.5708 0 0"), "x,y,z,yaw"),
    "SCARA with the tip on its side": (chain(*SCARA, tip="1.5707963267948966 0 0"), "x,y,z,pitch"),
    "leg of two joints": (chain(*LEG2), "x,z"),
    "leg of three joints": (chain(*LEG3), "x,z,pitch"),
    "leg in a tilted plane": (chain(*LEG3, base=TILTED, tip=TILTED), "movable"),
    "two joints in a tilted plane": (chain(*LEG2, base=TILTED), "movable"),
    "rail": (chain(("prismatic", "0 1 0", LINK)), "y"),
    "slanted rail": (chain(("prismatic", "1 1 0", LINK)), "movable"),
    "crane": (chain(*[("prismatic", axis, "0 0 0") for axis in ("1 0 0", "0 1 0", "0 0 1")]), "position"),
    "turn and three pitches": (chain(*PINCER), "x,y,z,pitch"),
    **{name: (sim.load_arm(name), task) for name, task in (("planar2", "planar_position"), ("planar3", "planar_pose"))},
    **{name: (sim.load_arm(name), "pose") for name in ("ur5e", "puma560", "xarm6", "panda", "iiwa")},
}


def draw(arm: Arm, count: int, seed: int = 0) -> np.ndarray:
    return arm.sample(np.random.default_rng(seed), count)


@pytest.mark.parametrize("name", ARMS)
def test_the_default_is_what_the_arm_can_move(name: str) -> None:
    arm, task = ARMS[name]
    chosen = default_task(arm)
    assert chosen.name == task
    assert load_task(arm, chosen.name) == chosen  # a model file keeps the name only
    q = torch.from_numpy(draw(arm, 20))
    J = task_jacobian(chosen, sim.jacobian(arm, q), sim.forward_kinematics(arm, q))
    rank = torch.linalg.matrix_rank(J, atol=1e-3, rtol=0.0)
    assert (rank == min(chosen.n_constraints, arm.n_joints)).double().mean() > 0.8


@pytest.mark.parametrize("name", ["SCARA", "leg of three joints", "leg in a tilted plane", "slanted rail", "crane"])
def test_the_default_of_an_arm_that_cannot_move_every_way_leaves_nothing_open(name: str) -> None:
    """No error under the task: no error at all, among poses that the arm can take."""
    arm, _ = ARMS[name]
    q = draw(arm, 6)
    T = torch.from_numpy(sim.forward_kinematics(arm, q))
    batch = IKSolver(arm).solve(T)
    for i, found in enumerate(batch):
        assert len(found.q) >= 1
        np.testing.assert_allclose(sim.forward_kinematics(arm, found.q), T[i].expand(len(found.q), 4, 4), atol=1e-7)
        assert np.abs(found.q - q[i]).max(axis=1).min() < 1e-6


def test_four_joints_are_determined_by_position_and_pitch() -> None:
    arm, _ = ARMS["turn and three pitches"]
    q = draw(arm, 6)
    T = sim.forward_kinematics(arm, q)
    for i, found in enumerate(IKSolver(arm, task="x,y,z,pitch").solve(T)):
        assert np.abs(found.q - q[i]).max(axis=1).min() < 1e-6
        assert len(found.q) <= 8


FRAMED = [
    load_task(sim.load_arm("ur5e"), name)
    for name in ("x,z", "y", "x,y,z,roll", "x,y,z,pitch", "x,z,yaw", "x,y,z,axis_x", "axis_y", "rotation", "z,rotation")
] + [
    Task("own", (True, False, True, *turn), "", R_base_task=R, R_tip_task=S)
    for turn in ((False,) * 3, (False, False, True), (True, True, False), (True,) * 3)
    for R, S in [
        tuple(tuple(map(tuple, M.tolist())) for M in Rotation.random(2, rng=np.random.default_rng(1)).as_matrix())
    ]
]


@pytest.mark.parametrize("task", FRAMED, ids=lambda task: task.name)
def test_the_jacobian_of_rows_in_any_frame_is_minus_the_slope_of_the_error(task: Task) -> None:
    arm = sim.load_arm("ur5e")
    q = torch.from_numpy(draw(arm, 20))
    T = sim.forward_kinematics(arm, q + 1e-5)
    J = task_jacobian(task, sim.jacobian(arm, q), sim.forward_kinematics(arm, q))
    assert J.shape == (20, task.n_constraints, 6)
    step = 1e-6 * torch.eye(6, dtype=torch.float64)
    for i in range(6):
        plus, minus = (task_error(task, sim.forward_kinematics(arm, x), T) for x in (q + step[i], q - step[i]))
        slope = ((plus - minus) / 2e-6)[:, list(task.rows)]
        torch.testing.assert_close(slope, -J[..., i], atol=5e-5, rtol=0)


@settings(deadline=None)
@given(st.sampled_from("xyz"), st.floats(-3, 3), st.integers(0, 1000))
def test_a_turn_about_an_axis_of_the_tip_is_seen_by_its_row_and_not_by_its_axis(
    axis: str, angle: float, seed: int
) -> None:
    arm = sim.load_arm("ur5e")
    T = torch.from_numpy(sim.forward_kinematics(arm, draw(arm, 1, seed)))
    turned = T.clone()
    turned[:, :3, :3] = T[:, :3, :3] @ torch.from_numpy(Rotation.from_euler(axis, angle).as_matrix())
    row = {"x": "roll", "y": "pitch", "z": "yaw"}[axis]
    assert float(error_norms(task_error(load_task(arm, row), T, turned))[1]) == pytest.approx(abs(angle), abs=1e-9)
    assert float(error_norms(task_error(load_task(arm, f"axis_{axis}"), T, turned))[1]) < 1e-9


def test_rows_that_have_a_name_are_that_task() -> None:
    ur5e, planar3 = sim.load_arm("ur5e"), sim.load_arm("planar3")
    assert load_task(ur5e, "x,y,z") is TASKS["position"]
    assert load_task(ur5e, "z, y, x, rotation") is TASKS["pose"]
    assert load_task(ur5e, "x,y,z,axis_z") is TASKS["position_axis"]
    assert load_task(planar3, "x,y,yaw") is TASKS["planar_pose"]
    assert load_task(ur5e, "x,y").name == "x,y"


@pytest.mark.parametrize(
    ("arm", "task", "error", "message"),
    [
        ("ur5e", "x,w", UnknownNameError, "or rows between commas: any of x, y, z and one of roll, pitch"),
        ("ur5e", "x,x", UnknownNameError, "unknown task 'x,x'"),
        ("ur5e", "roll,pitch", UnknownNameError, "one of roll"),
        ("ur5e", "", UnknownNameError, "unknown task ''"),
        ("planar3", "x,z", TaskError, "'planar3' cannot move its tip 'tool0' along z of 'base_link'"),
        (
            "planar3",
            "x,y,roll",
            TaskError,
            "'planar3' cannot change the turn about the tip's x axis .*; use yaw instead",
        ),
        ("planar3", "axis_z", TaskError, "cannot change the direction of the tip's z axis .*; use yaw instead"),
    ],
)
def test_rows_that_make_no_task_are_refused(arm: str, task: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_task(sim.load_arm(arm), task)


@pytest.mark.parametrize(
    "frame", [((1.0, 0, 0), (0, 1, 0), (0, 0, -1)), ((1.0, 0), (0, 1)), ((2.0, 0, 0), (0, 1, 0), (0, 0, 1))]
)
def test_frames_must_be_rotations(frame: Any) -> None:
    with pytest.raises(TaskError, match="is no rotation; give three rows"):
        Task("odd", (True,) * 6, "", R_base_task=frame)


def test_motions_are_axes_where_they_can_be() -> None:
    can = motions(ARMS["SCARA"][0])
    np.testing.assert_array_equal(can.along, np.eye(3))
    np.testing.assert_array_equal(can.about, [[0], [0], [1]])
    tilted = motions(ARMS["leg in a tilted plane"][0])
    normal = Rotation.from_euler("xyz", [0.3, 0.4, 0.5]).as_matrix()[:, 1]
    assert tilted.along.shape == (3, 2)
    np.testing.assert_allclose(normal @ tilted.along, 0, atol=1e-12)


@pytest.mark.parametrize(
    ("rows", "tip", "name"),
    [
        ([("revolute", "0 0 1", "0 0 0.1"), ("revolute", "0 1 0", "0 0 0")], "0 0 0", "axis_z"),  # pan and tilt
        ([("revolute", "0 0 1", "0 0 0.1"), ("revolute", "0 1 0", "0 0 0")], "0 1.5707963267948966 0", "axis_x"),
        (
            [("revolute", "0 0 1", "0 0 0.1"), ("revolute", "0 1 0", "0 0 0"), ("revolute", "1 0 0", "0 0 0")],
            "0 0 0",
            "rotation",
        ),
        ([("revolute", "0 0 1", "0 0 0.1")], "0 0 0", "yaw"),
        ([("revolute", "0 1 0", "0 0.2 0")], "0 0 0", "pitch"),
        ([("continuous", "1 0 0", "0.3 0 0"), ("revolute", "1 0 0", "0.3 0 0")], "0 0 0", "roll"),
    ],
)
def test_an_arm_that_only_turns_its_tip_is_asked_for_that(
    rows: list[tuple[str, str, str]], tip: str, name: str
) -> None:
    arm = chain(*rows, tip=tip)
    solver = IKSolver(arm)
    assert solver.task.name == name
    T = sim.forward_kinematics(arm, np.random.default_rng(3).uniform(-1.0, 1.0, (10, arm.n_joints)))
    found = solver.solve(T)
    assert found.solved.all()
    err_pos, err_rot = error_norms(task_error(solver.task, sim.forward_kinematics(arm, found.best), T))
    assert max(err_pos.max(), err_rot.max()) < 1e-7


def test_an_arm_that_turns_its_tip_no_way_is_told_to_leave_the_turn_out() -> None:
    with pytest.raises(TaskError, match=r"cannot change the orientation \(rotation\); leave the turn out"):
        load_task(ARMS["crane"][0], "x,y,z,rotation")
