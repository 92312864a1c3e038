"""Settings of the whole suite."""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):  # what needs no torch is tested without it too
    import torch

    torch.set_num_threads(1)  # the tests' tensors are small: threads that wait for each other only slow them down
