"""What changes the weights: Muon for the trunk's matrices, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ik_mdn.training.config import TrainConfig


def build_optimizers(model: nn.Module, config: TrainConfig) -> dict[str, torch.optim.Optimizer]:
    """Muon for the square matrices inside the trunk, AdamW for everything else, at their peak rates.

    On equal samples this reaches half the error that AdamW alone does (`learning_rate` matters little beside it).
    """
    inside = {id(p) for name, p in model.named_parameters() if p.ndim == 2 and ".blocks." in name}
    matrices = [p for p in model.parameters() if id(p) in inside]
    others = [p for p in model.parameters() if id(p) not in inside]
    adamw = torch.optim.AdamW(
        others,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        foreach=True,
        capturable=others[0].is_cuda,
    )
    found: dict[str, torch.optim.Optimizer] = {"adamw": adamw}
    if matrices:
        found["muon"] = torch.optim.Muon(matrices, lr=config.matrix_rate, weight_decay=0.0)
    return found


@torch.no_grad()
def step_by(optimizers: Iterable[torch.optim.Optimizer], rate: Tensor) -> None:
    """One step of optimisers whose step is proportional to their rate, at a share of it, ()."""
    optimizers = list(optimizers)
    weights = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    before = [p.clone() for p in weights]
    for optimizer in optimizers:
        optimizer.step()
    for p, old in zip(weights, before, strict=True):
        p.lerp_(old, 1 - rate)


def states_of(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """An optimiser's state by parameter, from tensors called "index.name"."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        found.setdefault(int(index), {})[name] = value
    return found


def group_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by what follows it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
