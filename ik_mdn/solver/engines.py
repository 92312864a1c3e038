"""Which engine does the work here."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

from ik_mdn.solver.refinement import compiled_kernel


@lru_cache(maxsize=1)
def compiled_engine() -> ModuleType | None:
    """The module with the compiled engine; None where numba cannot run."""
    if compiled_kernel() is None:
        return None
    from ik_mdn.solver import engine_numba

    return engine_numba
