"""Training in several processes, on one machine or many: each takes its share of a batch, and gradients are averaged.

The processes are torch's own (`torchrun`), and so are their start, restart and messages (`torch.distributed`). What is
averaged is one flat gradient per step: networks of this size have nothing to overlap it with.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ik_mdn.model import number_by_torchrun
from sim.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_Value = TypeVar("_Value")
_STRIDE = 1_000_003  # between the seeds of processes


def rank() -> int:
    """Which of torchrun's processes this is; 0 for the first, and where there is only one."""
    return number_by_torchrun("RANK") or 0


@dataclass(frozen=True)
class Processes:
    """Those that train together.

    Args:
        rank: Which of them this is; the first keeps the run folder and writes the model.
        size: How many they are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls, device: torch.device) -> Processes:
        """Those that torchrun started, connected; else this one alone.

        Args:
            device: Where this one trains: a GPU's talk over NCCL, others over Gloo.
        """
        restarts = number_by_torchrun("TORCHELASTIC_RESTART_COUNT")
        if restarts is None:
            return cls()
        import torch.distributed as dist
        from torch._C._distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        if not dist.is_initialized():
            store, number, size = next(rendezvous("env://"))
            # torchrun's store outlives the processes that it starts again, and holds the addresses of those before
            store = PrefixStore(f"start {restarts}", store)
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=store, rank=number, world_size=size)
            atexit.register(dist.destroy_process_group)
        return cls(dist.get_rank(), dist.get_world_size())

    def part_of(self, batch_size: int) -> int:
        """This one's share of a batch.

        Raises:
            TrainingError: It cannot be shared evenly.
        """
        if batch_size % self.size:
            raise TrainingError(f"batch_size is {batch_size}; {self.size} processes need a multiple of their number")
        return batch_size // self.size

    def seed(self, common: int) -> int:
        """A seed for what should differ from process to process."""
        return common + _STRIDE * self.rank

    def share(self, value: _Value) -> _Value:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over the processes.

        Raises:
            TrainingError: One of them is gone.
        """
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist
        from torch.nn.utils import parameters_to_vector, vector_to_parameters

        tensors = list(tensors)
        flat = parameters_to_vector(tensors)
        try:
            dist.all_reduce(flat)
        except RuntimeError as error:
            why = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"process {self.rank} lost the others ({why}); where torchrun may start them again, and by the same "
                "command, the run goes on from its last saved state"
            ) from None
        with torch.no_grad():
            vector_to_parameters(flat / self.size, tensors)
