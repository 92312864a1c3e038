"""The comparison: same poses and targets for everybody, every one counted, on paper as in the simulator."""

from __future__ import annotations

import json
from pathlib import Path

import compare_arms
import numpy as np
import pytest
import torch

import sim
from ik_mdn.cli import main
from ik_mdn.comparison.contestants import Contestants, load_contestants
from ik_mdn.comparison.execution import ExecutedResult, execute, executed_names
from ik_mdn.comparison.measuring import MethodResult, compare, held_out_poses
from ik_mdn.comparison.methods import LIGHT, METHODS, Answers, Method, missing_methods, raw_modes
from ik_mdn.comparison.pictures import choose_poses, pose_panels
from ik_mdn.comparison.survey import take_survey
from ik_mdn.model.checkpoint import find_shipped, load_model, save_model
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.pose_model import PoseModel
from ik_mdn.reach.suites import make_tasks
from ik_mdn.solver.solver import IKSolver
from sim.errors import CheckpointError, IKError, UnknownNameError
from sim.kinematics import forward_kinematics
from sim.rendering.camera import camera_around, project

COUNT = 40
TARGETS = 2


def untrained(arm: sim.Arm, **config: object) -> PoseModel:
    """A model with random weights: nothing may depend on training going well."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PoseModel(arm, None, ModelConfig(width=16, blocks=1, **config)).eval()


@pytest.fixture(scope="module")
def contestants() -> Contestants:
    arm = sim.load_arm("xarm6")
    mixture = untrained(arm, components=6)
    return Contestants(IKSolver(arm, mixture), untrained(arm, kind="mse"), untrained(arm, components=1))


@pytest.fixture(scope="module")
def results(contestants: Contestants) -> dict[str, MethodResult]:
    with sim.World() as world:
        body = world.add_arm(contestants.solver.arm)
        found = compare(contestants, body=body, count=COUNT, seed=3)
        return {result.name: result for result in found}


@pytest.fixture(scope="module")
def executed(contestants: Contestants) -> dict[str, ExecutedResult]:
    with sim.World() as world:
        body = world.add_arm(contestants.solver.arm)
        found = execute(contestants, body=body, targets=TARGETS, seed=1)
        return {result.name: result for result in found}


def test_every_method_is_measured_on_every_pose(results: dict[str, MethodResult]) -> None:
    assert list(results) == list(METHODS)
    assert all(result.errors.count == COUNT == len(result.q) == len(result.err_pos) for result in results.values())
    assert all(result.us_per_pose > 0 for result in results.values())


def test_choosing_by_forward_kinematics_is_never_worse_than_choosing_by_weight(
    results: dict[str, MethodResult],
) -> None:
    assert sum(results["best"].errors.pos) <= sum(results["likely"].errors.pos)


def test_refined_answers_are_exact_and_in_limits(results: dict[str, MethodResult]) -> None:
    for name in ("refined", "restarts"):
        result = results[name]
        assert result.errors.success["1e-6"] == pytest.approx(1.0, abs=0.05)
        assert result.in_limits == result.errors.answered == result.usable


def test_a_usable_answer_is_both_near_and_in_limits(results: dict[str, MethodResult]) -> None:
    arm = sim.load_arm("xarm6")
    for result in results.values():
        inside = ((result.q >= arm.q_min - 1e-9) & (result.q <= arm.q_max + 1e-9)).all(axis=1)
        near = (result.err_pos <= 1e-3) & (result.err_rot <= 1e-2)
        assert result.usable == pytest.approx((inside & near).mean())
        assert result.in_limits == pytest.approx(inside.mean())


def test_errors_are_those_of_the_answers_given(results: dict[str, MethodResult]) -> None:
    """Independent of the code under test: PyBullet measures the pose of the regressor's answers."""
    arm = sim.load_arm("xarm6")
    T = held_out_poses(arm, COUNT, seed=3)
    with sim.World() as world:
        measured = world.add_arm(arm).tip_pose(results["mse"].q)
    distance = np.linalg.norm(measured[:, :3, 3] - T[:, :3, 3].numpy(), axis=1)
    assert results["mse"].err_pos == pytest.approx(distance, abs=1e-6)
    assert results["mse"].errors.pos[2] == pytest.approx(distance.max(), abs=1e-6)
    assert results["mse"].errors.pos[0] == pytest.approx(np.median(distance), abs=1e-6)


