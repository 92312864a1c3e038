"""The joint vectors of one file: columns by the names of an arm's joints, or a plain array by its width."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import DatasetError, shown
from sim.words import counted

SUFFIXES = (".parquet", ".csv", ".npy", ".npz")
WHOLE = ("q", "observation")  # columns that hold a list of numbers per row, of which the first are the joints

_NO_REALS = {"b": "booleans", "c": "complex ones", "m": "durations", "M": "dates"}  # by numpy's kind of an array
_SEPARATORS = {";": "semicolons", "\t": "tabs", " ": "spaces"}  # of columns, instead of commas
_START = 4096  # bytes of a file that are looked at for what is odd about it
_log = logging.getLogger(__name__)


def read_table(path: Path, arm: Arm) -> FloatArray:
    """The joint vectors of one file, (N, n), in the arm's order, all of them numbers.

    Args:
        path: The file; its ending says how it is read.
        arm: Whose joint vectors; see `read_joints`.

    Raises:
        DatasetError: The file cannot be read, lacks a joint, or a value is no number.
    """
    import pyarrow as pa

    readers = {".parquet": _read_parquet, ".csv": _read_csv, ".npy": _read_numpy, ".npz": _read_numpy}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise DatasetError(f"{path} ends in {path.suffix!r}; files that are read end in {', '.join(SUFFIXES)}")
    try:
        columns = readers[suffix](path, arm)
        rows = _by_name(columns, arm, path) if isinstance(columns, Mapping) else _by_width(columns, arm, path)
    except DatasetError as error:
        raise DatasetError(f"{error}{_oddity(path, arm)}") from error
    except (pa.ArrowException, OSError, TypeError, ValueError, KeyError, EOFError, BadZipFile) as error:
        said = " ".join(str(error).split())
        raise DatasetError(f"cannot read joint vectors in {path}: {said}{_oddity(path, arm)}") from error
    _check_finite(rows, arm, path)
    return rows


def _read_parquet(path: Path, arm: Arm) -> Any:
    """Columns by name, or the lists of one column where the joints have no columns of their own."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, partitioning=None)
    named = set(arm.joint_names) <= set(table.column_names)
    for name in () if named else WHOLE:
        if name in table.column_names and hasattr(table.schema.field(name).type, "value_type"):
            lengths = pc.unique(pc.list_value_length(table[name])).to_pylist()
            if len(lengths) > 1 or None in lengths:
                raise ValueError(f"the lists in column {name!r} are not all of one length")
            flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            rows = flat.reshape(table.num_rows, flat.size // max(1, table.num_rows))
            return rows[:, : None if name == "q" else rows.shape[1] // 2]
    return {name: table[name].to_numpy() for name in table.column_names}


def _read_csv(path: Path, arm: Arm) -> Any:
    from pyarrow import csv

    table = csv.read_csv(path)
    if all(map(_is_number, table.column_names)):  # there is no head: the first row was taken for it
        table = csv.read_csv(path, csv.ReadOptions(autogenerate_column_names=True))
        columns = [_reals(table[name].to_numpy(), f"column {i}") for i, name in enumerate(table.column_names, 1)]
        return np.stack(columns, axis=1)
    return {name.strip(): table[name].to_numpy() for name in table.column_names}


def _read_numpy(path: Path, arm: Arm) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found if found.dtype.names is None else {name: found[name] for name in found.dtype.names}
        with found:
            arrays = {name: found[name] for name in found.files}
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise ValueError(
            "it is no NumPy file, or holds Python objects, which are never loaded as they could run code; save plain "
            f"numbers, np.save(path, np.asarray(q, float)) with q (N, {arm.n_joints})"
        ) from error
    if len(arrays) == 1 and next(iter(arrays.values())).ndim == 2:
        return next(iter(arrays.values()))
    return arrays


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
    return np.stack([_reals(columns[name].reshape(-1), f"column {name!r}") for name in arm.joint_names], axis=1)


def _by_width(rows: NDArray[Any], arm: Arm, path: Path) -> FloatArray:
    if not len(rows):
        return np.empty((0, arm.n_joints))
    if rows.ndim != 2 or rows.shape[1] != arm.n_joints:
        raise DatasetError(
            f"{path} holds an array {rows.shape}; arm {arm.name!r} needs (N, {arm.n_joints}), in the order "
            f"{_listed(arm.joint_names)}"
        )
    _log.warning("%s has no names for its columns; they are taken as %s", path, _listed(arm.joint_names))
    return np.stack([_reals(column, f"column {i}") for i, column in enumerate(rows.T, 1)], axis=1)


def _reals(values: NDArray[Any], column: str) -> FloatArray:
    """The values (N,) of a column as numbers, NaN for what is left open; text is read where it is a number."""
    if values.dtype.kind in _NO_REALS:
        raise ValueError(f"joint values are real numbers; got {_NO_REALS[values.dtype.kind]} in {column}")
    if values.dtype.kind in "iuf":
        return np.asarray(values, np.float64)
    return np.array(
        [_real(value, f"data row {row} of {column}") for row, value in enumerate(values.tolist(), 1)], np.float64
    )


def _real(value: Any, where: str) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        return np.nan if value is None else float(value)
    except (TypeError, ValueError):
        comma = isinstance(value, str) and _is_number(value.replace(",", ".", 1))
        todo = "write numbers with a decimal point, not a comma" if comma else "take the row out, or give a number"
        raise ValueError(f"{where} holds {shown(value)}, which is no number; {todo}") from None


def _check_finite(rows: FloatArray, arm: Arm, path: Path) -> None:
    wrong = ~np.isfinite(rows)
    if wrong.any():
        row, joint = np.argwhere(wrong)[0]
        raise DatasetError(
            f"{str(path)!r} holds {counted(int(wrong.any(1).sum()), 'row')} with values that are no numbers, first in data row "
            f"{row + 1} for {arm.joint_names[joint]!r}; take them out, or give another file"
        )


def _oddity(path: Path, arm: Arm) -> str:
    """What the start of a CSV file that could not be used suggests to do, as the end of a sentence; empty for nothing."""
    if path.suffix.lower() != ".csv":
        return ""
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError:  # which the error says by itself
        return ""
    if b"\0" in start:
        return "; its encoding looks like UTF-16: save it as UTF-8, in the dialogue of a spreadsheet 'CSV UTF-8'"
    lines = [line.strip() for line in start.decode("utf-8", "replace").splitlines() if line.strip()] or [""]
    separator = next((each for each in _SEPARATORS if _separates(each, lines[0])), None)
    odd = [] if separator is None else [f"{_SEPARATORS[separator]} between columns"]
    if _splits_numbers(lines[0], lines[:2][-1], arm) if separator is None else re.search(r"\d,\d", "".join(lines)):
        odd.append("decimal commas")
    if odd:
        return f"; it seems to have {' and '.join(odd)}: write commas between columns, and numbers with decimal points"
    return "; its encoding is not UTF-8: save it as such" if "\N{REPLACEMENT CHARACTER}" in "".join(lines[:-1]) else ""


def _separates(separator: str, head: str) -> bool:
    parts = head.split(separator)
    numbers = all(_is_number(part.replace(",", ".", 1)) for part in parts)
    return len(parts) > 1 and ("," not in head or numbers)


def _splits_numbers(head: str, line: str, arm: Arm) -> bool:
    """Whether a line looks like numbers with decimal commas, each of which was read as two whole ones."""
    parts = [part.strip() for part in line.split(",")]
    whole = all(re.fullmatch(r"[+-]?\d+", part) for part in parts)
    return whole and len(parts) in (2 * arm.n_joints, 2 * len(head.split(",")))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
