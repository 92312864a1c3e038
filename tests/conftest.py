"""Settings of the whole suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

with suppress(ImportError):  # what needs no torch is tested without it too
    import torch

    torch.set_num_threads(1)  # the tests' tensors are small: threads that wait for each other only slow them down


@pytest.fixture(autouse=True)
def checks_of_distributions() -> Iterator[None]:
    """Importing sbi switches them off for the whole process."""
    yield
    with suppress(ImportError):
        from torch.distributions import Distribution

        Distribution.set_default_validate_args(True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray on this machine, with two worker processes."""
    ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()
