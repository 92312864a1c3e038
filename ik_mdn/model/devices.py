"""Where networks run."""

from __future__ import annotations

import torch

from sim.errors import UnknownNameError


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: "cpu", "cuda", "cuda:1" …, or "auto", the first GPU where there is one.

    Raises:
        UnknownNameError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = ["auto", "cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if name not in here:
        why = "" if count else " (torch finds no CUDA device)"
        raise UnknownNameError(f"no device {name!r}; here are: {', '.join(here)}{why}", name=name)
    return torch.device(name)
