"""Settings of the whole suite."""

from __future__ import annotations

import torch

torch.set_num_threads(1)  # the tests' tensors are small: threads that wait for each other only slow them down
