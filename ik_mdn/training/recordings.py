"""Joint vectors from files of one's own: Parquet, CSV or NumPy, matched to an arm by the names of its joints."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ik_mdn.solver import into_limits
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import DatasetError
from sim.files import parse_json

SUFFIXES = (".parquet", ".csv", ".npy", ".npz")
WHOLE = ("q", "observation")  # columns that hold a list of numbers per row, of which the first are the joints
MEASURED = 0.01  # [rad, m] beyond a limit that is put down to measuring, and pulled to the limit

_HUGE = 4 * np.pi  # [rad] what nine tenths of the values of a joint in degrees exceed, and hardly any in radians
_log = logging.getLogger(__name__)


def read_joints(source: Path | str, arm: Arm) -> FloatArray:
    """The joint vectors in a file, or in all files of a folder (and its subfolders) in the order of their names.

    A table (Parquet, CSV with a head, .npz with an array per joint, a structured .npy) has a column for each joint of the
    arm, by its name and in any order; other columns are left out. A plain array (N, n) or a Parquet column `q` of lists has
    no names: it is taken in the arm's order where the width fits. Demonstrations (`observation`: positions, then
    velocities) are taken as they are.

    Args:
        source: The file or folder.
        arm: Whose joint vectors.

    Returns:
        Shape (N, n), float64 [rad, m for prismatic], in limits: turned into them by full turns where those can do it, and
        pulled to a limit from up to `MEASURED` beyond. Rows that lie outside are left out, with a word.

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
    rows = np.concatenate([_read_file(path, arm) for path in files])
    if not len(rows) or not np.isfinite(rows).all():
        what = (
            "no rows"
            if not len(rows)
            else f"{int((~np.isfinite(rows)).any(1).sum())} rows with values that are no numbers"
        )
        raise DatasetError(f"{str(source)!r} holds {what}; take them out, or give another file")
    return _in_limits(rows, arm, source)


