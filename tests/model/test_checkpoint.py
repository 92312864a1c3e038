"""Model files: one safetensors file that carries everything, and refuses what it is not."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import sim
from ik_mdn.evaluation.report import held_out
from ik_mdn.model.checkpoint import find_shipped, load_model, save_model, shipped_models
from ik_mdn.model.config import ModelConfig
from ik_mdn.model.pose_model import PoseModel
from sim.errors import CheckpointError


@pytest.fixture
def small(tmp_path: Path) -> tuple[PoseModel, Path]:
    arm = sim.load_arm("planar2")
    model = PoseModel(arm, None, ModelConfig(components=3, width=16, blocks=1)).eval()
    model.report.values["raw"] = {"note": "as measured"}
    path = tmp_path / "small.safetensors"
    save_model(model, path)
    return model, path


def test_a_saved_model_gives_the_same_answers(small: tuple[PoseModel, Path]) -> None:
    model, path = small
    again = load_model(path)
    _, T = held_out(model.arm, 50)
    torch.testing.assert_close(again.propose(T).q, model.propose(T).q, rtol=0, atol=0)
    assert again.config == model.config
    assert again.task == model.task
    assert again.report.values == model.report.values
    assert again.arm.urdf_path == model.arm.urdf_path  # a built-in arm comes back with its URDF, ready to simulate


def test_a_model_of_a_custom_arm_needs_no_urdf(tmp_path: Path) -> None:
    source = Path(sim.load_arm("planar3").urdf_path or "")
    urdf = tmp_path / "mine.urdf"
    urdf.write_text(source.read_text())
    model = PoseModel(sim.load_arm(urdf), None, ModelConfig(components=2, width=8, blocks=0))
    save_model(model, tmp_path / "mine.safetensors")
    urdf.unlink()
    again = load_model(tmp_path / "mine.safetensors")
    assert again.arm.fingerprint == model.arm.fingerprint
    q = torch.tensor([[0.3, -0.4, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(sim.forward_kinematics(again.arm, q), sim.forward_kinematics(model.arm, q))


def test_no_temporary_file_is_left(small: tuple[PoseModel, Path]) -> None:
    assert [p.name for p in small[1].parent.iterdir()] == ["small.safetensors"]


def test_another_arms_model_is_refused_by_name(small: tuple[PoseModel, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"trained for the arm 'planar2'.*not for 'xarm6'"):
        load_model(small[1], arm=sim.load_arm("xarm6"))


def test_an_arm_with_other_link_lengths_is_another_arm(small: tuple[PoseModel, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"not for 'planar:1,1\.01'"):
        load_model(small[1], arm=sim.load_arm("planar:1,1.01"))


def test_a_truncated_file_is_refused(small: tuple[PoseModel, Path]) -> None:
    path = small[1]
    whole = path.read_bytes()
    for size in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="truncated, damaged"):
            load_model(path)


def test_a_pickle_is_refused_without_being_run(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with pytest.raises(CheckpointError, match="pickled weights are not read"):
        load_model(path)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="pickled weights are not read"):
        load_model(path)


def test_a_safetensors_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="has the format None"):
        load_model(path)


def test_a_description_that_does_not_fit_its_weights_is_refused(small: tuple[PoseModel, Path]) -> None:
    path = small[1]
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    metadata["config"] = json.dumps({**json.loads(metadata["config"]), "components": 5})
    del metadata["checksum"]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(CheckpointError, match="does not fit its own description"):
        load_model(path)


def rewrite(path: Path, *, checksum: bool = False, **changed: str) -> None:
    """Change what a file says of itself, and leave out its checksum, as files from before there was one do."""
    with safe_open(path, framework="pt") as file:
        metadata, tensors = {**file.metadata(), **changed}, {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    if not checksum:
        metadata.pop("checksum", None)
    save_file(tensors, path, metadata=metadata)


def test_a_file_without_a_checksum_still_loads_and_one_with_a_wrong_one_does_not(
    small: tuple[PoseModel, Path],
) -> None:
    model, path = small
    rewrite(path)
    assert load_model(path).config == model.config
    rewrite(path, checksum=True, report='{"raw": 1}', checksum_="")
    with pytest.raises(CheckpointError, match="unknown or missing in its description: checksum_"):
        load_model(path)
    save_model(model, path)
    rewrite(path, checksum=True, report='{"raw": 1}')
    with pytest.raises(CheckpointError, match="its checksum does not fit"):
        load_model(path)


def test_a_changed_byte_is_refused_or_changes_nothing(small: tuple[PoseModel, Path]) -> None:
    model, path = small
    whole, random = path.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    messages: list[str] = []
    for place in [*random.integers(0, header, 250), *random.integers(header, len(whole), 50)]:
        path.write_bytes(whole[:place] + bytes([int(random.integers(256))]) + whole[place + 1 :])
        try:
            again = load_model(path)
        except CheckpointError as error:
            messages.append(str(error))
            continue
        assert again.arm.to_dict() == model.arm.to_dict()
        assert again.report.values == model.report.values
        assert all(
            torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True)
        )
    assert not any("\n" in message for message in messages)
    assert len(messages) > 250  # of 300; one in 256 puts the byte that is there, and spaces and orders do not count


def test_a_chain_that_has_another_fingerprint_is_refused(small: tuple[PoseModel, Path]) -> None:
    model, path = small
    chain = model.arm.to_dict()
    chain["offsets"][1][0][3] *= 10
    rewrite(path, arm=json.dumps(chain))
    with pytest.raises(CheckpointError, match=r"its chain has the fingerprint \w+, not \w+"):
        load_model(path)


@pytest.mark.parametrize("declared", [{"width": 8192}, {"blocks": 256}, {"components": 4096}, {"blocks": 10**9}])
def test_a_model_that_declares_more_than_it_has_is_refused_before_it_is_made(
    declared: dict[str, int], small: tuple[PoseModel, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = small
    rewrite(path, config=json.dumps({**asdict(model.config), **declared}))
    monkeypatch.setattr("ik_mdn.model.network.Trunk.__init__", lambda *_: pytest.fail("it was made"))
    with pytest.raises(CheckpointError, match=r"its config declares \(|at most 256"):
        load_model(path)


@pytest.mark.parametrize("field", ["arm", "config", "report"])
@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"kind": 1}', "null"])
def test_descriptions_that_are_none_are_refused(field: str, text: str, small: tuple[PoseModel, Path]) -> None:
    rewrite(small[1], **{field: text})
    if (field, text) == ("report", '{"kind": 1}'):
        return
    with pytest.raises(CheckpointError, match="does not fit its own description"):
        load_model(small[1])


def test_a_shipped_name_goes_before_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "panda").write_text("a picture of one")
    monkeypatch.chdir(tmp_path)
    assert load_model("panda").arm.name == "panda"
    with pytest.raises(CheckpointError, match="no readable model"):
        load_model("./panda")


def test_an_unknown_name_lists_what_ships() -> None:
    with pytest.raises(CheckpointError, match=r"no model 'xarm7'; give the path"):
        load_model("xarm7")


ARMS = ("planar2", "planar3", "ur5e", "xarm6", "panda", "iiwa")


@pytest.mark.parametrize("name", [*(f"{arm}{suffix}" for arm in ARMS for suffix in ("", "-mse", "-k1")), "puma560"])
def test_shipped_models_are_small_loadable_and_carry_their_report(name: str) -> None:
    assert name in shipped_models()
    model = load_model(name)
    kind = name.partition("-")[2] or "mdn"
    path = find_shipped(model.arm, kind=kind)
    assert path is not None
    assert path.stem == name
    assert path.stat().st_size <= 4e6
    assert model.kind == ("mse" if kind == "mse" else "mdn")
    assert (model.config.components == 1) == (kind == "k1") or kind == "mse"
    report = model.report.values
    assert report["poses"]["count"] >= 1000
    assert {"training", "raw"} <= set(report)
    assert ("nll" in report) == (kind != "mse")


@pytest.mark.parametrize("name", ["~nobody/m.safetensors", "x" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have_is_no_model(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"no model '.*'; give the path") as caught:
        load_model(name)
    assert len(str(caught.value)) < 400


def test_an_arm_with_a_name_too_long_for_a_file_has_no_shipped_model() -> None:
    assert find_shipped(sim.load_arm("planar:" + ",".join(["0.1"] * 100))) is None


@pytest.mark.parametrize("name", ["height and tool", "position", "x,y"])
def test_a_task_that_its_name_would_not_give_back_is_refused(name: str, tmp_path: Path) -> None:
    arm = sim.load_arm("ur5e")
    task = sim.Task(name, (True, False, True, False, False, False), "x and z")
    with pytest.raises(CheckpointError, match=f"keeps a task's name alone, and '{name}' does not name this one"):
        save_model(PoseModel(arm, task, ModelConfig(components=2, width=8, blocks=1)), tmp_path / "lost.safetensors")
    kept = sim.Task("x,z", task.rows, "in words of one's own")
    save_model(PoseModel(arm, kept, ModelConfig(components=2, width=8, blocks=1)), tmp_path / "kept.safetensors")
    assert load_model(tmp_path / "kept.safetensors").task.rows == kept.rows
