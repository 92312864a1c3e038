"""The compiled refinement: it agrees with torch on every arm and task, at singular poses and at half turns."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import roma
import torch
from numba import njit
from samples import disturb, met, sample, sliding_arm
from torch import Tensor

from ik_mdn.solver import refinement as dispatch
from ik_mdn.solver.kernels import compilation
from ik_mdn.solver.kernels import refine as kernel
from ik_mdn.solver.kernels.lanes import LANES
from ik_mdn.solver.kernels.rules import Refined
from ik_mdn.solver.refinement import refine
from sim.arm import Arm, load_arm
from sim.errors import ShapeError, UnknownNameError
from sim.kinematics import forward_kinematics
from sim.task import TASKS, Task, as_targets, default_task, error_norms, task_error

ARMS = ["planar2", "planar3", "puma560", "ur5e", "xarm6", "panda", "iiwa", "gantry", "cylinder"]

GANTRY = """<robot name="gantry">
  <link name="base"/><link name="x"/><link name="y"/><link name="a"/><link name="b"/><link name="c"/><link name="d"/>
  <joint name="rail" type="prismatic"><parent link="base"/><child link="x"/><axis xyz="1 0 0"/>
    <origin xyz="0 0 1"/><limit lower="-1" upper="1" velocity="1" effort="1"/></joint>
  <joint name="lift" type="prismatic"><parent link="x"/><child link="y"/><axis xyz="0 0 1"/>
    <origin xyz="0 0.1 0"/><limit lower="0" upper="0.8" velocity="1" effort="1"/></joint>
  <joint name="shoulder" type="revolute"><parent link="y"/><child link="a"/><axis xyz="0 1 0"/>
    <origin xyz="0.1 0 0" rpy="0.3 0 0"/><limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
  <joint name="elbow" type="continuous"><parent link="a"/><child link="b"/><axis xyz="0 1 1"/>
    <origin xyz="0.4 0 0"/></joint>
  <joint name="roll" type="revolute"><parent link="b"/><child link="c"/><axis xyz="1 0 0"/>
    <origin xyz="0.3 0 0.05"/><limit lower="-3" upper="3" velocity="1" effort="1"/></joint>
  <joint name="wrist" type="revolute"><parent link="c"/><child link="d"/><axis xyz="0 0 1"/>
    <origin xyz="0.2 0 0"/><limit lower="-3" upper="3" velocity="1" effort="1"/></joint>
