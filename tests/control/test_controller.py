"""The controller, the reach tasks and the command: the best candidate by measured FK, and honest results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sim
from ik_mdn.cli import main
from ik_mdn.control.controller import Controller
from ik_mdn.control.decision import ReachStatus, Tolerance
from ik_mdn.reach.recording import Recorder, record_reaches
from ik_mdn.reach.running import run_suite
from ik_mdn.reach.suites import make_task, make_tasks
from ik_mdn.reach.summary import describe_episode, summarise_records
from ik_mdn.solver.solver import IKSolver
from sim.arm.arm import Arm
from sim.arm.catalogue import planar_urdf
from sim.errors import IKError, PoseError, ShapeError, WorldError
from sim.kinematics import forward_kinematics
from sim.rendering.scenery import camera_for
from sim.task import Task, default_task
from sim.world.body import ArmBody
from sim.world.world import World


class Given:
    """A solver that answers with the configurations it is given."""

    def __init__(self, arm: Arm, q: Any, *, status: str = "solved", task: Task | None = None) -> None:
        self.arm, self.task, self.status = arm, task or default_task(arm), status
        self.q = np.asarray(q, dtype=float).reshape(-1, arm.n_joints)

    def solve(self, T: Any, /, *, q_seed: Any = None, refine: bool = True) -> list[SimpleNamespace]:
        weight = np.linspace(1.0, 0.1, len(self.q))
        return [SimpleNamespace(q=self.q, weight=weight, status=self.status)]


@pytest.fixture(scope="module")
def xarm() -> Arm:
    return sim.load_arm("xarm6")


@pytest.fixture(scope="module")
def body(xarm: Arm) -> Iterator[ArmBody]:
    with World() as world:
        yield world.add_arm(xarm)


FREE = np.array([0.3, -0.4, -0.9, 0.2, 0.7, -0.5])


def test_the_candidate_nearest_to_the_target_by_measured_kinematics_is_taken(xarm: Arm, body: ArmBody) -> None:
    body.set_q(np.zeros(6))
    candidates = FREE + np.array([[0.05], [0.004], [-0.2]])
    decision = Controller(body, Given(xarm, candidates)).decide(forward_kinematics(xarm, FREE))
    assert decision.chosen is decision.candidates[0]
    np.testing.assert_array_equal(decision.chosen.q, candidates[1])
    measured = [c.err_pos for c in decision.candidates]
    assert measured == sorted(measured)
    expected = np.linalg.norm((forward_kinematics(xarm, candidates[1]) - forward_kinematics(xarm, FREE))[:3, 3])
    assert decision.chosen.err_pos == pytest.approx(expected, abs=1e-9)
    np.testing.assert_array_equal(body.q, np.zeros(6))  # deciding moves nothing


def test_ties_go_to_the_shorter_motion_whatever_the_weight(xarm: Arm, body: ArmBody) -> None:
    body.set_q(np.zeros(6))
    windings = FREE + 2 * np.pi * np.array([[-1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0] * 6, [0, 0, 0, -1, 0, 0]])
    decision = Controller(body, Given(xarm, windings)).decide(forward_kinematics(xarm, FREE))
    np.testing.assert_array_equal(decision.chosen.q, FREE)
    assert [c.cost for c in decision.candidates] == sorted(c.cost for c in decision.candidates)


def test_among_equal_motions_the_margin_to_limits_decides() -> None:
    arm = sim.load_arm("planar3")
    with World() as world:
        body = world.add_arm(arm)
        near_limit, inside = np.array([0.0, 0.0, 3.13]), np.array([0.0, 0.0, -3.0])
        body.set_q(np.array([0.0, 0.0, 0.065]))
        T = forward_kinematics(arm, inside)
        wide = Tolerance(pos=10.0, rot=10.0, tie=1.0)
        decision = Controller(body, Given(arm, [near_limit, inside]), tolerance=wide).decide(T)
    np.testing.assert_array_equal(decision.chosen.q, inside)


def test_candidates_outside_limits_or_in_collision_are_rejected_with_the_reason(xarm: Arm, body: ArmBody) -> None:
    body.set_q(np.zeros(6))
    rng = np.random.default_rng(0)
    draws = rng.uniform(xarm.q_min, xarm.q_max, (200, 6))
    folded = draws[body.self_collides(draws)][0]
    beyond = FREE.copy()
    beyond[2] = 0.5
    T = forward_kinematics(xarm, FREE)
    decision = Controller(body, Given(xarm, [folded, beyond, FREE])).decide(T)
    np.testing.assert_array_equal(decision.chosen.q, FREE)
    reasons = {tuple(c.q): c.rejected for c in decision.candidates}
    assert reasons[tuple(folded)].startswith("self-collision: ")
    assert "joint3 at 0.500 outside" in reasons[tuple(beyond)]
    blocked = Controller(body, Given(xarm, [folded])).reach(forward_kinematics(xarm, folded))
    assert blocked.status is ReachStatus.BLOCKED
    assert "self-collision" in blocked.reason
    assert Controller(body, Given(xarm, [beyond])).reach(T).status is ReachStatus.OUT_OF_LIMITS
    np.testing.assert_array_equal(body.q, np.zeros(6))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("unreachable", ReachStatus.UNREACHABLE),
        ("out_of_limits", ReachStatus.OUT_OF_LIMITS),
        ("asleep", ReachStatus.NO_SOLUTION),
    ],
)
def test_without_a_solution_the_arm_stays_and_the_status_says_why(
    xarm: Arm, body: ArmBody, word: str, status: ReachStatus
) -> None:
    body.set_q(FREE)
    result = Controller(body, Given(xarm, [], status=word)).reach(np.eye(4))
    assert result.status is status
    assert word in result.reason
    assert result.time_execute == 0.0
    assert not result.reached
    np.testing.assert_array_equal(body.q, FREE)


def test_a_target_out_of_reach_is_reported_by_the_real_solver() -> None:
    arm = sim.load_arm("planar2")
    with World() as world:
        body = world.add_arm(arm)
        result = Controller(body, IKSolver(arm)).reach(np.array([5.0, 0.0]))
        assert result.status is ReachStatus.UNREACHABLE
        np.testing.assert_array_equal(body.q, [0.0, 0.0])


def test_the_arm_comes_to_rest_within_tolerance(xarm: Arm, body: ArmBody) -> None:
    body.set_q(np.zeros(6))
    result = Controller(body, Given(xarm, [FREE])).reach(forward_kinematics(xarm, FREE))
    assert result.status is ReachStatus.REACHED
    assert result.reached
    assert result.err_pos < 1e-4
    assert result.err_rot < 1e-3
    assert result.time_execute > 0.0
    np.testing.assert_allclose(body.tip_pose(), result.T_base_target, atol=1e-4)


def test_a_raw_mode_that_misses_is_executed_and_reported_as_missed(xarm: Arm, body: ArmBody) -> None:
    body.set_q(np.zeros(6))
    controller = Controller(body, Given(xarm, [FREE + 0.02], status="proposed"), refine=False)
    result = controller.reach(forward_kinematics(xarm, FREE))
    assert result.status is ReachStatus.MISSED
    assert "mm" in result.reason
    np.testing.assert_allclose(body.q, FREE + 0.02, atol=1e-3)


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory: pytest.TempPathFactory) -> Arm:
    """One joint about a level axis, 2 kg at 1 m: holding it at q takes 2 * 9.81 * |cos q| of its 15 N m."""
    file = tmp_path_factory.mktemp("arms") / "pendulum.urdf"
    file.write_text(
        """<robot name="pendulum"><link name="base"/><link name="rod"/>
        <link name="ball"><inertial><mass value="2"/><inertia ixx="1e-3" iyy="1e-3" izz="1e-3" ixy="0" ixz="0" iyz="0"/>
        </inertial></link>
        <joint name="swing" type="revolute"><parent link="base"/><child link="rod"/><axis xyz="0 -1 0"/>
        <limit lower="-3" upper="3" effort="15" velocity="2"/></joint>
        <joint name="end" type="fixed"><parent link="rod"/><child link="ball"/><origin xyz="1 0 0"/></joint></robot>"""
    )
    return sim.load_arm(file)


LEVEL, STEEP = np.array([0.2]), np.array([1.2])  # 19.2 and 7.1 N m


def test_a_solution_that_a_motor_cannot_hold_is_refused_with_joint_torque_and_limit(pendulum: Arm) -> None:
    with World() as world:
        body = world.add_arm(pendulum)
        body.set_q(STEEP)
        result = Controller(body, Given(pendulum, [LEVEL])).reach(forward_kinematics(pendulum, LEVEL))
        np.testing.assert_array_equal(body.q, STEEP)
    assert result.status is ReachStatus.TOO_WEAK
    assert "swing needs 19.2 Nm to hold this pose, its limit is 15 Nm" in result.reason
    assert result.decision.candidates[0].reserve == pytest.approx(1 - 2 * 9.81 * np.cos(0.2) / 15, abs=1e-3)


def test_a_solution_that_can_be_held_is_taken_before_one_that_cannot_and_ideal_motors_hold_any(pendulum: Arm) -> None:
    T, wide = forward_kinematics(pendulum, LEVEL), Tolerance(pos=10.0, rot=10.0, tie=1.0)
    for ideal, chosen in ((False, STEEP), (True, LEVEL)):
        with World() as world:
            body = world.add_arm(pendulum, ideal_motors=ideal)
            body.set_q(np.zeros(1))
            decision = Controller(body, Given(pendulum, [LEVEL, STEEP]), tolerance=wide).decide(T)
        np.testing.assert_array_equal(decision.chosen.q, chosen)


def test_an_arm_too_weak_for_the_way_is_reported_as_unsettled(pendulum: Arm) -> None:
    down, up = np.array([-1.4]), np.array([1.4])
    with World() as world:
        body = world.add_arm(pendulum)
        body.set_q(down)
        result = Controller(body, Given(pendulum, [up])).reach(forward_kinematics(pendulum, up))
    assert result.status is ReachStatus.UNSETTLED
    assert re.match(
        r"swing needs 1\d(\.\d)? Nm to hold this pose, its limit is 15 Nm; swing stayed .* from its target",
        result.reason,
    )


def test_an_arm_that_rests_a_hair_beyond_its_limit_reaches_where_it_is(tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.urdf"
    narrow.write_text(re.sub(r'(lower|upper)="(-?)[\d.]+"', r'\1="\g<2>1"', planar_urdf((0.5, 0.4), name="narrow")))
    arm = sim.load_arm(narrow)
    with World() as world:
        body = world.add_arm(arm)
        controller = Controller(body, IKSolver(arm))
        for beyond, status in ((2e-6, ReachStatus.REACHED), (5e-3, ReachStatus.OUT_OF_LIMITS)):
            body.set_q(np.array([1.0 + beyond, 0.5]))
            result = controller.reach(body.tip_pose())
            assert result.status is status
            if result.reached:
                np.testing.assert_array_equal(result.decision.chosen.q[0], 1.0)


def test_what_was_judged_without_shapes_is_said(xarm: Arm, body: ArmBody) -> None:
    with World() as world:
        bare = Controller(world.add_arm(xarm, meshes=False), Given(xarm, [FREE])).decide(forward_kinematics(xarm, FREE))
    assert "link6" in bare.unshaped
    assert "judged without the shapes of link_base, link1" in bare.table()
    whole = Controller(body, Given(xarm, [FREE])).decide(forward_kinematics(xarm, FREE))
    assert whole.unshaped == ()
    assert "judged without" not in whole.table()


def test_a_task_is_the_same_alone_and_in_the_suite(xarm: Arm, body: ArmBody) -> None:
    suite = list(make_tasks(body, 4, seed=5))
    alone = make_task(body, 3, seed=5)
    np.testing.assert_array_equal(suite[3].T_base_target, alone.T_base_target)
    np.testing.assert_array_equal(suite[3].q_start, alone.q_start)
    assert not np.array_equal(make_task(body, 3, seed=6).q_made, alone.q_made)
    assert not body.self_collides(np.stack([t.q_made for t in suite])).any()
    np.testing.assert_allclose(forward_kinematics(xarm, alone.q_made), alone.T_base_target, atol=1e-9)


def test_a_suite_reaches_and_sums_up(xarm: Arm) -> None:
    with World() as world:
        controller = Controller(world.add_arm(xarm), IKSolver(xarm))
        records = [describe_episode(*episode) for episode in run_suite(controller, world, range(4))]
    summary = summarise_records(records)
    assert summary.episodes == 4
    assert summary.reached == 4
    assert summary.statuses == {"reached": 4}
    assert summary.err_pos.max < 1e-3
    assert json.dumps(records, allow_nan=False)
    assert summarise_records([]).to_dict()["err_pos"] == {"median": None, "p95": None, "max": None}


def test_a_recording_shows_every_target(tmp_path: Path) -> None:
    arm = sim.load_arm("planar2")
    file = tmp_path / "new" / "reach.gif"
    frames = []
    with World() as world:
        controller = Controller(world.add_arm(arm), IKSolver(arm))
        camera = camera_for(arm, width=80, height=60)
        results = record_reaches(
            file, controller, world, targets=2, fps=5, camera=camera, on_frame=lambda: frames.append(1)
        )
        with pytest.raises(WorldError, match="no picture"):
            Recorder(world, camera).save(file)
    assert [result.reached for result in results] == [True, True]
    assert file.read_bytes().startswith(b"GIF89a")
    assert len(frames) > 6
    assert [path.name for path in file.parent.iterdir()] == ["reach.gif"]


def test_the_command_writes_every_episode_as_json_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["reach", "--arm", "planar2", "--episodes", "2", "--model", "none", "--json", "-"]) == 0
    written = json.loads(capfd.readouterr().out)
    assert written["summary"]["reached"] == 2
    assert [episode["episode"] for episode in written["episodes"]] == [0, 1]
    assert written["solver"] == "random restarts and refinement"


def test_the_command_prints_a_table_and_explains(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["reach", "planar2", "--episodes", "1", "--model", "none", "--explain", "0"]) == 0
    out = capfd.readouterr().out
    assert "1 of 1" in out
    assert "chosen" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["planar2", "--episodes", "0"], "at least 1"),
        (["planar2", "--episodes", "1", "--explain", "1"], "0 to 0"),
        (["planr2"], "planar2"),
        (["planar2", "--task", "pose"], "planar"),
        (["planar2", "--speed", "3", "--episodes", "1", "--model", "none"], "speed"),
    ],
)
def test_wrong_options_are_told_with_exit_code_2(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["reach", *arguments]) == 2
    assert message in capfd.readouterr().err


def test_wrong_use_is_told(xarm: Arm, body: ArmBody) -> None:
    planar = sim.load_arm("planar2")
    with pytest.raises(IKError, match=r"solver is for arm 'planar2'.*'xarm6'"):
        Controller(body, Given(planar, []))
    controller = Controller(body, Given(xarm, [FREE]))
    with pytest.raises(ShapeError, match="one target at a time"):
        controller.reach(np.stack([np.eye(4)] * 2))
    with pytest.raises(PoseError, match="NaN"):
        controller.decide(np.full((4, 4), np.nan))
    with pytest.raises(ShapeError, match="tolerances must be positive"):
        Tolerance(pos=0.0)
    for name in ("pos", "rot", "tie"):
        with pytest.raises(ShapeError, match="tolerances must be positive"):
            Tolerance(**{name: np.nan})
    for option in ({"tolerance": 1e-3}, {"weights": {"travel": 2.0}}, {"speed": 2.0}):
        with pytest.raises(ShapeError, match=next(iter(option))):
            Controller(body, Given(xarm, []), **option)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="count from 0"):
        make_task(body, -1)


def test_an_arm_in_place_of_its_body_is_answered_with_what_to_write() -> None:
    arm = sim.load_arm("planar2")
    with pytest.raises(IKError, match=r"write Controller\(world.add_arm\(arm\), solver\)"):
        Controller(arm, IKSolver(arm))  # type: ignore[arg-type]
