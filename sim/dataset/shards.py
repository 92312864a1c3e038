"""One Parquet shard of a dataset: whole, or not there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sim.arm import Arm
from sim.dataset.manifest import FORMAT, FORMAT_VERSION, DatasetInfo, describe, differences, parse_info
from sim.dataset.sampling import BLOCK_ROWS, Samples, join, shard_blocks
from sim.errors import DatasetError

ROW_GROUP_ROWS = 8 * BLOCK_ROWS
_KEY = b"ik_mdn"  # of the Parquet schema's metadata


def shard_path(folder: Path, index: int) -> Path:
    """Where a shard lies: in a subfolder of shards alone, so that readers of whole folders meet nothing but Parquet.

    Args:
        folder: The dataset.
        index: Of the shard, from 0.
    """
    return folder / "shards" / f"shard-{index:05d}.parquet"


def check_shard(folder: Path, info: DatasetInfo, index: int) -> bool:
    """Whether a shard is finished: its footer, which is written last, is readable and fits.

    Args:
        folder: The dataset.
        info: What the dataset is.
        index: Of the shard.

    Returns:
        True for a whole shard, False for a missing, truncated or half-written one.

    Raises:
        DatasetError: It is whole but belongs to another dataset.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = shard_path(folder, index)
    if not path.exists():
        return False
    try:
        footer = pq.read_metadata(path)
    except pa.ArrowException:
        return False
    text = (footer.metadata or {}).get(_KEY, b"{}")
    values = json.loads(text)
    unlike = ["it is not of this format"]
    if values.get("format") == FORMAT and values.get("version") == FORMAT_VERSION:
        unlike = differences(parse_info(values, path), info)
    if not unlike and (values.get("shard"), footer.num_rows) != (index, info.rows(index)):
        unlike = [f"it is shard {values.get('shard')} with {footer.num_rows} rows"]
    if unlike:
        raise DatasetError(f"{path} belongs to another dataset: {'; '.join(unlike)}; move it away, or use a new folder")
    return True


def write_shard(folder: Path, arm: Arm, info: DatasetInfo, index: int, *, on_rows: Callable[[int], None]) -> int:
    """Size on disk of one shard, which is written here [bytes].

    Rows go to a hidden temporary file, which gets the shard's name once it is complete and on disk.

    Args:
        folder: The dataset, with its folder of shards.
        arm: The arm that `info` describes.
        info: What the dataset is.
        index: Of the shard.
        on_rows: Called with the number of rows made since the last call; what it raises ends the writing.

    Returns:
        Bytes of the finished file.

    Raises:
        OSError: The disk is full or the folder cannot be written to; the temporary file is gone.
        DatasetError: Another process is writing this shard, or the collision filter found nothing.
    """
    path = shard_path(folder, index)
    with _temporary_for(path) as file:
        _write_table(file, arm, info, index, on_rows=on_rows)
    return path.stat().st_size


def _write_table(file: BinaryIO, arm: Arm, info: DatasetInfo, index: int, *, on_rows: Callable[[int], None]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {_KEY: json.dumps({**describe(info, arm), "shard": index})}
    widths = {"q": arm.n_joints, "position": 3, "quat_xyzw": 4}
    schema = pa.schema([pa.field(name, pa.list_(pa.float32(), n)) for name, n in widths.items()], metadata=metadata)
    writer = pq.ParquetWriter(
        file,
        schema,
        compression="lz4",
        use_dictionary=False,  # random numbers do not repeat
        use_byte_stream_split=True,  # but their exponents do
        write_statistics=False,
        write_page_checksum=True,
    )
    try:
        for rows in _row_groups(arm, info, index, on_rows=on_rows):
            columns = [
                pa.FixedSizeListArray.from_arrays(pa.array(getattr(rows, name).ravel()), n)
                for name, n in widths.items()
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=ROW_GROUP_ROWS)
        writer.close()
    finally:
        writer.is_open = False  # otherwise the writer tries to write its footer once more when it is collected


def _row_groups(arm: Arm, info: DatasetInfo, index: int, *, on_rows: Callable[[int], None]) -> Iterator[Samples]:
    """The shard's samples in pieces of `ROW_GROUP_ROWS`, the last one smaller."""
    made = shard_blocks(
        arm, seed=info.seed, index=index, rows=info.rows(index), self_collision_free=info.self_collision_free
    )
    waiting: list[Samples] = []
    with closing(made) as blocks:
        for block in blocks:
            on_rows(len(block))
            waiting.append(block)
            if sum(map(len, waiting)) >= ROW_GROUP_ROWS:
                rows = join(waiting)
                yield rows[:ROW_GROUP_ROWS]
                waiting = [rows[ROW_GROUP_ROWS:]]
    rest = join(waiting)
    if len(rest):
        yield rest


@contextmanager
def _temporary_for(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that becomes `path` at the end, or vanishes on an error; one process at a time."""
    temporary = path.with_name(f".{path.name}.tmp")  # readers of folders skip names with a leading dot
    with open(temporary, "ab") as file:  # appending: opening must not cut what another process is writing
        _lock(file, temporary)
        try:
            if os.fstat(file.fileno()).st_size:
                file.truncate(0)
                file.seek(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def _lock(file: BinaryIO, path: Path) -> None:
    busy = DatasetError(f"another process is writing {path}; wait for it, or generate into another folder")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            raise busy  # it was finished and renamed between opening and locking
    except (BlockingIOError, FileNotFoundError):
        raise busy from None