def test_one_call_of_bullet_is_one_call_as_it_comes(results: dict[str, MethodResult]) -> None:
    """Against PyBullet called with nothing but the target."""
    from sim.rotations import pose_to_bullet

    arm = sim.load_arm("xarm6")
    with sim.World() as world:
        body = world.add_arm(arm)
        tip = body.links.link(arm.tip)
        for i, T in enumerate(held_out_poses(arm, COUNT, seed=3).numpy()[:5]):
            body.set_q(0.5 * (arm.q_min + arm.q_max))
            q = body.client.calculateInverseKinematics(body.number, tip, *pose_to_bullet(T))
            assert np.abs(np.sin((results["bullet1"].q[i] - q[: arm.n_joints]) / 2)).max() < 1e-9


def test_one_gaussian_answers_with_its_mean(contestants: Contestants, results: dict[str, MethodResult]) -> None:
    T = held_out_poses(contestants.solver.arm, COUNT, seed=3)
    assert contestants.k1 is not None
    q = contestants.k1.propose(T).q[:, 0].numpy()
    assert np.abs(np.sin((q - results["k1"].q) / 2)).max() < 1e-6  # the same up to full turns
    assert results["k1"].modes == 1.0


def test_results_are_plain_json(results: dict[str, MethodResult], executed: dict[str, ExecutedResult]) -> None:
    for result in [*results.values(), *executed.values()]:
        values = result.to_dict()
        assert json.loads(json.dumps(values, allow_nan=False)) == values
        assert values["method"] == executed_names()[result.name]
        assert list(values["err_pos_m"]) == ["median", "p95", "max"]
        assert values["err_pos_m"]["max"] == (result.errors.pos.max if result.errors.answered else None)


@pytest.mark.slow
def test_methods_without_their_model_are_left_out_and_named(contestants: Contestants) -> None:
    alone = Contestants(contestants.solver)
    assert missing_methods(alone) == (METHODS["mse"].name, METHODS["k1"].name)
    assert missing_methods(contestants) == ()
    steps: list[tuple[int, int]] = []
    survey = take_survey(alone, count=4, targets=1, on_step=lambda *step: steps.append(step))
    assert not {"mse", "k1"} & {result.name for result in [*survey.results, *survey.executed]}
    total = len(survey.results) + len(survey.executed)
    assert steps == [(done, total) for done in range(total + 1)]
    assert survey.to_dict()["missing"] == list(missing_methods(alone))
    assert survey.panels() == []


