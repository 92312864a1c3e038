"""The folder of a training run: what it was, how it went, and the state to go on from."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sim.errors import TrainingError
from sim.files import whole_file

COLUMNS = ("step", "seconds", "loss", "floor")
_MAY_CHANGE = ("minutes", "steps")  # a run may be given more time


class RunFolder:
    """`run.json` (what is trained), `metrics.csv` (how it goes) and `state.safetensors` (where it stands).

    Args:
        folder: Made if it is not there.
        identity: What is trained, JSON types; must agree with what the folder holds, but for the budget.

    Raises:
        TrainingError: The folder holds another run; the message names what differs.
    """

    def __init__(self, folder: Path | str, identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        note = self.folder / "run.json"
        if note.exists():
            try:
                found = json.loads(note.read_text(encoding="utf-8"))
            except ValueError as error:
                raise TrainingError(f"{note} is damaged ({error}); delete the folder to start again") from error
            self._check(found, identity)
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(note, json.dumps(dict(identity), indent=2) + "\n")

    def write_row(self, values: Sequence[float]) -> None:
        """Append one row of `COLUMNS` to the metrics."""
        with (self.folder / "metrics.csv").open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([f"{value:.7g}" for value in values])

    def save(self, tensors: Mapping[str, Tensor], *, step: int, seconds: float) -> None:
        """Write the state to a temporary name, then rename it.

        Args:
            tensors: What resuming needs, by name.
            step: Steps done.
            seconds: Training time spent, over all resumes [s].
        """
        from safetensors.torch import save_file

        clock = {"step": str(step), "seconds": repr(seconds)}
        with whole_file(self.folder / "state.safetensors") as temporary:
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary, metadata=clock)

    def load(self) -> tuple[dict[str, Tensor], int, float] | None:
        """The saved tensors, step and seconds, or None for a new run; metrics of later steps are dropped.

        Raises:
            TrainingError: The state file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / "state.safetensors"
        if not path.exists():
            self._keep_metrics(0)
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no iterator
                clock = file.metadata()
        except SafetensorError as error:
            raise TrainingError(f"{path} is damaged ({error}); delete the folder to start again") from error
        self._keep_metrics(int(clock["step"]))
        return tensors, int(clock["step"]), float(clock["seconds"])

    def _keep_metrics(self, last_step: int) -> None:
        """Drop what a killed run wrote after its last saved state, so that no step is told twice."""
        path, rows = self.folder / "metrics.csv", [",".join(COLUMNS)]
        if path.exists():
            written = path.read_text(encoding="utf-8").splitlines()[1:]
            rows += [row for row in written if float(row.split(",")[0]) <= last_step]
        _replace(path, "\n".join(rows) + "\n")

    def _check(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        differing = [key for key in wanted if found.get(key) != wanted[key] and key not in _MAY_CHANGE]
        if differing:
            changes = ", ".join(f"{key}: {found.get(key)} there, {wanted[key]} asked for" for key in differing)
            raise TrainingError(f"{self.folder} holds another run ({changes}); use another folder, or delete that one")


def _replace(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
