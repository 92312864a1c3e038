"""Joint vectors from files of one's own: Parquet, CSV or NumPy, matched to an arm by the names of its joints."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver import into_limits
from ik_mdn.training.recording_tables import SUFFIXES, read_table
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import DatasetError
from sim.files import parse_json
from sim.words import counted

MEASURED = 0.01  # [rad, m] beyond a limit that is put down to measuring, and pulled to the limit

_HUGE = 4 * np.pi  # [rad] what nine tenths of the values of a joint in degrees exceed, and hardly any in radians
_MANY = 0.05  # of the rows outside of limits, as given: more than a recording in radians has by accident
_TWO_TURNS = 4 * np.pi - 0.1  # [rad] of room, from -2π to 2π: no convention of angles leads outside of it
_UNITS = "joints that turn are in radians (numpy.deg2rad), those that slide in metres"
_DEGREES = f"; they look like degrees: {_UNITS}"
_log = logging.getLogger(__name__)


def read_joints(source: Path | str, arm: Arm) -> FloatArray:
    """The joint vectors in a file, or in all files of a folder (and its subfolders) in the order of their names.

    A table (Parquet, CSV with a head, .npz with an array per joint, a structured .npy) has a column for each joint of the
    arm, by its name and in any order; other columns are left out. A plain array (N, n) or a Parquet column `q` of lists has
    no names: it is taken in the arm's order where the width fits, and where no columns are named. Demonstrations (`observation`: positions, then
    velocities) are taken as they are.

    Args:
        source: The file or folder.
        arm: Whose joint vectors.

    Returns:
        Shape (N, n), float64 [rad, m for prismatic], in limits: wound into them by full turns where those can do it, and
        pulled to a limit from up to `MEASURED` beyond. Rows that lie outside are left out. A warning says how many were
        wound and left out, and asks for the units where limits are exceeded as they seldom are in radians.

    Raises:
        DatasetError: Nothing is there, a file cannot be read, lacks a joint or holds what is no number, or less than half
            of the rows lie in limits.
    """
    given, source = str(source), Path(source).expanduser()
    files = sorted(path for path in source.rglob("*") if _is_data(path)) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise DatasetError(
            f"no joint vectors in {given!r}; give a file, or a folder of files, that end in {', '.join(SUFFIXES)}"
        )
    _check_demonstrations(source, arm)
    rows = np.concatenate([read_table(path, arm) for path in files])
    if not len(rows):
        raise DatasetError(f"{str(source)!r} holds no rows; give another file")
    return _in_limits(rows, arm, source)


def _is_data(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith((".", "_"))


def _check_demonstrations(folder: Path, arm: Arm) -> None:
    """Refuse demonstrations of another arm: their files name no joints, but a description beside them does."""
    about = folder / "demonstrations.json"
    if about.is_file() and parse_json(about.read_bytes()).get("fingerprint") != arm.fingerprint:
        raise DatasetError(f"the demonstrations in {str(folder)!r} are not of arm {arm.name!r}; give those of this arm")


def _in_limits(rows: FloatArray, arm: Arm, source: Path) -> FloatArray:
    """The rows that lie in limits: as they are, pulled into them from a little outside, or else wound into them."""
    huge = ~arm.is_prismatic & (np.quantile(np.abs(rows), 0.9, axis=0) > _HUGE)
    pulled = np.clip(rows, arm.q_min, arm.q_max)
    near = np.where(np.abs(rows - pulled) <= MEASURED, pulled, rows)
    limited = np.isfinite(arm.q_min) | np.isfinite(arm.q_max)
    turned = into_limits(arm, near, np.where(limited, near, 0.0))
    turned = np.where(huge & limited, near, turned)  # no joint with limits has turned as far
    pulled = np.clip(turned, arm.q_min, arm.q_max)
    beyond = np.abs(turned - pulled) > MEASURED
    kept = ~beyond.any(1)
    if kept.mean() < 0.5:
        raise DatasetError(_outside(rows, beyond, arm, source) + _refused(huge))
    wound = (np.abs(turned - near) > np.pi)[kept]
    doubt = _doubt(near, huge, arm)
    if not kept.all() or wound.any() or doubt:
        used = f"in limits and used: {np.count_nonzero(kept)} of {counted(len(rows), 'row')} in {source}"
        _log.warning("%s%s%s", used, _wound(wound, arm), doubt)
    return np.asarray(pulled[kept])


def _outside(rows: FloatArray, beyond: NDArray[np.bool_], arm: Arm, source: Path) -> str:
    worst = int(beyond.sum(0).argmax())
    return (
        f"outside the limits of arm {arm.name!r}: {np.count_nonzero(beyond.any(1))} of {counted(len(rows), 'row')} in "
        f"{str(source)!r}, most often of {arm.joint_names[worst]} (values from {rows[:, worst].min():.4g} to "
        f"{rows[:, worst].max():.4g}, allowed {arm.q_min[worst]:.4g} to {arm.q_max[worst]:.4g})"
    )


def _refused(huge: NDArray[np.bool_]) -> str:
    """What may be wrong with rows of which most lie outside, as the end of a sentence."""
    if huge.any():
        return _DEGREES
    return f"; {_UNITS}: are these degrees, or is it another arm, or another order of its joints?"


def _wound(wound: NDArray[np.bool_], arm: Arm) -> str:
    """Which joints were wound, and in how many rows, as the rest of a sentence; empty where none was."""
    joints = [f"{name} in {n}" for name, n in zip(arm.joint_names, wound.sum(0), strict=True) if n]
    return f", {np.count_nonzero(wound.any(1))} of them wound by full turns ({', '.join(joints)})" if joints else ""


def _doubt(rows: FloatArray, huge: NDArray[np.bool_], arm: Arm) -> str:
    """Whether rows are in radians, as the end of a sentence; empty where limits, as far as there are any, are kept.

    Few rows may lie outside by accident, and many where angles are counted otherwise (from 0 to 2π, say). Where a joint has
    two turns of room no way of counting explains it.
    """
    if huge.any():
        return _DEGREES
    outside = (rows < arm.q_min) | (rows > arm.q_max)
    roomy = ~arm.is_prismatic & (arm.q_max - arm.q_min >= _TWO_TURNS)
    if outside.any(1).mean() < _MANY and not outside[:, roomy].any():
        return ""
    names = ", ".join(name for name, left in zip(arm.joint_names, outside.T, strict=True) if left.any())
    return (
        f"; as given, the limits of {names} are exceeded in {counted(np.count_nonzero(outside.any(1)), 'row')}: {_UNITS}; are "
        "these degrees?"
    )