def _is_data(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith((".", "_"))


def _check_demonstrations(folder: Path, arm: Arm) -> None:
    """Refuse demonstrations of another arm: their files name no joints, but a description beside them does."""
    about = folder / "demonstrations.json"
    if about.is_file() and parse_json(about.read_bytes()).get("fingerprint") != arm.fingerprint:
        raise DatasetError(f"the demonstrations in {str(folder)!r} are not of arm {arm.name!r}; give those of this arm")


def _read_file(path: Path, arm: Arm) -> FloatArray:
    """The joint vectors of one file, (N, n)."""
    import pyarrow as pa

    readers = {".parquet": _read_parquet, ".csv": _read_csv, ".npy": _read_numpy, ".npz": _read_numpy}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise DatasetError(f"{path} ends in {path.suffix!r}; files that are read end in {', '.join(SUFFIXES)}")
    try:
        columns = readers[suffix](path)
        return _by_name(columns, arm, path) if isinstance(columns, Mapping) else _by_width(columns, arm, path)
    except (pa.ArrowException, OSError, TypeError, ValueError, KeyError) as error:
        raise DatasetError(f"cannot read joint vectors in {path}: {' '.join(str(error).split())}") from error


def _read_parquet(path: Path) -> Any:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, partitioning=None)
    for name in WHOLE:
        if name in table.column_names and hasattr(table.schema.field(name).type, "value_type"):
            lengths = pc.unique(pc.list_value_length(table[name])).to_pylist()
            if len(lengths) > 1 or None in lengths:
                raise ValueError(f"the lists in column {name!r} are not all of one length")
            flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            rows = flat.reshape(table.num_rows, flat.size // max(1, table.num_rows))
            return rows[:, : None if name == "q" else rows.shape[1] // 2]
    return {name: table[name].to_numpy() for name in table.column_names}


def _read_csv(path: Path) -> Any:
    from pyarrow import csv

    table = csv.read_csv(path)
    if all(map(_is_number, table.column_names)):  # there is no head: the first row was taken for it
        table = csv.read_csv(path, csv.ReadOptions(autogenerate_column_names=True))
        return np.stack([table[name].to_numpy() for name in table.column_names], axis=1)
    return {name.strip(): table[name].to_numpy() for name in table.column_names}


def _read_numpy(path: Path) -> Any:
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found if found.dtype.names is None else {name: found[name] for name in found.dtype.names}
    with found:
        arrays = {name: found[name] for name in found.files}
    if len(arrays) == 1 and next(iter(arrays.values())).ndim == 2:
        return next(iter(arrays.values()))
    return arrays


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_name(columns: Mapping[str, NDArray[Any]], arm: Arm, path: Path) -> FloatArray:
    missing = [name for name in arm.joint_names if name not in columns]
    if missing:
        raise DatasetError(
            f"{path} has no column for {_listed(missing)}; it has {_listed(list(columns))}. Arm {arm.name!r} needs one for "
            f"each joint by its name: {_listed(arm.joint_names)}; rename the columns, or give an array "
            f"(N, {arm.n_joints}) in this order"
        )
    others = [name for name in columns if name not in arm.joint_names]
    if others:
        _log.info("%s: columns left out: %s", path, _listed(others))
    for name in arm.joint_names:
        if columns[name].size != len(columns[name]):
            raise DatasetError(
                f"{path} has an array {columns[name].shape} for {name!r}; give one number per row, positions alone"
            )
    return np.stack([_reals(columns[name]).reshape(-1) for name in arm.joint_names], axis=1)


def _by_width(rows: NDArray[Any], arm: Arm, path: Path) -> FloatArray:
    if not len(rows):
        return np.empty((0, arm.n_joints))
    if rows.ndim != 2 or rows.shape[1] != arm.n_joints:
        raise DatasetError(
            f"{path} holds an array {rows.shape}; arm {arm.name!r} needs (N, {arm.n_joints}), in the order "
            f"{_listed(arm.joint_names)}"
        )
    _log.warning("%s has no names for its columns; they are taken as %s", path, _listed(arm.joint_names))
    return _reals(rows)


def _reals(values: NDArray[Any]) -> FloatArray:
    if np.iscomplexobj(values):
        raise ValueError("joint values are real numbers; got complex ones")
    return np.asarray(values, np.float64)


def _in_limits(rows: FloatArray, arm: Arm, source: Path) -> FloatArray:
    """The rows that lie in limits: as they are, pulled into them from a little outside, or else turned into them."""
    huge = ~arm.is_prismatic & (np.quantile(np.abs(rows), 0.9, axis=0) > _HUGE)
    degrees = "; they look like degrees: joints that turn are in radians (numpy.deg2rad), those that slide in metres"
    hint = degrees if huge.any() else ""
    pulled = np.clip(rows, arm.q_min, arm.q_max)
    near = np.where(np.abs(rows - pulled) <= MEASURED, pulled, rows)
    limited = np.isfinite(arm.q_min) | np.isfinite(arm.q_max)
    turned = into_limits(arm, near, np.where(limited, near, 0.0))
    turned = np.where(huge & limited, near, turned)  # no joint with limits has turned as far
    pulled = np.clip(turned, arm.q_min, arm.q_max)
    beyond = np.abs(turned - pulled) > MEASURED
    kept = ~beyond.any(1)
    if kept.mean() < 0.5:
        worst = int(beyond.sum(0).argmax())
        raise DatasetError(
            f"{np.count_nonzero(~kept)} of {len(rows)} rows in {str(source)!r} lie outside the limits of arm {arm.name!r}, most "
            f"often of {arm.joint_names[worst]} (values from {rows[:, worst].min():.4g} to {rows[:, worst].max():.4g}, allowed "
            f"{arm.q_min[worst]:.4g} to {arm.q_max[worst]:.4g}){hint or '; is it another arm, or another order of its joints?'}"
        )
    if not kept.all() or hint:
        _log.warning("%d of %d rows in %s lie in limits and are used%s", kept.sum(), len(rows), source, hint)
    return np.asarray(pulled[kept])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
