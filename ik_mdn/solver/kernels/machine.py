"""From emitted code to machine code that numba's functions can call, kept on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ik_mdn.solver.kernels.compilation import cache_folder, stamp
from ik_mdn.solver.kernels.emission import DOUBLE, INT, SINGLE

_lock = threading.Lock()
_log = logging.getLogger(__name__)
_KINDS = {"d": DOUBLE.as_pointer(), "f": SINGLE.as_pointer(), "i": INT}


def address_of(name: str, shape: tuple[Any, ...], arguments: str, body: Callable[..., Any]) -> int:
    """Where the machine code of an emitted function lies; compiled once for its shape, and kept on disk.

    Args:
        name: Of the function.
        shape: What the code depends on.
        arguments: One letter for each: "d" and "f" for arrays of doubles and singles, "i" for an integer.
        body: Emits it, given the builder and the arguments; gives an integer to return, or None for 0.
    """
    with _lock:
        return _address_of(_machine(), name, shape, arguments, body)


def _address_of(machine: _Machine, name: str, shape: tuple[Any, ...], arguments: str, body: Callable[..., Any]) -> int:
    key = hashlib.sha256(repr((stamp(), name, shape, *machine.names)).encode()).hexdigest()
    if key in machine.loaded:
        return int(machine.loaded[key][name])
    path = None if cache_folder() is None else Path(cache_folder() or "") / f"{name}-{key[:32]}.o"
    code = None if path is None else _read(path)
    if code is None:
        code = machine.compile(_module(name, arguments, body))
        if path is not None:
            _write(path, code)
    return machine.load(key, name, code)


def _module(name: str, arguments: str, body: Callable[..., Any]) -> str:
    module = ir.Module(name)
    kind = ir.FunctionType(INT, [_KINDS[letter] for letter in arguments])
    function = ir.Function(module, kind, name)
    builder = ir.IRBuilder(function.append_basic_block())
    result = body(builder, *function.args)
    builder.ret(ir.Constant(INT, 0) if result is None else result)
    return str(module)


class _Machine:
    """LLVM's compiler for this processor, and the code that it has loaded."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        target = llvm.Target.from_default_triple()
        self.names = (cpu, features, llvm.llvm_version_info)
        self._target = target.create_target_machine(cpu=cpu, features=features, opt=3, jit=True)
        self._linker = llvm.create_lljit_compiler(self._target)
        self.loaded: dict[str, Any] = {}

    def compile(self, text: str) -> bytes:
        """Object code of a module."""
        module = llvm.parse_assembly(text)
        module.verify()
        tuning = llvm.create_pipeline_tuning_options(speed_level=3)
        passes = llvm.create_pass_builder(self._target, tuning)
        passes.getModulePassManager().run(module, passes)
        code: bytes = self._target.emit_object(module)
        return code

    def load(self, key: str, name: str, code: bytes) -> int:
        """Address of a function in object code."""
        builder = llvm.JITLibraryBuilder().add_object_img(code).export_symbol(name).add_current_process()
        self.loaded[key] = builder.link(self._linker, key)
        return int(self.loaded[key][name])


@lru_cache(maxsize=1)
def _machine() -> _Machine:
    """The one of this process, which is never let go: its code stands at addresses that others keep."""
    return _Machine()


def _read(path: Path) -> bytes | None:
    """Code that was kept; None where there is none, or it is damaged."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(kept[32:]).digest() == kept[:32]:
        return kept[32:]
    _log.warning("compiling again, because the code kept in %s is damaged", path)
    return None


def _write(path: Path, code: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(draft).replace(path)
    except OSError as error:
        _log.warning("compiled code cannot be kept for the next time: %s", error)


@intrinsic
def invoke(typing: Any, address: Any, arguments: Any) -> Any:
    """What an emitted function returns.

    Args:
        typing: Numba's.
        address: Where its code lies.
        arguments: A tuple of contiguous arrays, whose first numbers it gets to know, and integers.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = []
        for place, kind in enumerate(signature.args[1]):
            value = builder.extract_value(args[1], place)
            if isinstance(kind, types.Array):
                value = context.make_array(kind)(context, builder, value).data
            values.append(value)
        pointer = ir.FunctionType(INT, [value.type for value in values]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), values)

    return types.int64(types.int64, arguments), generate