@pytest.mark.slow
def test_a_method_added_in_one_place_is_measured_executed_and_shown(
    contestants: Contestants, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ik_mdn.comparison.page import overview_rows, render_page

    def at_rest(solver: IKSolver, T: torch.Tensor) -> Answers:
        return Answers(torch.zeros(len(T), solver.arm.n_joints, dtype=torch.float64), 1.0)

    monkeypatch.setitem(METHODS, "rest", Method("stay at rest", "It never moves.", "restarts", at_rest, {"color": "k"}))
    survey = take_survey(Contestants(contestants.solver), count=4, targets=1)
    assert "rest" in {result.name for result in survey.results} & {result.name for result in survey.executed}
    assert "stay at rest" in dict(overview_rows([survey]))
    assert "It never moves." in render_page([survey], command="")


def test_exact_answers_are_reached_by_the_motors_and_wrong_ones_are_not(executed: dict[str, ExecutedResult]) -> None:
    assert list(executed) == list(executed_names())
    assert all(result.errors.count == TARGETS for result in executed.values())
    assert executed["controller"].reached == 1.0
    assert executed["controller"].touched == 0.0
    assert executed["mse"].errors.success["1cm"] == 0.0


def test_motors_bring_the_tip_where_forward_kinematics_says(contestants: Contestants) -> None:
    """The error at rest of an answer inside the limits is that of its forward kinematics (motors hold within 0.1 mm)."""
    solver, mse = contestants.solver, contestants.mse
    assert mse is not None
    with sim.World() as world:
        body = world.add_arm(solver.arm)
        (result,) = execute(contestants, body=body, methods=("mse",), targets=TARGETS, seed=1)
        T = torch.from_numpy(np.array([task.T_base_target for task in make_tasks(body, TARGETS, seed=1)]))
    q = mse.mean(T)
    q = torch.remainder(q + torch.pi, 2 * torch.pi) - torch.pi
    q = torch.clamp(q, torch.tensor(solver.arm.q_min), torch.tensor(solver.arm.q_max))
    distance = (forward_kinematics(solver.arm, q) - T)[:, :3, 3].norm(dim=1)
    if not result.touched:
        assert result.errors.pos[2] == pytest.approx(float(distance.max()), abs=2e-4)


def test_an_answer_beyond_the_limits_is_clamped_and_counted() -> None:
    """An arm that may turn its second joint by ±0.1 rad only, asked by a regressor that knows nothing of it."""
    import dataclasses

    arm = sim.load_arm("planar2")
    tight = dataclasses.replace(arm, q_min=np.array([-3.0, -0.1]), q_max=np.array([3.0, 0.1]))
    model, mse = untrained(tight, components=2), untrained(tight, kind="mse")
    with torch.no_grad():
        for tensor in mse.parameters():
            tensor.zero_()
        list(mse.parameters())[-1].fill_(1.0)  # the last bias: every joint at about 1 rad
    with sim.World() as world:
        body = world.add_arm(tight)
        (result,) = execute(Contestants(IKSolver(tight, model), mse), body=body, methods=("mse",), targets=TARGETS)
    assert result.clamped == 1.0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(contestants: Contestants) -> None:
    def numbers() -> list[dict[str, object]]:
        survey = take_survey(Contestants(contestants.solver, contestants.mse), count=5, targets=1, seed=2)
        found = [result.to_dict() for result in [*survey.results, *survey.executed]]
        return [{key: value for key, value in each.items() if key != "us_per_pose"} for each in found]

    assert numbers() == numbers()


def test_raw_modes_are_distinct_heavy_and_ordered() -> None:
    model = load_model("planar2")
    for T in held_out_poses(model.arm, 20):
        q, weight = raw_modes(model, T)
        proposal = model.propose(T[None])
        heaviest = proposal.q[0, proposal.weight[0].argmax()]
        assert torch.sin((q[0] - heaviest) / 2).abs().max() < 1e-6  # the same up to full turns
        heavy = proposal.weight[0][proposal.weight[0] >= LIGHT]
        assert float(weight.sum()) == pytest.approx(float(heavy.sum()), abs=1e-6)  # merged, none lost
        assert 1 <= len(q) <= 3
        gaps = (torch.sin((q[:, None] - q[None]) / 2).abs()).amax(-1) + torch.eye(len(q))
        assert gaps.min() > 0.02


def test_shown_poses_are_those_at_the_quantiles_of_the_regressors_error() -> None:
    model, mse = load_model("planar2"), load_model("planar2-mse")
    shown = choose_poses(model, mse, (0.1, 0.9))
    assert shown[0].misses[0] < shown[1].misses[0]
    for pose in shown:
        tip = forward_kinematics(model.arm, pose.q_mse)[:2, 3]
        assert pose.misses[0] == pytest.approx(np.linalg.norm(tip - pose.T[:2, 3]), abs=1e-9)
        assert len(pose.misses) == 1 + len(pose.modes)


def test_pictures_of_different_arms_in_one_are_refused() -> None:
    with pytest.raises(CheckpointError, match="give two models of one arm and task"):
        pose_panels(load_model("planar2"), load_model("planar3-mse"))


def test_the_camera_sees_all_points_and_fills_the_picture() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = rng.normal(size=(12, 3)) * rng.uniform(0.2, 2.0, 3)
        camera = camera_around(points, facing=rng.normal(size=2), width=300, height=200)
        pixels = project(camera, points)
        assert (pixels >= 0).all()
        assert (pixels < [300, 200]).all()
        assert (np.abs(pixels - [149.5, 99.5]) / [150, 100]).max() > 0.7


def test_projection_agrees_with_the_renderer() -> None:
    """A small ball drawn by Bullet appears where its centre is projected to."""
    point = np.array([0.3, -0.2, 0.4])
    camera = camera_around(
        np.vstack([point, np.zeros(3), [0.5, 0.5, 0.9]]), facing=np.array([1.0, 0.3]), width=240, height=180
    )
    T = np.eye(4)
    T[:3, 3] = point
    with sim.World() as world:
        world.add_marker(T, size=0.03)
        solid = world.render_layers(camera).solid
    rows, columns = np.nonzero(solid)
    seen = np.array([columns.mean(), rows.mean()]) / camera.supersample
    assert np.abs(seen - project(camera, point)).max() < 3.0


def test_shipped_models_are_found_by_kind_and_only_for_their_arm() -> None:
    planar2 = sim.load_arm("planar2")
    assert find_shipped(planar2).name == "planar2.safetensors"  # type: ignore[union-attr]
    assert find_shipped(planar2, kind="mse").name == "planar2-mse.safetensors"  # type: ignore[union-attr]
    assert find_shipped(sim.load_arm("planar:1,2"), kind="k1") is None
    with pytest.raises(UnknownNameError, match="unknown kind of model 'best'; allowed: mdn, mse, k1"):
        find_shipped(planar2, kind="best")


def test_a_model_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    arm = sim.load_arm("planar2")
    one, many, mse = (tmp_path / f"{name}.safetensors" for name in ("one", "many", "mse"))
    save_model(untrained(arm, components=1), one)
    save_model(untrained(arm, components=3), many)
    save_model(untrained(arm, kind="mse"), mse)
    assert missing_methods(load_contestants(arm, model=many, mse=mse, k1=one)) == ()
    with pytest.raises(CheckpointError, match="--k1 is a mixture of K = 3; expected a mixture of one component"):
        load_contestants(arm, model=many, k1=many)
    with pytest.raises(CheckpointError, match="--mse is a mixture of K = 1; expected a regressor"):
        load_contestants(arm, model=many, mse=one)
    with pytest.raises(CheckpointError, match="--model is a regressor; expected a mixture"):
        load_contestants(arm, model=mse)


@pytest.mark.slow
def test_the_command_takes_one_arm_or_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # in 80 a method's name takes two lines
    assert main(["compare", "planar2", "--count", "10", "--json", "-"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["arm"] == "planar2"
    assert "executed" not in one
    out = tmp_path / "numbers.json"
    assert main(["compare", "planar2", "planar3", "--count", "10", "--execute", "1", "--json", str(out)]) == 0
    several = json.loads(out.read_text())["arms"]
    assert [each["arm"] for each in several] == ["planar2", "planar3"]
    assert all(each["executed"][0]["targets"] == 1 for each in several)
    printed = capsys.readouterr().out
    assert "answers to 1 targets driven to in the simulator" in printed
    assert "MDN + refinement + controller" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["planar2", "planar3", "--model", "planar2"], "--model can be given with one arm only"),
        ([], "give at least one arm"),
        (["planar2", "--count", "0"], "--count must be at least 1"),
        (["planar2", "--execute", "-1"], "--seed and --execute at least 0"),
    ],
)
def test_wrong_arguments_are_answered_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_survey_of_nothing_is_refused(contestants: Contestants) -> None:
    with pytest.raises(IKError, match="count must be at least 1, targets and seed at least 0; got 0, 0 and 0"):
        take_survey(contestants, count=0)


