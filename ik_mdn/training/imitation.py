"""What a small mixture is trained on to propose like a large one: the large one's components, one by one."""

from __future__ import annotations

import torch
from torch import Tensor

from ik_mdn.mixture import nearest_image
from ik_mdn.model import MixtureParts

_WEIGHTS_SHARE = 0.1  # of the loss
_LIGHT = 1e-3  # added to the weight with which a component's mean counts
_NEAR = 0.02  # [rad, m] where the loss of a mean turns from the square of a distance to the distance


def imitate(small: MixtureParts, large: MixtureParts, period: Tensor) -> Tensor:
    """How far two mixtures' weights and means are apart, component by component (distillation; Hinton et al. 2015).

    Both have as many components, which need not be told apart by likelihood: so there is no noise of sampled answers, and
    a small network learns in a tenth of the samples that likelihood takes.

    Args:
        small: Of the network that is trained, (B, K, ...).
        large: Of the network that it is to be like.
        period: (D,), inf where a coordinate is not circular.

    Returns:
        A scalar: KL(large ‖ small) of the weights, and the distances of means in proportion to them.
    """
    log_large, log_small = (torch.log_softmax(each.logits[..., 0], dim=-1) for each in (large, small))
    weight = log_large.exp()
    square = nearest_image(small.mean - large.mean, period.float()).square().sum(-1)
    distance = square / (_NEAR + (square + 1e-12).sqrt())
    divergence = (weight * (log_large - log_small)).sum(-1)
    return (_WEIGHTS_SHARE * divergence + ((weight + _LIGHT) * distance).sum(-1)).mean()
