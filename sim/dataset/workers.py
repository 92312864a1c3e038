"""Threads that write shards side by side, stop together, and leave no half-written file; or other machines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial

from sim.arm import Arm
from sim.dataset.manifest import DatasetInfo
from sim.dataset.shards import ShardBusyError, check_shard, shard_path, write_shard
from sim.executor import Engine
from sim.remote import Place

_POLL = 0.1  # seconds between progress reports


class _Stopped(Exception):
    """Ends the writing of a shard when another one failed or the user pressed Ctrl-C."""


def write_shards(
    folder: Place,
    arm: Arm,
    info: DatasetInfo,
    indices: Sequence[int],
    *,
    workers: int,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Write shards in as many threads as workers: random numbers, kinematics and Parquet run outside Python's lock.

    PyBullet does not, so shards that leave out self-collisions are written one after the other.

    Args:
        folder: The dataset, prepared.
        arm: The arm that `info` describes.
        info: What the dataset is.
        indices: Of the shards to write.
        workers: Number of threads, from 1.
        on_rows: Called now and then, in the calling thread, with the number of samples made so far.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
        DatasetError: From `write_shard`. Shards that another process is writing are left to it; if they are not there when
            all others are, this is raised.
    """
    waiting, made, lock, stop = iter(indices), 0, threading.Lock(), threading.Event()
    busy: list[int] = []

    def count(rows: int) -> None:
        nonlocal made
        if stop.is_set():
            raise _Stopped
        with lock:
            made += rows

    def next_index() -> int | None:
        with lock:
            return next(waiting, None)

    def write() -> None:
        while (index := next_index()) is not None:
            if not _write_one(folder, arm, info, index, on_rows=count):
                busy.append(index)

    threads = 1 if info.self_collision_free else workers
    with ThreadPoolExecutor(threads) as pool:
        pending = {pool.submit(write) for _ in range(threads)}
        try:
            while pending:
                done, pending = wait(pending, timeout=_POLL, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if on_rows is not None:
                    on_rows(made)
        finally:
            stop.set()  # the pool waits for its threads, which end at their next block
    _check_written(folder, info, busy)


def write_shards_elsewhere(
    folder: Place,
    arm: Arm,
    info: DatasetInfo,
    indices: Sequence[int],
    *,
    engine: Engine,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Write shards as tasks of an engine, with the bytes that threads of this process would write.

    Args:
        folder: The dataset, prepared, under a name that means the same to every worker.
        arm, info, indices, on_rows: See `write_shards`; samples are reported shard by shard.
        engine: Where.

    Raises:
        OSError, DatasetError: See `write_shards`.
        IKError: See `Engine.completed`.
    """
    made, busy = 0, []
    with closing(engine.completed(partial(_write_one, folder, arm, info), indices)) as done:
        for index, written in done:
            if not written:
                busy.append(index)
                continue
            made += info.rows(index)
            if on_rows is not None:
                on_rows(made)
    _check_written(folder, info, busy)


def _write_one(
    folder: Place, arm: Arm, info: DatasetInfo, index: int, on_rows: Callable[[int], None] = lambda rows: None
) -> bool:
    """Write a shard that is not whole by now (another may have written it meanwhile); False where another is at it."""
    if check_shard(folder, info, index):
        on_rows(info.rows(index))
        return True
    try:
        write_shard(folder, arm, info, index, on_rows=on_rows)
    except ShardBusyError:
        return False
    return True


def _check_written(folder: Place, info: DatasetInfo, busy: Sequence[int]) -> None:
    """Refuse to have finished while others are at shards that they took."""
    for index in busy:
        if not check_shard(folder, info, index):
            raise ShardBusyError(
                f"another process is writing {shard_path(folder, index)}; all shards that nobody else was writing are "
                "there, and the same command makes what is missing when it is done"
            )
