"""Streams of samples from a dataset, in mixed order and with flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.dataset.manifest import DatasetInfo, read_info
from sim.dataset.sampling import Samples, join
from sim.dataset.shards import arrow_source, check_shards, list_shards, shard_path
from sim.errors import DatasetError
from sim.inputs import check_counts, check_flags
from sim.remote import Place, as_place

_SHUFFLE_ROWS = 500_000  # rows in memory from which batches are drawn


def read_batches(
    folder: str | Place,
    *,
    batch_size: int,
    arm: Arm | None = None,
    seed: int = 0,
    repeat: bool = False,
    shuffle: bool = True,
) -> Iterator[NDArray[np.float32]]:
    """The joint vectors of a dataset, batch by batch; poses are cheap to compute again.

    The order is that of `read_samples` with the same arguments.

    Args:
        folder: A finished dataset: a path or a URL.
        batch_size: Rows per batch.
        arm: Refuse a dataset of another arm; None takes any.
        seed: Of the order.
        repeat: Start again at the end, in another order, for ever; every batch is then full.
        shuffle: False gives the order in which the samples lie in the files.

    Returns:
        An iterator of arrays, shape (batch_size, n), float32 [rad, m for prismatic]; the last one has fewer rows
        where `batch_size` does not divide the count.

    Raises:
        DatasetError: As in `read_samples`.
    """
    stream = read_samples(
        folder, batch_size=batch_size, arm=arm, seed=seed, repeat=repeat, shuffle=shuffle, poses=False
    )
    return (batch.q for batch in stream)


def read_samples(
    folder: str | Place,
    *,
    batch_size: int,
    arm: Arm | None = None,
    seed: int = 0,
    repeat: bool = False,
    shuffle: bool = True,
    poses: bool = True,
) -> Iterator[Samples]:
    """The samples of a dataset, batch by batch, with memory that does not depend on the dataset's size.

    Shuffling visits the shards and their row groups in random order and mixes rows within a window of
    half a million. Rows are independent to begin with, so this is as good as a full shuffle.

    Args:
        folder: A finished dataset: a path or a URL.
        batch_size: Rows per batch.
        arm: Refuse a dataset of another arm.
        seed: Of the order.
        repeat: Start again at the end, in another order, for ever; every batch is then full.
        shuffle: False gives the order in which the samples lie in the files.
        poses: False leaves position and quat_xyzw empty, shape (N, 0), which reads faster.

    Returns:
        An iterator of batches; the last one is smaller where `batch_size` does not divide the count.

    Raises:
        DatasetError: No dataset, another arm's, an unfinished one, a shard of another dataset or with other columns,
            a batch size below 1, or, while reading, a damaged shard.
    """
    check_counts(0, batch_size=batch_size, seed=seed)
    check_flags(repeat=repeat, shuffle=shuffle)
    folder = as_place(folder)
    info = read_info(folder)
    if batch_size < 1:
        raise DatasetError(f"batch_size is {batch_size}; 1 or more rows are needed")
    if arm is not None:
        check_arm(folder, info, arm)
    _check_shards(folder, info)
    rng = np.random.default_rng(seed) if shuffle else None
    columns = ["q", "position", "quat_xyzw"] if poses else ["q"]
    groups = _row_groups(folder, info, columns, rng=rng, repeat=repeat)
    window = min(_SHUFFLE_ROWS, info.count) if shuffle else 1
    return _cut(groups, batch_size, window=max(window, batch_size), rng=rng)


def check_arm(folder: Place, info: DatasetInfo, arm: Arm) -> None:
    """Refuse a dataset that is of another arm, or whose poses are of another link.

    Args:
        folder: The dataset, for the message.
        info: What it is.
        arm: What it should be of. Fingerprints are compared: geometry, joint types and limits, not names.

    Raises:
        DatasetError: They differ; the message names both.
    """
    if info.fingerprint != arm.fingerprint:
        raise DatasetError(
            f"the dataset in {str(folder)!r} was made for another arm: {info.base} to {info.tip} with joints "
            f"{', '.join(info.joint_names)} (fingerprint {info.fingerprint}); asked for {arm.name!r}: {arm.base} to "
            f"{arm.tip} with joints {', '.join(arm.joint_names)} (fingerprint {arm.fingerprint})"
        )


def _check_shards(folder: Place, info: DatasetInfo) -> None:
    """Refuse a dataset that is unfinished, or in which the footer of a shard is not as it should be."""
    there = list_shards(folder)
    missing = [index for index in range(info.n_shards) if shard_path(folder, index).name not in there]
    if missing:
        raise DatasetError(
            f"the dataset in {str(folder)!r} is unfinished: {len(missing)} of {info.n_shards} shards are missing "
            f"(first: {missing[0]}); generate it again with the same arguments to finish it",
            missing=missing,
        )
    checks = check_shards(folder, info, range(info.n_shards))
    for index in range(info.n_shards):
        try:
            whole = next(checks)
        except OSError as error:
            raise _unreadable(shard_path(folder, index), error) from error
        if not whole:
            raise _unreadable(shard_path(folder, index), "its end is damaged or missing")


def _unreadable(path: Place, why: object) -> DatasetError:
    return DatasetError(
        f"cannot read {path}: {' '.join(str(why).split())}; delete this file and generate again with the same "
        "arguments, which makes this shard anew"
    )


def _row_groups(
    folder: Place, info: DatasetInfo, columns: list[str], *, rng: np.random.Generator | None, repeat: bool
) -> Iterator[Samples]:
    """The row groups of all shards, in the order of the files or in random order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    while True:
        for index in _order(info.n_shards, rng):
            path = shard_path(folder, int(index))
            name, filesystem = arrow_source(path)
            try:
                with pq.ParquetFile(name, filesystem=filesystem, page_checksum_verification=True) as file:
                    for group in _order(file.num_row_groups, rng):
                        yield _to_samples(file.read_row_group(int(group), columns=columns))
            except (pa.ArrowException, OSError, KeyError, ValueError) as error:
                raise _unreadable(path, error) from error
        if not repeat:
            return


def _order(n: int, rng: np.random.Generator | None) -> NDArray[np.intp]:
    return np.arange(n) if rng is None else rng.permutation(n)


def _to_samples(table: Any) -> Samples:
    """The rows of an Arrow table; columns that were not read have no width. ValueError where there are no numbers."""
    rows = table.num_rows
    columns = {name: np.empty((rows, 0), np.float32) for name in ("q", "position", "quat_xyzw")}
    for name in table.column_names:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if len(flat) != rows * table.schema.field(name).type.list_size or not np.isfinite(flat).all():
            raise ValueError(f"column {name} has values that are no numbers")
        columns[name] = flat.reshape(rows, -1)
    return Samples(**columns)


def _cut(
    groups: Iterator[Samples], batch_size: int, *, window: int, rng: np.random.Generator | None
) -> Iterator[Samples]:
    """Batches of equal size from pieces of any size; mixed within a window of rows where there is a generator."""
    waiting: list[Samples] = []
    for group in groups:
        waiting.append(group)
        if sum(map(len, waiting)) < window:
            continue
        rows = _mix(join(waiting), rng)
        full = len(rows) - len(rows) % batch_size
        for start in range(0, full, batch_size):
            yield rows[start : start + batch_size]
        waiting = [rows[full:]]
    if waiting:
        rows = _mix(join(waiting), rng)
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]


def _mix(rows: Samples, rng: np.random.Generator | None) -> Samples:
    return rows if rng is None else rows[rng.permutation(len(rows))]
