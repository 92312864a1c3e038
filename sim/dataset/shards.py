"""One Parquet shard of a dataset: whole, or not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from sim.arm import Arm
from sim.dataset.manifest import FORMAT, FORMAT_VERSION, DatasetInfo, describe, differences, parse_info
from sim.dataset.sampling import BLOCK_ROWS, Samples, join, shard_blocks
from sim.errors import DatasetError
from sim.files import locked, parse_json, whole_file
from sim.remote import Place, RemotePath

ROW_GROUP_ROWS = 8 * BLOCK_ROWS
_AT_ONCE = 32  # remote footers that are read side by side
_KEY = b"ik_mdn"  # of the Parquet schema's metadata


class ShardBusyError(DatasetError):
    """A shard that another process is writing."""


def shard_path(folder: Place, index: int) -> Place:
    """Where a shard lies: in a subfolder of shards alone, so that readers of whole folders meet nothing but Parquet.

    Args:
        folder: The dataset.
        index: Of the shard, from 0.
    """
    return folder / "shards" / f"shard-{index:05d}.parquet"


def check_shard(folder: Place, info: DatasetInfo, index: int) -> bool:
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
    name, filesystem = arrow_source(path)
    try:
        footer = pq.read_metadata(name, filesystem=filesystem)
    except (pa.ArrowException, OSError, ValueError) as error:
        if getattr(error, "errno", None) is not None:  # not what is in the file, but that it cannot be read
            raise
        return False
    unlike = _foreign(footer, info, index, path)
    if unlike:
        raise DatasetError(f"{path} belongs to another dataset: {unlike}; move it away, or use a new folder")
    return True


def check_shards(folder: Place, info: DatasetInfo, indices: Sequence[int]) -> Iterator[bool]:
    """`check_shard` of several, in turn; remote ones side by side, those that a listing does not name at no cost."""
    there = set(list_shards(folder))

    def check(index: int) -> bool:
        return shard_path(folder, index).name in there and check_shard(folder, info, index)

    if isinstance(folder, RemotePath):
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(check, indices)
    else:
        yield from map(check, indices)


def list_shards(folder: Place) -> dict[str, int]:
    """The shards that are in a dataset, whole or not: names and sizes [bytes]."""
    return {path.name: path.stat().st_size for path in shard_path(folder, 0).parent.glob("shard-*.parquet")}


def arrow_source(path: Place) -> tuple[Any, Any]:
    """A file as Arrow's readers take it: its name, and the file system that it is in."""
    return (path.key, path.filesystem) if isinstance(path, RemotePath) else (path, None)


def _foreign(footer: Any, info: DatasetInfo, index: int, path: Place) -> str:
    """What in a shard's footer is not as in this dataset; "" where all is."""
    try:
        values = parse_json((footer.metadata or {}).get(_KEY, b"{}"))
        columns = footer.schema.to_arrow_schema()
    except Exception as error:  # whatever Arrow makes of a damaged schema
        return f"its description is damaged ({error})"
    if (values.get("format"), values.get("version")) != (FORMAT, FORMAT_VERSION):
        return "it is not of this format"
    unlike = differences(parse_info(values, path), info)
    if not unlike and (values.get("shard"), footer.num_rows) != (index, info.rows(index)):
        return f"it is shard {values.get('shard')} with {footer.num_rows} rows"
    if not unlike and not columns.equals(_schema(info)):
        return f"its columns are not {', '.join(f'{field.name} ({field.type})' for field in _schema(info))}"
    return unlike


def _schema(info: DatasetInfo) -> Any:
    """The columns of a shard."""
    import pyarrow as pa

    widths = {"q": len(info.joint_names), "position": 3, "quat_xyzw": 4}
    return pa.schema([pa.field(name, pa.list_(pa.float32(), n)) for name, n in widths.items()])


def write_shard(folder: Place, arm: Arm, info: DatasetInfo, index: int, *, on_rows: Callable[[int], None]) -> None:
    """Write one shard.

    The file is whole or not there, and one process at a time writes it. Nobody is kept away from a remote one: whoever
    writes it, it has the same bytes.

    Args:
        folder: The dataset, with its folder of shards.
        arm: The arm that `info` describes.
        info: What the dataset is.
        index: Of the shard.
        on_rows: Called with the number of rows made since the last call; what it raises ends the writing.

    Raises:
        OSError: The disk is full or the folder cannot be written to; the temporary file is gone.
        ShardBusyError: Another process is writing this shard.
        DatasetError: The collision filter found nothing.
    """
    path = shard_path(folder, index)
    lock = path.parent / f".{path.name}.lock"
    with (
        locked(lock, what=str(path), error=ShardBusyError) if isinstance(lock, Path) else nullcontext(),
        whole_file(path) as temporary,
        temporary.open("wb") as file,
    ):
        _write_table(file, arm, info, index, on_rows=on_rows)


def _write_table(file: BinaryIO, arm: Arm, info: DatasetInfo, index: int, *, on_rows: Callable[[int], None]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {_KEY: json.dumps({**describe(info, arm), "shard": index})}
    schema = _schema(info).with_metadata(metadata)
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
                pa.FixedSizeListArray.from_arrays(pa.array(getattr(rows, field.name).ravel()), field.type.list_size)
                for field in schema
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
