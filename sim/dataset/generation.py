"""Datasets of forward kinematics: written by several processes, resumed where they stopped, read as streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.arm import Arm
from sim.dataset.manifest import DatasetInfo, differences, info_path, read_info, write_info
from sim.dataset.reading import check_arm, read_batches, read_samples
from sim.dataset.sampling import Samples, make_shard
from sim.dataset.shards import check_shard, shard_path
from sim.dataset.workers import available_cores, write_shards
from sim.errors import DatasetError

__all__ = [
    "DatasetInfo",
    "GenerateReport",
    "Samples",
    "check_arm",
    "generate",
    "make_shard",
    "read_batches",
    "read_info",
    "read_samples",
]

SHARD_SIZE = 250_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class GenerateReport:
    """What `generate` did.

    Args:
        folder: The dataset.
        info: What it is.
        n_made: Samples written in this run.
        n_kept: Samples found finished from an earlier run.
        n_bytes: Size of all finished shards on disk.
        seconds: Wall-clock time of this run, start of the workers included.
    """

    folder: Path
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
    folder: str | Path,
    *,
    count: int,
    shard_size: int = SHARD_SIZE,
    seed: int = 0,
    self_collision_free: bool = False,
    workers: int | None = None,
    shards: Sequence[int] | None = None,
    on_progress: Progress | None = None,
) -> GenerateReport:
    """Write a dataset, or what is missing of it, and return what was done.

    Every shard depends on the seed and its index alone, so the same call goes on where a stopped one ended,
    and several machines can share the work.

    Args:
        arm: The arm.
        folder: New, empty, or holding the same dataset unfinished.
        count: Number of samples.
        shard_size: Samples per file.
        seed: Not negative; the same seed gives the same samples.
        self_collision_free: Leave out joint vectors in which the arm touches itself (PyBullet; much slower).
        workers: Processes; default: one per core, at most one per shard. 1 stays in this process.
        shards: Indices of the shards to write; default: all.
        on_progress: Called now and then with the number of finished samples and of all samples.

    Returns:
        Counts, size and time.

    Raises:
        DatasetError: An argument is out of range; the folder holds something else, or a dataset that differs;
            it cannot be written to, or the disk is full. Finished shards are kept in every case.
    """
    start = time.perf_counter()
    info = DatasetInfo(
        fingerprint=arm.fingerprint,
        base=arm.base,
        tip=arm.tip,
        joint_names=arm.joint_names,
        seed=seed,
        count=count,
        shard_size=shard_size,
        self_collision_free=self_collision_free,
    )
    wanted = _check_shards(info, shards)
    if workers is not None and workers < 1:
        raise DatasetError(f"workers is {workers}; 1 or more processes are needed")
    folder = Path(folder).expanduser()
    try:
        _prepare(folder, info, arm)
        missing = [index for index in wanted if not check_shard(folder, info, index)]
        total = sum(map(info.rows, wanted))
        kept = total - sum(map(info.rows, missing))
        write_shards(
            folder,
            arm,
            info,
            missing,
            workers=min(workers or available_cores(), len(missing)),
            on_rows=(lambda made: on_progress(kept + made, total)) if on_progress else None,
        )
    except OSError as error:
        raise _explain(error, folder, info) from error
    n_bytes = sum(shard_path(folder, index).stat().st_size for index in wanted)
    return GenerateReport(folder, info, total - kept, kept, n_bytes, time.perf_counter() - start)


def _check_shards(info: DatasetInfo, shards: Sequence[int] | None) -> list[int]:
    wanted = list(range(info.n_shards) if shards is None else shards)
    wrong = [index for index in wanted if not 0 <= index < info.n_shards]
    if wrong or not wanted:
        raise DatasetError(
            f"shards {wrong or wanted} do not exist: {info.count} samples in shards of {info.shard_size} make "
            f"shards 0 to {info.n_shards - 1}"
        )
    return wanted


def _prepare(folder: Path, info: DatasetInfo, arm: Arm) -> None:
    """Make the folder and its `dataset.json`, or check that those found are of the same dataset."""
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{str(folder)!r} is a file; give a folder to write the dataset to")
    if info_path(folder).exists():
        unlike = differences(read_info(folder), info)
        if unlike:
            raise DatasetError(
                f"{str(folder)!r} holds another dataset: {'; '.join(unlike)}; "
                "repeat its arguments to finish it, or choose another folder (nothing was changed)"
            )
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise DatasetError(f"{str(folder)!r} holds other files and no dataset.json; choose an empty or a new folder")
    shard_path(folder, 0).parent.mkdir(parents=True, exist_ok=True)
    if not info_path(folder).exists():
        write_info(folder, info, arm)


def _explain(error: OSError, folder: Path, info: DatasetInfo) -> DatasetError:
    finished = sum(shard_path(folder, index).is_file() for index in range(info.n_shards))
    kept = f"{finished} of {info.n_shards} shards are finished and kept; " if finished else ""
    return DatasetError(
        f"cannot write the dataset to {str(folder)!r}: {error.strerror or error}; {kept}"
        "make room or allow writing and repeat the command, which goes on from there, or choose another folder"
    )
