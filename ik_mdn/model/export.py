"""A model as ONNX graphs: pose in, mixture parameters out, for programs that have neither Python nor torch."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ik_mdn.mixture import GaussianMixture, nearest_image
from ik_mdn.model.chain import ArmModel, ChainModel
from ik_mdn.model.conditional import ConditionalNetwork
from ik_mdn.model.config import LOG_SCALE_RANGE
from ik_mdn.model.network import MixtureHead, precision_factor
from sim.arm import Arm
from sim.errors import ShapeError
from sim.files import as_json, whole_file

OPSET = 20
OUTPUTS = {
    "log_weights": "float64 (batch, K): logarithms of the weights of the K components; exp of them sums to one",
    "means": "float64 (batch, K, D): means of the joints in `joints`, in `units`; turning joints modulo their period",
    "precision_tril": "float64 (batch, K, D, D): lower triangular A; the precision (inverse covariance) of a component "
    "is the transpose of A times A, and its log determinant is twice the sum of the logarithms of the diagonal",
}
_INPUTS = {
    "T_base_tip": "float64 (batch, 4, 4): homogeneous pose of the link `tip` in the link `base`, metres, row by row",
    "q_given": "float64 (batch, number of joints in `given`): values of those joints, in their order, rad or m",
}


def write_onnx(model: ArmModel, path: Path | str) -> list[Path]:
    """Write a model's density as ONNX graphs, one for each factor of the chain rule.

    A `PoseModel` is one graph, p(q | T). A `ChainModel` is p(qₑ | T) in the file itself and p(rest | T, qₑ) in another
    one, whose name ends in ".rest.onnx" and which takes the values of the joints drawn before as `q_given`. Features and
    symmetries are inside: poses are those of the arm's own links, means its own joint values. The mixtures know no limits:
    the model's density is their product, cut at `q_min` and `q_max`, and for a chain at where the joints drawn last can
    follow (`ReachNetwork`), and divided by what is left of it there. Before that, a mixture whose metadata name joints in
    `known_limits` is divided by its own mass in their limits: the factor before it has learned them.

    Args:
        model: The model; of kind "mdn".
        path: The first file.

    Returns:
        The files, in the order of the factors. Each says in its metadata what goes in and comes out.

    Raises:
        ShapeError: The model is a regressor.
        ImportError: The extra `onnx` is not installed.
    """
    if model.kind != "mdn":
        raise ShapeError("this model is a regressor (kind 'mse'); mixtures are exported, of kind 'mdn'")
    path = Path(path)
    files = [path.with_name(path.stem + level * ".rest" + path.suffix) for level in range(len(_factors(model)))]
    for level, file in enumerate(files):
        program = _export(_Graph(model, level).eval())
        program.model.metadata_props.update(_about(model, level))
        for value in program.model.graph.inputs:
            value.doc_string = _INPUTS[value.name]
        for value in program.model.graph.outputs:
            value.doc_string = OUTPUTS[value.name]
        with whole_file(file) as temporary:
            program.save(temporary, external_data=False)
    return files


def compare_onnx(model: ArmModel, files: list[Path], T_base_tip: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """How far ONNX Runtime's answers are from torch's, and torch's from those of the same network in double precision.

    Both run the network in single precision: where the first is not larger than the second, it is rounding.

    Args:
        model: The model.
        files: What `write_onnx` made of it.
        T_base_tip: Targets, (B, 4, 4), float64.

    Returns:
        Of each of the two, by output, the largest |difference| of the means [rad, m] modulo their period, of log_weights / max(1, |value|),
        and of precision_tril / the largest number in the row: exponentials of what the network says, whose error grows
        with it.

    Raises:
        ImportError: The extra `onnx` is not installed.
    """
    import onnxruntime

    apart, rounding = dict.fromkeys(OUTPUTS, 0.0), dict.fromkeys(OUTPUTS, 0.0)
    with torch.no_grad():
        q = model.sample(T_base_tip, 1, generator=torch.Generator().manual_seed(0))[:, 0]
        exact = _mixtures(copy.deepcopy(model).double(), T_base_tip, q)
        for file, (mixture, given), (double, _) in zip(files, _mixtures(model, T_base_tip, q), exact, strict=True):
            session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
            feed = {"T_base_tip": T_base_tip.numpy(), **({"q_given": given.numpy()} if given.shape[-1] else {})}
            _keep_largest(apart, map(torch.from_numpy, session.run(list(OUTPUTS), feed)), mixture)
            _keep_largest(rounding, _outputs(mixture), double)
    return apart, rounding


def _outputs(mixture: GaussianMixture) -> tuple[Tensor, Tensor, Tensor]:
    return mixture.log_weights, mixture.loc, mixture.precision_tril


def _keep_largest(worst: dict[str, float], found: Iterable[Tensor], mixture: GaussianMixture) -> None:
    """Raise each output's number to the largest difference from a mixture, in the units of `compare_onnx`."""
    logs, means, factors = (each - other for each, other in zip(found, _outputs(mixture), strict=True))
    off = (
        logs / mixture.log_weights.abs().clamp_min(1.0),
        nearest_image(means, mixture.period),
        factors / mixture.precision_tril.abs().amax(-1, keepdim=True),
    )
    for name, each in zip(OUTPUTS, off, strict=True):
        worst[name] = max(worst[name], float(each.abs().max()))


