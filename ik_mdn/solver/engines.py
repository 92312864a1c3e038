"""Which engine does the work here: compiled code as far as it can, else torch."""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

from ik_mdn.solver.engine import Engine, Problem
from ik_mdn.solver.refinement import compiled_kernel
from sim.arm import Arm
from sim.task import Task

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel, SavedModel
    from ik_mdn.solver.engine_numba import OneCall
    from ik_mdn.solver.proposers import CompiledModel


@lru_cache(maxsize=1)
def compiled_engine() -> ModuleType | None:
    """The module with the compiled engine; None where numba cannot run."""
    if compiled_kernel() is None:
        return None
    from ik_mdn.solver import engine_numba

    return engine_numba


class Engines:
    """The engines of one solver, each made when it is first needed, with the weights that the model has then.

    Args:
        arm: The arm.
        task: The task.
        model: A model of them, or None.
    """

    def __init__(self, arm: Arm, task: Task, model: SavedModel | ArmModel | None) -> None:
        self.arm, self.task, self._model = arm, task, model
        self._copies: dict[str, ArmModel] = {}

    def on(self, problem: Problem, device: str = "cpu") -> Engine:
        """What does the work of a search on a device."""
        if device == "cpu" and self.compiled:
            engine: Engine = self.compiled.CompiledEngine(problem, self._compiled_model)
            return engine
        from ik_mdn.solver.engine_torch import TorchEngine

        return TorchEngine(problem, self._network_on(device), device)

    @cached_property
    def one_call(self) -> OneCall | None:
        """The compiled call, where compiled code can do the work and nothing is known of how the arm is usually held."""
        if self.compiled is None or (self._model is not None and self._model.postures is not None):
            return None
        small = None if self._model is None else self._model.proposer
        model = self.compiled.CompiledModel(small, with_axes=False) if small else self._compiled_model
        call: OneCall = self.compiled.OneCall(self.arm, self.task, model)
        return call

    @cached_property
    def compiled(self) -> ModuleType | None:
        """The compiled engine's module where it can do what is wanted: no model, or a mixture."""
        return compiled_engine() if self._model is None or self._model.kind == "mdn" else None

    @cached_property
    def network(self) -> ArmModel | None:
        """The model in torch, which is imported for it; None where there is none."""
        from ik_mdn.model import SavedModel

        if not isinstance(self._model, SavedModel):
            return self._model
        from ik_mdn.model import from_saved

        return from_saved(self._model)

    @cached_property
    def _compiled_model(self) -> CompiledModel | None:
        assert self.compiled is not None
        return None if self._model is None else self.compiled.CompiledModel(self._model)

    def _network_on(self, device: str) -> ArmModel | None:
        """The model in torch on a device; of a GPU a copy."""
        if device == "cpu" or self.network is None:
            return self.network
        if device not in self._copies:
            self._copies[device] = deepcopy(self.network).to(device)
        return self._copies[device]
