"""Nothing falls back to the CPU: on the device "meta", which holds shapes and no numbers, a stray CPU tensor is an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import sim
from ik_mdn.model import ArmModel, ModelConfig, model_for
from sim.jacobians import scaled_task_error, scaled_task_jacobian, task_singular_values

ASKED: dict[str, Callable[[ArmModel, Tensor, Tensor], Tensor]] = {
    "forward kinematics": lambda model, T, q: sim.forward_kinematics(model.arm, q),
    "Jacobian": lambda model, T, q: scaled_task_jacobian(model.arm, model.task, q)[1],
    "error": lambda model, T, q: scaled_task_error(model.arm, model.task, T, T),
    "singular values": lambda model, T, q: task_singular_values(model.arm, model.task, q),
    "features": lambda model, T, q: model.features.encode(T).shift,
    "posterior": lambda model, T, q: model.posterior(T).loc,
    "posterior after steps": lambda model, T, q: model.posterior(T, steps=2).loc,
    "mass": lambda model, T, q: model.mass(T),
    "proposals": lambda model, T, q: model.propose(T).q,
    "mean": lambda model, T, q: model.mean(T),
}


@pytest.mark.parametrize("name", ["planar2", "ur5e", "panda"])
@pytest.mark.parametrize("asked", ASKED)
def test_what_is_given_on_a_device_is_answered_there(asked: str, name: str) -> None:
    arm = sim.load_arm(name)
    with torch.device("meta"):
        model = model_for(arm, None, ModelConfig(width=16, blocks=1, components=4))
        T, q = torch.empty(10, 4, 4, dtype=torch.float64), torch.empty(10, arm.n_joints, dtype=torch.float64)
    assert ASKED[asked](model, T, q).device.type == "meta"