@pytest.mark.slow
def test_the_script_makes_tables_numbers_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_arms.main(arms=("planar2", "planar3"), count=20, targets=1, data=tmp_path)
    printed = capsys.readouterr().out
    assert "| method | planar2 | planar3 |" in printed
    assert "| **MDN + refinement** | < 0.001 mm, 100 % | < 0.001 mm, 100 % |" in printed
    numbers = json.loads((tmp_path / "results" / "compare_arms.json").read_text())
    assert [each["arm"] for each in numbers["arms"]] == ["planar2", "planar3"]
    assert (tmp_path / "figures" / "compare_errors.png").stat().st_size > 10_000
    assert not (tmp_path / "figures" / "compare_poses.png").exists()  # planar arms are not rendered


def test_the_script_says_when_no_arm_has_models(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(IKError, match="no mixture ships for any of: planar:1,2"):
        compare_arms.main(arms=("planar:1,2",))
    assert "planar:1,2 is left out: no mixture ships for it" in capsys.readouterr().err


def test_an_arm_whose_meshes_are_gone_is_compared_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = '<collision><geometry><mesh filename="gone.stl"/></geometry></collision>'
    links = f'<link name="base"/><link name="l1">{gone}</link><link name="l2">{gone}</link>'
    joints = "".join(
        f'<joint name="j{i}" type="revolute"><parent link="{parent}"/><child link="l{i}"/><origin xyz="{x} 0 0"/>'
        '<axis xyz="0 0 1"/><limit lower="-2" upper="2" effort="9" velocity="2"/></joint>'
        for i, parent, x in ((1, "base", 0.0), (2, "l1", 0.5))
    )
    tip = '<link name="tip"/><joint name="t" type="fixed"><parent link="l2"/><child link="tip"/><origin xyz="0.4 0 0"/></joint>'
    file = tmp_path / "bare.urdf"
    file.write_text(f'<robot name="bare">{links}{joints}{tip}</robot>')
    save_model(untrained(sim.load_arm(file), components=2), tmp_path / "model.safetensors")
    asked = ["compare", str(file), "--model", str(tmp_path / "model.safetensors"), "--count", "10", "--execute", "1"]
    assert main(asked) == 2
    assert "--no-meshes" in capsys.readouterr().err
    assert main([*asked, "--no-meshes"]) == 0
    assert "driven to in the simulator" in capsys.readouterr().out
