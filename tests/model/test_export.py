"""A model as ONNX graphs, run by ONNX Runtime through nothing but what their metadata says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import sliding_arm
from torch import Tensor

import sim
from ik_mdn.cli import main
from ik_mdn.evaluation import held_out
from ik_mdn.mixture import GaussianMixture
from ik_mdn.model import ModelConfig, compare_onnx, model_for, write_onnx
from ik_mdn.model.export import _translations
from ik_mdn.model.limits import mass_between

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")

SMALL = ModelConfig(components=3, width=16, blocks=1)


def _model(arm: sim.Arm, config: ModelConfig = SMALL) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = model_for(arm, None, config)
        for parameter in model.parameters():  # untrained, but no output is the same for every pose
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def _hard_poses(arm: sim.Arm) -> Tensor:
    """Random ones, and the same with the tip on the base axis, next to it, behind it, seen from above and below, and in the
    base itself (-0 and 0 are angles half a turn apart there), and far away."""
    T = held_out(arm, 60)[1]
    T[10:20, :2, 3] = 0.0
    T[20:30, :2, 3] = 1e-9 * T[20:30, :2, 3]
    T[30:40, 1, 3], T[30:40, 0, 3] = 0.0, -T[30:40, 0, 3].abs()
    T[40, :3, :3], T[41, :3, :3] = torch.eye(3), torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    T[42:50], T[50, :3, 3] = torch.eye(4), 100 * T[50, :3, 3]
    return T


def _run(file: Path, **inputs: Tensor) -> GaussianMixture:
    """What ONNX Runtime says, as a mixture made of nothing else than the file."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert [each.name for each in session.get_inputs()] == list(json.loads(about["inputs"])) == list(inputs)
    assert [each.name for each in session.get_outputs()] == list(json.loads(about["outputs"]))
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    log_weights, means, precision_tril = map(torch.from_numpy, found)
    assert means.shape[-1] == len(json.loads(about["joints"])) == len(json.loads(about["units"]))
    period = torch.tensor([float("inf") if each is None else each for each in json.loads(about["period"])])
    return GaussianMixture(
        logits=log_weights, loc=means, precision_tril=precision_tril, period=period, validate_args=False
    )


def _check(off: dict[str, float]) -> None:
    assert off["means"] < 1e-5
    assert off["log_weights"] < 1e-5
    assert off["precision_tril"] < 1e-4  # 1/σ = exp(-s): an error of 1e-5 of s = -6 is one of 6e-5 of it


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "isotropic"])
@pytest.mark.parametrize("arm", ["ur5e", "sliding"])
def test_a_square_model_is_one_graph_that_says_what_torch_says(tmp_path: Path, arm: str, covariance: Any) -> None:
    loaded = sliding_arm() if arm == "sliding" else sim.load_arm(arm)
    model = _model(loaded, ModelConfig(components=3, width=16, blocks=1, covariance=covariance))
    (file,) = write_onnx(model, tmp_path / "out.onnx")
    T = _hard_poses(loaded)
    q = model.sample(T, 1, generator=torch.Generator().manual_seed(1))[:, 0]
    torch.testing.assert_close(_run(file, T_base_tip=T).log_prob(q), model.log_uncut(T, q), atol=1e-4, rtol=1e-5)
    for some in (T, T[:1], T[:0]):  # any size of batch
        assert _run(file, T_base_tip=some).loc.shape[0] == len(some)
    _check(compare_onnx(model, [file], T)[0])


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "isotropic"])
def test_an_arm_of_one_joint_is_a_graph_too(tmp_path: Path, covariance: Any) -> None:
    model = _model(sim.load_arm("planar:0.5"), ModelConfig(components=3, width=16, blocks=1, covariance=covariance))
    _check(compare_onnx(model, write_onnx(model, tmp_path / "out.onnx"), held_out(model.arm, 100)[1])[0])


@pytest.mark.slow
@pytest.mark.parametrize(("arm", "factors"), [("panda", 2), ("planar:0.5,0.4,0.3,0.2,0.1", 3)])
def test_a_chain_is_a_graph_per_factor_whose_product_is_the_density(tmp_path: Path, arm: str, factors: int) -> None:
    model = _model(sim.load_arm(arm))
    files = write_onnx(model, tmp_path / "out.onnx")
    assert [file.name for file in files] == ["out.onnx", "out.rest.onnx", "out.rest.rest.onnx"][:factors]
    T = _hard_poses(model.arm)
    q = model.sample(T, 1, generator=torch.Generator().manual_seed(1))[:, 0]
    total = torch.zeros(len(T), dtype=torch.float64)
    names: list[str] = []
    for file in files:
        about = onnxruntime.InferenceSession(str(file)).get_modelmeta().custom_metadata_map
        columns = [model.arm.joint_names.index(name) for name in json.loads(about["joints"])]
        assert json.loads(about["given"]) == names  # each is given all joints that were drawn before
        given = {"q_given": q[:, [model.arm.joint_names.index(name) for name in names]]} if names else {}
        mixture = _run(file, T_base_tip=T, **given)
        total = total + mixture.log_prob(q[:, columns])
        for name in json.loads(about["known_limits"]):  # by its own limits, which the factor before has learned
            j = json.loads(about["joints"]).index(name)
            low, high, period = (json.loads(about[key])[j] for key in ("q_min", "q_max", "period"))
            share = mass_between(mixture.loc[..., j], mixture.scale[..., j], low, high, period)
            total = total - (mixture.weights * share).sum(-1).clamp_min(0.01).log()
        names = [*names, *json.loads(about["joints"])]
    assert sorted(names) == sorted(model.arm.joint_names)
    torch.testing.assert_close(total, model.log_uncut(T, q), atol=1e-4, rtol=1e-5)
    _check(compare_onnx(model, files, T)[0])


def test_the_arctangent_is_that_of_double_precision() -> None:
    from onnxscript import tensor

    arctan2 = next(made for made in _translations().values() if made.__name__ == "arctan2")
    y, x = np.random.default_rng(0).normal(size=(2, 1000)) * 10.0 ** np.random.default_rng(1).integers(-8, 2, 1000)
    y[:6], x[:6] = [0.0, 1.0, -1.0, 0.0, 0.0, 1e-300], [1.0, 0.0, 0.0, -1.0, 0.0, -1.0]
    value = arctan2(tensor.Tensor(y), tensor.Tensor(x)).value
    np.testing.assert_allclose(value, np.arctan2(y, x), atol=1e-15, rtol=1e-14)


def test_numbers_in_the_code_are_exported_as_exactly_as_torch_computes_with_them() -> None:
    made = next(made for made in _translations().values() if made.__name__ == "scalar_tensor")
    for value, dtype, kept in ((np.pi, 11, np.pi), (2.3, 11, 2.3), (np.pi, 1, np.float32(np.pi)), (7, 7, 7)):
        assert made(value, dtype=dtype).value == kept


def test_a_regressor_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "planar2", "--model", "planar2-mse", "--onnx", str(tmp_path / "out.onnx")]) == 2
    assert "regressor" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["planar2", "planar3"])  # features that hardly vary are stretched a thousandfold
def test_the_command_says_how_near_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str], arm: str) -> None:
    assert main(["export", arm, "--onnx", str(tmp_path / "out.onnx"), "--json", "-"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["files"] == [str(tmp_path / "out.onnx")]
    _check(values["difference"])
    assert all(1e-8 < values["rounding"][name] < 1e-4 for name in values["difference"])
