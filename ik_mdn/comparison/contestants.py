"""The models of one arm that are compared, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ik_mdn.model import ArmModel, find_shipped, load_fitting, load_model
from ik_mdn.solver import IKSolver
from sim.arm import Arm
from sim.errors import CheckpointError

Source = Path | str | None


@dataclass(frozen=True, eq=False)
class Contestants:
    """The models of one arm that are compared.

    Args:
        solver: With the mixture.
        mse: The regressor, or None.
        k1: The mixture of one component, or None.
    """

    solver: IKSolver
    mse: ArmModel | None = None
    k1: ArmModel | None = None

    @property
    def mixture(self) -> ArmModel:
        """The solver's model."""
        assert self.solver.model is not None, "contestants are loaded with a mixture"
        return self.solver.model


def load_contestants(
    arm: Arm, *, model: Source = None, mse: Source = None, k1: Source = None, device: str | None = None
) -> Contestants:
    """The models to compare on an arm: the ones that were named, otherwise those shipped for it.

    Args:
        arm: The arm.
        model, mse, k1: Names or files of the mixture, the regressor and the mixture of one component; None: shipped.
        device: Where the solver works; see `IKSolver`.

    Returns:
        The models; None for a regressor or one Gaussian that does not exist.

    Raises:
        UnknownNameError: There is no such device here.
        CheckpointError: There is no mixture for this arm, a file is damaged or made for another arm, or holds
            another kind of model than it is named for.
    """
    mixture = load_fitting(arm, model)
    others = {kind: source or find_shipped(arm, kind=kind) for kind, source in (("mse", mse), ("k1", k1))}
    loaded = {kind: load_model(source, arm=arm) if source else None for kind, source in others.items()}
    for kind, found in {"mdn": mixture, **loaded}.items():
        if found is not None and not _is_kind(found, kind):
            raise CheckpointError(
                f"the model given as {'--model' if kind == 'mdn' else '--' + kind} is {_describe(found)}; "
                f"expected {_EXPECTED[kind]}"
            )
    return Contestants(IKSolver(arm, mixture, device=device), **loaded)


def _is_kind(model: ArmModel, kind: str) -> bool:
    if kind == "mse" or model.kind == "mse":
        return kind == model.kind
    return kind == "mdn" or model.config.components == 1


def _describe(model: ArmModel) -> str:
    return "a regressor" if model.kind == "mse" else f"a mixture of K = {model.config.components}"


_EXPECTED = {"mdn": "a mixture", "mse": "a regressor (--kind mse)", "k1": "a mixture of one component (--components 1)"}
