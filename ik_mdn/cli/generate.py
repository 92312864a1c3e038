"""`ik-mdn generate`: a dataset of forward kinematics as Parquet shards."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ik_mdn.cli.console import progress, waiting, write_json
from ik_mdn.cli.options import OPTIONAL, Address, ArmName, Base, EngineName, Json, OptionalWhole, Seed, Tip
from sim.errors import DatasetError

if TYPE_CHECKING:
    from sim.dataset import GenerateReport

Number = Annotated[str, tyro.conf.arg(metavar="N")]

_MOST = 10**15  # a float still counts every sample up to here
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def run(
    arm: ArmName,
    /,
    *,
    out: Annotated[str, tyro.conf.arg(metavar="FOLDER")],
    count: Number = "1M",
    seed: Seed = 0,
    shard_size: Number = "250k",
    self_collision_free: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    workers: Annotated[OptionalWhole, tyro.conf.arg(**OPTIONAL)] = None,
    engine: EngineName = "local",
    address: Address = None,
    shards: Annotated[str | None, tyro.conf.arg(metavar="FIRST:END", **OPTIONAL)] = None,
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Write joint vectors and the poses they reach as Parquet shards; a stopped run goes on where it stopped.

    Args:
        out: Folder to write to: new, empty, or holding the same dataset unfinished; or its URL, such as s3://bucket/samples.
        count: How many samples, for example 1_000_000, 1e6, 250k or 10M.
        shard_size: Samples per file.
        self_collision_free: Leave out samples in which the arm touches itself (PyBullet; much slower).
        workers: Threads, or processes; without it, one per core.
        shards: Write only these shards, for example 0:4 for the first four; several machines can share the work.
    """
    with waiting("loading"):
        from sim.arm import load_arm
        from sim.dataset import generate
        from sim.executor import Engine

    with progress(note="rate") as bar:
        show = _Progress(bar)
        report = generate(
            load_arm(arm, base=base, tip=tip),
            out,
            count=read_number(count, "--count"),
            shard_size=read_number(shard_size, "--shard-size"),
            seed=seed,
            self_collision_free=self_collision_free,
            workers=workers,
            engine=Engine(engine, workers, address),
            shards=_read_range(shards),
            on_progress=show,
        )
    if json:
        write_json(json, _to_json(report))
    if json != "-":
        print(_summary(report))


def read_number(text: str, option: str) -> int:
    """The whole number that a text like 1_000_000, 1e6, 250k or 1.5M stands for.

    Args:
        text: What the user wrote.
        option: Where, for the message.

    Raises:
        DatasetError: It is none, not whole, or not between 1 and 1e15.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d*)?(?:[eE]\+?\d{1,2})?)([kKmMgG]?)", text.strip())
    if match:
        digits, factor = match[1].replace("_", ""), _FACTORS[match[2].lower()]
        value = int(digits) * factor if digits.isdigit() else float(digits) * factor
        if 1 <= value <= _MOST and value == int(value):
            return int(value)
    raise DatasetError(
        f"{option} {text!r} is no whole number from 1 to 1e15; write for example 1_000_000, 1e6, 250k or 10M"
    )


class _Progress:
    """Shows finished and all samples with this run's rate."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task: Any = None
        self._start = (0.0, 0)

    def __call__(self, done: int, total: int) -> None:
        now = time.perf_counter()
        if self._task is None:
            self._start = (now, done)
            self._task = self._bar.add_task("generating", total=total, completed=done, note="")
        seconds = now - self._start[0]
        rate = f"{_shorten((done - self._start[1]) / seconds)} poses/s" if seconds > 0.5 else ""
        self._bar.update(self._task, completed=done, note=rate)


def _read_range(text: str | None) -> range | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,15}):(\d{1,15})", text)
    if not match or int(match[1]) >= int(match[2]):
        raise DatasetError(f"--shards {text!r} is no range; write for example 0:4 for shards 0, 1, 2 and 3")
    return range(int(match[1]), int(match[2]))


def _to_json(report: GenerateReport) -> dict[str, Any]:
    return {
        "folder": str(report.folder),
        "count": report.info.count,
        "n_shards": report.info.n_shards,
        "seed": report.info.seed,
        "fingerprint": report.info.fingerprint,
        "self_collision_free": report.info.self_collision_free,
        "n_made": report.n_made,
        "n_kept": report.n_kept,
        "bytes": report.n_bytes,
        "seconds": report.seconds,
        "poses_per_second": report.rate,
    }


def _summary(report: GenerateReport) -> str:
    from ik_mdn.evaluation import number

    size = f"{number(report.n_bytes / 1e6)} MB in {report.folder}"
    if not report.n_made:
        return f"all {report.n_kept:,} samples were there already: {size}"
    kept = f" ({report.n_kept:,} were there already)" if report.n_kept else ""
    speed = f"{report.seconds:.1f} s, {_shorten(report.rate)} poses/s"
    return f"wrote {report.n_made:,} samples{kept} in {speed}: {size}"


def _shorten(rate: float) -> str:
    """Three digits and a factor: "1.23 M", "45.6 k", "789"."""
    from ik_mdn.evaluation import number

    return f"{number(rate / 1e6)} M" if rate >= 1e6 else f"{number(rate / 1e3)} k" if rate >= 1e3 else number(rate)
