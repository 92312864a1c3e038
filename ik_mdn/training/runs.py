"""The folder of a training run: what it was, how it went, and the state to go on from."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ik_mdn.model import read_tensors, write_tensors
from sim.errors import CheckpointError, TrainingError
from sim.files import claim_folder, locked, whole_file, write_json

COLUMNS = ("step", "seconds", "loss", "floor")
_MAY_CHANGE = ("minutes", "steps")  # a run may be given more time


class Progress(NamedTuple):
    """How far training has come, for a callback."""

    step: int
    fraction: float  # of the budget, 0 to 1
    loss: float  # mean since the last report
    floor: float
    seconds: float  # of training, over all resumes


class RunFolder:
    """`run.json` (what is trained), `metrics.csv` (how it goes) and `state.safetensors` (where it stands).

    It is one run's from here to `close`.

    Args:
        folder: Made if it is not there.
        identity: What is trained, JSON types; must agree with what the folder holds, but for the budget.

    Raises:
        TrainingError: The folder holds another run (the message names what differs) or other files, or another
            process is training in it.
    """

    def __init__(self, folder: Path | str, identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        note, what = self.folder / "run.json", "training runs"
        fixed = [name for name in identity if name not in _MAY_CHANGE]
        claim_folder(note, identity, what=what, error=TrainingError, fixed=fixed)
        with ExitStack() as stack:
            stack.enter_context(locked(self.folder / ".lock", what=f"the run in {folder}", error=TrainingError))
            write_json(note, identity)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Let others have the folder."""
        self._stack.close()

    def write_row(self, values: Sequence[float]) -> None:
        """Append one row of `COLUMNS` to the metrics."""
        with (self.folder / "metrics.csv").open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([f"{value:.7g}" for value in values])

    def save(self, tensors: Mapping[str, Tensor], *, step: int, seconds: float) -> None:
        """Write the state, which is then whole on disk, with a checksum.

        Args:
            tensors: What resuming needs, by name.
            step: Steps done.
            seconds: Training time spent, over all resumes [s].
        """
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        write_tensors(self.folder / "state.safetensors", arrays, {"step": str(step), "seconds": repr(seconds)})

    def load(self) -> tuple[dict[str, Tensor], int, float] | None:
        """The saved tensors, step and seconds, or None for a new run; metrics of later steps are dropped.

        Raises:
            TrainingError: The state or the metrics are damaged.
        """
        path = self.folder / "state.safetensors"
        if not path.exists():
            self._keep_metrics(0)
            return None
        try:
            arrays, clock = read_tensors(path)
            step, seconds = int(clock["step"]), float(clock["seconds"])
        except (CheckpointError, KeyError, ValueError) as error:
            raise TrainingError(f"{path} is damaged ({error}); delete the folder to start again") from error
        self._keep_metrics(step)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}, step, seconds

    def _keep_metrics(self, last_step: int) -> None:
        """Drop what a killed run wrote after its last saved state, so that no step is told twice."""
        path, rows = self.folder / "metrics.csv", [",".join(COLUMNS)]
        try:
            written = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
            rows += [row for row in written if float(row.split(",")[0]) <= last_step]
        except ValueError:
            raise TrainingError(f"{path} is damaged; delete it, and the run goes on without it") from None
        with whole_file(path) as temporary:
            temporary.write_text("\n".join(rows) + "\n", encoding="utf-8")
