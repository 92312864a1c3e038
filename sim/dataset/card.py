"""The card of a dataset: what people, and hubs for datasets, read first."""

from __future__ import annotations

import json

from sim.arm import Arm
from sim.dataset.manifest import DatasetInfo, describe
from sim.files import whole_file
from sim.remote import Place

_CARD = """\
---
pretty_name: {title}
tags: [robotics, kinematics]
configs:
- config_name: default
  data_files: shards/*.parquet
---
# Forward kinematics of {arm}

{count:,} joint vectors and the poses of link `{tip}` in link `{base}` that they reach, in {n_shards:,} Parquet files.

| | |
|---|---|
| Arm | {arm}, {n} joints: {joints}; fingerprint `{fingerprint}` |
| Postures | {sampling} |
| Columns | {columns} |
| Seed | {seed}; every shard depends on it and its own number alone |
| Accuracy | {accuracy} |
| Written with | {written_with} |
| Source and licence of the URDF | |
| Licence of the data | |
| Contact | |

`dataset.json` says the rest: limits, the chain, units. The dataset is whole when every shard that it counts is there.

```python
import datasets

datasets.load_dataset("parquet", data_files="shards/*.parquet", split="train", streaming=True)
```

or `pandas.read_parquet("shards")`, or mixed, by the code that wrote it (a folder or a URL):

```python
from sim.dataset import read_samples

read_samples(".", batch_size=4096)
```

Meant for training densities of inverse kinematics. Not meant for what these postures do not cover: obstacles, loads, the
calibration of a real arm.
"""


def write_card(folder: Place, info: DatasetInfo, arm: Arm) -> None:
    """Write README.md beside the dataset; one that is there is left as it is.

    Args:
        folder: The dataset.
        info: What it is.
        arm: The arm that `info` is of.
    """
    path = folder / "README.md"
    if path.exists():
        return
    about = describe(info, arm)
    rows = {key: about[key] for key in ("arm", "count", "tip", "base", "n_shards", "fingerprint", "sampling", "seed")}
    columns = "; ".join(f"`{name}`: {what}" for name, what in about["columns"].items())
    versions = ", ".join(f"{name} {number}" for name, number in about["written_with"].items())
    text = _CARD.format(
        **rows,
        title=json.dumps(f"Forward kinematics of {arm.name}"),
        n=arm.n_joints,
        joints=", ".join(f"{name} [{unit}]" for name, unit in zip(arm.joint_names, about["joint_units"], strict=True)),
        columns=columns,
        accuracy=about["accuracy"],
        written_with=versions,
    )
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