</robot>"""


@pytest.fixture(scope="module")
def gantry(tmp_path_factory: pytest.TempPathFactory) -> Arm:
    path = tmp_path_factory.mktemp("urdf") / "gantry.urdf"
    path.write_text(GANTRY, encoding="utf-8")
    return load_arm(path)


def arm_by(name: str, gantry: Arm) -> Arm:
    return gantry if name == "gantry" else sliding_arm() if name == "cylinder" else load_arm(name)


def both(arm: Arm, task: Task, T: Tensor, q: Tensor) -> tuple[Refined, Refined]:
    return refine(arm, task, T, q, backend="numba"), refine(arm, task, T, q, backend="torch")


def assert_agree(arm: Arm, results: tuple[Refined, Refined], *, met_share: float, same_share: float) -> None:
    """The same seeds converge, those to the same solution, and nothing is NaN."""
    ours, reference = results
    for values in (ours.q, ours.err_pos, ours.err_rot):
        assert not values.isnan().any()
    assert (met(ours) == met(reference)).double().mean() >= met_share
    together = met(ours) & met(reference)
    far = (ours.q - reference.q)[together].abs().amax(1) > 1e-5
    assert 1 - far.double().mean() >= same_share


@pytest.mark.parametrize("name", ARMS)
def test_nearby_seeds_end_where_torch_ends(name: str, gantry: Arm) -> None:
    arm = arm_by(name, gantry)
    q = sample(arm, 1000)
    task = default_task(arm)
    results = both(arm, task, forward_kinematics(arm, q), disturb(q, 0.05))
    assert met(results[0], 1e-11).double().mean() >= 0.999
    assert_agree(arm, results, met_share=0.999, same_share=0.997)
    ours, reference = (float(result.iterations.double().mean()) for result in results)
    assert ours == pytest.approx(reference, rel=0.02)


@pytest.mark.parametrize("name", ARMS)
def test_random_seeds_end_where_torch_ends(name: str, gantry: Arm) -> None:
    arm = arm_by(name, gantry)  # the way is long, and rounding may decide where it forks
    T = forward_kinematics(arm, sample(arm, 600))
    results = both(arm, default_task(arm), T, sample(arm, 600, seed=3))
    assert_agree(arm, results, met_share=0.99, same_share=0.99)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("xarm6", "position"),
        ("xarm6", "position_axis"),
        ("gantry", "position_axis"),
        ("planar3", "planar_position"),
        ("planar2", "planar_pose"),  # more constraints than joints
    ],
)
def test_every_task_ends_where_torch_ends(name: str, task: str, gantry: Arm) -> None:
    arm = arm_by(name, gantry)
    q = sample(arm, 600)
    T = forward_kinematics(arm, q)
    results = both(arm, TASKS[task], T, disturb(q, 0.3))
    assert met(results[0], 1e-11).double().mean() > 0.9
    assert_agree(arm, results, met_share=0.99, same_share=0.98)


def of_rows(rows: str, framed: bool) -> Task:
    """A task of rows written as 1 and 0, in frames that are turned against base and tip, or not."""
    frames = roma.random_rotmat(2).double().tolist() if framed else (None, None)
    R_base_task, R_tip_task = (None if R is None else tuple(map(tuple, R)) for R in frames)
    counted: Any = tuple(word == "1" for word in rows)
    return Task("rows", counted, "", *(None if R is None else exact(R) for R in (R_base_task, R_tip_task)))


def exact(R: Any) -> Any:
    """A rotation without the rounding of float32."""
    U, _, V = np.linalg.svd(np.array(R))
    return tuple(map(tuple, (U @ V).tolist()))


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("rows", ["010000", "001001", "101110", "011111", "000111", "000001", "110110", "111111"])
def test_rows_in_any_frames_end_where_torch_ends(rows: str, framed: bool, gantry: Arm) -> None:
    torch.manual_seed(0)
    task, q = of_rows(rows, framed), sample(gantry, 300)
    T = forward_kinematics(gantry, q)
    results = both(gantry, task, T, disturb(q, 0.2))
    assert met(results[0], 1e-11).double().mean() > 0.95
    assert_agree(gantry, results, met_share=0.99, same_share=0.98)
    check_errors(gantry, task)


@pytest.mark.parametrize("task", ["planar_position", "planar_pose"])
def test_planar_errors_are_those_of_forward_kinematics(task: str) -> None:
    check_errors(load_arm("planar3"), TASKS[task])


@pytest.mark.parametrize("task", ["position", "position_axis", "pose"])
def test_errors_are_those_of_forward_kinematics(task: str, gantry: Arm) -> None:
    check_errors(gantry, TASKS[task])


def check_errors(arm: Arm, task: Task) -> None:
    T = forward_kinematics(arm, sample(arm, 200))
    for most in (0, 3):  # before the first step, and on the way
        result = refine(arm, task, T, sample(arm, 200, seed=2), max_iterations=most, backend="numba")
        err_pos, err_rot = error_norms(task_error(task, forward_kinematics(arm, result.q), T))
        torch.testing.assert_close(result.err_pos, err_pos, atol=1e-14, rtol=1e-12)
        torch.testing.assert_close(result.err_rot, err_rot, atol=1e-14, rtol=1e-9)
        assert (result.iterations <= most).all()


@pytest.mark.parametrize("bend", [0.0, 1e-12, 1e-9, 1e-6, 1e-3])
def test_singular_configurations_are_met(bend: float) -> None:
    arm = load_arm("puma560")
    q = sample(arm, 300)
    q[:, 4] = bend
    T = forward_kinematics(arm, q)
    exact = refine(arm, TASKS["pose"], T, q, backend="numba")
    assert met(exact, 1e-12).all()
    assert exact.iterations.max() == 0
    results = both(arm, TASKS["pose"], T, disturb(q, 0.05))  # rounding decides at which end of a flat valley
    assert_agree(arm, results, met_share=0.99, same_share=0.0)
    assert met(results[0], 1e-8).double().mean() >= 0.99


@pytest.mark.parametrize("short", [0.0, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("task", ["planar_pose", "pose", "position_axis"])
def test_half_turns_away_are_measured_and_left(task: str, short: float) -> None:
    arm = load_arm("planar3" if task == "planar_pose" else "xarm6")
    q = sample(arm, 200)
    seeds = q.clone()
    seeds[:, -1 if task != "position_axis" else -2] += math.pi - short
    T = forward_kinematics(arm, q)
    start = refine(arm, TASKS[task], T, seeds, max_iterations=0, backend="numba")
    err_rot = error_norms(task_error(TASKS[task], forward_kinematics(arm, seeds), T))[1]
    torch.testing.assert_close(start.err_rot, err_rot, atol=1e-7, rtol=0)  # a sine of 1e-16 decides on the angle
    assert (err_rot > math.pi - short - 1e-5).all()
    results = both(arm, TASKS[task], T, seeds)
    assert not results[0].q.isnan().any()
    assert met(results[0]).double().mean() > met(results[1]).double().mean() - 0.1


def test_targets_out_of_reach_end_as_near_as_with_torch() -> None:
    arm, task = load_arm("xarm6"), TASKS["position"]
    T = torch.from_numpy(as_targets(task, np.array([2.0, 0.5, 0.3]))).expand(100, 4, 4)
    ours, reference = both(arm, task, T, sample(arm, 100))
    assert (ours.err_pos > 1.0).all()
    torch.testing.assert_close(ours.err_pos.median(), reference.err_pos.median(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("count", [0, 1, LANES - 1, LANES, LANES + 1])
def test_any_number_of_seeds_will_do(count: int) -> None:
    arm = load_arm("xarm6")
    q = sample(arm, count)
    result = refine(arm, TASKS["pose"], forward_kinematics(arm, q), disturb(q, 0.02), backend="numba")
    assert result.q.shape == (count, 6)
    assert met(result, 1e-11).all()
    assert result.iterations.dtype == torch.int64


def test_threads_lanes_and_neighbours_change_no_bit() -> None:
    arm, task = load_arm("xarm6"), TASKS["pose"]
    T, seeds = forward_kinematics(arm, sample(arm, 3000)), sample(arm, 3000, seed=5)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(refine(arm, task, T, seeds, backend="numba"))
    finally:
        torch.set_num_threads(threads)
    backwards = refine(arm, task, T.flip(0), seeds.flip(0), backend="numba")
    for other in (
        results[1],
        Refined(*(getattr(backwards, k).flip(0) for k in ("q", "err_pos", "err_rot", "iterations"))),
    ):
        for key in ("q", "err_pos", "err_rot", "iterations"):
            assert torch.equal(getattr(results[0], key), getattr(other, key))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_never_met_and_spoils_no_neighbour(bad: float) -> None:
    arm = load_arm("xarm6")
    q = sample(arm, 20)
    T, seeds = forward_kinematics(arm, q), disturb(q, 0.02)
    seeds[3, 2] = bad
    T[7, 0, 3] = bad
    result = refine(arm, TASKS["pose"], T, seeds, backend="numba")
    assert (~met(result, 1e-11)).nonzero()[:, 0].tolist() == [3, 7]
    assert result.err_pos[[3, 7]].isinf().all()


def test_the_caller_keeps_what_was_given() -> None:
    arm = load_arm("xarm6")
    T, seeds = forward_kinematics(arm, sample(arm, 9)), sample(arm, 9, seed=1)
    before = T.clone(), seeds.clone()
    refine(arm, TASKS["pose"], T, seeds, backend="numba")
    assert torch.equal(T, before[0])
    assert torch.equal(seeds, before[1])


def test_an_unknown_backend_is_refused() -> None:
    arm = load_arm("xarm6")
    with pytest.raises(UnknownNameError, match="unknown backend 'jax'; allowed: 'numba', 'torch'"):
        refine(arm, TASKS["pose"], torch.eye(4).double()[None], sample(arm, 1), backend="jax")


def test_numba_refuses_what_it_cannot_do_and_torch_does_it() -> None:
    arm = load_arm("xarm6")
    T, seeds = forward_kinematics(arm, sample(arm, 2)).float(), sample(arm, 2).float()
    with pytest.raises(ShapeError, match=r"numba cannot refine torch\.float32 seeds on cpu; .*use backend=None"):
        refine(arm, TASKS["pose"], T, seeds, backend="numba")
    assert refine(arm, TASKS["pose"], T, seeds).q.dtype == torch.float32


def test_torch_steps_in_where_numba_cannot_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("no compiler")

    arm = load_arm("planar2")
    q = sample(arm, 5)
    dispatch.compiled_kernel.cache_clear()
    monkeypatch.setattr(kernel, "load_kernel", fail)
    try:
        result = refine(arm, TASKS["planar_position"], forward_kinematics(arm, q), disturb(q, 0.05))
    finally:
        dispatch.compiled_kernel.cache_clear()
    assert met(result, 1e-11).all()
    assert "refining with torch" in caplog.text
    assert "no compiler" in caplog.text


def test_compiling_our_code_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    def compile_ours(number: int) -> None:
        ours = lambda x: x + number  # noqa: E731
        ours.__module__ = "ik_mdn.solver.kernels.refine"
        njit(ours)(1)

    compile_ours(1)  # whoever listens for the whole process has spoken now
    caplog.clear()
    with compilation.event.install_listener("numba:compile", compilation.Announcement()):
        njit(lambda x: x + 1)(1)
        assert "compiling, once" not in caplog.text
        compile_ours(2)
        compile_ours(3)
    assert caplog.text.count("compiling, once") == 1


def test_importing_the_package_or_torch_refinement_does_not_wake_numba() -> None:
    program = "import sys, ik_mdn, ik_mdn.solver; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=120, check=False).returncode == 0
