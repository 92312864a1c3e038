"""A model as one safetensors file: weights, config, the arm it is for, and its report card."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import join
from typing import Any

import torch

from ik_mdn.model.config import ModelConfig
from ik_mdn.model.pose_model import PoseModel, ReportCard
from sim.arm import Arm, builtin_arms, load_arm
from sim.errors import CheckpointError, IKError, UnknownNameError
from sim.files import data_folder, whole_file

FORMAT = "ik-mdn/1"
SUFFIXES = {"mdn": "", "mse": "-mse", "k1": "-k1"}  # kind of a shipped model → what its name adds to the arm's


def shipped_models() -> list[str]:
    """Names of the shipped models: an arm's name for its mixture, with "-mse" its regressor, with "-k1" its one Gaussian."""
    return sorted(path.stem for path in data_folder("models").glob("*.safetensors"))


def find_shipped(arm: Arm, *, kind: str = "mdn") -> Path | None:
    """The shipped model that fits an arm, or None.

    Args:
        arm: Compared by name and fingerprint, so that an edited copy of a built-in arm does not match.
        kind: A key of `SUFFIXES`: "mdn", "mse" (the regressor) or "k1" (a mixture of one component).

    Raises:
        UnknownNameError: No such kind.
    """
    if kind not in SUFFIXES:
        raise UnknownNameError(f"unknown kind of model {kind!r}; allowed: {', '.join(SUFFIXES)}", name=kind)
    path = data_folder("models") / f"{arm.name}{SUFFIXES[kind]}.safetensors"
    if not path.is_file():
        return None
    return path if _read_metadata(path)["fingerprint"] == arm.fingerprint else None


def save_model(model: PoseModel, path: Path | str) -> None:
    """Write a model with everything needed to use it; to a temporary name first, then renamed.

    Args:
        model: The model.
        path: Where to; should end in .safetensors.
    """
    from safetensors.torch import save

    metadata = {
        "format": FORMAT,
        "arm": json.dumps(model.arm.to_dict()),
        "fingerprint": model.arm.fingerprint,
        "task": model.task.name,
        "config": json.dumps(model.describe()),
        "report": json.dumps(model.report.values),
    }
    with whole_file(path) as temporary:
        temporary.write_bytes(save({k: v.contiguous() for k, v in model.state_dict().items()}, metadata=metadata))


def load_model(source: Path | str, *, arm: Arm | None = None) -> PoseModel:
    """A model from a shipped name or a file, ready to use.

    Args:
        source: A name of `shipped_models()`, or the path of a .safetensors file.
        arm: The arm it is to be used for; default: the built-in arm it was trained for, or the chain in the file.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: No such model; not a safetensors file (a pickle, a truncated file); written by another
            program or format version; or trained for another arm than the one given.
    """
    path = _locate(source)
    metadata = _read_metadata(path)
    try:
        stored = Arm.from_dict(json.loads(metadata["arm"]))
        config = ModelConfig(**json.loads(metadata["config"]))
        model = PoseModel(_matching_arm(stored, arm, path), metadata["task"], config)
        model.report = ReportCard(json.loads(metadata["report"]))
        model.load_state_dict(_read_tensors(path))
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IKError) as error:
        raise CheckpointError(
            f"{path}: the model does not fit its own description ({error}); train it again"
        ) from error
    return model.eval()


def load_fitting(arm: Arm, source: Path | str | None = None) -> PoseModel:
    """The mixture to use for an arm: the one that was named, or the arm's shipped one.

    Args:
        arm: The arm.
        source: As in `load_model`; None for the shipped model.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: As in `load_model`, or no shipped model fits the arm.
    """
    source = source or find_shipped(arm)
    if source is None:
        words = ["ik-mdn", "train", arm.name]
        if arm.urdf_path is not None:
            where = arm.name if arm.name in builtin_arms() else str(arm.urdf_path)
            words = ["ik-mdn", "train", where, "--base", arm.base, "--tip", arm.tip]
        raise CheckpointError(
            f"there is no shipped model for {arm.name!r}; train one with `{join(words)}` and give it as --model FILE"
        )
    return load_model(source, arm=arm)


def _locate(source: Path | str) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    shipped = data_folder("models") / f"{source}.safetensors"
    if path.suffix or "/" in str(source) or not shipped.is_file():
        raise CheckpointError(
            f"no model {str(source)!r}; give the path of a .safetensors file or one of: {', '.join(shipped_models())}",
            source=str(source),
        )
    return shipped


def _read_metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is no readable model: it is truncated, damaged, or not a safetensors file "
            f"({error}); pickled weights are not read, because a pickle can run any code",
            path=str(path),
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has the format {metadata.get('format')!r}; this version reads {FORMAT!r}, written by `ik-mdn train`"
        )
    return dict(metadata)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _matching_arm(stored: Arm, given: Arm | None, path: Path) -> Arm:
    if given is None:
        given = _rebuild(stored)
    if given.fingerprint != stored.fingerprint:
        raise CheckpointError(
            f"{path} was trained for the arm {stored.name!r} ({stored.n_joints} joints, {stored.base} → {stored.tip}, "
            f"fingerprint {stored.fingerprint}), not for {given.name!r} ({given.n_joints} joints, {given.base} → "
            f"{given.tip}, fingerprint {given.fingerprint}); train one with `ik-mdn train`",
            trained_for=stored.name,
            given=given.name,
        )
    return given


def _rebuild(stored: Arm) -> Arm:
    """The built-in or planar arm of that name, with its URDF, or the bare chain where it has none here."""
    if stored.name in builtin_arms():
        return load_arm(stored.name, base=stored.base, tip=stored.tip)
    return load_arm(stored.name) if stored.name.startswith("planar:") else stored


def report_of(source: Path | str) -> dict[str, Any]:
    """The report card in a model file, without loading the weights."""
    values: dict[str, Any] = json.loads(_read_metadata(_locate(source))["report"])
    return values
