"""Datasets of forward kinematics: written by several threads, resumed where they stopped, read as streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from sim.arm import Arm
from sim.dataset.card import write_card
from sim.dataset.manifest import DatasetInfo, describe, info_path
from sim.dataset.shards import check_shards, list_shards, shard_path
from sim.dataset.workers import write_shards, write_shards_elsewhere
from sim.errors import DatasetError
from sim.executor import LOCAL, Engine, available_cores
from sim.files import claim_folder
from sim.inputs import check_counts, check_flags, check_kinds
from sim.remote import Place, as_place

SHARD_SIZE = 250_000
MAX_WORKERS = 128

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class GenerateReport:
    """What `generate` did.

    Args:
        folder: The dataset.
        info: What it is.
        n_made: Samples written in this run, by this process or another one that was at the same dataset meanwhile.
        n_kept: Samples found finished from an earlier run.
        n_bytes: Size of all finished shards on disk.
        seconds: Wall-clock time of this run, start of the workers included.
    """

    folder: Place
    info: DatasetInfo
    n_made: int
    n_kept: int
    n_bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Samples written per second."""
        return self.n_made / self.seconds


def generate(
    arm: Arm,
    folder: str | Place,
    *,
    count: int,
    shard_size: int = SHARD_SIZE,
    seed: int = 0,
    self_collision_free: bool = False,
    workers: int | None = None,
    engine: Engine = LOCAL,
    shards: Sequence[int] | None = None,
    on_progress: Progress | None = None,
) -> GenerateReport:
    """Write a dataset, or what is missing of it, and return what was done.

    Every shard depends on the seed and its index alone, so the same call goes on where a stopped one ended,
    and several machines can share the work.

    Example:
        >>> report = generate(sim.load_arm("xarm6"), folder / "data", count=1000)
        >>> report.n_made, report.n_kept
        (1000, 0)
        >>> generate(sim.load_arm("xarm6"), folder / "data", count=1000).n_kept
        1000

    Args:
        arm: The arm.
        folder: New, empty, or holding the same dataset unfinished: a path, or the URL of a folder in an object store or
            any other file system that Arrow or fsspec knows.
        count: Number of samples.
        shard_size: Samples per file.
        seed: Not negative; the same seed gives the same samples.
        self_collision_free: Leave out joint vectors in which the arm touches itself (PyBullet; much slower).
        workers: Threads, at most `MAX_WORKERS`; default: one per core. With `self_collision_free` one works at a time,
            and several calls with different `shards` share the work.
        engine: Where shards are written: in threads of this process, in other processes, or on a Ray cluster, where the folder
            must mean the same to every machine: a shared one, or a URL. The bytes are the same everywhere.
        shards: Indices of the shards to write, in any order; default: all.
        on_progress: Called now and then with the number of finished samples and of all samples.

    Returns:
        Counts, size and time.

    Raises:
        DatasetError: An argument is out of range; the folder holds something else, or a dataset that differs;
            it cannot be written to, or the disk is full. Finished shards are kept in every case.
    """
    check_kinds(Arm, arm=arm)
    check_kinds(Engine, engine=engine)
    check_flags(self_collision_free=self_collision_free)
    check_counts(0, workers=1 if workers is None else workers)
    start = time.perf_counter()
    info = DatasetInfo(
        fingerprint=arm.fingerprint,
        base=arm.base,
        tip=arm.tip,
        joint_names=arm.joint_names,
        seed=seed,
        count=count,
        shard_size=shard_size,
        self_collision_free=bool(self_collision_free),
    )
    wanted = _check_shards(info, shards)
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise DatasetError(f"workers is {workers}; allowed are 1 to {MAX_WORKERS} threads")
    folder = as_place(folder)
    if engine.kind != "local" and isinstance(folder, Path):
        folder = folder.absolute()  # workers may have another working directory
    try:
        fixed = [field.name for field in fields(info)]
        claim_folder(info_path(folder), describe(info, arm), what="datasets", error=DatasetError, fixed=fixed)
        shard_path(folder, 0).parent.mkdir(exist_ok=True)
        missing = [i for i, whole in zip(wanted, check_shards(folder, info, wanted), strict=True) if not whole]
        total = sum(map(info.rows, wanted))
        kept = total - sum(map(info.rows, missing))
        tell = (lambda made: on_progress(kept + made, total)) if on_progress else None
        if engine.kind == "local":
            count = min(workers or available_cores(), MAX_WORKERS)
            write_shards(folder, arm, info, missing, workers=count, on_rows=tell)
        else:
            write_shards_elsewhere(folder, arm, info, missing, engine=engine, on_rows=tell)
        if tell is not None:
            tell(total - kept)  # also what another process wrote
        write_card(folder, info, arm)
        sizes = list_shards(folder)
    except OSError as error:
        raise _explain(error, folder, info) from error
    n_bytes = sum(sizes[shard_path(folder, index).name] for index in wanted)
    return GenerateReport(folder, info, total - kept, kept, n_bytes, time.perf_counter() - start)


def _check_shards(info: DatasetInfo, shards: Sequence[int] | None) -> list[int]:
    wanted = range(info.n_shards) if shards is None else shards
    check_kinds(Sequence, shards=wanted)
    if not isinstance(wanted, range):
        for shard in wanted:
            check_counts(0, shard=shard)
        wanted = sorted(set(map(int, wanted)))
    ends = sorted((wanted[0], wanted[-1])) if wanted else []
    if not ends or ends[0] < 0 or ends[1] >= info.n_shards:
        given = " to ".join(map(str, ends)) or "[]"
        raise DatasetError(
            f"shards {given} do not exist: {info.count} samples in shards of {info.shard_size} make "
            f"shards 0 to {info.n_shards - 1}"
        )
    return list(wanted)


def _explain(error: OSError, folder: Place, info: DatasetInfo) -> DatasetError:
    finished = 0
    with suppress(OSError):
        finished = len(list_shards(folder))
    kept = f"{finished} of {info.n_shards} shards are finished and kept; " if finished else ""
    mend = "make room or allow writing" if isinstance(folder, Path) else "see that it can be reached and written to"
    return DatasetError(
        f"cannot write the dataset to {str(folder)!r}: {error.strerror or error}; {kept}"
        f"{mend} and repeat the command, which goes on from there, or choose another folder"
    )
