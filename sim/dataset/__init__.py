"""Forward-kinematics datasets: sampling, shards, workers, reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.dataset.generation import GenerateReport as GenerateReport
    from sim.dataset.generation import generate as generate
    from sim.dataset.manifest import DatasetInfo as DatasetInfo
    from sim.dataset.manifest import read_info as read_info
    from sim.dataset.reading import read_batches as read_batches
    from sim.dataset.reading import read_samples as read_samples
    from sim.dataset.sampling import Samples as Samples
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
