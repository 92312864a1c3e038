"""What a model of one's own configurations is trained on and scored with."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ik_mdn.training.config import TrainConfig
from ik_mdn.training.postures import LEAST_ROWS, LearnedPostures, deal_blocks, learn_postures
from ik_mdn.training.recordings import read_joints
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.dataset import read_batches, read_info
from sim.errors import DatasetError
from sim.remote import as_place
from sim.words import counted

ENOUGH = 50_000  # rows from which on a network is trained on them; fewer are learned by heart

_MOST = 1_000_000  # rows of a generated dataset that are read: what a filter lets through is learned from fewer
_ONE_OF, _MOST_HELD = 10, 2000  # blocks of rows of which one is kept for scoring, and rows of it at most
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class OwnConfigurations:
    """Joint vectors that say how an arm is usually held, and the density that was learned of them.

    Args:
        rows: What is learned from [rad, m], (N, n).
        held_out: What is kept for scoring, (H, n): whole blocks of neighbouring rows.
        learned: p(q).
        fresh: Whether a network is trained on draws from p(q) instead of the rows.
    """

    rows: FloatArray
    held_out: FloatArray
    learned: LearnedPostures
    fresh: bool

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Joint vectors to train a network on, (count, n), float64."""
        if self.fresh:
            return self.learned.postures.sample(count, generator)
        return torch.as_tensor(self.rows[torch.randint(len(self.rows), (count,), generator=generator).numpy()])

    @property
    def digest(self) -> str:
        """Of the rows and of what is done with them: what must agree for a training to go on."""
        return hashlib.sha256(self.rows.tobytes() + bytes([self.fresh])).hexdigest()[:16]

    def scoring(self) -> dict[str, Any]:
        """What `measure_report` is to know of them."""
        return {"own": self.held_out, "postures": self.describe()}

    def describe(self) -> dict[str, Any]:
        """For a report card: rows, K, the even share u, and -log p(q) [nats] of rows held out, beside that of uniform ones."""
        postures = self.learned.postures
        return {
            "rows": len(self.rows),
            "held_out": len(self.held_out),
            "trained_on": "draws from the learned density" if self.fresh else "the rows",
            "components": self.learned.selection.picked.components,
            "even_share": round(postures.even, 5),
            "nll": float(-postures.log_prob(self.held_out).mean()),
            "nll_uniform": self.learned.uniform,
        }


def suited_to(dataset: Path | str | None, config: TrainConfig) -> TrainConfig:
    """The config for what is trained on: of joint vectors of one's own no symmetry is divided out.

    An arm that is usually held one way round is not as probable turned about its base, or with its tool rolled: a network that does
    not see these angles could not tell.

    Args:
        dataset: See `train`; None: fresh samples.
        config: As asked for.
    """
    return config if dataset is None or _is_generated(dataset) else replace(config, symmetries=False)


def describe_dataset(dataset: Path | str | None, own: OwnConfigurations | None) -> Any:
    """What must agree of what is trained on for a training to go on, JSON types: no path, which may be spelled otherwise.

    Args:
        dataset: See `train`; None: fresh samples.
        own: What was read of it, where samples are not uniform in limits.
    """
    if own is not None:
        return own.digest
    return None if dataset is None else asdict(read_info(dataset))


def own_configurations(arm: Arm, dataset: Path | str | None, *, seed: int = 0) -> OwnConfigurations | None:
    """See `read_configurations`; None where samples are uniform in limits: fresh ones, and those generated without a filter."""
    if dataset is None or (_is_generated(dataset) and not read_info(dataset).self_collision_free):
        return None
    return read_configurations(arm, dataset, seed=seed)


def read_configurations(
    arm: Arm, dataset: Path | str, *, fresh: bool | None = None, seed: int = 0
) -> OwnConfigurations:
    """Joint vectors of an arm from files (see `read_joints`), or from a dataset generated with a filter, and their p(q).

    A network that is trained again and again on few rows learns them by heart: -log p(q | T) of fresh rows, ur5e, two
    postures, 1,500 steps, was 7.8 after training on 300 rows and -19.7 on draws from the p(q) learned of them; -15.6 and -19.9
    for 3,000 rows, -19.65 and -19.83 for 30,000, -19.86 and -19.84 for 200,000. So where there are fewer than `ENOUGH` it is trained on draws from p(q).

    Args:
        arm: The arm.
        dataset: File or folder.
        fresh: Whether to train on draws from p(q); None: where rows are few.
        seed: Of the fit.

    Raises:
        DatasetError: The files cannot be used, or hold too few rows.
    """
    if _is_generated(dataset):
        count = min(_MOST, read_info(dataset).count)
        batches = read_batches(dataset, arm=arm, batch_size=min(count, 100_000), seed=seed)
        rows = np.concatenate(list(batches), dtype=np.float64)[:count]
    else:
        rows = read_joints(dataset, arm)
    left = (deal_blocks(len(rows), _ONE_OF) == _ONE_OF - 1).nonzero()[0]
    kept = np.delete(rows, left, axis=0)
    if len(kept) < LEAST_ROWS:
        raise DatasetError(
            f"{counted(len(rows), 'joint vector')} cannot say how {arm.name!r} is held: {len(rows) - len(kept)} are kept for "
            f"scoring, and of the others at least {LEAST_ROWS} are needed; give more"
        )
    left = left[np.linspace(0, len(left) - 1, min(len(left), _MOST_HELD)).astype(np.int64)]
    learned = learn_postures(arm, kept, seed=seed)
    few = len(kept) < ENOUGH
    if few and fresh is None:
        _log.warning(
            "%d joint vectors are few for a network (%d would do): it is trained on draws from the density p(q) that was "
            "learned of them, a mixture of %d",
            *(len(kept), ENOUGH, learned.selection.picked.components),
        )
    return OwnConfigurations(kept, rows[left], learned, few if fresh is None else fresh)


def _is_generated(dataset: Path | str) -> bool:
    return (as_place(str(dataset)) / "dataset.json").exists()
