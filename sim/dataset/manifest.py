"""The description of a dataset: what decides its numbers, and what `dataset.json` tells a reader without this code."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral
from typing import Any

from sim.arm import Arm
from sim.errors import DatasetError
from sim.files import as_json, describe_differences, differing, parse_json
from sim.remote import Place, as_place

FORMAT = "ik-mdn-fk"
FORMAT_VERSION = 1
MAX_SHARDS = 1_000_000  # more files than this in one folder are of no use to anyone


@dataclass(frozen=True)
class DatasetInfo:
    """What decides every number of a dataset: two datasets with equal infos are equal.

    Args:
        fingerprint: Of the arm.
        base, tip: Links; poses are of `tip` in `base`.
        joint_names: Order of the numbers in `q`.
        seed: Not negative.
        count: Number of samples.
        shard_size: Samples per shard; the last one may have fewer.
        self_collision_free: Whether samples in which the arm touches itself were left out.

    Raises:
        DatasetError: A number is out of range, or there are more than `MAX_SHARDS` shards.
    """

    fingerprint: str
    base: str
    tip: str
    joint_names: tuple[str, ...]
    seed: int
    count: int
    shard_size: int
    self_collision_free: bool

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("shard_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise DatasetError(f"{name} is {value!r}; a whole number from {least} on is needed", **{name: value})
            object.__setattr__(self, name, int(value))
        if self.n_shards > MAX_SHARDS:
            raise DatasetError(
                f"{self.count} samples in shards of {self.shard_size} make {self.n_shards} shards; allowed are "
                f"{MAX_SHARDS}: take a larger shard_size",
                n_shards=self.n_shards,
            )

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.count // self.shard_size)

    def rows(self, index: int) -> int:
        """Number of samples in one shard."""
        return min(self.shard_size, self.count - index * self.shard_size)


def info_path(folder: Place) -> Place:
    """Where the dataset's description lies."""
    return folder / "dataset.json"


def describe(info: DatasetInfo, arm: Arm) -> dict[str, Any]:
    """Everything a reader without this code needs, as JSON types: the content of `dataset.json`.

    Args:
        info: What decides the dataset's numbers.
        arm: The arm that `info` is of; gives chain, limits and units.

    Returns:
        Names to values; an infinite limit is None.
    """
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        **asdict(info),
        "joint_names": list(info.joint_names),
        "n_shards": info.n_shards,
        "shards": "shards/shard-{index:05d}.parquet, index from 0",
        "columns": {
            "q": f"float32[{arm.n_joints}], joint vector in the order of joint_names, units as in joint_units",
            "position": "float32[3], origin of the link 'tip' in the frame of the link 'base', in metres",
            "quat_xyzw": "float32[4], orientation of 'tip' in the frame of 'base', unit quaternion, order x y z w, w >= 0",
        },
        "sampling": "joint vectors independent and uniform in [sample_min, sample_max]"
        + (", those in which the arm touches itself left out" if info.self_collision_free else ""),
        "accuracy": "the pose is that of the stored q, computed in float64 and rounded to float32",
        "arm": arm.name,
        "joint_types": list(arm.joint_types),
        "joint_units": ["m" if slides else "rad" for slides in arm.is_prismatic],
        "sample_min": arm.sample_min.tolist(),
        "sample_max": arm.sample_max.tolist(),
        "limits": [as_json(pair) for pair in zip(arm.q_min, arm.q_max, strict=True)],
        "kinematics": "T_base_tip = C_0 J(q_1) C_1 ... J(q_n) C_n, C_i = offsets[i] in metres; J(q) turns about z by q "
        "(revolute, continuous) or moves along z by q (prismatic)",
        "offsets": arm.offsets.tolist(),
        "written_with": {name: _version(name) for name in ("ik-mdn", "numpy", "torch", "pyarrow")},
    }


def read_info(folder: str | Place) -> DatasetInfo:
    """What the dataset in a folder is.

    Args:
        folder: Where `generate` wrote it, finished or not: a path or a URL.

    Returns:
        Its info.

    Raises:
        DatasetError: There is no such folder, no `dataset.json` in it, or one that is damaged or of another format.
    """
    path = info_path(as_place(folder))
    try:
        values = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(f"no dataset in {str(folder)!r}: {path.name} is missing; write one with generate") from None
    except ValueError as error:
        raise DatasetError(f"{path} is damaged ({error}); write the dataset anew into another folder") from None
    if (values.get("format"), values.get("version")) != (FORMAT, FORMAT_VERSION):
        raise DatasetError(f"{path} is no description of format {FORMAT!r}, version {FORMAT_VERSION}, read here")
    return parse_info(values, path)


def differences(found: DatasetInfo, wanted: DatasetInfo) -> str:
    """In what two infos differ, for messages: "seed is 0 there, 1 here"; "" where they are equal.

    Args:
        found: What is stored.
        wanted: What is asked for.
    """
    there, here = asdict(found), asdict(wanted)
    return describe_differences(there, here, differing(there, here))


def parse_info(values: dict[str, Any], path: Place) -> DatasetInfo:
    """The info that `describe` wrote among other values.

    Args:
        values: The content of `dataset.json`, or of a shard's metadata.
        path: Where it was read, for the message.

    Returns:
        The info.

    Raises:
        DatasetError: A value is missing or impossible.
    """
    try:
        kept = {name: values[name] for name in DatasetInfo.__dataclass_fields__}
        if not all(isinstance(kept[name], str) for name in ("fingerprint", "base", "tip")):
            raise TypeError("fingerprint, base and tip are text")
        if not isinstance(kept["joint_names"], list) or not all(isinstance(each, str) for each in kept["joint_names"]):
            raise TypeError("joint_names is a list of names")
        return DatasetInfo(**{**kept, "joint_names": tuple(kept["joint_names"])})
    except (KeyError, TypeError, DatasetError) as error:
        raise DatasetError(f"{path} is damaged: {error}") from None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
