"""A model as one safetensors file: weights, config, the arm it is for, and its report card."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

from ik_mdn.model.config import ModelConfig
from ik_mdn.model.postures import PREFIX, Postures
from ik_mdn.model.recalibration import NAME, Recalibration
from ik_mdn.model.saved import PROPOSER, ReportCard, SavedModel
from ik_mdn.model.tensors import read_metadata, read_tensors, write_tensors
from sim.arm import Arm, builtin_arms, load_arm
from sim.errors import CheckpointError, IKError, UnknownNameError, shown
from sim.files import data_folder, parse_json
from sim.task import Task, load_task

if TYPE_CHECKING:
    from ik_mdn.model.chain import ArmModel

FORMAT = "ik-mdn/1"
_FIELDS = ("format", "arm", "fingerprint", "task", "config", "report")
# what models were made with whose file, of before, does not say
_UNSAID: dict[str, Any] = {"drawn_first": (), "charts": 2, "first_components": 0}
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
    if not os.path.isfile(path):  # which is False where the name is too long for a file
        return None
    metadata = _check_format(read_metadata(path), path)
    return path if metadata["fingerprint"] == arm.fingerprint else None


def check_kept(arm: Arm, task: Task) -> None:
    """Refuse a task that a file, which keeps its name alone, would not give back.

    Raises:
        CheckpointError: The task's name means no task of the arm, or another one.
    """
    try:
        kept = replace(load_task(arm, task.name), about=task.about) == task
    except IKError:
        kept = False
    if not kept:
        raise CheckpointError(
            f"a file keeps a task's name alone, and {task.name!r} does not name this one; use a task of sim.TASKS, or rows "
            "between commas such as 'x,y,z,yaw'"
        )


def save_model(model: SavedModel | ArmModel, path: Path | str) -> None:
    """Write a model with everything needed to use it; to a temporary name first, then renamed.

    Args:
        model: The model.
        path: Where to; should end in .safetensors.

    Raises:
        CheckpointError: See `check_kept`.
    """
    model = SavedModel.of(model)
    check_kept(model.arm, model.task)
    metadata = {
        "format": FORMAT,
        "arm": json.dumps(model.arm.to_dict()),
        "fingerprint": model.arm.fingerprint,
        "task": model.task.name,
        "config": json.dumps(model.declared()),
        "report": json.dumps(model.report.values),
    }
    assert tuple(metadata) == _FIELDS
    write_tensors(path, model.tensors(), metadata)


def load_model(source: Path | str, *, arm: Arm | None = None) -> ArmModel:
    """A model from a shipped name or a file in torch, in evaluation mode; see `read_model`."""
    from ik_mdn.model.chain import from_saved

    return from_saved(read_model(source, arm=arm))


def read_model(source: Path | str, *, arm: Arm | None = None) -> SavedModel:
    """A model from a shipped name or a file.

    Args:
        source: A name of `shipped_models()`, or the path of a .safetensors file; a name goes before a file that is
            called the same.
        arm: The arm it is to be used for; default: the built-in arm it was trained for, or the chain in the file.

    Returns:
        The model as plain numbers; `load_model` gives it in torch.

    Raises:
        CheckpointError: No such model; not a safetensors file (a pickle, a truncated file); damaged, so that its
            checksum, its arm's fingerprint or its declared size is wrong; written by another program or format
            version; or trained for another arm than the one given.
    """
    path = _locate(source)
    tensors, metadata = read_tensors(path)
    _check_format(metadata, path)
    try:
        declared, report = parse_json(metadata["config"]), ReportCard(parse_json(metadata["report"]))
        arm = _matching_arm(_stored_arm(metadata), arm, path)
        task, proposer = load_task(arm, metadata["task"]), None
        if small := declared.pop("proposer", None):
            weights = {n.removeprefix(PROPOSER): w for n, w in tensors.items() if n.startswith(PROPOSER)}
            proposer = SavedModel(arm, task, _config(small), weights)
        weights = {n: w for n, w in tensors.items() if n != NAME and not n.startswith((PREFIX, PROPOSER))}
        extras = (report, Postures.of(arm, tensors), Recalibration.of(tensors), proposer)
        return SavedModel(arm, task, _config(declared), weights, *extras)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IKError) as error:
        raise CheckpointError(
            f"{path}: the model does not fit its own description ({' '.join(str(error).split())}); train it again"
        ) from error


def load_fitting(arm: Arm, source: Path | str | None = None) -> ArmModel:
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
    shipped = data_folder("models") / f"{source}.safetensors"
    if not Path(source).suffix and Path(source).name == str(source) and os.path.isfile(shipped):
        return shipped
    path = Path(os.path.expanduser(source))
    if not os.path.isfile(path):
        raise CheckpointError(
            f"no model {shown(str(source))}; give the path of a .safetensors file or one of: {', '.join(shipped_models())}",
            source=str(source),
        )
    return path


def _check_format(metadata: dict[str, str], path: Path) -> dict[str, str]:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has the format {metadata.get('format')!r}; this version reads {FORMAT!r}, written by `ik-mdn train`"
        )
    if set(metadata) != set(_FIELDS):
        unlike = ", ".join(sorted(set(metadata) ^ set(_FIELDS)))
        raise CheckpointError(f"{path} is damaged: unknown or missing in its description: {unlike}; train it again")
    return metadata


def _stored_arm(metadata: dict[str, str]) -> Arm:
    """The chain in the file, which must have the fingerprint that stands beside it."""
    arm = Arm.from_dict(parse_json(metadata["arm"]))
    if arm.fingerprint != metadata["fingerprint"]:
        raise ValueError(f"its chain has the fingerprint {arm.fingerprint}, not {metadata['fingerprint']}")
    return arm


def _config(values: dict[str, Any]) -> ModelConfig:
    return ModelConfig(**_UNSAID | values)


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
