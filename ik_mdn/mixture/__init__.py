"""The Gaussian mixture over joint angles: density, moments, modes, draws, losses, circular coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.mixture.circular import angular_frequency as angular_frequency
    from ik_mdn.mixture.circular import as_period as as_period
    from ik_mdn.mixture.circular import embed as embed
    from ik_mdn.mixture.circular import nearest_image as nearest_image
    from ik_mdn.mixture.circular import sample_mean as sample_mean
    from ik_mdn.mixture.losses import entropy_bonus as entropy_bonus
    from ik_mdn.mixture.losses import mse as mse
    from ik_mdn.mixture.losses import nll as nll
    from ik_mdn.mixture.losses import ordering_penalty as ordering_penalty
    from ik_mdn.mixture.mixture import GaussianMixture as GaussianMixture
    from ik_mdn.mixture.modes import Modes as Modes
    from ik_mdn.mixture.modes import find_modes as find_modes
    from ik_mdn.mixture.parameters import checks_kept as checks_kept
    from ik_mdn.mixture.triangular import lower_factor as lower_factor
    from ik_mdn.mixture.triangular import substitute as substitute
    from ik_mdn.mixture.triangular import substitute_transposed as substitute_transposed
    from ik_mdn.mixture.triangular import triangular_inverse as triangular_inverse
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
