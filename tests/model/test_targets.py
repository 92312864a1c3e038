"""What the densities of models take for targets and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sim
from ik_mdn.model import ArmModel, ModelConfig, model_for
from sim.errors import IKError, PoseError, ShapeError
from sim.kinematics import forward_kinematics

SMALL = {"width": 16, "blocks": 1, "components": 3}
ARMS = {"one network": ("planar2", "planar_position"), "a chain": ("planar3", "planar_position")}


@pytest.fixture(params=ARMS)
def model(request: pytest.FixtureRequest) -> ArmModel:
    name, task = ARMS[request.param]
    torch.manual_seed(0)
    return model_for(sim.load_arm(name), task, ModelConfig(**SMALL)).eval()  # type: ignore[arg-type]


def _poses(model: ArmModel, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    q = torch.from_numpy(model.arm.sample(np.random.default_rng(0), count))
    return q, forward_kinematics(model.arm, q)


def test_targets_of_any_kind_are_the_same_targets(model: ArmModel) -> None:
    q, T = _poses(model)
    expected = model.log_prob(T, q)
    kinds: tuple[Any, ...] = (T.numpy(), T.tolist(), T[:, :2, 3].numpy())
    for kind in kinds:
        torch.testing.assert_close(model.log_prob(kind, q), expected)
    torch.testing.assert_close(model.log_prob(T.float(), q.float()), expected, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(model.log_prob(T[0], q[:1]), expected[:1])
    drawn = [model.sample(kind, 3, generator=torch.Generator().manual_seed(1)) for kind in (T, *kinds)]
    assert all(torch.equal(drawn[0], other) for other in drawn[1:])


def test_a_gradient_by_the_target_stays(model: ArmModel) -> None:
    q, T = _poses(model)
    model.log_prob(T.requires_grad_(), q).sum().backward()  # type: ignore[no-untyped-call]
    assert T.grad is not None
    assert float(T.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda T: T * torch.nan, "NaN or infinity"),
        (lambda T: T * torch.tensor([3.0, 3.0, 3.0, 1.0], dtype=T.dtype), "no rotation"),
        (lambda T: T[..., :1], r"target has shape \(4, 4, 1\)"),
        (lambda T: T[None], r"targets have shape \(1, 4, 4, 4\)"),
        (lambda T: T + 1e12 * torch.eye(4, dtype=T.dtype)[:, [3, 0, 1, 2]], "metres, up to 1e\\+09"),
    ],
)
def test_what_is_no_target_is_refused(model: ArmModel, change: Any, message: str) -> None:
    q, T = _poses(model)
    for ask in (lambda T: model.log_prob(T, q), lambda T: model.sample(T, 2), model.posterior, model.mean):
        with pytest.raises((PoseError, ShapeError), match=message):
            ask(change(T))


@pytest.mark.parametrize(
    "numbers", [{"count": -1}, {"count": 1.5}, {"count": 2, "steps": -1}, {"count": 2, "steps": 0.5}]
)
def test_numbers_of_draws_and_steps_are_whole(model: ArmModel, numbers: dict[str, Any]) -> None:
    _, T = _poses(model)
    with pytest.raises(IKError, match="give a whole number"):
        model.sample(T, **numbers)
