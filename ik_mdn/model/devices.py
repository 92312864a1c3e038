"""Where networks run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sim.errors import UnknownNameError

if TYPE_CHECKING:
    import torch


def number_by_torchrun(name: str) -> int | None:
    """One of the numbers that `torchrun` gives its processes, such as "RANK"; None where it did not start this one."""
    return int(os.environ[name]) if "TORCHELASTIC_RUN_ID" in os.environ else None


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: "cpu", "cuda", "cuda:1" …, or "auto", a GPU where there is one.

    Of several processes on a machine that `torchrun` started, each gets a GPU of its own by "cuda" and "auto".

    Raises:
        UnknownNameError: There is no such device here.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = ["auto", "cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if name not in here:
        why = "" if count else " (torch finds no CUDA device)"
        raise UnknownNameError(f"no device {name!r}; here are: {', '.join(here)}{why}", name=name)
    return torch.device(name, (number_by_torchrun("LOCAL_RANK") or 0) % count) if name == "cuda" else torch.device(name)
