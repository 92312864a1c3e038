"""Processes that write shards side by side, stop together, and leave no half-written file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import connection
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from sim.arm import Arm
from sim.dataset.manifest import DatasetInfo
from sim.dataset.shards import write_shard
from sim.errors import DatasetError

_POLL = 0.1  # seconds between progress reports


class _Job(NamedTuple):
    """What a worker knows from its start."""

    folder: Path
    arm: Arm
    info: DatasetInfo
    stop: Any  # multiprocessing.Event
    made: Any  # multiprocessing.Value: samples made by all workers


class _Stopped(Exception):
    """Ends the writing of a shard when another worker failed or the user pressed Ctrl-C."""


_job: _Job | None = None  # set in worker processes only


def available_cores() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def write_shards(
    folder: Path,
    arm: Arm,
    info: DatasetInfo,
    indices: Sequence[int],
    *,
    workers: int,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Write shards: in this process where there is one worker, otherwise in as many processes as workers.

    Args:
        folder: The dataset, prepared.
        arm: The arm that `info` describes.
        info: What the dataset is.
        indices: Of the shards to write.
        workers: Number of processes.
        on_rows: Called now and then with the number of samples made so far.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
        DatasetError: From `write_shard`, or a worker died.
    """
    report = on_rows or (lambda made: None)
    if workers > 1:
        return _write_side_by_side(_Job(folder, arm, info, *_signals()), indices, workers=workers, report=report)
    made = 0

    def count(rows: int) -> None:
        nonlocal made
        made += rows
        report(made)

    with _one_torch_thread():
        for index in indices:
            write_shard(folder, arm, info, index, on_rows=count)
    return None


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Blocks are small: on a busy machine torch's threads would wait for each other many times longer than they work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_side_by_side(job: _Job, indices: Sequence[int], *, workers: int, report: Callable[[int], None]) -> None:
    pool = ProcessPoolExecutor(workers, mp_context=_context(), initializer=_start_worker, initargs=(job,))
    try:
        waiting = iter(indices)
        pending: set[Future[None]] = set()
        while True:
            with _calm_start():  # submitting starts processes as long as some are missing
                for index in islice(waiting, 2 * workers - len(pending)):
                    pending.add(pool.submit(_write_in_worker, index))
            if not pending:
                return
            done, pending = wait(pending, timeout=_POLL, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            report(job.made.value)
    except BrokenProcessPool:
        raise DatasetError(
            "a worker process died, perhaps for want of memory; finished shards are kept: "
            "repeat the call with fewer workers (1 needs no further process)"
        ) from None
    finally:
        job.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _context() -> BaseContext:
    """Workers come from a server process that has imported torch once; a fork of this process would copy threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sim.kinematics", "pyarrow.parquet"])
    return context


@contextmanager
def _calm_start() -> Iterator[None]:
    """Start processes deaf to Ctrl-C that do not run the user's script again: they need nothing of it."""
    main = sys.modules["__main__"]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _signals() -> tuple[Any, Any]:
    context = _context()
    return context.Event(), context.Value("q", 0)


def _start_worker(job: _Job) -> None:
    import pyarrow as pa
    import torch

    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which sets `stop`
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Do not go on alone when the parent was killed; its next run overwrites the unfinished file."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _write_in_worker(index: int) -> None:
    job = _job
    assert job is not None

    def count(rows: int) -> None:
        if job.stop.is_set():
            raise _Stopped
        with job.made.get_lock():
            job.made.value += rows

    write_shard(job.folder, job.arm, job.info, index, on_rows=count)
