"""Where networks run."""

from __future__ import annotations

import os

import torch

from sim.errors import UnknownNameError


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: "cpu", "cuda", "cuda:1" …, or "auto", a GPU where there is one.

    Of several processes on a machine that `torchrun` started, each gets a GPU of its own by "cuda" and "auto".

    Raises:
        UnknownNameError: There is no such device here.
    """
    own = int(os.environ.get("LOCAL_RANK", 0)) if "TORCHELASTIC_RUN_ID" in os.environ else 0
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = ["auto", "cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if name not in here:
        why = "" if count else " (torch finds no CUDA device)"
        raise UnknownNameError(f"no device {name!r}; here are: {', '.join(here)}{why}", name=name)
    return torch.device(name, own % count) if name == "cuda" else torch.device(name)
