"""How these functions are compiled, and the code kept on disk."""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.np import linalg

_log = logging.getLogger(__name__)


def _load_arrays() -> None:
    """Have numba load its array functions without looking for a BLAS, for which it would import `scipy.linalg`.

    That takes a fifth of the time from start to first solution, and nothing here calls it. Others in the process notice
    it in compiled `np.correlate` and `np.convolve` alone, which then are plain loops.
    """

    def no_blas() -> None:
        raise ImportError("not looked for")

    found, linalg.ensure_blas = linalg.ensure_blas, no_blas
    try:
        import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = found


_load_arrays()


class _Unfinished(JITCodeLibrary):
    """A function as its callers take it in: neither optimised by itself nor made machine code, which numba does for each.

    What is called by Python in the end is optimised as a whole, once.
    """

    @property
    def codegen(self) -> Any:
        """The owner, but for the address of constants, which only machine code has."""
        return _Quiet(super().codegen)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0


class _Quiet:
    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, env_name: str, env: Any) -> None:
        pass


class _Inner(Compiler):
    """Numba's compiler of functions that others take in."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        super().__init__(typingctx, targetctx, library or _Unfinished(targetctx.codegen(), "inner"), *rest)


_inner = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _Inner}  # Python never calls them
part = njit(forceinline=True, **_inner)  # written into the function that calls it
piece = njit(error_model="numpy", **_inner)  # called by others


def kept(function: Any) -> Any:
    """The function, compiled when it is called and kept on disk where numba finds a folder that it can write to.

    That is beside the module, or numba's folder for the user; `NUMBA_CACHE_DIR` puts it elsewhere.
    """
    compiled = njit(nogil=True)(function)
    try:
        compiled._cache = _Cache(function)
    except RuntimeError as error:
        _log.warning("compiled code cannot be kept for the next time: %s", error)
    return compiled


class _CheckedFile(IndexDataCacheFile):
    """Numba's file of compiled code with a checksum: altered machine code would end the process, or compute something else."""

    def _dump(self, content: Any) -> bytes:
        code: bytes = super()._dump(content)
        return code + hashlib.sha256(code).digest()  # readers stop where the code ends

    def _load_data(self, name: str) -> Any:
        kept = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(kept[:-32]).digest() != kept[-32:]:
            raise ValueError("its checksum does not fit")
        return super()._load_data(name)


class _Cache(FunctionCache):
    """Numba's cache of a function, fresh as long as no module of this package changes, and proof against damage.

    Numba itself looks at the one file that the function is in, and does not notice when a function that it calls
    changes in another.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFile(self.cache_path, self._impl.filename_base, stamp())

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The code that was kept; None where there is none, or it is damaged."""
        try:
            return super().load_overload(signature, target_context)
        except Exception as error:  # a file cut short fails to unpickle in many ways
            _log.warning("compiling again, because the code kept in %s is damaged: %r", self.cache_path, error)
            self.flush()
            return None


@lru_cache(maxsize=1)
def cache_folder() -> str | None:
    """Where compiled code is kept; None where there is no folder that can be written to."""
    try:
        return str(_Cache(cache_folder.__wrapped__).cache_path)
    except RuntimeError:
        return None


@lru_cache(maxsize=1)
def stamp() -> str:
    """A text that changes with the sources of this package."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


class Announcement(event.Listener):
    """Says once that code of this package is being compiled; loading it from the cache is no such event."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: Any) -> None:
        function = getattr(event.data.get("dispatcher"), "py_func", None)
        if not self._said and str(getattr(function, "__module__", "")).startswith("ik_mdn."):
            self._said = True
            _log.warning("compiling, once: 10 to 20 s for solving, as long again for self-motion")

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", Announcement())