class _Graph(nn.Module):
    """One factor of a density as plain tensors."""

    def __init__(self, model: ArmModel, level: int) -> None:
        super().__init__()
        self.models = nn.ModuleList(copy.deepcopy(_factors(model)[: level + 1]))
        self.level = level

    def forward(self, T_base_tip: Tensor, q_given: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        models: list[Any] = list(self.models)
        *before, model = models
        for i, each in enumerate(before):
            assert q_given is not None
            T_base_tip = each.split.shorten(each.arm, T_base_tip, q_given[:, i])
        features, shift = model.features.encode(T_base_tip)
        network: ConditionalNetwork = model
        if isinstance(model, ChainModel):
            network, shift = model.first, shift[:, [model.split.joint]]
        assert isinstance(network.head, MixtureHead)
        logits, mean, log_scale, tangle = network.head.parts_of(network.numbers(features))
        scale = network.floor + log_scale.clamp(*LOG_SCALE_RANGE).exp()
        scale = scale * model.recalibration.width + torch.zeros_like(mean)  # one for each joint
        full = network.head.shape.covariance == "full" and network.head.shape.dims > 1
        factor = precision_factor(scale, tangle) if full else torch.diag_embed(scale.reciprocal())
        return logits[..., 0].log_softmax(-1).double(), mean.double() + shift[:, None], factor.double()


def _factors(model: ArmModel) -> list[ArmModel]:
    """The models of the factors: chains, each of the arm that is left, and the square one at the end."""
    return [model, *_factors(model.rest)] if isinstance(model, ChainModel) else [model]


def _mixtures(model: ArmModel, T: Tensor, q: Tensor) -> Iterator[tuple[GaussianMixture, Tensor]]:
    """The factors for poses and joint vectors (B, n), without limits, each with the joint values that it is given."""
    given = q[:, :0]
    while isinstance(model, ChainModel):
        yield model.first_density(T), given
        drawn = q[:, model.split.joint]
        T, q, given = model.split.shorten(model.arm, T, drawn), model._others(q), torch.column_stack([given, drawn])
        model = model.rest
    yield model.uncut(T).mixture, given


def _export(graph: _Graph) -> Any:
    """The graph as an ONNX program, its batch of any size."""
    T = torch.eye(4, dtype=torch.float64).repeat(5, 1, 1)
    T[:, :3, 3] = torch.linspace(0.1, 0.7, 15, dtype=torch.float64).reshape(5, 3)
    batch = torch.export.Dim("batch")
    inputs = (T, T[:, 0, : graph.level].clone())[: 2 if graph.level else 1]
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)  # it speaks of libraries that nobody uses here
        try:
            return torch.onnx.export(
                graph,
                inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(_INPUTS)[: len(inputs)],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: batch},) * len(inputs),
                custom_translation_table=_translations(),
                verbose=False,
            )
        finally:
            log.setLevel(level)


def _translations() -> dict[Any, Any]:
    """What ONNX has no operator for, and numbers that code writes out (π, the reach), which torch's exporter makes floats.

    An arctangent in double precision is that of floats and one Newton step.
    """
    from onnxscript import opset18 as op

    def hypot(x: Any, y: Any) -> Any:
        return op.Sqrt(op.Add(op.Mul(x, x), op.Mul(y, y)))

    def arctan2(y: Any, x: Any) -> Any:
        zero = op.CastLike(op.Constant(value_float=0.0), y)
        two = op.CastLike(op.Constant(value_float=2.0), y)
        pi = op.CastLike(op.Constant(value=_number(np.pi)), y)
        r, along = hypot(x, y), op.Abs(x)
        at_origin = op.Equal(r, zero)
        tangent = op.Div(y, op.Where(at_origin, two, op.Add(r, along)))  # of half the angle to the positive axis
        half = op.CastLike(op.Atan(op.Cast(tangent, to=1)), y)
        angle = op.Add(half, half)
        off = op.Sub(op.Mul(y, op.Cos(angle)), op.Mul(along, op.Sin(angle)))
        angle = op.Add(angle, op.Div(off, op.Where(at_origin, two, r)))
        turn = op.Where(op.Less(y, zero), op.Neg(pi), pi)
        return op.Where(op.Less(x, zero), op.Sub(turn, angle), angle)

    def scalar_tensor(value: float, dtype: int, **where: Any) -> Any:
        return op.Constant(value=_number(value, dtype))

    aten = torch.ops.aten
    return {
        torch.ops.prims.hypot.default: hypot,
        aten.atan2.default: arctan2,
        aten.scalar_tensor.default: scalar_tensor,
    }


def _number(value: float, dtype: int | None = None) -> Any:
    """A constant of one of ONNX's types; None: double precision."""
    from onnx import TensorProto, helper

    return helper.make_tensor("", TensorProto.DOUBLE if dtype is None else dtype, [], [value])


def _about(model: ArmModel, level: int) -> dict[str, str]:
    """The metadata of a graph: texts, what is no text as JSON."""
    *before, factor = _factors(model)[: level + 1]
    arm: Arm = model.arm
    drawn = [each.arm.joint_names[each.split.joint] for each in before if isinstance(each, ChainModel)]
    joints = list(factor.arm.joint_names)
    known = [joints[j] for j in before[-1].known] if before and isinstance(before[-1], ChainModel) else []
    if isinstance(factor, ChainModel):
        joints = [joints[factor.split.joint]]
    at = [arm.joint_names.index(name) for name in joints]
    values: dict[str, Any] = {
        "arm": arm.name,
        "fingerprint": arm.fingerprint,
        "base": arm.base,
        "tip": arm.tip,
        "task": model.task.name,
        "joints": joints,
        "given": drawn,
        "known_limits": known,
        "units": ["m" if arm.is_prismatic[j] else "rad" for j in at],
        "q_min": as_json(arm.q_min[at]),
        "q_max": as_json(arm.q_max[at]),
        "period": as_json(arm.period[at]),
        "inputs": _INPUTS if drawn else {"T_base_tip": _INPUTS["T_base_tip"]},
        "outputs": OUTPUTS,
    }
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return {"format": "ik-mdn-onnx/1", "opset": str(OPSET), "torch": version("torch"), **texts}
